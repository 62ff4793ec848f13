"""The Typer application, its entry point, and how errors become exit codes."""

from __future__ import annotations

import functools
import signal
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from types import FrameType
from typing import Annotated, Any, NoReturn, ParamSpec

import typer

import cxr_edge
from cxr_edge.cli.standard_output import ReaderGoneError, StandardOutput, flush_standard_output
from cxr_edge.errors import CxrEdgeError

__all__ = ["app", "main", "reported"]

RESEARCH_USE = "Research use only: not a medical device, not for diagnosis or treatment decisions."

app = typer.Typer(
    name="cxr-edge",
    help="Calibrated normal/abnormal classification of chest X-rays, offline, in milliseconds.\n\n" + RESEARCH_USE,
    epilog=RESEARCH_USE,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

COMMANDS = (
    "classify",
    "evaluate",
    "parity",
    "bench",
    "tune",
    "info",
    "self_test",
    "demo",
    "index",
    "train",
    "reproduce",
    "export",
    "fit_site",
    "build",
)
"""Modules of this package, one command each, in the order that ``--help`` lists them."""

P = ParamSpec("P")


def main() -> None:
    """Run ``cxr-edge`` on this process's arguments and exit with the code of docs/architecture.md."""
    signal.signal(signal.SIGTERM, terminated)
    StandardOutput.install()
    sys.exit(guarded(application, debug="--debug" in sys.argv))


def application() -> None:
    """Load every command and run the one that the arguments name; ends with SystemExit."""
    for module in COMMANDS:
        import_module(f"cxr_edge.cli.{module}")
    app()


def show_version(wanted: bool) -> None:
    """Print the version and end, when that was asked for."""
    if wanted:
        print(f"cxr-edge {cxr_edge.__version__}")
        raise typer.Exit


@app.callback()
def common_options(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options that stand before a command."""


def reported(command: Callable[P, int | None]) -> Callable[P, None]:
    """The command with its errors printed as one line and turned into exit codes; its return value is one, too.

    A command that takes ``debug`` prints the traceback above that line when it is set.
    """

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        raise typer.Exit(guarded(lambda: command(*args, **kwargs), debug=bool(kwargs.get("debug"))))

    return run


def guarded(call: Callable[[], int | None], *, debug: bool) -> int:
    """The exit code of a call: what it returns, or that of its error, which is printed; output is flushed."""
    try:
        try:
            return call() or 0
        finally:
            flush_standard_output()
    except CxrEdgeError as error:
        return failed(f"error: {error}", error.exit_code, debug=debug)
    except KeyboardInterrupt:
        return failed("interrupted", 130, debug=False)
    except ReaderGoneError:
        return 141
    except Exception as error:
        line = f"internal error: {type(error).__name__}; please report it with the output of --debug"
        return failed(line, CxrEdgeError.exit_code, debug=debug)


def failed(line: str, code: int, *, debug: bool) -> int:
    """The exit code, after printing the line; in debug mode below the traceback of the error in hand."""
    if debug:
        traceback.print_exc()
    print(line, file=sys.stderr)
    return code


def terminated(number: int, frame: FrameType | None) -> NoReturn:
    """End cleanly on SIGTERM: the exception unwinds open files and child processes; exit code 143."""
    raise SystemExit(128 + number)


def describe(**columns: Any) -> str:
    """``name value`` pairs as aligned lines, for commands that print one record."""
    width = max(len(name) for name in columns)
    return "\n".join(f"{name.replace('_', ' '):<{width}}  {value}" for name, value in columns.items())
