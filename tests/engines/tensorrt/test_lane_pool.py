from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from cxr_edge.engines.tensorrt.lane_pool import LanePool
from cxr_edge.errors import EngineError, ResourceLimitError


def test_a_lane_serves_one_thread_at_a_time_and_there_are_no_more_than_the_limit() -> None:
    numbers = itertools.count()
    pool = LanePool(lambda: next(numbers), 3)
    in_use: set[int] = set()
    seen: set[int] = set()
    lock = threading.Lock()

    def work(_: int) -> None:
        with pool.borrowed() as lane:
            with lock:
                assert lane not in in_use
                in_use.add(lane)
                seen.add(lane)
            threading.Event().wait(0.001)
            with lock:
                in_use.remove(lane)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(100)))
    assert seen <= {0, 1, 2}
    assert sorted(pool.drain()) == sorted(seen)


def test_a_refused_pool_lends_nothing_and_wakes_those_who_wait() -> None:
    pool = LanePool(lambda: "lane", 1)
    outcomes: list[str] = []

    def wait() -> None:
        try:
            with pool.borrowed():
                outcomes.append("lent")
        except EngineError as error:
            outcomes.append(str(error))

    with pool.borrowed():
        waiting = threading.Thread(target=wait)
        waiting.start()
        pool.refuse("the GPU has failed")
        pool.refuse("closed")
        waiting.join(10)
    assert outcomes == ["the GPU has failed"]


def test_draining_waits_for_borrowed_lanes() -> None:
    pool = LanePool(lambda: "lane", 1)
    entered, leave = threading.Event(), threading.Event()

    def borrow() -> None:
        with pool.borrowed():
            entered.set()
            leave.wait(10)

    borrower = threading.Thread(target=borrow)
    borrower.start()
    entered.wait(10)
    pool.refuse("closed")
    with ThreadPoolExecutor(1) as threads:
        drained = threads.submit(pool.drain)
        assert not drained.done()
        leave.set()
        assert drained.result(10) == ["lane"]
    borrower.join(10)


def test_a_lane_that_could_not_be_made_leaves_its_place_free() -> None:
    attempts = iter([ResourceLimitError("no memory"), None])

    def make() -> str:
        failure = next(attempts)
        if failure is not None:
            raise failure
        return "lane"

    pool = LanePool(make, 1)
    with pytest.raises(ResourceLimitError), pool.borrowed():
        pass
    with pool.borrowed() as lane:
        assert lane == "lane"
