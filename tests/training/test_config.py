from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from cxr_edge.errors import DatasetError, UsageError
from cxr_edge.preprocess.spec import PreprocessSpec
from training.config import Augmentation, Stage, TrainingConfig

OTHER_THAN_DEFAULT = TrainingConfig(
    task="nih14",
    tune="head",
    stages=(Stage(64, 2), Stage(96, 1)),
    batch_size=3,
    learning_rate=2e-4,
    weight_decay=0.1,
    averaging=0.9,
    dropout=0.5,
    balance=False,
    precision="fp32",
    seed=1,
    augmentation=Augmentation(1.0, 0.2, 0.3, 0.4, 0.6, 0.7),
    preprocess=PreprocessSpec(height=96, width=96, mean=0.4, std=0.25),
)


@pytest.mark.parametrize("config", [TrainingConfig(), OTHER_THAN_DEFAULT], ids=["default", "other"])
def test_a_configuration_survives_its_json(config: TrainingConfig) -> None:
    assert TrainingConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"stages": ()}, "at least one"),
        ({"stages": (Stage(224, 0),)}, "224x0"),
        ({"stages": (Stage(16, 1), Stage(224, 1))}, "16x1"),
        ({"stages": (Stage(100, 1), Stage(224, 1))}, "multiple of 32"),
        ({"stages": (Stage(128, 1),)}, "128 pixels but preprocessing gives 224x224"),
        ({"preprocess": PreprocessSpec(height=224, width=192)}, "224x192"),
        ({"batch_size": 1}, "batch size 1"),
        ({"learning_rate": 0.0}, "learning rate 0.0"),
        ({"learning_rate": float("nan")}, "learning rate nan"),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_a_value_that_cannot_train_is_refused_with_the_value(change: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        replace(TrainingConfig(), **change)


def changed(**values: object) -> dict[str, Any]:
    return {**TrainingConfig().to_json(), **values}


@pytest.mark.parametrize(
    "value",
    [
        changed(momentum=0.9),
        {key: value for key, value in changed().items() if key != "stages"},
        changed(stages=[{"size": 224}]),
        changed(preprocess={**changed()["preprocess"], "blur": 3}),
        changed(batch_size=1),
        changed(batch_size="16"),
    ],
    ids=["unknown key", "missing key", "half a stage", "unknown preprocessing", "refused value", "text for a number"],
)
def test_json_that_this_version_cannot_read_is_a_dataset_error(value: dict[str, Any]) -> None:
    with pytest.raises(DatasetError, match="cannot be read by this version"):
        TrainingConfig.from_json(value)


def test_every_epoch_belongs_to_the_stage_that_is_trained_then() -> None:
    config = TrainingConfig(stages=(Stage(64, 2), Stage(128, 1), Stage(224, 2)))
    assert config.epochs == 5
    assert [config.stage_of(epoch).size for epoch in range(5)] == [64, 64, 128, 224, 224]


@pytest.mark.parametrize("epoch", [-1, 3])
def test_an_epoch_outside_the_schedule_is_refused_with_its_number(epoch: int) -> None:
    with pytest.raises(UsageError, match=f"epoch {epoch} is outside the schedule of 3 epochs"):
        OTHER_THAN_DEFAULT.stage_of(epoch)
