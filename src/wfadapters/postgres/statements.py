"""What is asked of the database, each a single statement, and how its answer is read. No I/O.

So the blocking store and the one for asyncio share everything but the waiting.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import Any, TypeAlias

import attrs

from wfadapters import rows
from wfadapters.changes import Change, appended, changes
from wfadapters.columns import read_instant
from wfadapters.postgres.cut import Cut, arm, lone
from wfadapters.postgres.question import Question
from wfadapters.postgres.tables import HOOKS, microseconds, notice, reading, wake_up, written
from wfcore.keys import shard_hash
from wfcore.model import FiredHook, Snapshot
from wfcore.plan import (
    Absent,
    AddEvent,
    AddHook,
    AddInstance,
    Applied,
    AtVersion,
    Conflict,
    DeleteHook,
    DeleteInstance,
    DeleteStep,
    Exists,
    Plan,
    Precondition,
    PutEvent,
    PutHook,
    PutInstance,
    PutStep,
    Write,
)
from wfcore.ports import DueQuery, Shard

_NOW = microseconds("statement_timestamp()")
_ALL = Shard(0, 1)


class Statements:
    """The questions that a store asks.

    Args:
        schema: where the tables are.
        clock: tells the time; ``None``: the database does.
        sender: a word that tells this store's notifications from others'; ``""``: everybody is told.
    """

    def __init__(self, schema: str, clock: Callable[[], datetime] | None, sender: str) -> None:
        self._clock = clock
        self._sender = sender
        self._retrieve = _retrieve(schema).encode()
        self._apply = _apply(schema).encode()
        self._schema = schema

    def retrieve(self, ref: str) -> Question[Snapshot]:
        """All rows of one instance, as one consistent cut."""
        return Question(self._retrieve, {"ref": ref}, partial(_snapshot, self._clock))

    def apply(self, plans: Sequence[Plan]) -> Question[Sequence[Applied | Conflict]]:
        """The plans, without every ``Write``, and the answer to each."""
        return Question(self._apply, {"plans": _messages(plans, self._sender)}, partial(_answers, plans))

    def due(self, query: DueQuery) -> Question[Sequence[FiredHook]]:
        """The hooks that are due."""
        return Question(_due(self._schema, *_shape(query)), self._wanted(query), _fired)

    def next_due_at(self, query: DueQuery) -> Question[datetime | None]:
        """When the next hook is due."""
        return Question(_next(self._schema, *_shape(query)), self._wanted(query), partial(_first, query.shard))

    def _wanted(self, query: DueQuery) -> Mapping[str, Any]:
        shard = query.shard or _ALL
        return {
            "shard": shard.index,
            "shards": shard.count,
            "steal_after": shard.steal_after if shard.steal_after < _LONGEST else None,
            "at": self._clock().astimezone(UTC) if self._clock else None,
            "names": None if query.workflow_names is None else sorted(query.workflow_names),
            "exclude": sorted(query.exclude),
            "limit": query.limit,
        }


# ---- retrieve


def _retrieve(s: str) -> str:
    run = f"(SELECT run_number FROM {s}.wfcore_instances WHERE ref = %(ref)s)"
    arms = [
        lone(_NOW),
        arm(s, rows.INSTANCES, "ref = %(ref)s"),
        arm(s, rows.STEPS, f"instance_ref = %(ref)s AND run_number = {run}"),
        arm(s, rows.EVENTS, "instance_ref = %(ref)s AND consumed_by IS NULL", "t.arrival"),
        arm(s, rows.HOOKS, "instance_ref = %(ref)s"),
    ]
    return " UNION ALL ".join(arms)


def _snapshot(clock: Callable[[], datetime] | None, found: Sequence[Sequence[Any]]) -> Snapshot:
    cut = Cut.of(found)
    return Snapshot(
        instance=next(map(rows.read_instance, cut.instances), None),
        steps=tuple(map(rows.read_step, cut.steps)),
        events=tuple(map(rows.read_event, cut.events)),
        hooks=tuple(map(rows.read_hook, cut.hooks)),
        now=clock() if clock else read_instant(cut.place),
    )


# ---- apply


def _apply(s: str) -> str:
    return f"""
        SELECT a.* FROM jsonb_array_elements(%(plans)s::jsonb) WITH ORDINALITY p (plan, place),
            {s}.wfcore_apply(p.plan) a ORDER BY p.place
    """


_in_json = json.JSONEncoder(ensure_ascii=False, check_circular=False).encode


def _messages(plans: Sequence[Plan], sender: str) -> str:
    """The first plan takes the locks of all, so that those who apply several do not wait for each other in a ring."""
    messages = [_message(plan, sender) for plan in plans]
    messages[0]["locks"] = _locks(plans)
    return _in_json(messages)


def _message(plan: Plan, sender: str) -> dict[str, Any]:
    return {
        "ref": plan.ref,
        "locks": [],
        "given": [_expected(each) for each in plan.preconditions],
        "mutations": list(map(_item, changes(plan))),
        "appended": sorted({each.ref for each in appended(plan)}),
        "told": [f"{sender} {ref}" for ref in sorted(told(plan))],
    }


def _locks(plans: Sequence[Plan]) -> list[tuple[str, bool, str]]:
    """For each ref: whether it may be created or gets an event, and how its row is locked; ``function`` says why."""
    preconditions = [each for plan in plans for each in plan.preconditions]
    mutations = [each for plan in plans for each in plan.mutations]
    news = {each.ref for each in preconditions if isinstance(each, Absent)}
    news |= {each.ref for each in mutations if isinstance(each, AddInstance | AddEvent)}
    strength = dict.fromkeys(news, "share")
    strength |= {each.ref: "share" for each in mutations if isinstance(each, AddHook)}
    strength |= {each.ref: "share" for each in preconditions if isinstance(each, Exists)}
    strength |= {each.ref: "write" for each in preconditions if isinstance(each, AtVersion)}
    strength |= {each.ref: "delete" for each in mutations if isinstance(each, DeleteInstance)}
    return [(ref, ref in news, strength[ref]) for ref in sorted(strength)]


def _expected(precondition: Precondition) -> tuple[Any, ...]:
    ref, *version = attrs.astuple(precondition)
    return ref, type(precondition).__name__, *version


def _item(change: Change) -> tuple[Any, ...]:
    verb, table, values = change
    kind = f"{verb} {table.name}"
    if verb in ("delete", "purge"):
        return kind, *values
    if table is rows.HOOKS:
        return kind, *written(HOOKS, (*values, shard_hash(values[0])))
    return kind, *written(table, values)


def told(plan: Plan) -> set[str]:
    """The refs that other processes are told of.

    Not those that only go on, or are put off: there is nothing to do for others, and PostgreSQL commits transactions
    that notify one after the other.
    """
    told = set()
    going_on = {each.ref: each.instance.updated_at for each in plan.mutations if isinstance(each, PutInstance)}
    for mutation in plan.mutations:
        match mutation:
            case PutInstance(instance) if instance.status == "active":
                pass
            case PutHook(hook) if hook.instance_ref not in going_on or hook.due_at > going_on[hook.instance_ref]:
                pass
            case PutStep() | PutEvent() | DeleteStep() | DeleteHook() | Write():
                pass
            case _:
                told.add(mutation.ref)
    return told


def _answers(plans: Sequence[Plan], found: Sequence[Sequence[Any]]) -> Sequence[Applied | Conflict]:
    return [_answer(plan, row) for plan, row in zip(plans, found, strict=True)]


def _answer(plan: Plan, found: Sequence[Any]) -> Applied | Conflict:
    conflict_ref, version, execution_id, pending, undelivered = found
    if conflict_ref is not None:
        return Conflict(conflict_ref, version, execution_id)
    return Applied(frozenset(pending), tuple(each for each in appended(plan) if each.ref in undelivered))


# ---- feed

_ADMITTED = """
    (%(names)s::text[] IS NULL OR h.workflow_name = ANY (%(names)s::text[]))
    AND h.instance_ref <> ALL (%(exclude)s::text[])
