"""Numbers for values that stand in many states: each value is kept once, and compared once. No I/O."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from wfcore.evolve import NOTHING, Rows
from wfcore.keys import is_terminal_notice
from wfcore.model import Snapshot
from wfcore.planner.steps.decision import deadline, is_waiting, later

V = TypeVar("V", bound=Hashable)
MOMENT = timedelta(microseconds=1)
"""The shortest time."""


class Numbers(Generic[V]):
    """Hashable values, by number; the first is 0."""

    def __init__(self, *values: V) -> None:
        self._numbers: dict[V, int] = {}
        self.values: list[V] = []
        for value in values:
            self.of(value)

    def of(self, value: V) -> int:
        """The number of a value."""
        number = self._numbers.get(value)
        if number is None:
            number = self._numbers[value] = len(self.values)
            self.values.append(value)
        return number

    def __getitem__(self, number: int) -> V:
        return self.values[number]


class RowsTable:
    """The rows of single instances, by number, with what is asked of them again and again."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        self._by_identity: dict[int, int] = {}
        self._contents: dict[int, tuple[object, Hashable]] = {}
        self._values: list[tuple[str, Rows]] = []
        self._hooks: list[tuple[tuple[datetime, str, int | None, str], ...]] = []
        self._deadlines: list[tuple[datetime, ...]] = []
        self._too_late: list[tuple[datetime, ...]] = []

    def of(self, ref: str, rows: Rows) -> int:
        """The number of the rows of an instance."""
        number = self._by_identity.get(id(rows))
        if number is not None:
            return number
        content = self._content(ref, rows)
        number = self._numbers.get(content)
        if number is None:
            number = self._numbers[content] = len(self._values)
            self._values.append((ref, rows))
            self._hooks.append(_hooks(rows))
            self._deadlines.append(_deadlines(rows))
            self._too_late.append(_too_late(rows))
            self._by_identity[id(rows)] = number
        return number

    def _content(self, ref: str, rows: Rows) -> Hashable:
        values, instance = self._values_of, rows.instance
        return (
            ref,
            None if instance is None else values(instance),
            frozenset(map(values, rows.steps.values())),
            tuple(map(values, rows.events.values())),
            frozenset(map(values, rows.hooks.values())),
        )

    def _values_of(self, row: Any) -> Hashable:
        found = self._contents.get(id(row))
        if found is None:  # the row is kept, so that no other takes its id
            found = self._contents[id(row)] = row, tuple(_frozen(getattr(row, name)) for name in _names(type(row)))
        return found[1]

    def __getitem__(self, number: int) -> Rows:
        return self._values[number][1]

    def ref(self, number: int) -> str:
        """The instance."""
        return self._values[number][0]

    def hooks(self, number: int) -> tuple[tuple[datetime, str, int | None, str], ...]:
        """Its hooks as ``(due_at, id, run_number, reason)``, in the order in which they are due."""
        return self._hooks[number]

    def deadlines(self, number: int) -> tuple[datetime, ...]:
        """The instants at which something becomes due."""
        return self._deadlines[number]

    def too_late(self, number: int) -> tuple[datetime, ...]:
        """The instants at which an event comes too late for a wait."""
        return self._too_late[number]

    def snapshot(self, number: int, now: datetime) -> Snapshot:
        """What a retrieve returns of them."""
        return self[number].snapshot(now)


class Worlds:
    """The rows of all instances together, by number."""

    def __init__(self, rows: RowsTable) -> None:
        self.rows = rows
        self._tuples: Numbers[tuple[int, ...]] = Numbers(())
        self._maps: list[dict[str, int]] = [{}]
        self._missing: dict[str, Rows] = {}

    def of(self, world: Mapping[str, Rows]) -> int:
        """The number of a world. Instances of which nothing is left are no part of it."""
        numbers = tuple(
            self.rows.of(ref, world[ref])
            for ref in sorted(world)
            if world[ref] is not NOTHING and world[ref] != NOTHING
        )
        number = self._tuples.of(numbers)
        if number == len(self._maps):
            self._maps.append({self.rows.ref(each): each for each in numbers})
        return number

    def number(self, world: int, ref: str) -> int:
        """The number of the rows of an instance."""
        found = self._maps[world].get(ref)
        return self.rows.of(ref, self._missing.setdefault(ref, Rows())) if found is None else found

    def refs(self, world: int) -> dict[str, int]:
        """The numbers of the rows, by ref."""
        return self._maps[world]

    def world(self, number: int) -> dict[str, Rows]:
        """The rows, by ref."""
        return {ref: self.rows[each] for ref, each in self._maps[number].items()}


_NAMES: dict[type, tuple[str, ...]] = {}


def _names(kind: type) -> tuple[str, ...]:
    names = _NAMES.get(kind)
    if names is None:
        names = _NAMES[kind] = tuple(each.name for each in kind.__attrs_attrs__)  # type: ignore[attr-defined] # a row
    return names


def _frozen(value: Any) -> Hashable:
    if value is None or type(value) in (str, int, datetime, tuple):
        return value  # type: ignore[no-any-return] # it is hashable
    return repr(value)


def _hooks(rows: Rows) -> tuple[tuple[datetime, str, int | None, str], ...]:
    hooks = (hook for hook in rows.hooks.values() if not is_terminal_notice(hook.id))
    return tuple(sorted((hook.due_at, hook.id, hook.run_number, hook.reason) for hook in hooks))


def _deadlines(rows: Rows) -> tuple[datetime, ...]:
    found = {due_at for due_at, *_ in _hooks(rows)}
    waiting = (deadline(step) for step in rows.steps.values() if is_waiting(step))
    return tuple(sorted(found | {at for at in waiting if at is not None}))


def _too_late(rows: Rows) -> tuple[datetime, ...]:
    waits = (step for step in rows.steps.values() if step.kind == "wait_for_event" and is_waiting(step))
    return tuple(sorted({later(step.wake_at, MOMENT) for step in waits if step.wake_at is not None}))
