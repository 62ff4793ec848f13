"""The one way to the network's input: every variant, bit by bit, in every implementation."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from cxr_edge.errors import RefusedInputError, UsageError
from cxr_edge.phantom import PhantomSpec, phantom
from cxr_edge.preprocess import PreprocessSpec, native, reference
from cxr_edge.records import Box, Radiograph, Window
from cxr_edge.regions import GRID, CellBox, locate, network_input, region_input
from cxr_edge.regions.network_input import mask_of_input


@dataclass(frozen=True)
class FakeLungs:
    found: bool
    box: CellBox | None
    mask: NDArray[np.bool_]


@dataclass(frozen=True)
class FakeLocaliser:
    """Finds the same lungs in every picture, or none."""

    cells: CellBox | None

    def locate(self, thumbnail: NDArray[np.float32]) -> FakeLungs:
        mask = np.zeros((GRID, GRID), np.bool_)
        if self.cells is not None:
            mask[self.cells.top : self.cells.bottom, self.cells.left : self.cells.right] = True
        return FakeLungs(self.cells is not None, self.cells, mask)


LUNGS = FakeLocaliser(CellBox(20, 30, 60, 70))
NO_LUNGS = FakeLocaliser(None)
SPEC = PreprocessSpec(height=32, width=48)
VARIANTS = (
    SPEC,
    replace(SPEC, contrast="equalised"),
    replace(SPEC, contrast="clahe"),
    replace(SPEC, variant="body"),
    replace(SPEC, variant="lungs", margin=7),
    replace(SPEC, variant="lungs-masked", outside=0.25, contrast="equalised"),
    replace(SPEC, variant="lungs-masked", outside=0.25, contrast="clahe"),
)


def frame(height: int = 300, width: int = 260, seed: int = 0) -> Radiograph:
    return phantom(PhantomSpec(height=height, width=width, bits_stored=12, seed=seed))


@pytest.mark.skipif(not native.available(), reason="the extension is not installed")
@pytest.mark.parametrize("spec", VARIANTS, ids=lambda spec: f"{spec.variant} {spec.contrast}")
def test_numpy_and_the_extension_give_the_same_bits(spec: PreprocessSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(11)
    for seed in range(8):
        radiograph = frame(*(int(side) for side in random.integers(129, 700, 2)), seed=seed)
        radiograph = replace(radiograph, inverted=bool(seed % 2))
        images = []
        for choice in ("numpy", "native"):
            monkeypatch.setenv("CXR_EDGE_PREPROCESS", choice)
            images.append(network_input(radiograph, spec, LUNGS, threads=1 + seed % 3))
        assert images[0].tobytes() == images[1].tobytes()


@pytest.mark.parametrize("sides", [(1, 1), (1, 7), (131, 3)])
@pytest.mark.parametrize("spec", VARIANTS, ids=lambda spec: f"{spec.variant} {spec.contrast}")
def test_the_smallest_frames_have_an_input(sides: tuple[int, int], spec: PreprocessSpec) -> None:
    pixels = np.arange(sides[0] * sides[1], dtype=np.uint16).reshape(sides)
    image = network_input(Radiograph(pixels, Window(0, 400)), spec, LUNGS)
    assert image.shape == (32, 48) and np.isfinite(image).all()


def test_the_full_variant_is_preprocessing_and_nothing_else() -> None:
    assert np.array_equal(network_input(frame(), SPEC), reference.preprocess(frame(), SPEC))


def test_lungs_are_cropped_with_their_margin() -> None:
    region = locate(frame(256, 128), replace(SPEC, variant="lungs", margin=10), LUNGS)
    assert region.box == Box(2 * 14, 23, 2 * 72, 84)
    assert (region.variant, region.lungs_found, region.mask) == ("lungs", True, None)
    assert region.lungs is not None and region.lungs[20:80, 30:100].all() and region.lungs.sum() == 60 * 70
    spec = replace(SPEC, variant="lungs", margin=10)
    expected = reference.preprocess(frame(256, 128), spec, region.box)
    assert np.array_equal(network_input(frame(256, 128), spec, LUNGS), expected)


def test_outside_the_lungs_is_the_display_value_of_the_spec_and_inside_is_the_image() -> None:
    spec = replace(SPEC, variant="lungs-masked", margin=20, outside=0.25, mean=0.4, std=0.3)
    region = locate(frame(), spec, LUNGS)
    assert region.mask is not None
    inside = mask_of_input(region.mask, region.box, frame(), spec)
    image = network_input(frame(), spec, LUNGS)
    assert 0 < inside.sum() < inside.size
    assert set(image[~inside].tolist()) == {float(np.float32((0.25 - 0.4) / 0.3))}
    assert np.array_equal(image[inside], reference.preprocess(frame(), spec, region.box)[inside])


def test_a_pixel_of_the_input_is_masked_by_the_cell_under_its_centre() -> None:
    mask = np.random.default_rng(2).random((GRID, GRID)) < 0.5
    radiograph, box = frame(301, 257), Box(13, 8, 200, 191)
    got = mask_of_input(mask, box, radiograph, SPEC)
    for i, j in [(0, 0), (31, 47), (7, 30), (16, 1)]:
        y = box.top + (i + 0.5) * box.height / SPEC.height
        x = box.left + (j + 0.5) * box.width / SPEC.width
        assert got[i, j] == mask[int(y * GRID / 301), int(x * GRID / 257)]


def test_without_lungs_the_image_is_refused_or_its_body_is_shown() -> None:
    spec = replace(SPEC, variant="lungs")
    with pytest.raises(RefusedInputError, match="no lungs found") as caught:
        locate(frame(), spec, NO_LUNGS)
    assert caught.value.reasons == ("no lungs found",)
    region = locate(frame(), replace(spec, not_found="body"), NO_LUNGS)
    assert region.box == locate(frame(), replace(SPEC, variant="body")).box
    assert (region.variant, region.lungs_found) == ("body", False)
    assert "no lungs were found" in region.warnings[0]


def test_a_variant_that_needs_a_localiser_says_so() -> None:
    with pytest.raises(UsageError, match="needs a lung localiser"):
        locate(frame(), replace(SPEC, variant="lungs"))


def test_a_frame_without_a_body_is_shown_whole_with_a_warning() -> None:
    blank = Radiograph(np.full((200, 300), 9, np.uint8), Window(0, 255))
    region = locate(blank, replace(SPEC, variant="body"))
    assert region.box == Box(0, 0, 200, 300)
    assert "no body was found" in region.warnings[0]


def test_out_is_written_and_returned() -> None:
    for spec in VARIANTS:
        out = np.empty((32, 48), np.float32)
        assert network_input(frame(), spec, LUNGS, out=out) is out
        assert np.array_equal(out, network_input(frame(), spec, LUNGS))


def test_a_known_region_gives_the_input_that_locating_it_gives() -> None:
    for spec in VARIANTS:
        known = region_input(frame(), spec, locate(frame(), spec, LUNGS))
        assert np.array_equal(known, network_input(frame(), spec, LUNGS))
