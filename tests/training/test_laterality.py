"""Learning on which side findings are: what reports tell, what the loss asks for, and what is kept of it: nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_run import finished_run, one_thread, three_folds, tiny_config, tiny_network, tiny_options

from cxr_edge.errors import DatasetError, UsageError
from cxr_edge.labels import LabelledImage, read_labels
from cxr_edge.preprocess import PreprocessSpec
from training.config import Augmentation, Stage
from training.dataset import RadiographDataset, SampleKey, targets_of
from training.entry import configuration, train_from_options, with_shuffled_labels
from training.fit import Fitting, fit
from training.laterality import laterality_loss, sides_of, with_laterality_map, without_laterality_map
from training.run import Run

SIDE = 64
SPEC = PreprocessSpec(SIDE, SIDE)
NAN = float("nan")


def image(label: int, **columns: str) -> LabelledImage:
    return LabelledImage(Path("x.png"), label, "p", "d", None, None, (), None, columns, 1)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"findings": "PTB in the right upper field"}, (1, 0)),
        ({"findings": "Left PTB, left pleural thickening"}, (0, 1)),
        ({"findings": "bilateral PTB"}, (1, 1)),
        ({"findings": "right PTB, adhesions in the left lower field"}, (1, 1)),
        ({"findings": "Opacities in BOTH lungs"}, (1, 1)),
        ({"findings": "bilaterally enlarged hila"}, (1, 1)),
        ({"findings": "right-sided effusion"}, (1, 0)),
        ({"findings": "STB"}, (NAN, NAN)),
        ({"findings": "infiltrate, upright view"}, (NAN, NAN)),
        ({}, (NAN, NAN)),
        ({"laterality": "left", "findings": "right PTB"}, (0, 1)),
        ({"laterality": "", "findings": "right PTB"}, (1, 0)),
    ],
)
def test_reports_tell_the_side(columns: dict[str, str], expected: tuple[float, float]) -> None:
    told = image(1, findings="left PTB")
    assert np.array_equal(sides_of([told, image(1, **columns)])[1], expected, equal_nan=True)


def test_a_normal_chest_is_normal_on_both_sides_whatever_words_stand_there() -> None:
    assert sides_of([image(0, findings="no finding on the right"), image(1, findings="left PTB")]).tolist() == [
        [0, 0],
        [0, 1],
    ]


def test_labels_that_tell_no_side_at_all_are_refused() -> None:
    with pytest.raises(DatasetError, match="no abnormal image tells"):
        sides_of([image(0), image(1, findings="TB")])


def test_the_loss_is_the_cross_entropy_of_each_half_and_leaves_the_middle_column_alone() -> None:
    side_map = torch.zeros(1, 2, 5)
    side_map[..., :2], side_map[..., 2], side_map[..., 3:] = 2.0, 99.0, -1.0
    expected = (np.log1p(np.exp(-2.0)) + np.log1p(np.exp(-1.0))) / 2
    assert float(laterality_loss(side_map, torch.tensor([[1.0, 0.0]]))) == pytest.approx(expected, rel=1e-6)


def test_what_is_not_told_has_no_part_in_the_loss() -> None:
    side_map = torch.tensor([[[3.0, -3.0]], [[5.0, 5.0]]], requires_grad=True)
    told = laterality_loss(side_map[:1], torch.tensor([[1.0, 0.0]]))
    both = laterality_loss(side_map, torch.tensor([[1.0, 0.0], [NAN, NAN]]))
    assert both.item() == pytest.approx(told.item())
    nothing = laterality_loss(side_map, torch.full((2, 2), NAN))
    nothing.backward()  # type: ignore[no-untyped-call]
    assert nothing.item() == 0.0
    assert side_map.grad is not None
    assert not side_map.grad.any()


def test_another_map_changes_no_decision_and_leaves_no_trace() -> None:
    network = tiny_network().eval()
    pictures = torch.randn(2, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    before, state = network(pictures)[0], {k: v.clone() for k, v in network.state_dict().items()}
    wider = with_laterality_map(network)
    logit, cam = wider(pictures)
    assert logit.shape == (2, 2)
    assert torch.equal(logit[:, :1], before)
    assert not cam[:, 1].any()
    kept = without_laterality_map(wider)
    assert wider.outputs == 2
    assert kept.outputs == 1
    assert all(torch.equal(kept.state_dict()[name], state[name]) for name in state)


@pytest.fixture(scope="module")
def sided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three folds of phantoms, whose findings are told to be on the right."""
    path = three_folds(tmp_path_factory.mktemp("sided"), side=SIDE * 4)
    path.write_text(path.read_text().replace("finding_labels", "findings").replace("Mass|Nodule", "mass on the right"))
    return path


def dataset(path: Path, flip: float) -> RadiographDataset:
    images = read_labels(path).images
    still = Augmentation(rotation=0, zoom=0, shift=0, flip=flip, brightness=0, contrast=0)
    return RadiographDataset(images, targets_of(images, "abnormality"), SPEC, still, sides=sides_of(images))


