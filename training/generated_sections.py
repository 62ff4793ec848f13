"""The sections of a committed page that are made from a record; what stands between them is written by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cxr_edge.errors import UsageError

__all__ = ["markdown_table", "page_with_sections", "with_sections"]


def page_with_sections(page: Path, sections: Mapping[str, str]) -> str:
    """A committed page as it will be: every generated section made anew, the file itself unchanged.

    Args:
        page: Markdown file of the checkout.
        sections: Markdown of each section, by its name.

    Raises:
        UsageError: the page cannot be read, or lacks a marker.
    """
    try:
        before = page.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot read {page}: {error.strerror}; run this in the checkout") from error
    return with_sections(before, sections)


def with_sections(document: str, sections: Mapping[str, str]) -> str:
    """The document with every generated section made anew.

    A section ``NAME`` stands between the lines ``<!-- begin generated: NAME -->`` and ``<!-- end generated: NAME -->``.

    Args:
        document: Markdown.
        sections: Markdown of each section, by its name.

    Raises:
        UsageError: a marker is missing or stands twice.
    """
    for name, text in sections.items():
        begin, end = f"<!-- begin generated: {name} -->", f"<!-- end generated: {name} -->"
        if document.count(begin) != 1 or document.count(end) != 1 or document.index(begin) > document.index(end):
            raise UsageError(f"the document needs the markers {begin} and {end} once each, in this order")
        before, after = document[: document.index(begin)], document[document.index(end) :]
        document = f"{before}{begin}\n{text}\n{after}"
    return document


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
