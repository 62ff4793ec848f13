"""A bundle fitted for a site: same weights, its own temperature and thresholds, the parent's evidence kept apart."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from parity_case import FEW_IMAGES, ParityCase, parity_case, with_head_bias, write_parity_bundle
from tiny_bundle import BundleParts, tiny_files, tiny_manifest

from calibration.site import PointRule
from cxr_edge.bundle import Bundle, open_bundle
from cxr_edge.classifier import Classifier
from cxr_edge.data_use import footprint
from cxr_edge.errors import BundleError, CheckFailedError, DatasetError, OutputError, SeenDataError, UsageError
from cxr_edge.evaluation.measure import measure
from cxr_edge.evaluation.parity import measure_parity, parity_images
from cxr_edge.labels import read_labels
from export.evidence import PARITY_FILE, parity_file
from export.site import SiteOptions, SiteReport, fit_site_bundle
from export.site.fit_bundle import PARENT_PARITY_FILE
from export.site.recorded import recorded_parity

YOUDEN = (PointRule("youden"),)
LENIENT = replace(FEW_IMAGES, auc_margin=0.2, flip_share=0.05)


@pytest.fixture(scope="session")
def case(tmp_path_factory: pytest.TempPathFactory) -> ParityCase:
    return parity_case(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def parent(case: ParityCase, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A released bundle with INT8 that has seen nothing."""
    return released(write_parity_bundle(tmp_path_factory.mktemp("parent") / "bundle", case, tolerances=LENIENT))


@pytest.fixture(scope="module")
def fitted(case: ParityCase, parent: Path, tmp_path_factory: pytest.TempPathFactory) -> SiteReport:
    """The parent fitted for a site; read-only by agreement."""
    return fit_site_bundle(options(case, parent, tmp_path_factory.mktemp("fitted") / "bundle"))


def options(case: ParityCase, parent: Path, destination: Path, **changes: object) -> SiteOptions:
    return replace(
        SiteOptions(case.labels, destination, bundle=parent, site="north", threads=1, rules=YOUDEN),
        **changes,  # type: ignore[arg-type]
    )


def released(directory: Path, **changes: object) -> Path:
    content = json.loads((directory / "manifest.json").read_text())
    (directory / "manifest.json").write_text(json.dumps({**content, "released": True, **changes}))
    return directory


def test_weights_and_preprocessing_stay_and_calibration_changes(fitted: SiteReport, parent: Path) -> None:
    old, new = open_bundle(parent), open_bundle(fitted.destination)
    assert new.manifest.version == "1+site.north"
    for precision in ("fp32", "int8"):
        assert new.model_bytes(precision) == old.model_bytes(precision)
    assert (new.manifest.preprocess, new.manifest.golden) == (old.manifest.preprocess, old.manifest.golden)
    assert new.manifest.temperature == fitted.fit.temperature.value != old.manifest.temperature
    assert [point.name for point in new.manifest.operating_points] == ["youden"]
    assert new.manifest.released
    assert new.sha256 != old.sha256


def test_the_site_says_what_it_was_fitted_on_and_keeps_the_parents_evidence_apart(
    fitted: SiteReport, parent: Path
) -> None:
    evidence = open_bundle(fitted.destination).manifest.evidence
    assert set(evidence) == {"site", "parent", "parity"}
    assert evidence["parent"]["sha256"] == open_bundle(parent).sha256
    assert evidence["parent"]["temperature"] == 1.5
    assert evidence["site"]["fitted_on"] | {"sha256": ""} == {
        "file": "parity-case/labels.csv",
        "sha256": "",
        "where": [],
        "images": 48,
        "abnormal": 27,
        "patients": 48,
        "refused": 0,
        "failed": 0,
        "data_use_role": "site",
    }


def test_images_of_the_site_are_no_evidence_for_its_bundle(fitted: SiteReport, case: ParityCase) -> None:
    with (
        Classifier.open(fitted.destination, engine="onnxruntime") as classifier,
        pytest.raises(SeenDataError, match="site: 48 images, 48 patients"),
    ):
        measure(classifier, read_labels(case.labels))


