from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from tiny_run import TinyRun, one_thread, write_images

from cxr_edge.bundle import Bundle, open_bundle
from cxr_edge.classifier import Classifier
from cxr_edge.data_use import UNKNOWN_ORIGIN, DataUse, Footprint, assert_unseen, footprint
from cxr_edge.errors import CheckFailedError, DatasetError, OutputError, SeenDataError
from cxr_edge.evaluation import evaluate
from cxr_edge.evaluation.measure import measure
from cxr_edge.labels import LabelFile, read_labels
from cxr_edge.self_test import self_test
from export import release
from export.release import ExportReport, export_run, measured
from training.run import Run


@dataclass(frozen=True)
class Released:
    """An exported bundle and what the export reported; read-only by agreement."""

    path: Path
    report: ExportReport
    steps: tuple[str, ...]


@pytest.fixture(scope="module")
def released(tiny_run: TinyRun, tmp_path_factory: pytest.TempPathFactory) -> Released:
    path, steps = tmp_path_factory.mktemp("bundles") / "tiny", []
    with one_thread():
        report = export_run(
            tiny_run.directory,
            tiny_run.labels,
            path,
            name="tiny",
            version="3",
            subgroups=("label",),
            on_step=steps.append,
        )
    return Released(path, report, tuple(steps))


@pytest.fixture
def bundle(released: Released) -> Bundle:
    return open_bundle(released.path)


@pytest.fixture
def copied_run(tiny_run: TinyRun, tmp_path: Path) -> Path:
    """A copy of the tiny run, free to be spoilt."""
    return Path(shutil.copytree(tiny_run.directory, tmp_path / "run"))


def export(run: Path, labels: Path, destination: Path, *, force: bool = False) -> ExportReport:
    return export_run(run, labels, destination, name="tiny", version="3", force=force)


def images_of(run: TinyRun, fold: str) -> LabelFile:
    return read_labels(run.labels, ("view=PA", f"fold={fold}"))


