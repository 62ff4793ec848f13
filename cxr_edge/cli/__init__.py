"""The command line: parse, call one API function, print. No logic lives here."""

from cxr_edge.cli.application import main

__all__ = ["main"]
