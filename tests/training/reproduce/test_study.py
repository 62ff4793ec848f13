"""A study from options to record: resumed, refused, and never on images that it must not see."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cxr_edge.data_use import DataUse, footprint
from cxr_edge.errors import DatasetError, SeenDataError, UsageError
from cxr_edge.labels import read_labels
from training.reproduce.entry import ReproductionOptions, reproduce_from_options
from training.reproduce.material import StudyWatcher
from training.reproduce.record import StudyRecord
from training.reproduce.running import RECORDS

Options = Callable[..., ReproductionOptions]
SILENT = StudyWatcher()


class Stopper:
    """Asks to stop before the work number ``after``."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


def test_each_model_predicts_what_it_did_not_learn_from(options: Options, phantoms: Path) -> None:
    record = reproduce_from_options(options(heads=("linear", "hidden"), variants=("full", "body"), repeats=2), SILENT)
    images = read_labels(phantoms).images
    assert len(record.predictions) == 2 * 2 * 2 * 3
    for cell in {line.cell for line in record.predictions}:
        for repeat in (0, 1):
            lines = [line for line in record.predictions if (line.cell, line.repeat) == (cell, repeat)]
            assert sorted(number for line in lines for number in line.held_out) == list(range(len(images)))
            assert all(line.trained_on + len(line.held_out) == len(images) for line in lines)
            assert all(np.isfinite(line.logits).all() for line in lines)
    assert record.header.labels == tuple(image.label for image in images)


def test_all_layers_are_trained_with_either_head(options: Options) -> None:
    asked = options(tune=("all",), heads=("linear", "hidden"))
    record = reproduce_from_options(asked, SILENT)
    assert {(line.cell, line.source) for line in record.predictions} == {
        ("full:all:linear:nih14", "trained"),
        ("full:all:hidden:nih14", "trained"),
    }
    assert record.predictions[0].config["stages"] == [{"size": 32, "epochs": 2}]
    assert not list(asked.output.rglob("*.pt")), "no model is kept"


def test_a_finished_study_is_not_made_again_and_a_longer_one_goes_on(options: Options) -> None:
    first = options()
    reproduce_from_options(first, SILENT)
    path = first.output / RECORDS
    before = path.read_bytes()
    steps: list[str] = []
    reproduce_from_options(first, StudyWatcher(lambda text, done, total: steps.append(text)))
    assert (steps, path.read_bytes()) == ([], before)
    longer = reproduce_from_options(options(heads=("linear", "hidden")), SILENT)
    assert path.read_bytes().startswith(before)
    assert len(longer.predictions) == 6


def test_a_study_that_was_stopped_ends_like_one_that_was_not(options: Options, tmp_path: Path) -> None:
    whole = reproduce_from_options(options(tune=("head", "all"), output=tmp_path / "whole"), SILENT)
    asked = options(tune=("head", "all"))
    stopped = 0
    while True:
        try:
            record = reproduce_from_options(asked, StudyWatcher(stop_requested=Stopper(9)))
            break
        except KeyboardInterrupt:
            stopped += 1
    assert stopped >= 3
    assert record == whole


@pytest.mark.parametrize(
    ("changes", "differing"),
    [({"release_fold": "0"}, "images_sha256"), ({"seed": 6}, "seed"), ({"where": ("view=PA",)}, "where")],
)
def test_the_record_of_another_study_is_refused(options: Options, changes: dict[str, object], differing: str) -> None:
    reproduce_from_options(options(), SILENT)
    with pytest.raises(UsageError, match=rf"record of another study \(other .*{differing}"):
        reproduce_from_options(options(**changes), SILENT)


def test_predictions_of_another_size_are_not_mixed_in(options: Options) -> None:
    reproduce_from_options(options(), SILENT)
    with pytest.raises(UsageError, match=r"made in another way \(other preprocess\)"):
        reproduce_from_options(options(stages=((64, 2),)), SILENT)


def test_the_release_fold_is_left_out_of_everything(options: Options, phantoms: Path) -> None:
    notes: list[str] = []
    record = reproduce_from_options(options(release_fold="0"), StudyWatcher(note=notes.append))
    kept = [image for image in read_labels(phantoms).images if image.fold != "0"]
    assert record.header.labels == tuple(image.label for image in kept)
    assert {line.split for line in record.predictions} == {"1", "2"}
    assert any("fold 0 is left out of everything" in note for note in notes)


