"""The bundle: model, preprocessing, probability calibration and evidence in one verified directory."""

from cxr_edge.bundle.entries import PRECISIONS, FileEntry, Golden, ModelEntry
from cxr_edge.bundle.manifest import MANIFEST_NAME, SCHEMA, Manifest
from cxr_edge.bundle.reader import Bundle, default_bundle_path, open_bundle
from cxr_edge.bundle.tolerances import Tolerances

__all__ = [
    "MANIFEST_NAME",
    "PRECISIONS",
    "SCHEMA",
    "Bundle",
    "FileEntry",
    "Golden",
    "Manifest",
    "ModelEntry",
    "Tolerances",
    "default_bundle_path",
    "open_bundle",
]
