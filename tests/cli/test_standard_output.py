"""The process as a shell sees it when its standard output fails or it is interrupted while it starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAIN = "from cxr_edge.cli import main; main()"
FULL = Path("/dev/full")

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX pipes and exit codes")
needs_full_device = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")


def run(output: int | IO[bytes], *arguments: str | Path, program: str = MAIN) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, stdout=output, stderr=subprocess.PIPE, text=True, cwd=ROOT, timeout=60)


def run_without_reader(*arguments: str | Path, program: str = MAIN) -> subprocess.CompletedProcess[str]:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        return run(writing, *arguments, program=program)
    finally:
        os.close(writing)


TABLE = """
import cxr_edge.cli.application as application
from rich.table import Table
from rich.console import Console
def table(debug=False):
    rich_table = Table("a", "b")
    rich_table.add_row("1", "2")
    Console().print(rich_table)
application.app.command()(application.reported(table))
application.main()
"""


@needs_full_device
@pytest.mark.parametrize("arguments", [["info", "--json"], ["--help"], ["--version"], ["table"]])
def test_a_full_disk_behind_standard_output_is_9(tiny_bundle: Path, arguments: list[str]) -> None:
    bundle: list[str | Path] = ["--bundle", tiny_bundle] if arguments[0] == "info" else []
    with FULL.open("wb") as full:
        result = run(full, *arguments, *bundle, program=TABLE)
    assert result.returncode == 9
    assert result.stderr.strip() == "error: cannot write to standard output: No space left on device"


@pytest.mark.parametrize("arguments", [["info", "--json"], ["--help"], ["--version"], ["table"]])
def test_a_reader_that_went_away_is_141_and_quiet(tiny_bundle: Path, arguments: list[str]) -> None:
    bundle: list[str | Path] = ["--bundle", tiny_bundle] if arguments[0] == "info" else []
    result = run_without_reader(*arguments, *bundle, program=TABLE)
    assert (result.returncode, result.stderr) == (141, "")


def test_an_error_goes_before_a_broken_output(tmp_path: Path) -> None:
    result = run_without_reader("info", "--bundle", tmp_path / "nowhere")
    assert result.returncode == 6
    assert result.stderr.startswith("error: ")


def test_a_closed_standard_output_is_no_internal_error(tiny_bundle: Path) -> None:
    shell = f'"{sys.executable}" -c "{MAIN}" info --bundle "{tiny_bundle}" >&-'
    result = subprocess.run(["sh", "-c", shell], stderr=subprocess.PIPE, text=True, cwd=ROOT, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")


def test_an_interrupt_while_the_commands_load_is_130_without_a_traceback() -> None:
    interrupted = """
import signal
import cxr_edge.cli.application as application
application.import_module = lambda name: signal.raise_signal(signal.SIGINT)
application.main()
"""
    result = run(subprocess.PIPE, "info", program=interrupted)
    assert (result.returncode, result.stderr) == (130, "interrupted\n")
