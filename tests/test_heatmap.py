from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxr_edge.colour_scale import ColourScale, with_legend
from cxr_edge.errors import OutputError, UsageError
from cxr_edge.heatmap import OUTLINE, Heatmap, displayed_grey, evidence_over
from cxr_edge.records import Box, Radiograph, Window

GREY = np.tile(np.linspace(0, 4095, 140).astype(np.uint16), (112, 1))
FRAME = Radiograph(GREY, Window(0, 4095))
WHOLE = Box(0, 0, 112, 140)


def heatmap(cam: np.ndarray, box: Box = WHOLE, radiograph: Radiograph = FRAME) -> Heatmap:
    return Heatmap(radiograph, cam.astype(np.float32), box)


def warmth(picture: np.ndarray) -> np.ndarray:
    return picture[..., 0].astype(int) - picture[..., 2]


def test_without_evidence_the_picture_is_the_radiograph_as_displayed() -> None:
    picture = heatmap(np.zeros((7, 7))).overlay(legend=False)
    assert picture.dtype == np.uint8
    assert np.array_equal(picture, np.repeat(displayed_grey(FRAME)[..., None], 3, axis=2))


def test_the_display_spans_black_to_white_over_the_window() -> None:
    grey = displayed_grey(Radiograph(np.array([[0, 100, 150, 200, 4000]], np.uint16), Window(100, 200)))
    assert grey.tolist() == [[0, 0, 128, 255, 255]]


def test_an_inverted_frame_displays_like_its_twin() -> None:
    twin = Radiograph(4095 - GREY, Window(0, 4095), inverted=True)
    difference = displayed_grey(twin).astype(int) - displayed_grey(FRAME)
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("inverted", [False, True])
def test_padding_displays_black_in_either_polarity(inverted: bool) -> None:
    frame = Radiograph(np.array([[7, 50]], np.uint8), Window(0, 255), inverted=inverted, padding=(7, 7))
    assert displayed_grey(frame)[0, 0] == 0


def test_a_large_frame_is_drawn_no_larger_than_asked_in_its_own_proportions() -> None:
    picture = heatmap(np.zeros((7, 7))).overlay(max_side=70, legend=False)
    assert picture.shape == (56, 70, 3)


def test_a_map_cell_colours_its_own_share_of_the_box() -> None:
    cam = np.full((7, 7), -1.0)
    cam[1, 5] = 8.0
    coloured = warmth(heatmap(cam).overlay(legend=False)) > 40
    rows, columns = np.nonzero(coloured)
    assert rows.mean() == pytest.approx(1.5 * 112 / 7, abs=2)
    assert columns.mean() == pytest.approx(5.5 * 140 / 7, abs=2)


def test_at_the_centres_of_its_cells_the_evidence_is_the_map() -> None:
    cam = np.random.default_rng(0).normal(0, 3, (7, 7)).astype(np.float32)
    # With an odd number of pixels a cell, a pixel's centre is the cell's centre.
    frame = Radiograph(np.zeros((105, 63), np.uint8), Window(0, 255))
    evidence = evidence_over(heatmap(cam, Box(0, 0, 105, 63), frame), 105, 63)
    np.testing.assert_allclose(evidence[7::15, 4::9], cam, atol=1e-5)


def test_a_constant_map_stays_constant() -> None:
    evidence = evidence_over(heatmap(np.full((7, 7), 2.5)), 112, 140)
    np.testing.assert_allclose(evidence, 2.5, atol=1e-5)


def test_outside_the_box_there_is_no_colour() -> None:
    box = Box(20, 30, 60, 70)
    picture = heatmap(np.full((7, 7), 9.0), box).overlay(ColourScale(neutral=1.0, show_normal=True), legend=False)
    coloured = warmth(picture) != 0
    assert coloured[20:80, 30:100].all()
    coloured[20:80, 30:100] = False
    assert not coloured.any()


def test_a_line_surrounds_what_the_network_saw_unless_that_is_the_whole_frame() -> None:
    picture = heatmap(np.zeros((7, 7)), Box(20, 30, 60, 70)).overlay(legend=False)
    line = (picture == OUTLINE).all(axis=2)
    expected = np.zeros_like(line)
    expected[20:80, 30:100] = True
    expected[21:79, 31:99] = False
    np.testing.assert_array_equal(line, expected)
    assert not (heatmap(np.zeros((7, 7))).overlay(legend=False) == OUTLINE).all(axis=2).any()


def test_the_scale_is_the_same_for_every_image() -> None:
    weak = heatmap(np.full((7, 7), 2.0)).overlay(legend=False)
    mixed = np.full((7, 7), 2.0)
    mixed[6, 6] = 60.0
    assert np.array_equal(weak[:40, :60], heatmap(mixed).overlay(legend=False)[:40, :60])


