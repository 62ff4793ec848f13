"""The phantom is seeded, looks like a chest where it matters, and survives its files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from cxr_edge.errors import OutputError, UsageError
from cxr_edge.phantom import PhantomSpec, lung_mask, phantom, render
from cxr_edge.phantom.files import dicom_dataset, write_dicom, write_png
from cxr_edge.preprocess.reference import preprocess
from cxr_edge.preprocess.spec import PreprocessSpec

SMALL = PhantomSpec(height=256, width=256)
SEEDS = range(12)


def test_equal_specs_give_equal_bytes() -> None:
    assert phantom(SMALL).pixels.tobytes() == phantom(SMALL).pixels.tobytes()


def test_another_seed_is_another_person() -> None:
    assert lung_mask(SMALL).tobytes() != lung_mask(replace(SMALL, seed=1)).tobytes()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("view", ["PA", "AP"])
def test_lungs_are_darker_than_the_mediastinum(seed: int, view: str) -> None:
    drawn = render(replace(SMALL, seed=seed, view=view))  # type: ignore[arg-type]
    pixels = drawn.radiograph.pixels
    mediastinum = pixels[100:160, 122:134]
    assert np.median(pixels[drawn.lungs]) < 0.7 * np.median(mediastinum)


@pytest.mark.parametrize("seed", SEEDS)
def test_there_are_two_lungs_and_the_patients_right_one_is_larger(seed: int) -> None:
    lungs = lung_mask(replace(SMALL, seed=seed))
    right, left = lungs[:, :128].sum(), lungs[:, 128:].sum()
    assert 0.05 * lungs.size < left < right


def test_the_heart_lies_on_the_patients_left() -> None:
    hearts = [np.flatnonzero(~lung_mask(replace(SMALL, seed=seed))[160, 64:192]) + 64 for seed in SEEDS]
    assert np.mean([heart.mean() for heart in hearts]) > 128 + 4


def test_a_bedside_view_magnifies_the_heart() -> None:
    assert lung_mask(replace(SMALL, view="AP")).sum() < lung_mask(SMALL).sum()


@pytest.mark.parametrize("seed", SEEDS)
def test_opacities_brighten_their_boxes_and_nothing_far_away(seed: int) -> None:
    normal = render(replace(SMALL, seed=seed))
    abnormal = render(replace(SMALL, seed=seed, abnormal=True))
    gain = abnormal.radiograph.pixels.astype(float) - normal.radiograph.pixels
    assert normal.opacities == ()
    assert 1 <= len(abnormal.opacities) <= 3
    for box in abnormal.opacities:
        assert gain[box.top : box.top + box.height, box.left : box.left + box.width].mean() > 0.03 * 4095
    assert np.array_equal(normal.lungs, abnormal.lungs)
    assert np.median(gain[~normal.lungs]) == 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 97), (97, 1), (2, 3), (31, 64), (224, 224), (600, 40), (700, 513)])
@pytest.mark.parametrize("abnormal", [False, True])
def test_any_size_can_be_drawn(shape: tuple[int, int], abnormal: bool) -> None:
    drawn = render(PhantomSpec(*shape, abnormal=abnormal, border=0.1))
    assert drawn.radiograph.pixels.shape == drawn.lungs.shape == shape
    for box in drawn.opacities:
        assert box == box.clipped(*shape)


@pytest.mark.parametrize("bits", range(1, 17))
def test_stored_values_use_the_bits_they_claim(bits: int) -> None:
    radiograph = phantom(replace(SMALL, bits_stored=bits, border=0.02))
    assert radiograph.pixels.dtype == (np.uint8 if bits <= 8 else np.uint16)
    assert (radiograph.window.lo, radiograph.window.hi) == (0, 2**bits - 1)
    assert radiograph.pixels.min() == 0
    assert 0.9 * (2**bits - 1) < radiograph.pixels.max() <= 2**bits - 1


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_polarity_twins_are_exact_complements(bits: int) -> None:
    plain = phantom(replace(SMALL, bits_stored=bits))
    twin = phantom(replace(SMALL, bits_stored=bits, inverted=True))
    assert twin.inverted
    assert not plain.inverted
    assert np.array_equal(plain.pixels.astype(int) + twin.pixels, np.full((256, 256), 2**bits - 1))
    spec = PreprocessSpec(height=32, width=32)
    np.testing.assert_allclose(preprocess(plain, spec), preprocess(twin, spec), atol=1e-6)


def test_the_collimator_blackens_the_border_and_hides_the_lungs_there() -> None:
    drawn = render(replace(SMALL, border=0.2))
    inner = np.zeros((256, 256), dtype=bool)
    inner[51:-51, 51:-51] = True
    assert not drawn.radiograph.pixels[~inner].any()
    assert not drawn.lungs[~inner].any()
    assert np.array_equal(drawn.lungs[inner], lung_mask(SMALL)[inner])


def test_noise_has_the_requested_strength() -> None:
    clean = phantom(replace(SMALL, noise=0.0, bits_stored=16)).pixels.astype(float) / 65535
    noisy = phantom(replace(SMALL, noise=0.02, bits_stored=16)).pixels.astype(float) / 65535
    mid_grey = (clean > 0.45) & (clean < 0.55)
    assert (noisy - clean)[mid_grey].std() == pytest.approx(0.02, rel=0.1)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("height", 0),
        ("width", 65_536),
        ("bits_stored", 17),
        ("bits_stored", 0),
        ("seed", -1),
        ("border", 0.5),
        ("border", float("nan")),
        ("noise", -0.1),
        ("view", "LATERAL"),
    ],
)
def test_impossible_specs_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(UsageError, match=field):
        replace(SMALL, **{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("bits", [8, 16])
def test_png_reads_back_to_the_same_pixels(tmp_path: Path, bits: int) -> None:
    drawn = render(replace(SMALL, bits_stored=bits))
    write_png(drawn, tmp_path / "phantom.png")
    with Image.open(tmp_path / "phantom.png") as image:
        assert image.mode == ("L" if bits == 8 else "I;16")
        assert np.array_equal(np.asarray(image), drawn.radiograph.pixels)


def test_png_of_twelve_bits_and_either_polarity_fills_the_grey_scale(tmp_path: Path) -> None:
    plain, twin = render(SMALL), render(replace(SMALL, inverted=True))
    write_png(plain, tmp_path / "plain.png")
    write_png(twin, tmp_path / "twin.png")
    with Image.open(tmp_path / "plain.png") as image:
        expected = np.rint(plain.radiograph.pixels * (65535 / 4095))
        assert np.array_equal(np.asarray(image), expected)
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "twin.png").read_bytes()


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("inverted", [False, True])
def test_dicom_reads_back_to_the_same_pixels(tmp_path: Path, bits: int, inverted: bool) -> None:
    drawn = render(PhantomSpec(height=63, width=65, bits_stored=bits, inverted=inverted))
    write_dicom(drawn, tmp_path / "phantom.dcm")
    dataset = pydicom.dcmread(tmp_path / "phantom.dcm")
    assert np.array_equal(dataset.pixel_array, drawn.radiograph.pixels)
    assert dataset.BitsStored == bits
    assert dataset.PhotometricInterpretation == ("MONOCHROME1" if inverted else "MONOCHROME2")
    centre, width = float(dataset.WindowCenter), float(dataset.WindowWidth)
    assert centre - 0.5 - (width - 1) / 2 == 0
    assert centre - 0.5 + (width - 1) / 2 == 2**bits - 1


def test_dicom_files_of_one_spec_are_equal_and_identify_nobody(tmp_path: Path) -> None:
    drawn = render(SMALL)
    write_dicom(drawn, tmp_path / "a.dcm")
    write_dicom(drawn, tmp_path / "b.dcm")
    assert (tmp_path / "a.dcm").read_bytes() == (tmp_path / "b.dcm").read_bytes()
    dataset = pydicom.dcmread(tmp_path / "a.dcm")
    assert dataset.PatientName == dataset.PatientID == dataset.PatientBirthDate == ""
    other = dicom_dataset(render(replace(SMALL, seed=1)))
    for level in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
        assert dataset[level].value.is_valid
        assert dataset[level].value != other[level].value


def test_an_unwritable_place_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        write_png(render(PhantomSpec(8, 8)), tmp_path / "missing" / "phantom.png")
    with pytest.raises(OutputError):
        write_dicom(render(PhantomSpec(8, 8)), tmp_path / "missing" / "phantom.dcm")
