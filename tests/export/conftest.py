from __future__ import annotations

from collections.abc import Iterator

import pytest
from tiny_run import TinyRun, finished_run, one_thread


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    """A finished cross-validation with release fold 0; read-only by agreement."""
    return finished_run(tmp_path_factory.getbasetemp())
