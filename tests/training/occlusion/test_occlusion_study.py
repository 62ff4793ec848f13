"""The study from runs to its page: who judges what, what is on record, and what the figures say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_lungs import dark_is_lung, drawn
from tiny_run import SPEC, TinyRun, finished_run, one_thread, tiny_options

from cxr_edge.data_use import DataUse
from cxr_edge.errors import DatasetError, UsageError
from cxr_edge.labels import read_labels
from cxr_edge.lungs import LungLocaliser, Lungs
from cxr_edge.regions.cells import CellBox
from training.entry import train_from_options
from training.generated_sections import with_sections
from training.localisers import Localisers, localiser_path
from training.occlusion import pictures
from training.occlusion.__main__ import check_localisers, main, measure
from training.occlusion.figures import OcclusionSummary
from training.occlusion.hiding import WAYS
from training.occlusion.parts import PARTS
from training.occlusion.record import MAP_SIDE, OcclusionHeader, OcclusionRecord, OcclusionStudy
from training.occlusion.render import DOCUMENT, FOLDER, SUMMARY, read_summary
from training.occlusion.render import main as render_main
from training.occlusion.summary import summary_of
from training.occlusion.tables import sections
from training.run import Run

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    return finished_run(tmp_path_factory.getbasetemp())


@pytest.fixture
def lungs(tmp_path: Path) -> Path:
    for fold in range(3):
        path = localiser_path(tmp_path / "lungs", str(fold))
        path.parent.mkdir(parents=True)
        path.write_bytes(dark_is_lung())
        (path.parent / "data_use.json").write_text(json.dumps(DataUse().to_json()))
    return tmp_path / "lungs"


@pytest.fixture(autouse=True)
def found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lungs where they stand in most frames: a localiser made for tests does not find every phantom's."""
    everywhere = Lungs(True, CellBox(24, 20, 80, 88), drawn())
    monkeypatch.setattr(LungLocaliser, "locate", lambda self, thumbnail: everywhere)


def header(**changes: object) -> OcclusionHeader:
    values: dict[str, object] = {
        "datasets": ("drawn",),
        "labels_sha256": "0" * 64,
        "release_fold": "0",
        "labels": (0, 1) * 10,
        "patients": tuple(range(20)),
        "seed": 1,
    }
    return OcclusionHeader(**{**values, **changes})  # type: ignore[arg-type]


def line(logits: np.ndarray, hidden: dict[str, np.ndarray], **changes: object) -> OcclusionRecord:
    """A model's line: the given logits where a key of ``hidden`` says so, the plain ones everywhere else."""
    flat = (0.0,) * MAP_SIDE**2
    names = [f"{part}/{way}" for part in PARTS for way in WAYS]
    values: dict[str, object] = {
        "run": "drawn-full",
        "member": "fold-1",
        "model_sha256": "0" * 64,
        "variant": "full",
        "images": tuple(range(len(logits))),
        "without_lungs": 0,
        "logits": tuple(logits.tolist()),
        "hidden": {name: tuple(hidden.get(name, logits).tolist()) for name in names},
        "shares": dict.fromkeys(PARTS, 0.25),
        "evidence": (0.75,) * len(logits),
        "covered": (0.5,) * len(logits),
        "maps": {"normal": flat, "abnormal": flat},
        "lungs": flat,
        "versions": {"cxr_edge": "0"},
    }
    return OcclusionRecord(**{**values, **changes})  # type: ignore[arg-type]