def test_stronger_evidence_is_more_opaque_and_never_hides_the_radiograph() -> None:
    scale = ColourScale()
    strength = scale.strength(np.linspace(0, 60, 100))
    opacity = scale.opacity(strength)[:, 0]
    assert opacity[0] == 0
    assert (np.diff(opacity) >= 0).all()
    assert opacity.max() < 0.7


def test_colours_darken_steadily_so_that_they_read_in_grey_too() -> None:
    scale = ColourScale(show_normal=True)
    for sign in (1, -1):
        colours = scale.colours(sign * np.linspace(0.01, 1, 50, dtype=np.float32))
        luminance = colours @ np.array([0.2126, 0.7152, 0.0722], np.float32)
        assert (np.diff(luminance) < 0).all()


def test_evidence_for_normal_is_cool_unless_the_scale_leaves_it_out() -> None:
    against = heatmap(np.full((7, 7), -6.0))
    assert (warmth(against.overlay(legend=False)) < 0).all()
    assert (warmth(against.overlay(ColourScale(), legend=False)) == 0).all()


def test_without_a_scale_the_heatmaps_own_neutral_parts_warm_from_cool() -> None:
    cam = np.full((7, 7), 2.0, np.float32)
    for neutral, sign in ((1.0, 1), (2.0, 0), (3.0, -1)):
        picture = Heatmap(FRAME, cam, WHOLE, neutral=neutral).overlay(legend=False)
        assert (np.sign(warmth(picture)) == sign).all()


def test_neutral_evidence_has_no_colour_whatever_the_threshold() -> None:
    picture = heatmap(np.full((7, 7), 1.25)).overlay(ColourScale(neutral=1.25), legend=False)
    assert (warmth(picture) == 0).all()


@pytest.mark.parametrize("show_normal", [False, True])
def test_the_legend_stands_beside_the_picture_with_the_same_colours(show_normal: bool) -> None:
    scale = ColourScale(show_normal=show_normal)
    picture = np.zeros((400, 300, 3), np.uint8)
    shown = with_legend(picture, scale)
    assert shown.shape[0] == 400
    assert shown.shape[1] > 300
    assert np.array_equal(shown[:, :300], picture)
    bar = shown[:, 315].astype(int)
    assert (bar[:, 0] - bar[:, 2]).max() > 50
    assert ((bar[:, 0] - bar[:, 2]).min() < -50) == show_normal


@pytest.mark.parametrize("height", [1, 16, 47, 95])
def test_a_picture_too_low_for_the_legend_is_saved_without(height: int, tmp_path: Path) -> None:
    frame = Radiograph(np.zeros((height, 60), np.uint8), Window(0, 255))
    heatmap(np.ones((7, 7)), Box(0, 0, height, 60), frame).save_png(tmp_path / "low.png")
    with Image.open(tmp_path / "low.png") as image:
        assert image.size == (60, height)


def test_a_picture_is_saved_under_a_path_given_as_text(tmp_path: Path) -> None:
    heatmap(np.ones((7, 7))).save_png(str(tmp_path / "evidence.png"))
    assert (tmp_path / "evidence.png").is_file()


def test_a_tiny_frame_has_a_picture_too() -> None:
    frame = Radiograph(np.zeros((1, 1), np.uint8), Window(0, 255))
    picture = heatmap(np.ones((7, 7)), Box(0, 0, 1, 1), frame).overlay(legend=False)
    assert picture.shape == (1, 1, 3)


def test_the_png_holds_the_overlay_and_no_metadata(tmp_path: Path) -> None:
    shown = heatmap(np.full((7, 7), 3.0))
    shown.save_png(tmp_path / "map.png")
    with Image.open(io.BytesIO((tmp_path / "map.png").read_bytes())) as image:
        assert np.array_equal(np.asarray(image), shown.overlay())
        assert image.info == {}


def test_a_png_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        heatmap(np.zeros((7, 7))).save_png(tmp_path / "none" / "map.png")


@pytest.mark.parametrize(
    ("cam", "box"),
    [
        (np.zeros((1, 7, 7)), WHOLE),
        (np.zeros((0, 7)), WHOLE),
        (np.full((7, 7), np.nan), WHOLE),
        (np.zeros((7, 7)), Box(0, 0, 113, 140)),
    ],
)
def test_a_map_that_fits_no_frame_is_a_usage_error(cam: np.ndarray, box: Box) -> None:
    with pytest.raises(UsageError):
        heatmap(cam, box)


@pytest.mark.parametrize("full", [0.0, -1.0, float("nan"), float("inf")])
def test_a_scale_without_extent_is_a_usage_error(full: float) -> None:
    with pytest.raises(UsageError, match="colour scale"):
        ColourScale(full=full)


def test_a_picture_without_pixels_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="max_side"):
        heatmap(np.zeros((7, 7))).overlay(max_side=0)
