from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_run import TinyRun, three_folds

from cxr_edge.errors import DatasetError
from cxr_edge.evaluation.parity import Outputs
from cxr_edge.evaluation.recipe import OutOfFold
from export import pooled_parity as module
from export.int8 import NO_LIMITS, Int8Options, ShiftLimits
from export.pooled_parity import KEPT_FILE, Method, Pair, pooled, pooled_parity

PLAIN = Int8Options(rounding="nearest", bias_correction=False)


def outputs(logits: list[float]) -> Outputs:
    cams = np.random.default_rng(0).normal(size=(len(logits), 3, 3))
    return Outputs.of(logits, cams)


def test_each_fold_is_calibrated_and_decided_by_its_own_figures() -> None:
    table = OutOfFold(
        folds=np.array(["0", "0", "1", "1"]),
        patients=("a", "b", "c", "d"),
        labels=np.array([0, 1, 0, 1]),
        logits=np.zeros(4),
        temperatures=np.array([1.0, 1.0, 2.0, 2.0]),
        thresholds=np.array([0.0, 0.0, 4.0, 4.0]),
    )
    pairs = {
        "0": Pair(outputs([-1.0, 1.0]), outputs([-1.0, 1.0])),
        "1": Pair(outputs([3.9, 6.0]), outputs([4.1, 6.0])),  # crosses its own threshold, far from that of fold 0
    }
    found = pooled(pairs, table)
    assert found.flips == (2,)
    assert found.max_logit == pytest.approx(0.1)  # 0.2 at temperature 2
    assert found.images == 4


def test_every_image_is_judged_by_the_member_that_never_saw_it_and_kept(
    tiny_run: TinyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Path(shutil.copytree(tiny_run.directory, tmp_path / "run"))
    steps: list[str] = []
    first = pooled_parity(run, tiny_run.labels, PLAIN, 8, steps.append)
    assert first.folds == {"0": 4, "1": 4, "2": 4}
    assert 0 < first.agreement.max_probability < 0.5
    assert len(steps) == 3
    # An interrupted measurement goes on: what was kept is not made again, and a torn file is.
    (run / "fold-1" / KEPT_FILE).write_bytes(b"torn")
    made: list[str] = []
    measured = module.measured_pair
    monkeypatch.setattr(module, "measured_pair", lambda *a: made.append(a[1]) or measured(*a))
    assert pooled_parity(run, tiny_run.labels, PLAIN, 8).agreement == first.agreement
    assert made == ["fold-1"]


def test_another_label_file_is_refused(tiny_run: TinyRun, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is not the label file"):
        pooled_parity(tiny_run.directory, three_folds(tmp_path / "other", per_fold=2), PLAIN, 8)


def test_what_was_kept_without_limits_is_not_taken_for_what_holds_them() -> None:
    plain, limited = Method(PLAIN, 8, NO_LIMITS, 1.3), Method(PLAIN, 8, ShiftLimits(max_auc_drop=0.01), 1.3)
    assert plain.to_json() == PLAIN.to_json() == replace(plain, temperature=2.0).to_json()
    records = [plain, limited, replace(limited, temperature=2.0)]
    assert len({json.dumps(method.to_json(), sort_keys=True) for method in records}) == 3