@pytest.mark.parametrize(("flip", "expected"), [(0.0, [1, 1, 0]), (1.0, [1, 0, 1])])
def test_sides_change_places_with_the_picture(sided: Path, flip: float, expected: list[int]) -> None:
    _, target = dataset(sided, flip)[SampleKey(1, 0, SIDE)]
    assert target.tolist() == expected


def fitted(path: Path, directory: Path, laterality: float) -> tuple[Fitting, list[float]]:
    config = tiny_config(stages=(Stage(SIDE, 4),), preprocess=SPEC, laterality=laterality, seed=3)
    data = dataset(path, 0.5)
    if not laterality:
        data.sides = None
    fitting = Fitting(tiny_network(), config, data, torch.device("cpu"))
    directory.mkdir()
    fit(fitting, directory, on_progress=lambda p: None, on_epoch=lambda e: {}, stop_requested=lambda: False)
    return fitting, [json.loads(line)["loss"] for line in (directory / "history.jsonl").read_text().splitlines()]


def test_sides_shape_the_features_and_are_not_kept(sided: Path, tmp_path: Path) -> None:
    with one_thread():
        with_sides, _ = fitted(sided, tmp_path / "with", 1.0)
        without, _ = fitted(sided, tmp_path / "without", 0.0)
    assert with_sides.network.outputs == 2
    assert with_sides.result.outputs == without.result.outputs == 1
    some, other = with_sides.result.state_dict(), without.result.state_dict()
    assert list(some) == list(other)
    assert any(not torch.equal(some[name], other[name]) for name in some if name.startswith("features"))


def test_a_stopped_run_with_sides_ends_with_one_logit_an_image_as_one_that_was_never_stopped(
    sided: Path, tmp_path: Path
) -> None:
    options = tiny_options(tmp_path / "whole", sided, where=(), laterality=0.5, stages=((SIDE, 3),), only=("fold-1",))
    stopped, asked = replace(options, output=tmp_path / "stopped"), iter((False, True))
    with one_thread():
        train_from_options(options, lambda *progress: None, lambda: False, lambda note: None)
        with pytest.raises(KeyboardInterrupt):
            train_from_options(stopped, lambda *progress: None, lambda: next(asked), lambda note: None)
        train_from_options(stopped, lambda *progress: None, lambda: False, lambda note: None)
    whole, resumed = ((tmp_path / name / "fold-1" / "predictions.csv").read_text() for name in ("whole", "stopped"))
    assert whole.splitlines()[0] == "file,patient_id,fold,target_abnormal,logit_abnormal"
    assert resumed == whole


def test_labels_that_tell_no_side_leave_no_folder_behind(tmp_path: Path) -> None:
    data = three_folds(tmp_path / "data", side=SIDE)
    options = tiny_options(tmp_path / "run", data, laterality=0.5, stages=((SIDE, 3),))
    with pytest.raises(DatasetError, match="leave --laterality out"):
        train_from_options(options, lambda *progress: None, lambda: False, lambda note: None)
    assert not (tmp_path / "run").exists()


def test_shuffled_labels_take_their_sides_with_them(sided: Path) -> None:
    labels = read_labels(sided)
    shuffled = with_shuffled_labels(labels, seed=0)
    assert [image.label for image in shuffled.images] != [image.label for image in labels.images]
    assert np.isfinite(sides_of(shuffled.images)).all()
    assert {image.columns["findings"] for image in shuffled.images if image.label == 1} == {"mass on the right"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"laterality": -1.0}, "0 to 10"),
        ({"laterality": float("nan")}, "0 to 10"),
        ({"laterality": 1.0, "task": "nih14"}, "normal/abnormal"),
        ({"laterality": 1.0, "tune": "head", "initial": Path("x.pt")}, "--tune all"),
        ({"laterality": 1.0, "stages": ((32, 1), (64, 1))}, "at least 64"),
    ],
)
def test_what_cannot_be_learned_together_is_refused(changes: dict[str, object], message: str, tmp_path: Path) -> None:
    options = tiny_options(tmp_path / "run", tmp_path / "labels.csv", **{"stages": ((SIDE, 1),), **changes})
    with pytest.raises(UsageError, match=message):
        configuration(options)


def test_a_run_from_before_there_was_laterality_goes_on(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    finished = finished_run(tmp_path_factory.getbasetemp())
    record = json.loads((finished.directory / "run.json").read_text())
    del record["config"]["laterality"]
    older = tmp_path / "older"
    older.mkdir()
    (older / "run.json").write_text(json.dumps(record))
    assert Run.open(older).config.laterality == 0.0
    options = tiny_options(older, finished.labels, initial=finished.initial, stages=((32, 3),))
    with one_thread(), pytest.raises(KeyboardInterrupt):
        train_from_options(options, lambda *progress: None, lambda: True, lambda note: None)
    with pytest.raises(DatasetError, match="laterality"):
        train_from_options(
            replace(options, laterality=0.5, stages=((64, 3),)), lambda *p: None, lambda: True, lambda note: None
        )
