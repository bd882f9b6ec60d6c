"""Text in columns, for traces and counterexamples. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows under headings, in columns as wide as they need; without a newline at the end."""
    cells = [list(headings), *([str(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    rule = ["-" * width for width in widths]
    lines = (zip(line, widths, strict=True) for line in [cells[0], rule, *cells[1:]])
    return "\n".join("  ".join(cell.ljust(width) for cell, width in line).rstrip() for line in lines)
