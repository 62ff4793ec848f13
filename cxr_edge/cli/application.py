"""The Typer application, its entry point, and how errors become exit codes."""

from __future__ import annotations

import functools
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from types import FrameType
from typing import Any, NoReturn, ParamSpec

import typer

from cxr_edge.errors import CxrEdgeError

__all__ = ["app", "main", "reported"]

RESEARCH_USE = "Research use only: not a medical device, not for diagnosis or treatment decisions."

app = typer.Typer(
    name="cxr-edge",
    help="Calibrated normal/abnormal classification of chest X-rays, offline, in milliseconds.\n\n" + RESEARCH_USE,
    epilog=RESEARCH_USE,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

COMMANDS = ("classify", "evaluate", "info", "self_test", "demo", "index", "train", "export")
"""Modules of this package, one command each, in the order that ``--help`` lists them."""

P = ParamSpec("P")


def main() -> None:
    """Run ``cxr-edge`` on this process's arguments and exit with the code of docs/architecture.md."""
    signal.signal(signal.SIGTERM, terminated)
    for module in COMMANDS:
        import_module(f"cxr_edge.cli.{module}")
    app()


def reported(command: Callable[P, int | None]) -> Callable[P, None]:
    """The command with its errors printed as one line and turned into exit codes; its return value is one, too.

    A command that takes ``debug`` shows the traceback instead of the one line when it is set.
    """

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            code = command(*args, **kwargs) or 0
        except CxrEdgeError as error:
            code = failed(error, f"error: {error}", error.exit_code, debug=bool(kwargs.get("debug")))
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            code = 130
        except BrokenPipeError:
            # The reader of our output went away (`cxr-edge classify ... | head`); nothing is wrong here.
            sys.stderr.close()
            code = 141
        except Exception as error:
            line = f"internal error: {type(error).__name__}; please report it with the output of --debug"
            code = failed(error, line, CxrEdgeError.exit_code, debug=bool(kwargs.get("debug")))
        raise typer.Exit(code)

    return run


def failed(error: Exception, line: str, code: int, *, debug: bool) -> int:
    """The exit code, after printing the line; in debug mode the error goes on to show its traceback."""
    if debug:
        raise error
    print(line, file=sys.stderr)
    return code


def terminated(number: int, frame: FrameType | None) -> NoReturn:
    """End cleanly on SIGTERM: the exception unwinds open files and child processes; exit code 143."""
    raise SystemExit(128 + number)


def describe(**columns: Any) -> str:
    """``name value`` pairs as aligned lines, for commands that print one record."""
    width = max(len(name) for name in columns)
    return "\n".join(f"{name.replace('_', ' '):<{width}}  {value}" for name, value in columns.items())