def files_in(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_a_run_becomes_a_bundle_that_opens_and_passes_its_self_test(released: Released, bundle: Bundle) -> None:
    assert released.report.destination == released.path
    assert (bundle.manifest.name, bundle.manifest.version, bundle.manifest.released) == ("tiny", "3", True)
    check = self_test(bundle)
    assert check.passed
    assert "onnxruntime" in {engine.engine for engine in check.engines}


def test_the_bundle_decides_like_the_checkpoint(tiny_run: TinyRun, released: Released) -> None:
    """On the release fold the classifier gives the logits that the run's own model predicted."""
    with (tiny_run.directory / "fold-0" / "predictions.csv").open(newline="") as file:
        expected = {row["file"]: float(row["logit_abnormal"]) for row in csv.DictReader(file)}
    with Classifier.open(released.path, threads=1) as classifier:
        for image in images_of(tiny_run, "0").images:
            assert classifier.classify(image.path).logit == pytest.approx(expected[image.path.name], abs=1e-5)
    assert 0 <= released.report.equivalence.logit < 1e-5
    assert released.report.equivalence.images == 4


def test_the_bundle_says_what_it_has_seen_and_not_the_release_fold(tiny_run: TinyRun, bundle: Bundle) -> None:
    seen = DataUse.from_json(dict(bundle.manifest.data_use))
    one, two = footprint(images_of(tiny_run, "1")), footprint(images_of(tiny_run, "2"))
    expected = dict.fromkeys(("train", "temperature", "operating-points"), one.union(two))
    # The tiny run begins with a checkpoint of which nothing is known, and the bundle says so.
    assert dict(seen.roles) == {**expected, UNKNOWN_ORIGIN: Footprint(frozenset(), frozenset())}
    assert_unseen(footprint(images_of(tiny_run, "0")), seen)


@pytest.mark.parametrize("fold", ["1", "2"])
def test_measuring_it_on_a_development_fold_is_refused(tiny_run: TinyRun, released: Released, fold: str) -> None:
    with (
        Classifier.open(released.path, threads=1) as classifier,
        pytest.raises(SeenDataError, match="train: 4 images"),
    ):
        measure(classifier, images_of(tiny_run, fold))


def test_measuring_it_again_gives_the_figures_it_was_released_with(tiny_run: TinyRun, released: Released) -> None:
    with Classifier.open(released.path, threads=1) as classifier:
        predictions = measure(classifier, images_of(tiny_run, "0")).predictions
        manifest = classifier.bundle.manifest
        again = evaluate(predictions, manifest.temperature, classifier.operating_point, ("label",))
    stored = manifest.evidence["bundle_on_release_fold"]
    assert stored["images"] == 4
    assert stored["auc"]["value"] == again.auc.value if again.auc else False
    assert stored["decisions"]["confusion"] == again.to_json()["decisions"]["confusion"]
    assert stored["brier"]["value"] == pytest.approx(again.brier.value, abs=1e-9)


def test_the_evidence_keeps_bundle_and_recipe_figures_apart(released: Released, bundle: Bundle) -> None:
    evidence = bundle.manifest.evidence
    assert set(evidence) == {
        "bundle_on_release_fold",
        "recipe_cross_validated",
        "temperature_out_of_fold",
        "onnx_against_torch",
    }
    assert [fold["fold"] for fold in evidence["recipe_cross_validated"]["folds"]] == ["0", "1", "2"]
    assert evidence["temperature_out_of_fold"]["images"] == 8
    assert evidence["temperature_out_of_fold"]["temperature"] == bundle.manifest.temperature.value
    assert evidence["onnx_against_torch"]["images"] == released.report.equivalence.images


def test_three_operating_points_are_offered(bundle: Bundle) -> None:
    points = [point.name for point in bundle.manifest.operating_points]
    assert points == ["youden", "sensitivity-0.95", "specificity-0.95"]
    assert bundle.manifest.operating_point().name == "youden"


def test_the_card_says_what_it_is_for_and_shows_both_kinds_of_figures(released: Released) -> None:
    card = (released.path / "MODEL_CARD.md").read_text()
    assert card.startswith("# tiny 3\n")
    assert "## Intended use" in card
    assert "It must not be used for diagnosis" in card
    report = released.report
    for figure in (report.evaluation.auc, report.evaluation.brier, report.recipe.auc, report.recipe.mean_auc):
        assert str(figure) in card
    assert "| train | 8 | 8 |" in card
    assert "by label" in card
    assert not re.search(r"\b(nan|None)\b", card)


def test_the_release_fold_decides_neither_temperature_nor_thresholds(
    tiny_run: TinyRun, released: Released, copied_run: Path, tmp_path: Path
) -> None:
    table = copied_run / "out_of_fold.csv"
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if row["fold"] == "0":
            row["label"], row["logit"] = str(1 - int(row["label"])), repr(5.0 - float(row["logit"]))
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    export(copied_run, tiny_run.labels, tmp_path / "bundle")
    manifest, before = open_bundle(tmp_path / "bundle").manifest, open_bundle(released.path).manifest
    assert manifest.temperature == before.temperature
    assert manifest.operating_points == before.operating_points
    assert manifest.evidence["recipe_cross_validated"] != before.evidence["recipe_cross_validated"]


def test_what_exists_is_left_alone_and_refused_before_any_work(
    tiny_run: TinyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "load_checkpoint", lambda path: pytest.fail("began to export"))
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "mine.txt").write_text("keep me")
    for force in (False, True):
        with pytest.raises(OutputError, match="bundle"):
            export(tiny_run.directory, tiny_run.labels, tmp_path / "bundle", force=force)
    assert files_in(tmp_path / "bundle") == {"mine.txt": b"keep me"}


