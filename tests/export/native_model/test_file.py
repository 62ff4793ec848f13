"""model.native: what is written is read back, and everything else is refused by both readers."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from random_native import Shape, random_network, random_shape

from cxr_edge.errors import BundleError, UsageError
from export.native_model import Affine, NativeNetwork, read_native, write_native
from export.native_model.layout import HEADER, OPERATION, pack_panels, unpack_panels

FIXTURES = Path(__file__).parents[2] / "fixtures" / "native"


@pytest.fixture(scope="module")
def network() -> NativeNetwork:
    return random_network(np.random.default_rng(3), Shape())


@pytest.fixture(scope="module")
def model(network: NativeNetwork) -> bytes:
    return write_native(network)


def load_natively(data: bytes) -> None:
    native = pytest.importorskip("cxr_edge._native", reason="installed without the native extension")
    native.Engine(data, 1, "scalar")


@pytest.mark.parametrize("seed", range(5))
def test_a_network_comes_back_as_it_was_written(seed: int) -> None:
    rng = np.random.default_rng(seed)
    written = write_native(random_network(rng, random_shape(rng)))
    assert write_native(read_native(written)) == written


def test_sections_are_aligned_to_cache_lines_and_fill_the_file(model: bytes) -> None:
    count, size = struct.unpack_from("<IQ", model, 12)
    offsets = []
    for k in range(count):
        offsets += [o for o in OPERATION.unpack_from(model, HEADER.size + k * OPERATION.size)[4:] if o]
    assert size == len(model)
    assert len(model) % 64 == 0
    assert all(offset % 64 == 0 for offset in offsets)
    assert offsets == sorted(offsets)


def test_the_first_panel_holds_sixteen_filters_by_groups_of_four_products() -> None:
    weights = np.arange(32 * 8, dtype=np.int16).astype(np.int8).reshape(32, 8)
    panels = pack_panels(weights)
    assert panels.shape == (2, 2, 16, 4)
    assert np.array_equal(panels[1, 1, 3], weights[19, 4:8])
    assert np.array_equal(unpack_panels(panels, 32), weights)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda m: b"",
    "half a header": lambda m: m[:32],
    "header alone": lambda m: m[:64],
    "table cut off": lambda m: m[: HEADER.size + OPERATION.size],
    "one byte short": lambda m: m[:-1],
    "one cache line short, size adjusted": lambda m: _patched(m[:-64], 16, struct.pack("<Q", len(m) - 64)),
    "one cache line long, size adjusted": lambda m: _patched(m + bytes(64), 16, struct.pack("<Q", len(m) + 64)),
    "other magic": lambda m: b"GGUF" + m[4:],
    "next version": lambda m: _patched(m, 8, struct.pack("<I", 2)),
    "no operations": lambda m: _patched(m, 12, struct.pack("<I", 0)),
    "2^32 - 1 operations": lambda m: _patched(m, 12, b"\xff\xff\xff\xff"),
    "size of 2^64 - 1": lambda m: _patched(m, 16, b"\xff" * 8),
    "height 0": lambda m: _patched(m, 24, struct.pack("<I", 0)),
    "height that strides do not divide": lambda m: _patched(m, 24, struct.pack("<I", 36)),
    "two outputs": lambda m: _patched(m, 32, struct.pack("<I", 2)),
    "code of 0.0 above 255": lambda m: _patched(m, 36, struct.pack("<I", 256)),
    "input scale NaN": lambda m: _patched(m, 40, struct.pack("<f", float("nan"))),
    "input scale 0": lambda m: _patched(m, 40, struct.pack("<f", 0.0)),
    "unknown kind": lambda m: _patched(m, 64, struct.pack("<I", 9)),
    "stem with a prologue": lambda m: _patched(m, 68, struct.pack("<I", 1)),
    "bottleneck without a prologue": lambda m: _patched(m, 128 + 4, struct.pack("<I", 0)),
    "other input channels": lambda m: _patched(m, 128 + 8, struct.pack("<I", 48)),
    "output channels 2^31": lambda m: _patched(m, 128 + 12, struct.pack("<I", 1 << 31)),
    "output channels no multiple of 16": lambda m: _patched(m, 128 + 12, struct.pack("<I", 24)),
    "weights at a misaligned offset": lambda m: _shifted(m, 128 + 24, 1),
    "weights beyond the file": lambda m: _patched(m, 128 + 24, struct.pack("<Q", 1 << 40)),
    "weights at 2^64 - 64": lambda m: _patched(m, 128 + 24, struct.pack("<q", -64)),
    "two growths in a row": lambda m: _patched(m, 128, m[192:256]),
}


def _patched(model: bytes, at: int, value: bytes) -> bytes:
    return model[:at] + value + model[at + len(value) :]


def _shifted(model: bytes, at: int, by: int) -> bytes:
    return _patched(model, at, struct.pack("<Q", struct.unpack_from("<Q", model, at)[0] + by))


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_file_is_refused_by_both_readers(model: bytes, case: str) -> None:
    damaged = DAMAGE[case](model)
    with pytest.raises(BundleError, match=r"model\.native"):
        read_native(damaged)
    with pytest.raises(ValueError, match=r"."):
        load_natively(damaged)


def test_a_newer_version_is_named(model: bytes) -> None:
    with pytest.raises(ValueError, match="version 2; this library reads version 1"):
        load_natively(_patched(model, 8, struct.pack("<I", 2)))


def values(network: NativeNetwork) -> dict[str, NativeNetwork]:
    """Networks whose numbers could carry an accumulator out of its bits; ``check`` is not asked."""
    layer = network.blocks[0][0]
    wide = Affine(np.full(32, 128, np.int16), np.full(32, 200, np.int16))
    heavy_head = replace(network.head, weights=np.full_like(network.head.weights, 32767))
    steep = replace(network.stem, multiplier=np.full_like(network.stem.multiplier, 0.75))
    unknown = replace(network.stem, multiplier=np.full_like(network.stem.multiplier, np.nan))
    biased = replace(network.stem, bias=np.full_like(network.stem.bias, -(2**31)))
    return {
        "prologue beyond 16 bits": replace(
            network, blocks=((replace(layer, prologue=wide), *network.blocks[0][1:]), *network.blocks[1:])
        ),
        "head beyond 32 bits": replace(network, head=heavy_head),
        "multiplier above a half": replace(network, stem=steep),
        "multiplier NaN": replace(network, stem=unknown),
        "bias of -2^31": replace(network, stem=biased),
    }


@pytest.mark.parametrize("case", values(random_network(np.random.default_rng(3), Shape())))
def test_numbers_that_could_overflow_are_refused_by_writer_and_readers(
    network: NativeNetwork, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    bad = values(network)[case]
    with pytest.raises(UsageError):
        write_native(bad)
    with monkeypatch.context() as patch:
        patch.setattr(NativeNetwork, "check", lambda self: None)
        written = write_native(bad)
    with pytest.raises(BundleError):
        read_native(written)
    with pytest.raises(ValueError, match=r"operation \d+"):
        load_natively(written)


def test_a_flipped_byte_of_header_or_table_never_crashes(model: bytes) -> None:
    rng = np.random.default_rng(0)
    table_end = HEADER.size + struct.unpack_from("<I", model, 12)[0] * OPERATION.size
    refused = 0
    for at in range(table_end):
        damaged = bytearray(model)
        damaged[at] ^= int(rng.integers(1, 256))
        try:
            load_natively(bytes(damaged))
        except ValueError:
            refused += 1
    assert refused > 0.5 * table_end  # reserved bytes and the input's scale and zero may be anything


def test_version_1_stays_readable() -> None:
    data = (FIXTURES / "version1.native").read_bytes()
    assert write_native(read_native(data)) == data
