"""Lanes that threads borrow: at most so many, made on demand, none given away once the pool failed or closed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from cxr_edge.errors import EngineError

__all__ = ["LanePool"]

Lane = TypeVar("Lane")


class LanePool(Generic[Lane]):
    """Things of which each serves one thread at a time.

    Args:
        make: makes a lane; called outside the lock, by the thread that needs it.
        limit: how many lanes there may be at once; who comes later waits.
    """

    def __init__(self, make: Callable[[], Lane], limit: int) -> None:
        self._make = make
        self._limit = limit
        self._idle: list[Lane] = []
        self._made = 0
        self._refusal: str | None = None
        self._changed = threading.Condition()

    @contextmanager
    def borrowed(self) -> Iterator[Lane]:
        """A lane for the block alone.

        Raises:
            EngineError: the pool was closed or has failed.
            Exception: whatever making a lane raises.
        """
        lane = self._take()
        try:
            yield lane
        finally:
            with self._changed:
                self._idle.append(lane)
                self._changed.notify_all()

    def refuse(self, reason: str) -> None:
        """Lend no lane any more; the first reason stays. Borrowed lanes come back in their own time."""
        with self._changed:
            self._refusal = self._refusal or reason
            self._changed.notify_all()

    def drain(self) -> list[Lane]:
        """Every lane, after those that are borrowed have come back. Call `refuse` first."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._idle) == self._made)
            lanes, self._idle, self._made = self._idle, [], 0
            return lanes

    def _take(self) -> Lane:
        with self._changed:
            self._changed.wait_for(lambda: self._refusal or self._idle or self._made < self._limit)
            if self._refusal is not None:
                raise EngineError(self._refusal)
            if self._idle:
                return self._idle.pop()
            self._made += 1
        try:
            return self._make()
        except BaseException:
            with self._changed:
                self._made -= 1
                self._changed.notify_all()
            raise
