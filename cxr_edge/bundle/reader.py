"""Opening a bundle: everything is verified before any engine sees a byte of it. Nothing here builds one."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cxr_edge.bundle.entries import PRECISIONS
from cxr_edge.bundle.external_data import refuse_external_data
from cxr_edge.bundle.golden_frame import read_frame
from cxr_edge.bundle.manifest import MANIFEST_NAME, Manifest
from cxr_edge.bundle.manifest_reader import read_manifest
from cxr_edge.bundle.verify import MAX_MANIFEST_BYTES, check_listing, read_regular_file, read_verified, verify_contents
from cxr_edge.errors import BundleError, EngineError, UsageError
from cxr_edge.records import Frame, Radiograph

if TYPE_CHECKING:
    from cxr_edge.lungs import LungLocaliser

__all__ = ["Bundle", "default_bundle_path", "open_bundle"]


@dataclass(frozen=True)
class Bundle:
    """A verified bundle.

    Attributes:
        path: its directory, absolute.
        manifest: what it says about itself.
        sha256: SHA-256 of ``manifest.json``, which lists the hash of every other file: the bundle's identity.
    """

    path: Path
    manifest: Manifest
    sha256: str

    def file_bytes(self, name: str) -> bytes:
        """The contents of a listed file, verified again as they are read.

        Raises:
            UsageError: the manifest lists no such file.
            BundleError: the file was changed since the bundle was opened, or is a model with weights in other files.
        """
        if name not in self.manifest.files:
            raise UsageError(f"the bundle has no file {name!r}; it has {', '.join(sorted(self.manifest.files))}")
        data = read_verified(self.path, self.manifest.files[name])
        if name.endswith(".onnx"):
            refuse_external_data(data, name)
        return data

    def model_bytes(self, precision: str) -> bytes:
        """The ONNX model of a precision, verified again as it is read: load these bytes, not the file.

        Raises:
            UsageError: there is no such precision at all.
            EngineError: this bundle does not hold the precision; the message lists those it holds.
            BundleError: as `file_bytes` does.
        """
        if precision not in PRECISIONS:
            raise UsageError(f"precision {precision!r} is unknown; known are {', '.join(PRECISIONS)}")
        if precision not in self.manifest.models:
            held = ", ".join(self.manifest.models)
            raise EngineError(f"bundle {self.manifest.name!r} holds no {precision} model; it holds {held}")
        return self.file_bytes(self.manifest.models[precision].file)

    def open_localiser(self) -> LungLocaliser | None:
        """The bundle's lung localiser; None where its network needs no lungs.

        Raises:
            BundleError: the file was changed since the bundle was opened, or is no localiser.
            EngineError: the runtime that it needs is not installed.
        """
        if self.manifest.localiser is None:
            return None
        # Imported where it is needed: most bundles have none, and it brings a runtime with it.
        from cxr_edge.lungs import LungLocaliser

        return LungLocaliser.open(self.file_bytes(self.manifest.localiser))

    def golden_radiograph(self) -> Radiograph:
        """The stored frame of the self-test.

        Raises:
            BundleError: its file is no uint8 or uint16 frame.
        """
        golden = self.manifest.golden
        pixels = read_frame(self.file_bytes(golden.frame), golden.frame)
        if golden.bits_stored > 8 * pixels.dtype.itemsize:
            raise BundleError(f"{golden.frame} holds {pixels.dtype}, too narrow for bits_stored {golden.bits_stored}")
        return Radiograph.from_frame(pixels, Frame(bits_stored=golden.bits_stored))


def default_bundle_path() -> Path:
    """Where the bundle that ships with the package lies."""
    return Path(__file__).parents[1] / "models" / "default"


def open_bundle(path: str | os.PathLike[str] | None = None) -> Bundle:
    """The bundle in a directory, with manifest, listing, sizes and hashes verified.

    Args:
        path: its directory; None means the one that ships with the package.

    Raises:
        BundleError: missing, an archive, unreadable, incomplete, damaged, or of a newer schema.
    """
    directory = default_bundle_path() if path is None else Path(path)
    try:
        _check_is_directory(directory, is_default=path is None)
        return _verified(directory)
    except OSError as error:
        raise BundleError(f"cannot read the bundle at {directory}: {error.strerror}; check its permissions") from error


def _verified(directory: Path) -> Bundle:
    manifest_bytes = read_regular_file(directory / MANIFEST_NAME, MAX_MANIFEST_BYTES)
    manifest = read_manifest(manifest_bytes)
    check_listing(directory, manifest.files)
    for entry in manifest.files.values():
        verify_contents(directory, entry)
    return Bundle(directory.resolve(), manifest, hashlib.sha256(manifest_bytes).hexdigest())


def _check_is_directory(directory: Path, *, is_default: bool) -> None:
    if directory.is_dir():
        return
    if is_default:
        raise BundleError("this installation ships no default bundle: name one, or reinstall cxr-edge")
    if directory.exists():
        raise BundleError(
            f"{directory} is a file; a bundle is a directory with {MANIFEST_NAME}: unpack an archive first"
        )
    raise BundleError(f"there is no bundle at {directory}")
