"""Typed access to a parsed JSON object, with messages that name the place: ``manifest.json: golden.tolerance ...``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from cxr_edge.errors import BundleError

__all__ = ["Fields"]

MAX_TEXT = 1_000
"""Longest text of a single field, characters: messages and tables quote these."""


class Fields:
    """One JSON object whose keys are taken one by one; `finish` refuses what nobody asked for.

    An unknown key is refused, not ignored: it is a typing error, or a feature that changes what the bundle means.

    Args:
        value: the object.
        place: how messages name it, such as ``"manifest.json: golden"``.
    """

    def __init__(self, value: Any, place: str) -> None:
        if not isinstance(value, Mapping):
            raise BundleError(f"{place} must be an object, not {type(value).__name__}")
        self._left = dict(value)
        self._place = place

    def names(self) -> tuple[str, ...]:
        """The keys not taken yet."""
        return tuple(self._left)

    def take(self, key: str) -> Any:
        """The raw value of ``key``.

        Raises:
            BundleError: it is not there.
        """
        if key not in self._left:
            raise BundleError(f"{self._place} lacks {key!r}")
        return self._left.pop(key)

    def take_optional(self, key: str) -> Any | None:
        """The raw value of ``key``, None where it is absent or null."""
        return self._left.pop(key, None)

    def text(self, key: str, pattern: str = r".+") -> str:
        """A printable text of up to 1,000 characters that ``pattern`` matches in full."""
        return self._text(self.take(key), key, pattern)

    def optional_text(self, key: str, pattern: str = r".+") -> str | None:
        """Like `text`, None where the key is absent or null."""
        value = self.take_optional(key)
        return None if value is None else self._text(value, key, pattern)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of distinct texts, possibly empty."""
        value = self.take(key)
        if not isinstance(value, (list, tuple)):
            self._wrong(key, "a list", value)
        items = tuple(self._text(item, key, r".+") for item in value)
        if len(set(items)) < len(items):
            raise BundleError(f"{self._place}.{key} lists something twice: {', '.join(items)}")
        return items

    def number(self, key: str, low: float = -math.inf, high: float = math.inf) -> float:
        """A finite number in ``[low, high]``."""
        return self._number(self.take(key), key, low, high)

    def numbers(self, key: str) -> tuple[float, ...]:
        """A non-empty list of finite numbers."""
        return tuple(self._number(item, key, -math.inf, math.inf) for item in self.items(key))

    def items(self, key: str) -> tuple[Any, ...]:
        """A non-empty list of whatever kind."""
        value = self.take(key)
        if not isinstance(value, (list, tuple)) or not value:
            self._wrong(key, "a non-empty list", value)
        return tuple(value)

    def integer(self, key: str, low: int, high: int) -> int:
        """A whole number in ``[low, high]``."""
        value = self.take(key)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            self._wrong(key, f"a whole number from {low} to {high}", value)
        return int(value)

    def boolean(self, key: str) -> bool:
        """``true`` or ``false``."""
        value = self.take(key)
        if not isinstance(value, bool):
            self._wrong(key, "true or false", value)
        return bool(value)

    def mapping(self, key: str) -> Mapping[str, Any]:
        """A JSON object, as it stands."""
        value = self.take(key)
        if not isinstance(value, Mapping):
            self._wrong(key, "an object", value)
        return dict(value)

    def finish(self) -> None:
        """Check that every key was taken.

        Raises:
            BundleError: one was not, so this version does not know what it means.
        """
        if self._left:
            unknown = ", ".join(repr(key[:80]) for key in sorted(self._left))
            raise BundleError(f"{self._place} has what this version does not know: {unknown}")

    def _text(self, value: Any, key: str, pattern: str) -> str:
        if not isinstance(value, str) or len(value) > MAX_TEXT or not value.isprintable():
            self._wrong(key, f"printable text of at most {MAX_TEXT} characters", value)
        if not re.fullmatch(pattern, value):
            self._wrong(key, f"text like {pattern}", value)
        return str(value)

    def _number(self, value: Any, key: str, low: float, high: float) -> float:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            self._wrong(key, "a number", value)
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not (math.isfinite(number) and low <= number <= high):
            self._wrong(key, f"a finite number from {low} to {high}", value)
        return number

    def _wrong(self, key: str, wanted: str, value: Any) -> NoReturn:
        seen = repr(value)
        raise BundleError(f"{self._place}.{key} must be {wanted}; it is {seen[:80]}{'...' if len(seen) > 80 else ''}")