def test_a_bundle_is_replaced_only_when_asked(tiny_run: TinyRun, released: Released, tmp_path: Path) -> None:
    destination = Path(shutil.copytree(released.path, tmp_path / "bundle"))
    (destination / "MODEL_CARD.md").write_text("old")
    before = files_in(destination)
    with pytest.raises(OutputError, match="exists"):
        export(tiny_run.directory, tiny_run.labels, destination)
    assert files_in(destination) == before
    export(tiny_run.directory, tiny_run.labels, destination, force=True)
    assert open_bundle(destination).manifest.name == "tiny"
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_graph_that_computes_something_else_is_not_exported(
    tiny_run: TinyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(network: torch.nn.Module, height: int, width: int) -> onnx.ModelProto:
        with torch.no_grad():
            network.get_parameter("head.bias").add_(1.0)
        model = release_build(network, height, width)
        with torch.no_grad():
            network.get_parameter("head.bias").sub_(1.0)
        return model

    release_build = release.build_fp32
    monkeypatch.setattr(release, "build_fp32", wrong)
    with pytest.raises(CheckFailedError, match="not exported"):
        export(tiny_run.directory, tiny_run.labels, tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def edited(key: str, value: object) -> Callable[[Path], object]:
    def edit(run: Path) -> None:
        record = json.loads((run / "run.json").read_text())
        (run / "run.json").write_text(json.dumps({**record, key: value}))

    return edit


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda run: (run / "fold-2" / "predictions.csv").unlink(), r"is unfinished \(fold-2\)"),
        (lambda run: (run / "out_of_fold.csv").unlink(), "has no out_of_fold.csv"),
        (lambda run: (run / "fold-0" / "data_use.json").unlink(), "does not say what the model has seen"),
        (lambda run: (run / "fold-0" / "data_use.json").write_text('{"roles": {}}'), "does not say what the model"),
        (lambda run: (run / "fold-0" / "data_use.json").write_text("[]"), "does not say what the model has seen"),
        (edited("release_fold", None), "has no release fold"),
        (edited("labels_sha256", "0" * 64), "is not the label file"),
        (lambda run: (run / "run.json").unlink(), "is no training run"),
    ],
    ids=[
        "unfinished member",
        "no table",
        "no record of data",
        "empty record of data",
        "damaged record of data",
        "no release fold",
        "other labels",
        "no run",
    ],
)
def test_a_run_that_cannot_be_released_is_refused_and_nothing_written(
    tiny_run: TinyRun, copied_run: Path, tmp_path: Path, spoil: Callable[[Path], object], says: str
) -> None:
    spoil(copied_run)
    with pytest.raises(DatasetError, match=says):
        export(copied_run, tiny_run.labels, tmp_path / "bundle")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_label_file_that_was_edited_since_is_refused(tiny_run: TinyRun, tmp_path: Path) -> None:
    shutil.copytree(tiny_run.labels.parent, tmp_path / "data")
    edited_labels = tmp_path / "data" / "labels.csv"
    edited_labels.write_text(edited_labels.read_text() + "\n")
    with pytest.raises(DatasetError, match="is not the label file"):
        export(tiny_run.directory, edited_labels, tmp_path / "bundle")


def test_an_image_that_the_gate_refuses_is_not_left_out_of_the_card(
    tiny_run: TinyRun, released: Released, tmp_path: Path
) -> None:
    labels = images_of(tiny_run, "0")
    (small,) = write_images(tmp_path, 1, side=100)
    with_small = replace(labels, images=(*labels.images, replace(labels.images[0], path=tmp_path / small)))
    with pytest.raises(DatasetError, match="1 of 5 release images were not classified"):
        measured(released.path, with_small, ())


def test_the_filter_of_the_run_chooses_the_release_images(tiny_run: TinyRun, released: Released) -> None:
    everything = read_labels(tiny_run.labels, ("fold=0",))
    assert len(everything.images) == 5
    assert Run.open(tiny_run.directory).where == ("view=PA",)
    assert released.report.evaluation.images == 4


def test_steps_are_announced_in_order(released: Released) -> None:
    assert [step.split()[0] for step in released.steps] == ["writing", "fitting", "measuring"]


def test_figures_that_are_no_numbers_become_null() -> None:
    value = {"a": [1.0, float("nan")], "b": {"c": (float("inf"), "text", None)}, "d": np.inf}
    assert release.finite_only(value) == {"a": [1.0, None], "b": {"c": [None, "text", None]}, "d": None}
