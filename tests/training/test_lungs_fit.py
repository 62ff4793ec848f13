"""Fitting a localiser: it learns, it goes on after a kill with the same numbers, it refuses what cannot be trained."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_lungs import write_chests
from tiny_run import one_thread

from cxr_edge.errors import DatasetError, UsageError
from cxr_edge.labels import read_labels
from training.fit import Progress
from training.lungs.config import LungAugmentation, LungTrainingConfig
from training.lungs.examples import LungExamples, masked
from training.lungs.fit import LungFitting, fit_lungs
from training.lungs.loss import dice_overlap, mask_loss
from training.lungs.network import seeded_network
from training.lungs.scores import dice

TINY = (8, 8, 8, 8)


@pytest.fixture(scope="module", autouse=True)
def single_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> LungExamples:
    labels = read_labels(write_chests(tmp_path_factory.mktemp("chests"), folds=2, per_fold=8))
    return LungExamples.read(masked(labels.images), lambda done, total: None)


def config(epochs: int = 3, **changes: object) -> LungTrainingConfig:
    return LungTrainingConfig(**{"epochs": epochs, "batch_size": 4, "averaging": 0.8, **changes})  # type: ignore[arg-type]


def fitting(examples: LungExamples, **changes: object) -> LungFitting:
    return LungFitting(seeded_network(0, TINY), config(**changes), examples)


def run(fitted: LungFitting, folder: Path, stop_after: int | None = None) -> dict[str, torch.Tensor]:
    folder.mkdir(exist_ok=True)
    steps: list[Progress] = []

    def stop_requested() -> bool:
        return stop_after is not None and len(steps) >= stop_after

    fit_lungs(fitted, folder, on_progress=steps.append, stop_requested=stop_requested)
    return fitted.result.state_dict()


def test_it_learns_where_the_lungs_of_phantoms_are_that_it_never_saw(examples: LungExamples, tmp_path: Path) -> None:
    training, unseen = examples.chosen(examples.images[:12]), examples.chosen(examples.images[12:])
    calm = LungAugmentation(rotation=5, turned=0, away=0, texture=0, inverted=0)
    fitted = fitting(training, epochs=20, learning_rate=0.02, augmentation=calm)
    run(fitted, tmp_path / "run")
    with torch.inference_mode():
        found = fitted.result(torch.from_numpy(unseen.thumbnails)[:, None])[:, 0].numpy() > 0
    overlaps = [dice(mask, true) for mask, true in zip(found, unseen.masks, strict=True)]
    everything = np.mean([dice(np.ones_like(true), true) for true in unseen.masks])
    assert np.mean(overlaps) > 0.8 > everything + 0.2


def test_a_killed_run_ends_with_the_weights_of_one_that_was_not(examples: LungExamples, tmp_path: Path) -> None:
    whole = run(fitting(examples), tmp_path / "whole")
    for step in (2, 5):  # within the first epoch, and within the second
        with pytest.raises(KeyboardInterrupt):
            run(fitting(examples), tmp_path / "cut", stop_after=step)
    resumed = run(fitting(examples), tmp_path / "cut")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    histories = [
        [json.loads(line) for line in (tmp_path / name / "history.jsonl").read_text().splitlines()]
        for name in ("whole", "cut")
    ]
    assert histories[0] == histories[1]
    assert [line["epoch"] for line in histories[0]] == [1, 2, 3]


def test_another_seed_gives_other_weights_and_the_same_one_the_same(examples: LungExamples, tmp_path: Path) -> None:
    first, again, other = (
        run(fitting(examples, epochs=1, seed=seed), tmp_path / name) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])


@pytest.mark.parametrize("content", ["text", "other network"])
def test_a_state_that_does_not_fit_is_refused_with_what_to_do(
    examples: LungExamples, tmp_path: Path, content: str
) -> None:
    state = tmp_path / "state.pt"
    if content == "text":
        state.write_text("not a state")
    else:
        torch.save({"network": {}}, state)
    with pytest.raises(DatasetError, match=r"state\.pt cannot be resumed from .*delete it"):
        fitting(examples).restore(state)


def test_a_loss_that_is_not_a_number_stops_the_training(examples: LungExamples, tmp_path: Path) -> None:
    poisoned = fitting(examples)
    with torch.no_grad():
        poisoned.network.head.weight.fill_(float("nan"))
    with pytest.raises(DatasetError, match="loss became nan in epoch 1"):
        run(poisoned, tmp_path / "run")


def test_the_loss_falls_to_almost_nothing_for_the_right_map_and_not_for_a_wrong_one() -> None:
    shares = torch.zeros(2, 1, 8, 8)
    shares[0, 0, 2:6, 2:6] = 1  # the second image has no lungs
    right = mask_loss(shares * 40 - 20, shares)
    assert float(right) < 1e-3
    assert float(mask_loss(torch.full((2, 1, 8, 8), -20.0), shares)) > 1
    assert float(mask_loss(torch.full((2, 1, 8, 8), 20.0), shares)) > 1
    assert dice_overlap(shares, shares)[0] == pytest.approx(1)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"epochs": 0}, "0 epochs"),
        ({"batch_size": 1}, "batch size 1"),
        ({"learning_rate": float("nan")}, "learning rate nan"),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_values_out_of_range_are_usage_errors(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        config(**changes)  # type: ignore[arg-type]


def test_a_configuration_is_read_back_as_it_was_written() -> None:
    written = config(augmentation=LungAugmentation(rotation=1.5))
    assert LungTrainingConfig.from_json(json.loads(json.dumps(written.to_json()))) == written
    with pytest.raises(DatasetError, match="cannot be read by this version"):
        LungTrainingConfig.from_json({"epochs": 3})
