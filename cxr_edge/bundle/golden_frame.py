"""Reading the self-test's stored frame: a ``.npy`` file of one exact form, so that no part of it is trusted."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_edge.errors import BundleError

__all__ = ["read_frame"]

# Format version 1.0 of NEP 1, with the two pixel types that a stored frame can have. numpy's own reader evaluates the
# header as Python source, which lets a crafted one raise nearly anything; it also allocates what the header promises.
PREFIX = re.compile(
    rb"\x93NUMPY\x01\x00(?P<size>..)"
    rb"(?P<header>\{'descr': '(?P<dtype>\|u1|<u2)', 'fortran_order': False, "
    rb"'shape': \((?P<height>[1-9]\d{0,4}), (?P<width>[1-9]\d{0,4})\), \} *\n)",
    re.DOTALL,
)


def read_frame(data: bytes, name: str) -> NDArray[Any]:
    """One grey frame ``[H, W]``, uint8 or little-endian uint16, read-only.

    Args:
        data: a ``.npy`` file as `numpy.save` writes it for such an array in C order.
        name: what messages call the file.

    Raises:
        BundleError: anything else; above all pickled objects, and a header that promises more than the file holds.
    """
    prefix = PREFIX.match(data)
    if prefix is None or int.from_bytes(prefix["size"], "little") != len(prefix["header"]):
        raise BundleError(f"{name} is no .npy file with one uint8 or uint16 frame [H, W] in C order")
    dtype = np.dtype(prefix["dtype"].decode())
    shape = int(prefix["height"]), int(prefix["width"])
    if shape[0] * shape[1] * dtype.itemsize != len(data) - prefix.end():
        raise BundleError(f"{name} has {len(data) - prefix.end()} bytes of pixels, which do not fill its shape {shape}")
    return np.frombuffer(data, dtype, offset=prefix.end()).reshape(shape)
