"""JSON without the parts on which parsers disagree: what one program checked, every program reads the same way."""

from __future__ import annotations

import json
import math
from typing import Any

from cxr_edge.errors import BundleError

__all__ = ["parse_strict"]


def parse_strict(data: bytes, name: str) -> dict[str, Any]:
    """The JSON object that ``data`` spells.

    Args:
        data: UTF-8 text without a byte-order mark.
        name: what messages call the file.

    Raises:
        BundleError: not UTF-8, not JSON, not an object, nested too deep, a key given twice in one object, a number
            that is not finite, or half of a surrogate pair.
    """
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique_keys,
            parse_float=_finite,
            parse_constant=_finite,
        )
        if b"\\ud" in data.lower():
            # An escaped half of a surrogate pair is text that nothing can print or encode.
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeDecodeError as error:
        raise BundleError(f"{name} is not UTF-8 text (byte {error.start})") from error
    except RecursionError as error:
        raise BundleError(f"{name} is nested too deep") from error
    except ValueError as error:
        raise BundleError(f"{name} is not strict JSON: {error}") from error
    if not isinstance(value, dict):
        raise BundleError(f"{name} must hold a JSON object, not {type(value).__name__}")
    return value


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"key {repeated[:80]!r} is given twice")
    return value


def _finite(text: str) -> float:
    """The number, where JSON has one: NaN and Infinity are no JSON, and 1e999 would silently become infinite."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:80]} is not a finite number")
    return value
