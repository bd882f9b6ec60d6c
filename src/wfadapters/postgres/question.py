"""A statement, and how its answer is read. Data only, no I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import attrs

T_co = TypeVar("T_co", covariant=True)


@attrs.frozen
class Question(Generic[T_co]):
    """One statement.

    Attributes:
        sql: its text.
        parameters: its parameters, by name.
        read: makes the answer of all rows that it gives.
        prepare: ``False``: PostgreSQL plans it for its parameters each time; ``None``: if often asked, once for all.
    """

    sql: bytes
    parameters: Mapping[str, Any]
    read: Callable[[Sequence[Sequence[Any]]], T_co]
    prepare: bool | None = None
