from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from tiny_run import TinyRun, one_thread, write_images

from cxr_edge.bundle import PRECISIONS, Bundle, Tolerances, open_bundle
from cxr_edge.classifier import Classifier
from cxr_edge.data_use import UNKNOWN_ORIGIN, DataUse, Footprint, assert_unseen, footprint
from cxr_edge.errors import CheckFailedError, DatasetError, OutputError, SeenDataError, UsageError
from cxr_edge.evaluation import evaluate
from cxr_edge.evaluation.measure import measure
from cxr_edge.evaluation.parity import joined
from cxr_edge.labels import LabelFile, read_labels
from cxr_edge.self_test import self_test
from export import draft
from export.evidence import finite_only, measured
from export.release import ExportReport, export_run, more_images, range_images
from export.release_options import ReleaseOptions
from training.run import Run

ANYTHING = Tolerances(
    p99_probability=1,
    max_probability=1,
    rms_logit_share=1,
    flip_share=1,
    auc_margin=1,
    sensitivity_margin=1,
    specificity_margin=1,
    cam_median_r=-1,
    cam_same_peak=0,
    temperature_excess=100,
)
"""Four images of a network that has learnt nothing hold no limit worth the name."""

OPTIONS = ReleaseOptions(
    name="tiny",
    version="3",
    precisions=("fp32",),
    range_images=8,
    tolerances=dict.fromkeys(PRECISIONS, ANYTHING),
)


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
            replace(OPTIONS, precisions=PRECISIONS, subgroups=("label",)),
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


def export(run: Path, labels: Path, destination: Path, **changes: Any) -> ExportReport:
    return export_run(run, labels, destination, replace(OPTIONS, **changes))


def images_of(run: TinyRun, fold: str) -> LabelFile:
    return read_labels(run.labels, ("view=PA", f"fold={fold}"))


