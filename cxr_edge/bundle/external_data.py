"""Does an ONNX model keep weights in other files? Found without a runtime, so that none is asked to open them.

An ONNX file is one protobuf message; a tensor in it may name any path of the file system as the place of its numbers
(``TensorProto.external_data``, onnx.proto3). Such numbers escape the hash of the model file. The check walks the
wire format (protobuf.dev/programming-guides/encoding) along the fields that lead to tensors and skips all others.
"""

from __future__ import annotations

from collections.abc import Iterator

from cxr_edge.errors import BundleError

__all__ = ["refuse_external_data"]

# Field number -> message type, for every field of onnx.proto3 (IR versions up to 13) below which a tensor can lie.
CHILDREN = {
    "Model": {7: "Graph", 20: "TrainingInfo", 25: "Function"},
    "TrainingInfo": {1: "Graph", 2: "Graph"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "Function": {7: "Node", 11: "Attribute"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "SparseTensor", 23: "SparseTensor"},
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
    "Tensor": {},
}
EXTERNAL_DATA, DATA_LOCATION = 13, 14
VARINT, FIXED64, DELIMITED, FIXED32 = 0, 1, 2, 5


def refuse_external_data(model: bytes, name: str) -> None:
    """Check that every number of an ONNX model lies in the file itself.

    Args:
        model: the file's contents.
        name: what messages call the file.

    Raises:
        BundleError: a tensor refers to another file, or the bytes are no protobuf message.
    """
    pending = [("Model", memoryview(model))]
    while pending:
        kind, message = pending.pop()
        for number, value in _fields(message, name):
            if kind == "Tensor" and (number == EXTERNAL_DATA or (number == DATA_LOCATION and value != 0)):
                raise BundleError(f"{name} keeps weights in another file (ONNX external data): export it as one file")
            child = CHILDREN[kind].get(number)
            if child is not None and isinstance(value, memoryview):
                pending.append((child, value))


def _fields(message: memoryview, name: str) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field; the value of a fixed-width field is its bytes."""
    position, end = 0, len(message)
    while position < end:
        key, position = _varint(message, position, name)
        wire_type = key & 7
        if wire_type == VARINT:
            value, position = _varint(message, position, name)
            yield key >> 3, value
            continue
        if wire_type == DELIMITED:
            size, position = _varint(message, position, name)
        elif wire_type in (FIXED32, FIXED64):
            size = 4 if wire_type == FIXED32 else 8
        else:
            raise BundleError(f"{name} is no ONNX model: wire type {wire_type} does not occur in one")
        if size > end - position:
            raise BundleError(f"{name} is no ONNX model, or it is truncated")
        yield key >> 3, message[position : position + size]
        position += size


def _varint(message: memoryview, position: int, name: str) -> tuple[int, int]:
    """A base-128 number and the position behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            break
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise BundleError(f"{name} is no ONNX model, or it is truncated")