def test_the_bundle_classifies_with_the_sites_temperature_and_threshold(fitted: SiteReport, case: ParityCase) -> None:
    image = read_labels(case.labels).images[0].path
    with Classifier.open(fitted.destination, engine="onnxruntime", precision="fp32") as classifier:
        result = classifier.classify(image)
    assert result.logit == pytest.approx(case.logits[0], abs=1e-4)
    assert result.probability == pytest.approx(1 / (1 + np.exp(-result.logit / fitted.fit.temperature.value.value)))
    assert result.label == ("abnormal" if result.logit >= fitted.fit.points[0].logit_threshold else "normal")


def test_the_fit_rests_on_fp32_logits(fitted: SiteReport, case: ParityCase) -> None:
    assert np.allclose(fitted.fit.predictions.logits, case.logits, atol=1e-4)


def test_engines_pass_by_a_gate_at_the_new_temperature(fitted: SiteReport) -> None:
    bundle = open_bundle(fitted.destination)
    assert bundle.manifest.models["int8"].parity_passed == ("onnxruntime",)
    parity = bundle.manifest.evidence["parity"]
    assert parity["temperature"] == fitted.fit.temperature.value.value
    assert parity["operating_point"]["name"] == "youden"
    record = json.loads(bundle.file_bytes(PARITY_FILE))
    assert len(record["images"]) == parity["compared"] == 48
    assert not any("png" in image["name"] for image in record["images"])


def test_parity_of_a_lower_temperature_moves_probabilities_more_and_is_refused(
    case: ParityCase, tmp_path: Path
) -> None:
    """The logits differ as before; at the site's lower temperature the same difference breaks the limit."""
    shifted = with_head_bias(case.int8, 0.08)
    tight = replace(LENIENT, max_probability=0.0085, p99_probability=0.0085, rms_logit_share=1.0, flip_share=1.0)
    parent = released(write_parity_bundle(tmp_path / "parent", case, shifted, tolerances=tight, temperature=6.0))
    before = measure_parity(open_bundle(parent), parity_images([case.labels]), threads=1).comparisons[0]
    assert {check.name for check in before.broken} <= {"temperature_excess"}
    with pytest.raises(CheckFailedError, match=r"onnxruntime int8: .*\|Δp\|"):
        fit_site_bundle(options(case, parent, tmp_path / "site"))
    assert not (tmp_path / "site").exists()
    forced = fit_site_bundle(options(case, parent, tmp_path / "site", force=True))
    bundle = open_bundle(forced.destination)
    assert not bundle.manifest.released
    assert bundle.manifest.models["int8"].parity_passed == ()
    assert any("|Δp|" in reason for reason in forced.unreleased)
    assert "**Not released**" in bundle.file_bytes("MODEL_CARD.md").decode()


def test_the_parents_parity_record_is_pooled_with_the_sites_images(case: ParityCase, tmp_path: Path) -> None:
    """An image that the site has, too, counts once: as it was measured afresh."""
    parent = with_record(case, tmp_path, "half=0")
    again = recorded_parity(parent)
    assert again is not None
    assert again.labels.size == 24
    shared = footprint(read_labels(case.labels, ["file=images/0.png"])).images
    without = recorded_parity(parent, shared)
    assert without is not None
    assert (without.labels.size, int(without.fresh.sum())) == (24, 23)
    report = fit_site_bundle(options(case, parent.path, tmp_path / "site"))
    evidence = open_bundle(report.destination).manifest.evidence
    # The site file holds all 48 images, so that nothing is left of the record.
    assert evidence["parity"]["compared"] == 48
    assert evidence["parent"]["parity_record"] == PARENT_PARITY_FILE
    assert open_bundle(report.destination).file_bytes(PARENT_PARITY_FILE) == parent.file_bytes(PARITY_FILE)


