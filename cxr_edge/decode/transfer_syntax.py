"""How pixel data can be encoded in a DICOM file: a table UID -> reader, and messages for what is not in it.

Which decoder reads what is fixed here. Decoders that happen to be installed (gdcm, pylibjpeg ...) are never used: a
probability must not depend on what else is on the machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cxr_edge.errors import UnsupportedInputError

if TYPE_CHECKING:  # the codecs take time to import, which uncompressed files need not wait for
    from cxr_edge.decode.codecs import CodecName

__all__ = ["TransferSyntax", "transfer_syntax"]


@dataclass(frozen=True, slots=True)
class TransferSyntax:
    """How to read a data set. `codec` is None for native (uncompressed) pixel data."""

    uid: str
    implicit_vr: bool = False
    little_endian: bool = True
    deflated: bool = False
    codec: CodecName | None = None


READABLE = {
    syntax.uid: syntax
    for syntax in (
        TransferSyntax("1.2.840.10008.1.2", implicit_vr=True),
        TransferSyntax("1.2.840.10008.1.2.1"),
        TransferSyntax("1.2.840.10008.1.2.1.99", deflated=True),
        TransferSyntax("1.2.840.10008.1.2.2", little_endian=False),
        TransferSyntax("1.2.840.10008.1.2.4.50", codec="dicom jpeg"),
        TransferSyntax("1.2.840.10008.1.2.4.90", codec="dicom jpeg 2000"),
        TransferSyntax("1.2.840.10008.1.2.4.91", codec="dicom jpeg 2000"),
        TransferSyntax("1.2.840.10008.1.2.5", codec="dicom rle"),
    )
}


def transfer_syntax(uid: str) -> TransferSyntax:
    """How to read a data set of this transfer syntax.

    Raises:
        UnsupportedInputError: one that is not read; the message names the UID and a way to convert the file.
    """
    syntax = READABLE.get(uid)
    if syntax is None:
        from pydicom.uid import UID  # takes 0.2 s, which only this message is worth

        name = UID(uid).name  # the dictionary's name, or the UID again where it has none
        label = uid if name == uid else f"{uid} ({name})"
        raise UnsupportedInputError(
            f"DICOM transfer syntax {label} is not supported; rewrite the file as Explicit VR Little Endian, "
            "for example with gdcmconv --raw or dcmdjpeg/dcmdjpls of DCMTK"
        )
    return syntax
