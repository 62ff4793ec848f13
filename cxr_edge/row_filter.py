"""Filter expressions of ``--where``: ``column=value`` and ``column!=value``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cxr_edge.errors import UsageError

__all__ = ["RowFilter"]

LISTED_VALUES = 20
IDENTIFYING_COLUMNS = ("patient_id",)
"""Columns whose values an error message counts and never lists."""


@dataclass(frozen=True, slots=True)
class RowFilter:
    """One condition on a column.

    Attributes:
        column: a column of the label file.
        value: text that the cell is compared with.
        equal: true for ``=``, false for ``!=``.
    """

    column: str
    value: str
    equal: bool

    @classmethod
    def parse(cls, expression: str, columns: Sequence[str]) -> RowFilter:
        """The condition that an expression such as ``fold=0`` or ``split!=val`` states.

        Args:
            expression: blanks around column and value do not count; ``mask=`` asks for empty cells.
            columns: that exist.

        Raises:
            UsageError: no ``=`` in it, or no such column.
        """
        left, sign, value = expression.partition("=")
        if not sign:
            raise UsageError(f"filter {expression!r} is not column=value or column!=value")
        column = left.removesuffix("!").strip()
        if column not in columns:
            raise UsageError(f"filter {expression!r}: no column {column!r}; there are: {', '.join(columns)}")
        return cls(column, value.strip(), equal=not left.endswith("!"))

    def matches(self, cells: Mapping[str, str]) -> bool:
        """True when the row with these cells meets the condition."""
        return (cells[self.column] == self.value) == self.equal

    def values_seen(self, rows: Sequence[Mapping[str, str]]) -> str:
        """The values of the column in these rows, in words for an error message; patient ids are only counted."""
        values = sorted({cells[self.column] for cells in rows})
        if self.column in IDENTIFYING_COLUMNS or len(values) > LISTED_VALUES:
            return f"{len(values)} different values"
        return ", ".join(value or "(empty)" for value in values)

    def __str__(self) -> str:
        return f"{self.column}{'=' if self.equal else '!='}{self.value}"
