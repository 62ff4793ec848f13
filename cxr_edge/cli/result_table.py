"""Results as a table for people; programs read ``--json``."""

from __future__ import annotations

import os

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cxr_edge.result import Result

__all__ = ["ResultTable"]

PIPED_WIDTH = 140
"""Columns to use where there is no terminal to ask."""

STYLES = {"ok": "", "refused": "yellow", "error": "red"}


class ResultTable:
    """Collects results and prints them as one table with what decided below it."""

    def __init__(self) -> None:
        self.results: list[Result] = []

    def add(self, result: Result) -> None:
        """Take one result; nothing of its pixels is kept."""
        self.results.append(result.without_evidence())

    def print(self) -> None:
        """Print the table to standard output."""
        console = Console()
        if not console.is_terminal:
            console.width = max(console.width, PIPED_WIDTH)
        table = Table(box=None, pad_edge=False)
        table.add_column("image", overflow="fold", max_width=console.width * 2 // 5)
        table.add_column("probability", justify="right", no_wrap=True)
        table.add_column("decision", no_wrap=True)
        table.add_column("ms", justify="right", no_wrap=True)
        table.add_column("remarks", overflow="fold")
        folder = common_folder(self.results)
        for result in self.results:
            table.add_row(*(Text(cell, style=STYLES[result.status]) for cell in row(result, folder)))
        if folder:
            console.print(Text(f"in {printable(folder)}", style="dim"))
        console.print(table)
        if self.results:
            console.print(Text(summary(self.results[0]), style="dim"))


def common_folder(results: list[Result]) -> str:
    """The folder that every input lies in, to be named once; empty when there are fewer than two or they share none."""
    paths = [os.path.abspath(result.path) for result in results if result.path]  # noqa: PTH100 - keeps symbolic links
    try:
        return os.path.commonpath(paths) if len(paths) > 1 else ""
    except ValueError:
        return ""


def row(result: Result, folder: str) -> tuple[str, str, str, str, str]:
    """The five cells of one result; its path is shown from the folder on."""
    probability = "" if result.probability is None else f"{result.probability:.3f}"
    total = "" if result.timings.total is None else f"{result.timings.total:.1f}"
    name = os.path.relpath(result.path, folder) if folder and result.path else result.path or "-"
    return printable(name), probability, result.label or result.status, total, remarks(result)


def remarks(result: Result) -> str:
    """Why there is no decision, or what to know about it."""
    if result.failure:
        return result.failure.message
    reasons = [str(reason) for reason in result.gate.reasons] if result.gate else []
    return "; ".join([*reasons, *result.warnings])


def summary(result: Result) -> str:
    """What decided, in one line."""
    engine = result.engine
    released = "" if result.released else ", NOT RELEASED"
    return (
        f"{result.bundle.name} {result.bundle.version}{released}; {engine.name} {engine.precision} on {engine.device}; "
        f"operating point {result.operating_point}; research use only"
    )


def printable(text: str) -> str:
    """A file name with bytes that are not UTF-8 shown as escapes instead of failing to print."""
    return text.encode("utf-8", "backslashreplace").decode()
