"""A localiser run from the command: folders, files, who sees what, resuming, and the evaluation."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from tiny_lungs import write_chests
from tiny_run import one_thread

from cxr_edge.data_use import patient_hash
from cxr_edge.errors import CheckFailedError, DatasetError, UsageError
from cxr_edge.labels import read_labels
from cxr_edge.lungs import LungLocaliser
from training.lungs import run as run_module
from training.lungs.__main__ import main
from training.lungs.network import LungNet, seeded_network
from training.lungs.onnx_file import build_onnx, largest_difference
from training.lungs.run import members_of


@pytest.fixture(scope="module", autouse=True)
def single_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # 16 training images, the default batch, leave one step an epoch.
    return write_chests(tmp_path_factory.mktemp("chests"), folds=3, per_fold=8, unmasked=2)


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "lungs"
    assert main(["--data", str(data), "-o", str(folder), "--epochs", "3", "--seed", "5"]) == 0
    return folder


def test_a_run_leaves_every_file_that_its_readers_need(finished: Path) -> None:
    for fold in range(3):
        assert {path.name for path in (finished / f"fold-{fold}").iterdir()} >= {
            "lungs.onnx",
            "model.pt",
            "history.jsonl",
            "data_use.json",
        }
    record = json.loads((finished / "run.json").read_text())
    assert record["images_without_mask"] == 2
    assert record["release_fold"] == "0"
    assert record["members"] == {"fold-0": [16, 8], "fold-1": [8, 8], "fold-2": [8, 8]}
    assert record["config"]["epochs"] == 3 and record["config"]["seed"] == 5
    assert (finished / "contours.png").read_bytes().startswith(b"\x89PNG")


def test_no_localiser_sees_its_own_fold_and_only_that_of_the_release_fold_sees_the_others(
    finished: Path, data: Path
) -> None:
    images = read_labels(data).images
    for own in range(3):
        seen = json.loads((finished / f"fold-{own}" / "data_use.json").read_text())["roles"]["train"]["patients"]
        expected = {patient_hash(*i.patient) for i in images if i.mask and i.fold not in ("0", str(own))}
        assert set(seen) == expected


def test_the_evaluation_has_every_masked_image_once_with_its_own_fold(finished: Path, data: Path) -> None:
    evaluation = json.loads((finished / "evaluation.json").read_text())
    folds = {image.columns["file"]: image.fold for image in read_labels(data).images if image.mask}
    assert {row["file"]: row["fold"] for row in evaluation["per_image"]} == folds
    assert evaluation["images"] == len(evaluation["per_image"]) == 24
    mean = np.mean([row["dice"] for row in evaluation["per_image"]])
    assert evaluation["dice"]["mean"] == pytest.approx(mean)
    assert evaluation["dice"]["low"] <= mean <= evaluation["dice"]["high"]
    assert evaluation["conditions_with_lungs"]["as it is"]["dice"] == evaluation["dice"]
    assert evaluation["files"]["fold-0"]["bytes"] <= 500_000


def test_the_same_command_again_changes_nothing_and_another_is_refused(
    finished: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in finished.rglob("*.onnx")}
    assert main(["--data", str(data), "-o", str(finished), "--epochs", "3", "--seed", "5"]) == 0
    assert {path: path.read_bytes() for path in finished.rglob("*.onnx")} == before
    assert main(["--data", str(data), "-o", str(finished), "--epochs", "4", "--seed", "5"]) == DatasetError.exit_code
    assert "holds another run (differs in config)" in capsys.readouterr().err


def test_one_member_can_be_trained_alone_and_is_the_same_as_in_a_whole_run(
    finished: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--data", str(data), "-o", str(tmp_path / "run"), "--epochs", "3", "--seed", "5", "--only", "fold-2"]
    assert main(arguments) == 0
    assert "not evaluated: fold-0, fold-1 still to be trained" in capsys.readouterr().out
    alone = tmp_path / "run" / "fold-2" / "lungs.onnx"
    assert alone.read_bytes() == (finished / "fold-2" / "lungs.onnx").read_bytes()
    assert not (tmp_path / "run" / "fold-0").exists()


def test_a_member_that_does_not_exist_is_a_usage_error(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--data", str(data), "-o", str(tmp_path / "run"), "--only", "fold-9"]) == UsageError.exit_code
    assert "no member fold-9; it has fold-0, fold-1, fold-2" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["not json", "[]", '{"schema": 0}'])
def test_a_record_that_cannot_be_read_is_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    (tmp_path / "run.json").write_text(content)
    assert main(["--data", str(data), "-o", str(tmp_path)]) == DatasetError.exit_code
    assert "run.json is no record" in capsys.readouterr().err


def changed_labels(data: Path, **cells: str) -> Path:
    """The label file with cells of its first row changed, beside the original."""
    with data.open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows[0].update(cells)
    path = data.parent / f"changed-{'-'.join(cells)}.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"fold": ""}, "patients|no fold"),
        ({"patient_id": "p1"}, "1 of 25 patients have images under several values of 'fold'"),
        ({"mask": "missing.png"}, "missing.png"),
    ],
    ids=["no fold", "patient in two folds", "mask missing"],
)
def test_labels_that_cannot_be_trained_on_are_refused(data: Path, cells: dict[str, str], reason: str) -> None:
    with pytest.raises(DatasetError, match=reason):
        members_of(read_labels(changed_labels(data, **cells)), "0")


def test_a_release_fold_that_does_not_occur_is_a_usage_error(data: Path) -> None:
    with pytest.raises(UsageError, match="release fold '7' does not occur"):
        members_of(read_labels(data), "7")


def trained_looking_network() -> LungNet:
    """A network whose normalisations have statistics of their own, so that folding them matters."""
    network = seeded_network(3)
    network.train()
    with torch.no_grad():
        for seed in range(3):
            network(torch.randn(4, 1, 128, 128, generator=torch.Generator().manual_seed(seed)))
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(7))
                module.bias.uniform_(-0.5, 0.5, generator=torch.Generator().manual_seed(8))
    return network.eval()


def test_the_exported_file_computes_what_torch_does() -> None:
    network = trained_looking_network()
    thumbnails = np.random.default_rng(0).uniform(-1, 1, (3, 128, 128)).astype(np.float32)
    model = build_onnx(network)
    assert largest_difference(network, model.SerializeToString(), thumbnails) < 1e-4
    assert not any(node.op_type == "BatchNormalization" for node in model.graph.node)


def test_the_exported_file_is_small_checked_and_opens_on_the_device() -> None:
    model = build_onnx(seeded_network(0))
    onnx.checker.check_model(model, full_check=True)
    data = model.SerializeToString()
    assert len(data) <= 500_000
    LungLocaliser.open(data).close()


def test_an_export_that_differs_from_torch_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "build_onnx", lambda network: build_onnx(seeded_network(1)))
    thumbnails = np.zeros((1, 128, 128), np.float32)
    with pytest.raises(CheckFailedError, match="differ from torch's by"):
        run_module.export_member(tmp_path, seeded_network(0).eval(), thumbnails, lambda text: None)
    assert not (tmp_path / "lungs.onnx").exists()
