"""Rows of all four tables by one statement, which is one consistent cut: an arm of a UNION for each. No I/O.

The arms have the same columns: the number of the table, texts, a place to sort by, numbers. So each row comes as plain
columns; to have the database build JSON of them takes twice as long, and as long again to parse it.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any, TypeAlias

import attrs

from wfadapters import rows
from wfadapters.columns import Table
from wfadapters.postgres.tables import read

Row: TypeAlias = Sequence[Any]
_TEXTS, _NUMBERS = 11, 9  # of the widest table
_PLACE = 1 + _TEXTS


def arm(schema: str, table: Table, condition: str, place: str = "0") -> str:
    """The arm of a table: the rows for which a condition holds; ``place``: by what events are sorted."""
    texts, numbers = _sorted(table)
    shown = [str(rows.TABLES.index(table)), *(read("t", column) for column in texts)]
    shown += ["NULL::text"] * (_TEXTS - len(texts)) + [place, *(read("t", column) for column in numbers)]
    shown += ["NULL::bigint"] * (_NUMBERS - len(numbers))
    return f"SELECT {', '.join(shown)} FROM {schema}.{table.name} t WHERE {condition}"


def lone(place: str) -> str:
    """An arm of one row that holds no more than its place."""
    shown = [str(len(rows.TABLES)), *["NULL::text"] * _TEXTS, place, *["NULL::bigint"] * _NUMBERS]
    return f"SELECT {', '.join(shown)}"


def _sorted(table: Table) -> tuple[list[str], list[str]]:
    texts = [column for column, kind in table.columns.items() if kind.startswith("text")]
    return texts, [column for column in table.columns if column not in texts]


def _order(table: Table) -> itemgetter[Any]:
    texts, numbers = _sorted(table)
    places = {column: 1 + index for index, column in enumerate(texts)}
    places |= {column: _PLACE + 1 + index for index, column in enumerate(numbers)}
    return itemgetter(*(places[column] for column in table.columns))


_ORDERS = tuple(map(_order, rows.TABLES))


@attrs.frozen
class Cut:
    """What the arms gave, as ``wfadapters.rows`` reads it.

    Attributes:
        instances, steps, events, hooks: the rows; events by their places.
        place: that of the lone arm, if there was one.
    """

    instances: list[Row]
    steps: list[Row]
    events: list[Row]
    hooks: list[Row]
    place: Any

    @classmethod
    def of(cls, found: Sequence[Row]) -> Cut:
        """Sort out the rows of a statement."""
        parts: tuple[list[Row], ...] = ([], [], [], [], [])
        for row in found:
            parts[row[0]].append(row)
        *tables, lone = parts
        tables[2].sort(key=itemgetter(_PLACE))
        instances, steps, events, hooks = (list(map(*each)) for each in zip(_ORDERS, tables, strict=True))
        return cls(instances, steps, events, hooks, lone[0][_PLACE] if lone else None)
