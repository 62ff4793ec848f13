"""Files as wholes: hostile, damaged, private, real."""

from __future__ import annotations

import logging
import struct
import threading
import tracemalloc
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import get_frame

from cxr_edge.decode import DecodeLimits, decode
from cxr_edge.errors import CorruptInputError, CxrEdgeError, ResourceLimitError, UnsupportedInputError

DicomWriter = Callable[..., bytes]
DEFLATED = "1.2.840.10008.1.2.1.99"
NESTED_SEQUENCE = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
    "<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF
)


def deflated(content: bytes, data_set: bytes | None = None) -> bytes:
    """The file with its data set deflated; the header is the one of a deflated file already."""
    start = 132 + 12 + struct.unpack_from("<I", content, 140)[0]
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = compressor.compress(content[start:] if data_set is None else data_set) + compressor.flush()
    return content[:start] + body


def test_deflated_files_are_inflated(dicom: DicomWriter, ramp: np.ndarray) -> None:
    np.testing.assert_array_equal(decode(deflated(dicom(ramp, transfer_syntax=DEFLATED))).pixels, ramp)


def test_a_deflate_bomb_is_stopped_and_takes_no_memory(dicom: DicomWriter, ramp: np.ndarray) -> None:
    bomb = deflated(dicom(ramp, transfer_syntax=DEFLATED), bytes(20_000_000))
    assert len(bomb) < 50_000
    tracemalloc.start()
    try:
        with pytest.raises(ResourceLimitError, match="inflates"):
            decode(bomb, limits=DecodeLimits(max_file_bytes=19_000_000))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10_000_000


def test_truncated_and_damaged_deflate_streams_are_corrupt(dicom: DicomWriter, ramp: np.ndarray) -> None:
    content = deflated(dicom(ramp, transfer_syntax=DEFLATED))
    for damaged in (content[:-9], content[:-400] + b"\xff" * 400):
        with pytest.raises(CorruptInputError, match="deflated"):
            decode(damaged)


def test_sequences_nested_three_thousand_deep_are_corrupt(dicom: DicomWriter, ramp: np.ndarray) -> None:
    with pytest.raises(CorruptInputError, match="nests"):
        decode(dicom(ramp, extra={0x00081140: NESTED_SEQUENCE * 3000}))


def test_deep_nesting_is_harmless_in_a_thread_too(dicom: DicomWriter, ramp: np.ndarray) -> None:
    outcome: list[Exception] = []

    def run() -> None:
        try:
            decode(dicom(ramp, extra={0x00081140: NESTED_SEQUENCE * 3000}))
        except CxrEdgeError as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert [type(error) for error in outcome] == [CorruptInputError]


def test_millions_of_tiny_elements_are_a_resource_limit(dicom: DicomWriter, ramp: np.ndarray) -> None:
    tiny = struct.pack("<HH2sH", 0x0009, 0x0001, b"LO", 0)
    with pytest.raises(ResourceLimitError, match="elements"):
        decode(dicom(ramp, extra={0x00090001: tiny * 250_000}))


def test_every_truncation_is_an_error_of_ours(dicom: DicomWriter, ramp: np.ndarray) -> None:
    content = dicom(ramp, WindowCenter="2048", WindowWidth="4096")
    for length in (*range(132, 400), len(content) - 2):
        with pytest.raises(CorruptInputError):
            decode(content[:length])


@pytest.mark.parametrize("kind", ["native", "deflated", "png", "jpeg", "jpeg 2000"])
def test_mutated_files_only_ever_raise_our_errors(
    kind: str, dicom: DicomWriter, saved: Callable[..., bytes], grey: np.ndarray
) -> None:
    content = {
        "native": lambda: dicom(grey, WindowCenter="100", WindowWidth="200", RescaleSlope="1.0", PixelPaddingValue=0),
        "deflated": lambda: deflated(dicom(grey, transfer_syntax=DEFLATED)),
        "png": lambda: saved(grey, "PNG"),
        "jpeg": lambda: saved(grey, "JPEG"),
        "jpeg 2000": lambda: dicom(
            grey,
            transfer_syntax="1.2.840.10008.1.2.4.90",
            PixelData=struct.pack("<HHIHHI", 0xFFFE, 0xE000, 0, 0xFFFE, 0xE000, len(stream := j2k(saved, grey)))
            + stream
            + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0),
        ),
    }[kind]()
    rng = np.random.default_rng(2026)
    outcomes = set()
    for _ in range(200):
        mutated = bytearray(content)
        for position in rng.integers(0, len(content), rng.integers(1, 4)):
            mutated[position] = rng.integers(0, 256)
        try:
            outcomes.add(type(decode(bytes(mutated), limits=DecodeLimits(timeout_s=60))))
        except CxrEdgeError as error:
            outcomes.add(type(error))
    assert CorruptInputError in outcomes
    assert CxrEdgeError not in outcomes