def files_in(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_a_run_becomes_a_bundle_that_opens_and_passes_its_self_test(released: Released, bundle: Bundle) -> None:
    assert released.report.destination == released.path
    assert (bundle.manifest.name, bundle.manifest.version, bundle.manifest.released) == ("tiny", "3", True)
    check = self_test(bundle)
    assert check.passed
    ran = {(engine.engine, engine.precision) for engine in check.engines}
    assert {("onnxruntime", "fp32"), ("onnxruntime", "fp16"), ("onnxruntime", "int8")} <= ran


def test_every_precision_ships_with_its_limits_and_the_engines_that_passed(bundle: Bundle) -> None:
    models = bundle.manifest.models
    assert tuple(models) == PRECISIONS
    assert {model.tolerances for model in models.values()} == {ANYTHING}
    for precision in ("fp32", "fp16", "int8"):
        assert "onnxruntime" in models[precision].parity_passed
    # Nothing that TensorRT would run was measured on TensorRT here.
    assert all("tensorrt" not in model.parity_passed for model in models.values())
    assert models["int8-fp16"].parity_passed == ()
    assert bundle.manifest.default_precision == {"cpu": "int8", "cuda": "fp16"}


def test_the_parity_record_is_in_the_bundle_and_quoted_by_manifest_and_card(released: Released, bundle: Bundle) -> None:
    parity = bundle.manifest.evidence["parity"]
    record = bundle.file_bytes("parity.json")
    assert parity["record"] == {"file": "parity.json", "sha256": hashlib.sha256(record).hexdigest()}
    assert json.loads(record)["comparisons"][0]["agreement"] == parity["comparisons"][0]["agreement"]
    assert parity["models"]["int8"] == hashlib.sha256(bundle.model_bytes("int8")).hexdigest()
    assert ".png" not in record.decode()
    card = (released.path / "MODEL_CARD.md").read_text()
    for comparison in parity["comparisons"]:
        engine = comparison["engine"]
        assert f"| {engine['name']} {engine['precision']} | {comparison['agreement']['p99_probability']:.4f} |" in card
    assert "*emulation* imitates FP16 arithmetic" in card


def test_emulated_precisions_are_evidence_for_engines_that_are_not_here(bundle: Bundle) -> None:
    emulated = [c["engine"]["precision"] for c in bundle.manifest.evidence["parity"]["comparisons"] if c["emulated"]]
    assert emulated == ["fp16", "int8-fp16"]


def test_a_bundle_whose_parity_fails_is_not_written_but_its_report_is(tiny_run: TinyRun, tmp_path: Path) -> None:
    with pytest.raises(CheckFailedError, match="sensitivity, lower end is -0.6576, allowed above -0.05") as caught:
        export(
            tiny_run.directory,
            tiny_run.labels,
            tmp_path / "bundle",
            precisions=("fp32", "fp16"),
            tolerances={},
            parity_report=tmp_path / "report.html",
        )
    assert "emulation fp16" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert b"broken" in (tmp_path / "report.html").read_bytes()


def test_a_bundle_that_was_forced_says_so_in_every_result(tiny_run: TinyRun, tmp_path: Path) -> None:
    export(
        tiny_run.directory,
        tiny_run.labels,
        tmp_path / "bundle",
        precisions=("fp32", "fp16"),
        tolerances={},
        force=True,
    )
    manifest = open_bundle(tmp_path / "bundle").manifest
    assert not manifest.released
    assert manifest.models["fp16"].parity_passed == ()
    assert manifest.default_precision["cpu"] == "fp32"
    assert "**Limits are broken: this bundle is not released.**" in (tmp_path / "bundle" / "MODEL_CARD.md").read_text()
    with Classifier.open(tmp_path / "bundle", engine="onnxruntime", threads=1) as classifier:
        result = classifier.classify(images_of(tiny_run, "0").images[0].path)
    assert result.to_json()["released"] is False


def test_ranges_never_come_from_images_that_parity_is_measured_on(tiny_run: TinyRun, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(tiny_run.labels.parent, tmp_path / "data")) / "labels.csv"
    copy.write_text(copy.read_text() + "\n")  # another file that lists the same images, those of the release fold too
    with pytest.raises(SeenDataError):
        export(
            tiny_run.directory,
            tiny_run.labels,
            tmp_path / "bundle",
            precisions=("fp32", "int8"),
            ranges_data=copy,
            range_images=99,
        )
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_the_runs_own_label_file_means_its_development_folds_and_its_release_fold(tiny_run: TinyRun) -> None:
    run = Run.open(tiny_run.directory)
    labels = read_labels(tiny_run.labels, run.where)
    own = draft.Draft(run, labels, b"", None, None, (), None)  # type: ignore[arg-type]
    options = replace(
        OPTIONS,
        precisions=PRECISIONS,
        ranges_data=tiny_run.labels,
        parity_data=(str(tiny_run.labels),),
        range_images=99,
    )
    assert more_images(own, options) == ()
    chosen = range_images(own, joined([own.release_images]), options)
    assert chosen is not None
    assert sorted(image.fold or "" for image in chosen.labels.images) == ["1"] * 4 + ["2"] * 4


def test_parity_images_that_the_model_has_seen_are_refused(tiny_run: TinyRun, tmp_path: Path) -> None:
    with pytest.raises(SeenDataError, match="train: 4 images"):
        export(
            tiny_run.directory,
            tiny_run.labels,
            tmp_path / "bundle",
            precisions=("fp32", "fp16"),
            parity_data=(f"{tiny_run.labels}@fold=1,view=PA",),
        )
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_needs_its_fp32_model(tiny_run: TinyRun, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs its fp32 model"):
        export(tiny_run.directory, tiny_run.labels, tmp_path / "bundle", precisions=("int8",))


def test_the_checkpoint_can_be_the_reference(tiny_run: TinyRun, tmp_path: Path) -> None:
    checkpoint = tiny_run.directory / "fold-0" / "model.pt"
    report = export(tiny_run.directory, tiny_run.labels, tmp_path / "bundle", checkpoint=checkpoint)
    assert report.gate is not None
    assert report.gate.report.reference.name == "torch"
    names = [comparison.name for comparison in report.gate.report.comparisons]
    assert "onnxruntime fp32" in names
    assert report.gate.report.comparisons[0].agreement.max_logit < 1e-4


def test_the_bundle_decides_like_the_checkpoint(tiny_run: TinyRun, released: Released) -> None:
    """On the release fold the classifier gives the logits that the run's own model predicted."""
    with (tiny_run.directory / "fold-0" / "predictions.csv").open(newline="") as file:
        expected = {row["file"]: float(row["logit_abnormal"]) for row in csv.DictReader(file)}
    with Classifier.open(released.path, precision="fp32", threads=1) as classifier:
        for image in images_of(tiny_run, "0").images:
            assert classifier.classify(image.path).logit == pytest.approx(expected[image.path.name], abs=1e-5)
    assert 0 <= released.report.equivalence.logit < 1e-5
    assert released.report.equivalence.images == 4


def test_the_bundle_says_what_it_has_seen_and_not_the_release_fold(tiny_run: TinyRun, bundle: Bundle) -> None:
    seen = DataUse.from_json(dict(bundle.manifest.data_use))
    one, two = footprint(images_of(tiny_run, "1")), footprint(images_of(tiny_run, "2"))
    expected = dict.fromkeys(("train", "temperature", "operating-points", "int8-ranges"), one.union(two))
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
    with Classifier.open(released.path, engine="onnxruntime", threads=1) as classifier:
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
        "bundle_on_external_data",
        "recipe_cross_validated",
        "temperature_out_of_fold",
        "onnx_against_torch",
        "precisions",
        "parity",
        "int8_parity_cross_validated",
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
    monkeypatch.setattr(draft, "load_checkpoint", lambda path: pytest.fail("began to export"))
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "mine.txt").write_text("keep me")
    for wanted in (False, True):
        with pytest.raises(OutputError, match="bundle"):
            export(tiny_run.directory, tiny_run.labels, tmp_path / "bundle", replace=wanted, force=True)
    assert files_in(tmp_path / "bundle") == {"mine.txt": b"keep me"}


def test_a_bundle_is_replaced_only_when_asked(tiny_run: TinyRun, released: Released, tmp_path: Path) -> None:
    destination = Path(shutil.copytree(released.path, tmp_path / "bundle"))
    (destination / "MODEL_CARD.md").write_text("old")
    before = files_in(destination)
    with pytest.raises(OutputError, match="exists"):
        export(tiny_run.directory, tiny_run.labels, destination, force=True)
    assert files_in(destination) == before
    export(tiny_run.directory, tiny_run.labels, destination, replace=True)
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

    release_build = draft.build_fp32
    monkeypatch.setattr(draft, "build_fp32", wrong)
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
    assert [step.split()[0] for step in released.steps] == [
        "writing",
        "fitting",
        "making",
        "taking",
        "making",
        "holding",
        "measuring",
    ]


def test_figures_that_are_no_numbers_become_null() -> None:
    value = {"a": [1.0, float("nan")], "b": {"c": (float("inf"), "text", None)}, "d": np.inf}
    assert finite_only(value) == {"a": [1.0, None], "b": {"c": [None, "text", None]}, "d": None}
