"""Stopping long work: politely at the first Ctrl-C, at once at the second."""

from __future__ import annotations

import os
import signal

import pytest

from cxr_edge.cli.train import parsed_stages
from cxr_edge.cli.workstation import stop_request

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")


def test_the_first_interrupt_is_remembered_and_said(capfd: pytest.CaptureFixture[str]) -> None:
    with stop_request() as stop_requested:
        assert not stop_requested()
        signal.raise_signal(signal.SIGINT)
        assert stop_requested()
    assert "stopping at the next step; again to stop at once" in capfd.readouterr().err


def test_the_second_interrupt_stops_at_once() -> None:
    with stop_request():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_handlers_are_as_before_afterwards() -> None:
    before = signal.getsignal(signal.SIGINT)
    with stop_request():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_termination_ends_the_process_with_143_after_the_work() -> None:
    with pytest.raises(SystemExit) as ended, stop_request() as stop_requested:
        signal.raise_signal(signal.SIGTERM)
        assert stop_requested()
    assert ended.value.code == 143


def test_stages_are_read_as_their_documentation_shows() -> None:
    assert parsed_stages.__doc__ is not None and str(parsed_stages("160x20,224x10")) in parsed_stages.__doc__
