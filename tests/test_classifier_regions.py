"""What a classifier shows its network: every variant, end to end, and what its results say of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tiny_lungs import dark_is_lung

from cxr_edge import Box, Classifier
from cxr_edge.bundle import open_bundle
from cxr_edge.engines import open_engine
from cxr_edge.errors import BundleError, EngineError
from cxr_edge.evidence_share import share_on_lungs
from cxr_edge.lungs import LungLocaliser
from cxr_edge.phantom import PhantomSpec, phantom
from cxr_edge.preprocess import PreprocessSpec
from cxr_edge.records import Radiograph
from cxr_edge.regions import GRID, CellBox, Localiser, locate, region_input

if TYPE_CHECKING:
    from tiny_bundle import BundleParts

FRAME = phantom(PhantomSpec(height=300, width=260, bits_stored=8, seed=3))


@dataclass(frozen=True)
class FakeLungs:
    found: bool
    box: CellBox | None
    mask: NDArray[np.bool_]


@dataclass(frozen=True)
class FakeLocaliser:
    """Finds lungs in rows 16 to 80 and columns 32 to 96, or none."""

    found: bool = True

    def locate(self, thumbnail: NDArray[np.float32]) -> FakeLungs:
        mask = np.zeros((GRID, GRID), np.bool_)
        mask[16:80, 32:96] = self.found
        return FakeLungs(self.found, CellBox(16, 32, 64, 64) if self.found else None, mask)


def opened(
    parts: BundleParts,
    directory: Path,
    localiser: Localiser | None = None,
    *,
    found: bool | None = None,
    gated: bool = True,
    **changes: Any,
) -> Classifier:
    """A classifier of the tiny bundle with another preprocessing, and a localiser that finds lungs or doesn't.

    Without either it opens the bundle's own, which is no localiser unless the test has put one into its files.
    """
    spec = replace(parts.manifest.preprocess, **changes)
    parts.manifest = replace(parts.manifest, preprocess=spec)
    if spec.needs_lungs:
        parts.manifest = replace(parts.manifest, localiser="lungs.onnx")
        parts.files.setdefault("lungs.onnx", parts.files["model.fp32.onnx"])
    bundle = open_bundle(parts.write(directory / "bundle"))
    localiser = localiser if found is None else FakeLocaliser(found)
    return Classifier(bundle, open_engine(bundle), gated=gated, localiser=localiser)


@pytest.mark.parametrize("variant", ["lungs", "lungs-masked"])
def test_the_lungs_are_what_the_network_sees_and_what_the_map_covers(
    bundle_parts: BundleParts, tmp_path: Path, variant: str
) -> None:
    with opened(bundle_parts, tmp_path, found=True, variant=variant, margin=0) as classifier:
        result = classifier.classify(FRAME)
        spec = classifier.bundle.manifest.preprocess
        region = locate(FRAME, spec, FakeLocaliser())
        expected = classifier.engine.infer(region_input(FRAME, spec, region)[None, None])
    box = Box(37, 65, 151, 130)
    assert result.status == "ok" and result.logit == float(expected.logit[0, 0])
    assert (result.variant, result.lungs_found, result.box) == (variant, True, box)
    assert result.evidence is not None and result.evidence.box == box
    assert result.timings.localise is not None and result.timings.localise > 0
    assert region.lungs is not None
    share = share_on_lungs(result.heatmap, region.lungs)
    assert share is not None and 0 < share <= 1
    assert result.to_json()["lungs"] == {
        "found": True,
        "box": {"top": 37, "left": 65, "height": 151, "width": 130},
        "variant": variant,
        "evidence_on_lungs": share,
    }


def test_the_share_of_the_evidence_outlives_the_evidence(bundle_parts: BundleParts, tmp_path: Path) -> None:
    with opened(bundle_parts, tmp_path, found=True, variant="lungs") as classifier:
        result = classifier.classify(FRAME)
    assert result.without_evidence().evidence_on_lungs == result.evidence_on_lungs is not None


def test_a_classifier_closes_the_localiser_that_it_opened(bundle_parts: BundleParts, tmp_path: Path) -> None:
    bundle_parts.files["lungs.onnx"] = dark_is_lung()
    with opened(bundle_parts, tmp_path, variant="lungs", not_found="body") as classifier:
        assert classifier.classify(FRAME).status == "ok"
        localiser = classifier._localiser
    assert localiser is not None
    with pytest.raises(EngineError, match="the lung localiser is closed"):
        localiser.locate(np.zeros((GRID, GRID), np.float32))


def test_a_localiser_that_was_handed_in_stays_open(bundle_parts: BundleParts, tmp_path: Path) -> None:
    with LungLocaliser.open(dark_is_lung()) as localiser:
        with opened(bundle_parts, tmp_path, localiser, variant="lungs", not_found="body") as classifier:
            classifier.classify(FRAME)
        localiser.locate(np.zeros((GRID, GRID), np.float32))  # a closed one would raise


@pytest.mark.parametrize("gated", [True, False])
def test_without_lungs_the_image_is_refused_with_the_reason(
    bundle_parts: BundleParts, tmp_path: Path, gated: bool
) -> None:
    with opened(bundle_parts, tmp_path, found=False, gated=gated, variant="lungs") as classifier:
        result = classifier.classify(FRAME)
    assert (result.status, result.probability, result.label, result.evidence) == ("refused", None, None, None)
    record = result.to_json()
    assert record["lungs"] == {"found": False, "box": None, "variant": "lungs", "evidence_on_lungs": None}
    assert [reason["code"] for reason in record["gate"]["reasons"]] == ["no lungs found"]
    assert record["timings_ms"]["localise"] > 0 and record["timings_ms"]["infer"] is None


def test_without_lungs_the_body_is_shown_where_the_bundle_says_so(bundle_parts: BundleParts, tmp_path: Path) -> None:
    with opened(bundle_parts, tmp_path, found=False, variant="lungs", not_found="body") as classifier:
        result = classifier.classify(FRAME)
    assert result.status == "ok"
    assert (result.variant, result.lungs_found, result.evidence_on_lungs) == ("body", False, None)
    assert any("no lungs were found" in warning for warning in result.warnings)


def test_the_border_of_a_frame_is_not_what_the_network_sees(bundle_parts: BundleParts, tmp_path: Path) -> None:
    inner = phantom(PhantomSpec(256, 256, bits_stored=8, seed=1)).pixels
    bordered = replace(FRAME, pixels=np.pad(inner, 128))
    with opened(bundle_parts, tmp_path, variant="body") as classifier:
        result = classifier.classify(bordered)
    assert result.status == "ok" and result.box is not None
    box = result.box
    assert 120 <= box.top < box.top + box.height <= 392 and 120 <= box.left < box.left + box.width <= 392
    assert result.evidence is not None and result.evidence.box == box
    assert result.to_json()["lungs"]["found"] is None
    assert result.to_json()["lungs"]["variant"] == "body"


def test_a_full_frame_says_that_nobody_looked(tiny_bundle: Path) -> None:
    with Classifier.open(tiny_bundle) as classifier:
        result = classifier.classify(FRAME)
    assert result.to_json()["lungs"] == {"found": None, "box": None, "variant": "full", "evidence_on_lungs": None}
    assert result.timings.localise is None


@pytest.mark.parametrize("changes", [{"variant": "body"}, {"contrast": "equalised"}, {"contrast": "clahe"}])
def test_an_engine_that_preprocesses_gets_the_frame_only_where_the_network_sees_all_of_it(
    bundle_parts: BundleParts, tmp_path: Path, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(bundle_parts, tmp_path, **changes) as classifier:
        monkeypatch.setattr(classifier.engine, "preprocesses", lambda: True)
        result = classifier.classify(FRAME)  # the engine's own infer_radiograph would raise
    assert result.status == "ok"


def test_a_bundle_whose_network_needs_lungs_must_hold_a_localiser(bundle_parts: BundleParts, tmp_path: Path) -> None:
    lungs = replace(bundle_parts.manifest.preprocess, variant="lungs")
    bundle_parts.manifest = replace(bundle_parts.manifest, preprocess=lungs)
    with pytest.raises(BundleError, match="lacks 'localiser'"):
        open_bundle(bundle_parts.write(tmp_path / "a"))


def test_a_localiser_that_no_network_needs_is_refused(bundle_parts: BundleParts, tmp_path: Path) -> None:
    bundle_parts.manifest = replace(bundle_parts.manifest, localiser="lungs.onnx")
    bundle_parts.files["lungs.onnx"] = bundle_parts.files["model.fp32.onnx"]
    with pytest.raises(BundleError, match="variant 'full' needs none"):
        open_bundle(bundle_parts.write(tmp_path / "a"))


def test_the_localiser_is_a_verified_file_of_its_own_kind(bundle_parts: BundleParts, tmp_path: Path) -> None:
    with opened(bundle_parts, tmp_path, found=True, variant="lungs") as classifier:
        assert classifier.bundle.manifest.files["lungs.onnx"].role == "localiser"
    (tmp_path / "bundle" / "lungs.onnx").write_bytes(b"changed")
    with pytest.raises(BundleError, match="lungs.onnx"):
        open_bundle(tmp_path / "bundle")


def test_a_file_that_is_no_localiser_fails_when_the_classifier_is_opened(
    bundle_parts: BundleParts, tmp_path: Path
) -> None:
    with pytest.raises(BundleError):
        opened(bundle_parts, tmp_path, variant="lungs")


def test_inverted_twins_get_the_same_body_and_probability(bundle_parts: BundleParts, tmp_path: Path) -> None:
    pixels = np.pad(FRAME.pixels, 100)
    positive = Radiograph(pixels, FRAME.window)
    negative = Radiograph(255 - pixels, FRAME.window, inverted=True)
    with opened(bundle_parts, tmp_path, variant="body") as classifier:
        results = [classifier.classify(radiograph) for radiograph in (positive, negative)]
    assert results[0].box == results[1].box != Box(0, 0, *pixels.shape)
    assert results[0].probability == pytest.approx(results[1].probability, abs=1e-6)


def test_specs_compare_by_what_they_show() -> None:
    assert PreprocessSpec().is_plain
    assert not PreprocessSpec(contrast="equalised").is_plain and not PreprocessSpec(contrast="clahe").is_plain
    assert not PreprocessSpec(variant="body").is_plain and not PreprocessSpec(variant="body").needs_lungs