def j2k(saved: Callable[..., bytes], grey: np.ndarray) -> bytes:
    stream = saved(grey, "JPEG2000", no_jp2=True)
    return stream + b"\0" * (len(stream) % 2)


SECRET = "DOE^JANE^SECRET"


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"RescaleSlope": SECRET},
        {"WindowCenter": SECRET, "WindowWidth": "1"},
        {"NumberOfFrames": SECRET},
        {"PhotometricInterpretation": SECRET},
        {"PresentationLUTShape": SECRET},
        {"VOILUTFunction": SECRET, "WindowCenter": "100", "WindowWidth": "50"},
        {"Rows": SECRET.encode() + b" "},
        {"SpecificCharacterSet": SECRET},
        {"ModalityLUTSequence": SECRET.encode() + b" "},
        {"PixelData": SECRET.encode() + b" "},
    ],
)
def test_patient_data_never_appears(
    attributes: dict[str, object],
    dicom: DicomWriter,
    ramp: np.ndarray,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    said = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            content = dicom(ramp, PatientName=SECRET, PatientID=SECRET, PatientBirthDate=SECRET, **attributes)
            said.extend(decode(content).warnings)
        except CxrEdgeError as error:
            link: BaseException | None = error
            while link is not None:  # what a traceback would print
                said.append(str(link))
                link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    said += [*(str(warning.message) for warning in caught), caplog.text, *capfd.readouterr()]
    assert not [text for text in said if "SECRET" in text]


def test_an_unknown_character_set_changes_nothing(dicom: DicomWriter, ramp: np.ndarray) -> None:
    content = dicom(ramp, SpecificCharacterSet="ISO-IR nonsense")  # under pytest pydicom's warning would be an error
    np.testing.assert_array_equal(decode(content).pixels, ramp)


REAL_FILES: dict[str, type[CxrEdgeError] | None] = {
    "01": None,
    "02": None,
    "03": None,
    "04": None,
    "05": UnsupportedInputError,
    "06": None,
    "07": None,
    "08": UnsupportedInputError,
    "11": UnsupportedInputError,
    "13": UnsupportedInputError,
    "14": UnsupportedInputError,
    "15": None,
    "16": UnsupportedInputError,
    "17": None,
    "21": UnsupportedInputError,
    "22": CorruptInputError,
    "23": CorruptInputError,
    "24": None,
    "25": CorruptInputError,
}


def real_file(folder: Path, number: str) -> Path:
    return next(folder.glob(f"{number}_*.dcm"))


@pytest.mark.real_data
@pytest.mark.parametrize(("number", "error"), REAL_FILES.items())
def test_real_files_decode_or_are_refused_for_what_they_are(
    number: str, error: type[CxrEdgeError] | None, dicom_folder: Path
) -> None:
    path = real_file(dicom_folder, number)
    if error is None:
        assert decode(path).pixels.std() > 1
        return
    with pytest.raises(error) as caught:
        decode(path)
    assert type(caught.value) is error


@pytest.mark.real_data
def test_real_15_bit_jpeg_2000_equals_another_decoder(dicom_folder: Path) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    path = real_file(dicom_folder, "04")
    stream = get_frame(dcmread(path).PixelData, 0, number_of_frames=1)
    radiograph = decode(path)
    np.testing.assert_array_equal(radiograph.pixels, imagecodecs.jpeg2k_decode(stream))
    assert (radiograph.window.lo, radiograph.window.hi, radiograph.inverted) == (0, 29_999, True)


@pytest.mark.real_data
def test_real_rle_and_jpeg_2000_copies_of_one_picture_are_equal(dicom_folder: Path) -> None:
    rle, jpeg_2000 = (decode(real_file(dicom_folder, number)).pixels for number in ("17", "15"))
    np.testing.assert_array_equal(rle, jpeg_2000)


@pytest.mark.real_data
def test_the_tag_alone_inverts_a_real_image(dicom_folder: Path) -> None:
    plain, tagged = (decode(real_file(dicom_folder, number)) for number in ("01", "02"))
    np.testing.assert_array_equal(plain.pixels, tagged.pixels)
    assert (plain.inverted, tagged.inverted) == (False, True)