def test_each_image_is_judged_by_the_model_that_did_not_see_it(run: TinyRun, lungs: Path, tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    with one_thread():
        study = measure(run.labels, [run.directory], lungs, tmp_path / "r.jsonl", lambda *step: steps.append(step))
    kept = [i for i in read_labels(run.labels, ("view=PA",)).images if i.fold != "0"]
    assert [one.member for one in study.lines] == ["fold-1", "fold-2"]
    for one in study.lines:
        assert {kept[number].fold for number in one.images} <= {one.member.removeprefix("fold-")}
        assert len(one.images) + one.without_lungs == 4
    assert steps[-1] == (8, 8)
    assert OcclusionStudy.read(tmp_path / "r.jsonl") == study


def test_logits_of_pictures_as_they_are_equal_the_runs_own(run: TinyRun, lungs: Path, tmp_path: Path) -> None:
    with one_thread():
        study = measure(run.labels, [run.directory], lungs, tmp_path / "r.jsonl", lambda done, total: None)
    one = study.lines[0]
    text = (run.directory / one.member / "predictions.csv").read_text().splitlines()
    own = [float(row.rpartition(",")[2]) for row in text[1:]]
    assert one.logits == pytest.approx(own, abs=2e-4)
    assert any(one.hidden["lungs/black"][i] != one.logits[i] for i in range(len(own)))


def test_what_is_on_record_is_not_measured_again(run: TinyRun, lungs: Path, tmp_path: Path) -> None:
    record = tmp_path / "r.jsonl"
    with one_thread():
        study = measure(run.labels, [run.directory], lungs, record, lambda done, total: None)
        replace(study, lines=study.lines[:1]).write(record)
        steps: list[tuple[int, int]] = []
        again = measure(run.labels, [run.directory], lungs, record, lambda *step: steps.append(step))
    assert again == study
    assert steps[-1] == (4, 4)


def test_images_in_which_no_lungs_are_found_are_counted_and_left_out(
    run: TinyRun, lungs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missed = iter([Lungs(False, None, np.zeros((128, 128), np.bool_), "covered")])
    everywhere = Lungs(True, CellBox(24, 20, 80, 88), drawn())
    monkeypatch.setattr(LungLocaliser, "locate", lambda self, thumbnail: next(missed, everywhere))
    with one_thread():
        study = measure(run.labels, [run.directory], lungs, tmp_path / "r.jsonl", lambda done, total: None)
    assert [one.without_lungs for one in study.lines] == [1, 0]
    assert len(study.lines[0].images) == len(study.lines[0].logits) == len(study.lines[0].evidence) == 3


def test_runs_that_do_not_belong_together_are_refused(run: TinyRun, lungs: Path, tmp_path: Path) -> None:
    record = tmp_path / "r.jsonl"
    with pytest.raises(UsageError, match="different names"):
        measure(run.labels, [run.directory, run.directory], lungs, record, lambda done, total: None)
    other = tmp_path / "other.csv"
    other.write_text(run.labels.read_text().replace("images/", f"{run.labels.parent}/images/"))
    with pytest.raises(DatasetError, match="another label file"):
        measure(other, [run.directory], lungs, record, lambda done, total: None)
    with one_thread():
        train_from_options(
            tiny_options(tmp_path / "begun", run.labels, only=("fold-0",)),
            lambda *progress: None,
            lambda: False,
            lambda note: None,
        )
    with pytest.raises(DatasetError, match="no finished"):
        measure(run.labels, [tmp_path / "begun"], lungs, record, lambda done, total: None)
    assert not record.exists()


def test_models_that_see_lungs_are_shown_those_of_their_own_localisers(run: TinyRun, lungs: Path) -> None:
    opened = Run.open(run.directory)
    localisers = Localisers.open_folds(lungs, ("1", "2"))
    seen = replace(opened, config=replace(opened.config, preprocess=replace(SPEC, variant="lungs")))
    own = {**opened.record, "lungs_sha256": ["0" * 64, *localisers.sha256.values()]}
    check_localisers([opened, replace(seen, record=own)], localisers)
    with pytest.raises(DatasetError, match="other localisers"):
        check_localisers([replace(seen, record={**own, "lungs_sha256": ["0" * 64]})], localisers)


def test_a_model_whose_images_all_lack_lungs_is_refused(
    run: TinyRun, lungs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = Lungs(False, None, np.zeros((128, 128), np.bool_), "covered")
    monkeypatch.setattr(LungLocaliser, "locate", lambda self, thumbnail: nowhere)
    with pytest.raises(DatasetError, match="lungs are found in none of the 4 images"):
        measure(run.labels, [run.directory], lungs, tmp_path / "r.jsonl", lambda done, total: None)


def test_every_run_has_its_own_shares_beside_its_parts_and_the_first_part_on_top(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    drawn_figures: list[Any] = []
    monkeypatch.setattr(pictures, "save", lambda figure, path: drawn_figures.append(figure))
    logits = np.linspace(-1, 1, 20)
    other = line(logits, {}, run="drawn-lungs", variant="lungs", shares=dict.fromkeys(PARTS, 0.5))
    pictures.draw_effects(summary_of(OcclusionStudy(header(), (line(logits, {}), other))).runs, tmp_path / "x.png")
    first, _, second, _ = drawn_figures[0].axes
    for axes, share in ((first, "25%"), (second, "50%")):
        assert [label.get_text() for label in axes.get_yticklabels()] == [f"{part} ({share})" for part in PARTS]
        assert axes.yaxis_inverted()


def test_a_record_of_other_images_or_none_at_all_is_refused(
    run: TinyRun, lungs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = tmp_path / "r.jsonl"
    OcclusionStudy(header()).write(record)
    arguments = ["--data", str(run.labels), "--run", str(run.directory), "--lungs", str(lungs), "-o", str(record)]
    assert main(arguments) == DatasetError.exit_code
    assert "other images" in capsys.readouterr().err
    record.write_text("{}\n")
    assert main(arguments) == DatasetError.exit_code
    assert render_main([str(record)]) == DatasetError.exit_code


def test_figures_tell_a_part_that_decides_from_one_that_does_not() -> None:
    truth = np.array(header().labels)
    logits = np.where(truth == 1, 1.0, -1.0) + np.linspace(0, 0.1, 20)
    hidden = {"lungs/black": -logits, "lungs/blurred": np.zeros(20)}
    (figures,) = summary_of(OcclusionStudy(header(), (line(logits, hidden),))).runs
    assert figures.auc.value == 1.0
    reversed_, levelled = figures.effect("lungs", "black"), figures.effect("lungs", "blurred")
    assert (reversed_.auc.value, levelled.auc.value) == (0.0, 0.5)
    assert reversed_.change.value == -1.0
    assert reversed_.decisions.value == 1.0
    untouched = figures.effect("upper corners", "black")
    assert (untouched.change.value, untouched.shift.value, untouched.decisions.value) == (0.0, 0.0, 0.0)
    assert figures.evidence["all"].gain.value == pytest.approx(0.25)


def test_models_are_averaged_and_not_pooled() -> None:
    truth = np.array(header().labels)
    right = np.where(truth == 1, 1.0, -1.0)[:10] + 100.0  # another scale than the second model's
    left = np.where(truth == 1, 1.0, -1.0)[10:]
    lines = (line(right, {}), line(left, {}, member="fold-2", images=tuple(range(10, 20))))
    assert summary_of(OcclusionStudy(header(), lines)).runs[0].auc.value == 1.0


def test_images_without_evidence_are_left_out_of_its_mean() -> None:
    logits = np.linspace(-1, 1, 20)
    evidence = (None, *(0.6,) * 19)
    (figures,) = summary_of(OcclusionStudy(header(), (line(logits, {}, evidence=evidence),))).runs
    assert figures.evidence["all"].on_lungs.value == pytest.approx(0.6)


def test_record_and_summary_make_the_same_page(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    logits = np.linspace(-1, 1, 20)
    ramp = tuple(np.linspace(-1, 1, MAP_SIDE**2).tolist())
    one = line(logits, {}, maps={"normal": ramp, "abnormal": ramp}, lungs=tuple(abs(value) for value in ramp))
    OcclusionStudy(header(), (one,)).write(tmp_path / "r.jsonl")
    page, folder = tmp_path / "page.md", tmp_path / "regions"
    names = ("conditions", "effects", "evidence")
    page.write_text("".join(f"<!-- begin generated: {n} -->\nold {n}\n<!-- end generated: {n} -->\n" for n in names))
    options = ["--document", str(page), "--folder", str(folder)]
    assert render_main([str(tmp_path / "r.jsonl"), *options]) == 0
    first = page.read_text()
    assert "old conditions" not in first
    assert all((folder / name).read_bytes().startswith(b"\x89PNG") for name in ("parts.png", "effects.png"))
    assert '"logits"' not in (folder / SUMMARY).read_text()
    assert render_main([str(folder / SUMMARY), *options]) == 0
    assert page.read_text() == first
    assert OcclusionSummary.read(folder / SUMMARY) == summary_of(OcclusionStudy.read(tmp_path / "r.jsonl"))


def test_the_committed_page_is_what_the_committed_figures_say() -> None:
    page = (ROOT / DOCUMENT).read_text(encoding="utf-8")
    assert with_sections(page, sections(read_summary(ROOT / FOLDER / SUMMARY))) == page
