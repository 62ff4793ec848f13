"""Messages between this process and the codec process: a fixed prefix, a small JSON head, raw bytes.

No pickle: a codec process that a hostile image has taken over can send nothing but numbers and text.
"""

from __future__ import annotations

import json
import struct
from typing import Any, BinaryIO

from cxr_edge.errors import CxrEdgeError

__all__ = ["WireError", "read_exactly", "read_head", "write_message"]

PREFIX = struct.Struct("<IQ")
"""Length of the JSON head and of the body, bytes."""

MAX_HEAD_BYTES = 16_384


class WireError(CxrEdgeError):
    """The other side is gone, or does not keep to the protocol."""


def write_message(stream: BinaryIO, head: dict[str, Any], body: bytes | memoryview = b"") -> None:
    """Sends one message; blocks until the other side has taken it."""
    text = json.dumps(head).encode()
    stream.write(PREFIX.pack(len(text), len(body)) + text)
    stream.write(body)
    stream.flush()


def read_head(stream: BinaryIO) -> tuple[dict[str, Any], int]:
    """The next message's head, and the length of the body that follows it, bytes.

    Raises:
        WireError: the stream ended, or what came is no message.
    """
    head_bytes, body_bytes = PREFIX.unpack(_read(stream, PREFIX.size))
    if head_bytes > MAX_HEAD_BYTES:
        raise WireError(f"a message head of {head_bytes} bytes")
    try:
        head = json.loads(_read(stream, head_bytes))
    except ValueError as error:
        raise WireError("a message head that is no JSON") from error
    if not isinstance(head, dict):
        raise WireError("a message head that is no JSON object")
    return head, body_bytes


def read_exactly(stream: BinaryIO, target: memoryview) -> None:
    """Fills `target` with the next bytes.

    Raises:
        WireError: the stream ended before.
    """
    filled = 0
    while filled < len(target):
        count = stream.readinto(target[filled:])  # type: ignore[attr-defined]  # BinaryIO lacks it, BufferedReader has it
        if not count:
            raise WireError("the stream ended")
        filled += count


def _read(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise WireError("the stream ended")
    return data