"""
_AT = "coalesce(%(at)s::timestamptz, statement_timestamp())"
# Not a bare equation: of that PostgreSQL expects one row in 200, and would rather sort all that is due than walk.
_OWN = "coalesce(h.shard_hash %% %(shards)s::bigint = %(shard)s::bigint, false)"
_STOLEN = f"h.due_at <= coalesce({_AT} - %(steal_after)s::interval, '-infinity')"
_LONGEST = timedelta(days=2_000_000)  # an instant that is so long ago can still be written


_Kinds: TypeAlias = tuple[Callable[[str], str], ...]


def _shape(query: DueQuery) -> tuple[bool, _Kinds]:
    """Whether there are hooks of other shards, and which kinds of hooks are wanted."""
    is_sharded = query.shard is not None and query.shard.count > 1
    return is_sharded, (wake_up, notice) if query.terminal_notices else (wake_up,)


@cache
def _due(s: str, is_sharded: bool, kinds: _Kinds) -> bytes:  # noqa: FBT001 - a shape, by place
    before = " OR ".join(kind("b.") for kind in kinds)
    condition = f"""h.due_at <= {_AT} AND NOT EXISTS (
        SELECT FROM {s}.wfcore_hooks b
        WHERE b.instance_ref = h.instance_ref AND (b.due_at, b.id) < (h.due_at, h.id) AND ({before})
    )"""
    if is_sharded:
        condition = f"({_STOLEN} OR {_OWN}) AND {condition}"
    return _walk(s, kinds, condition, "%(limit)s").encode()


@cache
def _next(s: str, is_sharded: bool, kinds: _Kinds) -> bytes:  # noqa: FBT001 - as above
    conditions = (_OWN, f"NOT {_OWN}") if is_sharded else ("true",)
    return " UNION ALL ".join(f"({_walk(s, kinds, condition, '1')})" for condition in conditions).encode()


def _walk(s: str, kinds: _Kinds, condition: str, limit: str) -> str:
    """Walks the index of due hooks, with notices both indexes in turn, each up to the limit."""
    first = f"ORDER BY h.due_at, h.id LIMIT {limit}"
    arms = " UNION ALL ".join(
        f"(SELECT * FROM {s}.wfcore_hooks h WHERE {kind('h.')} AND {_ADMITTED} AND {condition} {first})"
        for kind in kinds
    )
    return f"SELECT {reading(rows.HOOKS, 'h')}, {microseconds(_AT)} FROM ({arms}) h {first}"


def _fired(found: Sequence[Sequence[Any]]) -> Sequence[FiredHook]:
    return tuple(FiredHook(hook=rows.read_hook(row[:-1]), timestamp=read_instant(row[-1])) for row in found)


def _first(shard: Shard | None, found: Sequence[Sequence[Any]]) -> datetime | None:
    hooks = [rows.read_hook(row[:-1]) for row in found]
    if shard is None:
        return next((hook.due_at for hook in hooks), None)
    return min((shard.takes_at(hook.instance_ref, hook.due_at) for hook in hooks), default=None)