def test_figures_of_every_fold_are_said_to_choose_nothing(options: Options) -> None:
    notes: list[str] = []
    reproduce_from_options(options(), StudyWatcher(note=notes.append))
    assert any("nothing about a shipped bundle may be chosen by them" in note for note in notes)
    assert len(set(notes)) == len(notes)


def test_the_papers_setting_tests_on_a_fifth_of_the_images_with_masks(options: Options) -> None:
    record = reproduce_from_options(options(paper_split=True), SILENT)
    assert len(record.header.labels) == 24  # one of the 25 has no mask
    scored = [line for line in record.predictions if line.scored]
    assert [(line.split, len(line.held_out)) for line in scored] == [("test", 5)]
    assert len(record.predictions) == 5


def test_a_quick_study_is_small_and_says_so(options: Options) -> None:
    notes: list[str] = []
    record = reproduce_from_options(options(quick=True, repeats=4, stages=((224, 9),)), StudyWatcher(note=notes.append))
    assert record.header.quick
    assert {line.repeat for line in record.predictions} == {0}
    assert record.predictions[0].config["preprocess"]["height"] == 96
    assert any("its figures mean nothing" in note for note in notes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"variants": ("lungs",)}, "variants lungs need --lungs"),
        ({"starts": ("chexnet",)}, "start 'chexnet' needs --chexnet"),
        ({"starts": ("imagenet",)}, "start 'imagenet' is unknown"),
        ({"release_fold": "9"}, "release fold '9' does not occur; the label file has folds 0, 1, 2"),
        ({"paper_split": True, "release_fold": "0"}, "--paper-split tests on images of any fold"),
        ({"repeats": 0}, "--repeats 0"),
    ],
)
def test_options_that_make_no_study_leave_no_folder(options: Options, changes: dict[str, object], message: str) -> None:
    asked = options(**changes)
    with pytest.raises(UsageError, match=message):
        reproduce_from_options(asked, SILENT)
    assert not asked.output.exists()


def test_a_checkpoint_that_saw_the_images_is_refused(
    options: Options, phantoms: Path, pretrained: Path, tmp_path: Path
) -> None:
    seen = tmp_path / "seen" / "model"
    seen.mkdir(parents=True)
    (seen / "model.pt").write_bytes(pretrained.read_bytes())
    (seen / "data_use.json").write_text(
        json.dumps(DataUse().with_role("train", footprint(read_labels(phantoms))).to_json())
    )
    with pytest.raises(SeenDataError, match="25 images"):
        reproduce_from_options(options(nih14=tmp_path / "seen"), SILENT)


def test_a_checkpoint_that_does_not_fit_is_refused_by_its_loader(options: Options, tmp_path: Path) -> None:
    bad = tmp_path / "bad.pt"
    bad.write_bytes(b"no checkpoint")
    with pytest.raises(DatasetError, match="not a file of torch.save"):
        reproduce_from_options(options(chexnet=bad, nih14=None, starts=("chexnet",)), SILENT)


def test_a_run_of_several_models_is_no_single_start(options: Options, tmp_path: Path) -> None:
    (tmp_path / "run" / "fold-1").mkdir(parents=True)
    with pytest.raises(UsageError, match="a run of one model"):
        reproduce_from_options(options(nih14=tmp_path / "run"), SILENT)


def test_masks_that_are_missing_are_missed_by_the_papers_setting(options: Options, phantoms: Path) -> None:
    unmasked = phantoms.parent / "unmasked.csv"
    lines = [line.rpartition(",")[0] for line in phantoms.read_text().splitlines()]
    unmasked.write_text("\n".join(lines) + "\n")
    with pytest.raises(DatasetError, match="names no masks"):
        reproduce_from_options(options(data=unmasked, paper_split=True), SILENT)


def test_the_record_holds_no_names(options: Options, phantoms: Path) -> None:
    asked = options()
    reproduce_from_options(asked, SILENT)
    text = (asked.output / RECORDS).read_text()
    assert str(phantoms.parent) not in text
    assert '"p1"' not in text and ".png" not in text


def test_what_is_no_record_is_refused(tmp_path: Path) -> None:
    path = tmp_path / RECORDS
    for text in ("", "{}\n", "[1]\n", "not JSON", '{"kind": "reproduction", "format": 99}\n'):
        path.write_text(text)
        with pytest.raises(DatasetError, match="record of a reproduction"):
            StudyRecord.read(path)
