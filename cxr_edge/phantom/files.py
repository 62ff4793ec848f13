"""Phantoms as files that a viewer or PACS would send: PNG and DICOM, for demo and tests."""

from __future__ import annotations

import io
import uuid
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, ComputedRadiographyImageStorage, ExplicitVRLittleEndian

from cxr_edge.atomic import write_atomically
from cxr_edge.phantom.spec import Phantom, PhantomSpec
from cxr_edge.records import Radiograph

__all__ = ["dicom_dataset", "png_bytes", "write_dicom", "write_png"]

UID_NAMESPACE = uuid.UUID("6f1d5f0a-2c1b-5d0e-9a53-3f0b7c2e8d41")
"""Fixed root of every phantom's UIDs, so that a spec always has the same ones."""

TYPE_2_OF_NOBODY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "Manufacturer",
    "PatientOrientation",
)
"""Attributes that must be there but may be empty (PS3.5 7.4.3)."""


def write_png(phantom: Phantom, path: Path) -> None:
    """Write the picture as a grey PNG, 8-bit up to 8 bits stored, else 16-bit; see `png_bytes`.

    Raises:
        OutputError: the file cannot be written; what stood there before is unchanged.
    """
    write_atomically(path, png_bytes(phantom.radiograph))


def png_bytes(radiograph: Radiograph) -> bytes:
    """The picture as it displays, as a grey PNG.

    PNG knows neither bits stored nor polarity, so the window is stretched over all 8 or 16 bits and an inverted frame
    is turned back. Where the window is the pixel type's full range and nothing is inverted, pixels stay as they are.
    """
    lo, hi = radiograph.window.lo, radiograph.window.hi
    white = int(np.iinfo(radiograph.pixels.dtype).max)
    span = hi - lo
    shown = np.clip(radiograph.pixels.astype(np.int64), lo, hi) - lo
    if radiograph.inverted:
        shown = span - shown
    scaled = ((shown * (2 * white) + span) // (2 * span)).astype(radiograph.pixels.dtype)
    buffer = io.BytesIO()
    Image.fromarray(scaled).save(buffer, format="PNG")
    return buffer.getvalue()


def write_dicom(phantom: Phantom, path: Path) -> None:
    """Write the stored pixels as a DICOM file: CR Image Storage, Explicit VR Little Endian; see `dicom_dataset`.

    Raises:
        OutputError: the file cannot be written; what stood there before is unchanged.
    """
    buffer = io.BytesIO()
    dicom_dataset(phantom).save_as(buffer, enforce_file_format=True)
    write_atomically(path, buffer.getvalue())


def dicom_dataset(phantom: Phantom) -> FileDataset:
    """The phantom as a CR image object (PS3.3 A.2) of nobody: type 2 attributes of the patient are empty.

    The window spells the stored range out (PS3.3 C.11.2.1.2), polarity is the photometric interpretation. UIDs are
    derived from the spec (PS3.5 B.2), so equal specs give equal files.
    """
    spec, radiograph = phantom.spec, phantom.radiograph
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = _uid(spec, "instance")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    _describe_study(dataset, spec)
    _describe_pixels(dataset, spec, radiograph)
    return dataset


def _describe_study(dataset: FileDataset, spec: PhantomSpec) -> None:
    """Patient, study, series and equipment: identifiers are made up, everything personal is empty."""
    dataset.StudyInstanceUID = _uid(spec, "study")
    dataset.SeriesInstanceUID = _uid(spec, "series")
    for keyword in TYPE_2_OF_NOBODY:
        setattr(dataset, keyword, "")
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = "Synthetic picture of nobody"
    dataset.Modality = "CR"
    dataset.BodyPartExamined = "CHEST"
    dataset.ViewPosition = spec.view
    dataset.SeriesNumber = "1"
    dataset.InstanceNumber = "1"
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    dataset.BurnedInAnnotation = "NO"


def _describe_pixels(dataset: FileDataset, spec: PhantomSpec, radiograph: Radiograph) -> None:
    """Image Pixel module (PS3.3 C.7.6.3), window and the pixels themselves."""
    lo, hi = radiograph.window.lo, radiograph.window.hi
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME1" if radiograph.inverted else "MONOCHROME2"
    dataset.Rows, dataset.Columns = radiograph.height, radiograph.width
    dataset.BitsAllocated = 8 * radiograph.pixels.dtype.itemsize
    dataset.BitsStored = spec.bits_stored
    dataset.HighBit = spec.bits_stored - 1
    dataset.PixelRepresentation = 0
    # The LINEAR function maps c - 0.5 -+ (w - 1) / 2 to black and white.
    dataset.WindowCenter = str((lo + hi + 1) / 2)
    dataset.WindowWidth = str(hi - lo + 1)
    little_endian = radiograph.pixels.astype(radiograph.pixels.dtype.newbyteorder("<"), copy=False).tobytes()
    dataset.PixelData = little_endian + bytes(len(little_endian) % 2)
    dataset["PixelData"].VR = "OB" if dataset.BitsAllocated == 8 else "OW"


def _uid(spec: PhantomSpec, level: str) -> UID:
    """A UID derived from a UUID, the same for equal specs."""
    return UID(f"2.25.{uuid.uuid5(UID_NAMESPACE, f'{level} {spec}').int}")
