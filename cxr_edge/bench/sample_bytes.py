"""The bench's phantom as the bytes that devices send: raw, PNG, JPEG, and DICOM by transfer syntax."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import FileDataset, validate_file_meta
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from cxr_edge.errors import UnsupportedInputError
from cxr_edge.phantom import Phantom, render
from cxr_edge.phantom.files import dicom_dataset, png_bytes

__all__ = ["EIGHT_BIT_KINDS", "FRAME", "FRAME_BITS", "SAMPLE_KINDS"]

FRAME = "frame"
"""The input that is no file: a detector's frame in memory."""

FRAME_BITS = 16
"""Significant bits of the phantom: the most that preprocessing can meet, so every smaller depth costs no more."""

JPEG_QUALITY = 95


def _npy(phantom: Phantom) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, phantom.radiograph.pixels, allow_pickle=False)
    return buffer.getvalue()


def _saved(dataset: FileDataset) -> bytes:
    buffer = io.BytesIO()
    syntax = dataset.file_meta.TransferSyntaxUID
    validate_file_meta(dataset.file_meta, enforce_standard=True)
    # The phantom's data set was made as little endian; `save_as` would refuse to write it as anything else.
    encoding = {"implicit_vr": syntax.is_implicit_VR, "little_endian": syntax.is_little_endian}
    pydicom.dcmwrite(buffer, dataset, force_encoding=True, **encoding)
    return buffer.getvalue()


def _native_dicom(uid: UID | None = None) -> Callable[[Phantom], bytes]:
    """Writer of uncompressed pixel data; ``uid`` None means Explicit VR Little Endian."""

    def write(phantom: Phantom) -> bytes:
        dataset = dicom_dataset(phantom)
        if uid is not None:
            dataset.file_meta.TransferSyntaxUID = uid
        if uid == ExplicitVRBigEndian:
            dataset.PixelData = phantom.radiograph.pixels.astype(">u2").tobytes()
        return _saved(dataset)

    return write


def _encapsulated_dicom(uid: UID, encode: Callable[[Phantom], bytes]) -> Callable[[Phantom], bytes]:
    """Writer of one compressed frame (PS3.5 A.4)."""

    def write(phantom: Phantom) -> bytes:
        dataset = dicom_dataset(phantom)
        dataset.file_meta.TransferSyntaxUID = uid
        dataset.PixelData = encapsulate([encode(phantom)])
        dataset["PixelData"].VR = "OB"
        return _saved(dataset)

    return write


def _rle_dicom(phantom: Phantom) -> bytes:
    dataset = dicom_dataset(phantom)
    dataset.compress(RLELossless)
    return _saved(dataset)


def _eight_bit(phantom: Phantom) -> Phantom:
    """The phantom as baseline JPEG can store it."""
    return render(replace(phantom.spec, bits_stored=8))


def _jpeg(phantom: Phantom) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(phantom.radiograph.pixels).save(buffer, format="JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def _jpeg2000(phantom: Phantom) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(phantom.radiograph.pixels).save(buffer, format="JPEG2000", no_jp2=True, irreversible=False)
    return buffer.getvalue()


def _imagecodecs(function: str, **options: object) -> Callable[[Phantom], bytes]:
    """Encoder of an optional package, which only this sample needs."""

    def encode(phantom: Phantom) -> bytes:
        try:
            import imagecodecs
        except ImportError as error:
            raise UnsupportedInputError(
                "making this sample needs imagecodecs: pip install imagecodecs, or give a file of your own"
            ) from error
        return bytes(getattr(imagecodecs, function)(phantom.radiograph.pixels, **options))

    return encode


SAMPLE_KINDS: dict[str, Callable[[Phantom], bytes]] = {
    FRAME: _npy,
    "png": lambda phantom: png_bytes(phantom.radiograph),
    "jpeg": lambda phantom: _jpeg(_eight_bit(phantom)),
    "dicom": _native_dicom(),
    "dicom-implicit": _native_dicom(ImplicitVRLittleEndian),
    "dicom-big-endian": _native_dicom(ExplicitVRBigEndian),
    "dicom-deflated": _native_dicom(DeflatedExplicitVRLittleEndian),
    "dicom-rle": _rle_dicom,
    "dicom-jpeg": lambda phantom: _encapsulated_dicom(JPEGBaseline8Bit, _jpeg)(_eight_bit(phantom)),
    "dicom-jpeg-lossless": _encapsulated_dicom(JPEGLosslessSV1, _imagecodecs("ljpeg_encode", bitspersample=16)),
    "dicom-jpeg-ls": _encapsulated_dicom(JPEGLSLossless, _imagecodecs("jpegls_encode")),
    "dicom-jpeg2000": _encapsulated_dicom(JPEG2000Lossless, _jpeg2000),
    "dicom-htj2k": _encapsulated_dicom(HTJ2KLossless, _imagecodecs("htj2k_encode")),
}
"""Kind -> writer of the phantom's bytes in it; the kinds of DICOM are named by their transfer syntax."""

EIGHT_BIT_KINDS = frozenset({"jpeg", "dicom-jpeg"})