def test_an_engine_that_is_not_here_stands_on_the_record(case: ParityCase, tmp_path: Path) -> None:
    parent = with_record(case, tmp_path, "half=0", engine="tensorrt")
    copy = tmp_path / "copy"
    copy.mkdir()
    for image in read_labels(case.labels).images:  # other bytes, so that no hash is shared
        (copy / image.path.name).write_bytes(image.path.read_bytes() + b"\0")
    text = case.labels.read_text().replace("images/", "")
    (copy / "labels.csv").write_text(text)
    report = fit_site_bundle(options(case, parent.path, tmp_path / "site", data=copy / "labels.csv"))
    parity = open_bundle(report.destination).manifest.evidence["parity"]
    found = {row["engine"]["name"]: row["agreement"]["images"] for row in parity["comparisons"]}
    assert found == {"onnxruntime": 48, "tensorrt": 24}
    assert (parity["compared"], parity["measured_here"]) == (72, 1)


def test_a_damaged_record_is_a_bundle_error(case: ParityCase, tmp_path: Path) -> None:
    directory = write_parity_bundle(tmp_path / "parent", case)
    files = {**tiny_files(case.model), "model.int8.onnx": case.int8, PARITY_FILE: b'{"images": [{}, {}]}'}
    damaged = BundleParts(open_bundle(directory).manifest, files).write(tmp_path / "damaged")
    with pytest.raises(BundleError, match="not what an export writes"):
        recorded_parity(open_bundle(damaged))


def test_a_bundle_of_fp32_alone_can_be_fitted(case: ParityCase, tmp_path: Path) -> None:
    parent = BundleParts(tiny_manifest(), tiny_files(case.model)).write(tmp_path / "parent")
    report = fit_site_bundle(options(case, parent, tmp_path / "site"))
    manifest = open_bundle(report.destination).manifest
    assert report.gate is None
    assert "parity" not in manifest.evidence
    assert manifest.models["fp32"].parity_passed == ("onnxruntime",)
    assert np.allclose(report.fit.predictions.logits, case.logits, atol=1e-4)
    assert report.unreleased == ("its parent is not released",)


def test_a_site_that_no_temperature_fits_gets_thresholds_and_is_not_released(
    case: ParityCase, parent: Path, tmp_path: Path
) -> None:
    """Labels turned round: the model ranks them worse than chance, and the best temperature is the highest one."""
    rows = [line.split(",") for line in case.labels.read_text().splitlines()]
    turned = [[row[0], {"0": "1", "1": "0"}.get(row[1], row[1]), *row[2:]] for row in rows]
    labels = case.labels.parent / "turned.csv"
    labels.write_text("\n".join(",".join(row) for row in turned) + "\n")
    report = fit_site_bundle(options(case, parent, tmp_path / "site", data=labels))
    manifest = open_bundle(report.destination).manifest
    assert manifest.temperature.value == 1.5
    assert (
        manifest.operating_points[0].logit_threshold != open_bundle(parent).manifest.operating_points[0].logit_threshold
    )
    assert not manifest.released
    assert [reason.split(":")[0] for reason in report.unreleased][-1] == "no temperature fits this site's images"
    assert manifest.evidence["site"]["parent_temperature_kept"] == "contradicted"


def test_seen_images_are_refused_and_stamped_when_allowed(case: ParityCase, tmp_path: Path) -> None:
    seen = footprint(read_labels(case.labels, ["half=1"]))
    roles = {"roles": {"train": {"images": sorted(seen.images), "patients": sorted(seen.patients)}}}
    parent = released(write_parity_bundle(tmp_path / "parent", case, tolerances=LENIENT, data_use=roles))
    with pytest.raises(SeenDataError, match="train: 24 images"):
        fit_site_bundle(options(case, parent, tmp_path / "site"))
    allowed = fit_site_bundle(options(case, parent, tmp_path / "site", allow_seen=True))
    assert not allowed.manifest.released
    assert "not evidence" in allowed.manifest.evidence["site"]["stamp"]
    assert "not evidence" in open_bundle(allowed.destination).file_bytes("MODEL_CARD.md").decode()
    unseen = fit_site_bundle(options(case, parent, tmp_path / "other", allow_seen=True))
    assert set(unseen.manifest.data_use["roles"]) == {"train", "site"}


