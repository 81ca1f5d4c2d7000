"""Tables of ratios, and the bars that an issue sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bar:
    """A limit that an issue sets on a measured value."""

    name: str
    value: float
    limit: float
    at_least: bool

    @property
    def held(self) -> bool:
        """Whether the value is on the right side."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def line(self) -> str:
        """`BAR <name> <value> <limit> ok`, or `… short`."""
        return f"BAR {self.name} {self.value:.3f} {self.limit:g} {'ok' if self.held else 'short'}"


@dataclass(frozen=True, slots=True)
class Table:
    """What one benchmark found."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    bars: Sequence[Bar] = ()

    def text(self) -> str:
        """The table as Markdown, its bars below."""
        widths = [max(len(str(row[i])) for row in [self.head, *self.rows]) for i in range(len(self.head))]

        def line(row: Sequence[str]) -> str:
            return (
                "| "
                + " | ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True))
                + " |"
            )

        rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
        parts = [f"## {self.title}", "", line(self.head), rule, *map(line, self.rows), ""]
        return "\n".join([*parts, *(bar.line() for bar in self.bars)])
