"""What a plan does to the rows of tables, for every store that keeps records in them; no I/O."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, TypeAlias, assert_never

from wfadapters import rows
from wfadapters.columns import Table
from wfcore.keys import hook_ref
from wfcore.plan import (
    AddEvent,
    AddHook,
    AddInstance,
    DeleteHook,
    DeleteInstance,
    DeleteStep,
    Plan,
    PutEvent,
    PutHook,
    PutInstance,
    PutStep,
    Write,
)

Verb: TypeAlias = Literal["put", "add", "append", "delete", "purge"]
"""``put``: the row, in place of the one with its key if there is one. ``add``: the row, unless its key is there.
``append``: the same, and only if its instance is there. ``delete``: the row with this key. ``purge``: all rows of this
instance, whose ref is the first column of the key.
"""


class Change(NamedTuple):
    """What happens to rows of one table: one statement.

    Attributes:
        verb: what.
        table: the table.
        values: a row in the order of the table's columns; to delete, those of its key; to purge, the first of them.
    """

    verb: Verb
    table: Table
    values: tuple[Any, ...]


def changes(plan: Plan) -> Iterator[Change]:
    """The changes of a plan, in order; each ``Write`` is left to the store's writers."""
    for mutation in plan.mutations:
        match mutation:
            case PutInstance(instance):
                yield Change("put", rows.INSTANCES, rows.instance_row(instance))
            case PutStep(step):
                yield Change("put", rows.STEPS, rows.step_row(step))
            case PutEvent(event):
                yield Change("put", rows.EVENTS, rows.event_row(event))
            case PutHook(hook):
                yield Change("put", rows.HOOKS, rows.hook_row(hook))
            case DeleteHook(hook_id):
                yield Change("delete", rows.HOOKS, (hook_ref(hook_id), hook_id))
            case DeleteStep(ref, run_number, key):
                yield Change("delete", rows.STEPS, (ref, run_number, key))
            case DeleteInstance(ref):
                yield from (Change("purge", table, (ref,)) for table in rows.TABLES)
            case AddInstance(instance):
                yield Change("add", rows.INSTANCES, rows.instance_row(instance))
            case AddEvent(event):
                yield Change("append", rows.EVENTS, rows.event_row(event))
            case AddHook(hook):
                yield Change("append", rows.HOOKS, rows.hook_row(hook))
            case Write():
                pass
            case unreachable:
                assert_never(unreachable)


def appended(plan: Plan) -> list[AddEvent | AddHook]:
    """What a plan appends: of these, those without an instance are undelivered (rule A13)."""
    return [each for each in plan.mutations if isinstance(each, AddEvent | AddHook)]