def test_a_sites_bundle_is_not_fitted_again(fitted: SiteReport, case: ParityCase, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="fit from the bundle that it was made of, version 1"):
        fit_site_bundle(options(case, fitted.destination, tmp_path / "again"))


def test_unreadable_and_refused_images_are_named_and_left_out(case: ParityCase, parent: Path, tmp_path: Path) -> None:
    copy = copied(case, tmp_path / "copy")
    (copy.parent / "0.png").write_bytes(b"no image at all")
    (copy.parent / "1.png").write_bytes(small_png())
    report = fit_site_bundle(options(case, parent, tmp_path / "site", data=copy))
    assert [name for name, _ in report.measured.failed] == ["copy/0.png"]
    assert [name for name, _ in report.measured.refused] == ["copy/1.png"]
    assert report.manifest.evidence["site"]["fitted_on"]["images"] == 46
    assert len(report.manifest.data_use["roles"]["site"]["images"]) == 46


def test_images_that_the_gate_refuses_leave_too_few(case: ParityCase, parent: Path, tmp_path: Path) -> None:
    copy = copied(case, tmp_path / "copy")
    for number in range(48):
        (copy.parent / f"{number}.png").write_bytes(small_png())
    with pytest.raises(DatasetError, match="of 48 the input gate refused 48"):
        fit_site_bundle(options(case, parent, tmp_path / "site", data=copy))


def test_too_few_images_of_a_class_are_found_before_any_is_classified(
    case: ParityCase, parent: Path, tmp_path: Path
) -> None:
    with pytest.raises(DatasetError, match="at least 20 of each"):
        fit_site_bundle(
            options(case, parent, tmp_path / "site", where=("half=0",)), on_step=lambda step: pytest.fail(step)
        )


def test_what_stands_at_the_destination_stays(case: ParityCase, parent: Path, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    with pytest.raises(OutputError, match="exists"):
        fit_site_bundle(options(case, parent, tmp_path / "site"))


@pytest.mark.parametrize("name", ["", "a b", "ward/3", "x" * 33, "-x"])
def test_a_site_name_that_cannot_stand_in_a_version_is_refused(
    case: ParityCase, parent: Path, tmp_path: Path, name: str
) -> None:
    with pytest.raises(UsageError, match="--site"):
        fit_site_bundle(options(case, parent, tmp_path / "site", site=name))


def test_without_a_name_the_site_is_called_as_the_label_files_folder(
    case: ParityCase, parent: Path, tmp_path: Path
) -> None:
    report = fit_site_bundle(options(case, parent, tmp_path / "site", site=None))
    assert report.manifest.version == "1+site.parity-case"


def with_record(case: ParityCase, folder: Path, where: str, engine: str = "onnxruntime") -> Bundle:
    """A bundle whose export measured parity on some of the images, with an engine of this name."""
    directory = write_parity_bundle(folder / "plain", case, tolerances=LENIENT)
    bundle = open_bundle(directory)
    report = measure_parity(bundle, parity_images([case.labels], [where]), threads=1)
    record = json.loads(parity_file(report))
    record["comparisons"][0]["engine"]["name"] = engine
    files = {**tiny_files(case.model), "model.int8.onnx": case.int8, PARITY_FILE: json.dumps(record).encode()}
    return open_bundle(released(BundleParts(bundle.manifest, files).write(folder / "parent")))


def copied(case: ParityCase, folder: Path) -> Path:
    """The case's label file and images as new files."""
    folder.mkdir()
    for image in read_labels(case.labels).images:
        (folder / image.path.name).write_bytes(image.path.read_bytes())
    (folder / "labels.csv").write_text(case.labels.read_text().replace("images/", ""))
    return folder / "labels.csv"


def small_png() -> bytes:
    """A picture below the least size that the input gate lets through."""
    from cxr_edge.phantom import PhantomSpec, phantom
    from cxr_edge.phantom.files import png_bytes

    return png_bytes(phantom(PhantomSpec(height=100, width=100, bits_stored=8, seed=1)))
