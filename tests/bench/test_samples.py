from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cxr_edge.bench.sample_bytes import SAMPLE_KINDS
from cxr_edge.bench.samples import make_samples, parse_size, read_samples
from cxr_edge.decode import decode
from cxr_edge.errors import CorruptInputError, RefusedInputError, UsageError
from cxr_edge.gate import GateSpec
from cxr_edge.phantom import PhantomSpec, phantom
from cxr_edge.phantom.files import png_bytes


def test_every_sample_shows_the_same_picture(tmp_path: Path) -> None:
    samples, missing = make_samples(tuple(SAMPLE_KINDS), 240, 230, tmp_path)
    frame = np.load(samples[0].path)
    assert frame.dtype == np.uint16 and frame.max() > 60_000
    for sample in samples[1:]:
        radiograph = decode(sample.path)
        shown = radiograph.pixels / radiograph.window.hi
        lossy = sample.frame.endswith("x8")
        np.testing.assert_allclose(shown, frame / 65_535, rtol=0, atol=0.08 if lossy else 1e-9, err_msg=sample.input)
    assert {"png", "jpeg", "dicom", "dicom-big-endian", "dicom-jpeg2000"} <= {sample.input for sample in samples}
    assert all("not supported" in reason or "imagecodecs" in reason for _, reason in missing)


def test_an_unknown_kind_and_a_size_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither a file nor a kind"):
        make_samples(("bmp",), 240, 230, tmp_path)
    for text in ("3000", "axb", "100x100", "-300x300", ""):
        with pytest.raises(UsageError, match="size"):
            parse_size(text)
    assert parse_size("300x400") == (300, 400)


def test_a_users_file_is_named_by_its_hash_and_never_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "Planted^Name.png"
    path.write_bytes(png_bytes(phantom(PhantomSpec(height=240, width=256, bits_stored=8))))
    (sample,) = read_samples((path,), GateSpec())
    assert sample.input.startswith("file-png-") and "Planted" not in sample.input
    assert sample.frame == "240x256x8"


def test_a_users_file_that_cannot_be_classified_is_found_at_once(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"no image")
    with pytest.raises(CorruptInputError):
        read_samples((tmp_path / "x.png",), GateSpec())
    with pytest.raises(CorruptInputError):
        read_samples((tmp_path / "missing.dcm",), GateSpec())
    (tmp_path / "small.png").write_bytes(png_bytes(phantom(PhantomSpec(height=100, width=100, bits_stored=8))))
    with pytest.raises(RefusedInputError, match="short"):
        read_samples((tmp_path / "small.png",), GateSpec())
