"""Two plans compared, and one plan told as changes of rows, in words that read well. Pure: no I/O, no clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any

import attrs

from wfcore.failure import Failure
from wfcore.model import Event, Hook, Instance, Snapshot, StepRecord
from wfcore.outcome import Outcome
from wfcore.plan import (
    AddEvent,
    AddHook,
    AddInstance,
    DeleteHook,
    DeleteInstance,
    DeleteStep,
    Mutation,
    Plan,
    PutEvent,
    PutHook,
    PutInstance,
    PutStep,
    Write,
)

TEXT_LIMIT = 60
"""Characters of one value that are shown."""

# ---- values


def show(value: object) -> str:
    """A value in a text: instants without offset, long texts cut."""
    text = _text(value)
    return text if len(text) <= TEXT_LIMIT else f"{text[: TEXT_LIMIT - 3]}... ({len(text)} characters)"


def differ(expected: object, found: object) -> str:
    """``expected A, found B``: of long texts the part in which they differ, of instants how far apart they are."""
    wanted, had = _text(expected), _text(found)
    if wanted == had:
        wanted, had = repr(expected), repr(found)
    if isinstance(expected, datetime) and isinstance(found, datetime):
        apart = found - expected
        return f"expected {wanted}, found {had} ({abs(apart)} {'later' if apart > timedelta(0) else 'earlier'})"
    if max(len(wanted), len(had)) > TEXT_LIMIT:
        same = takewhile(lambda pair: pair[0] == pair[1], zip(wanted, had, strict=False))
        first = max(0, sum(1 for _ in same) - TEXT_LIMIT // 3)
        wanted, had = _part(wanted, first), _part(had, first)
    return f"expected {wanted}, found {had}"


def _text(value: object) -> str:
    match value:
        case None:
            return "none"
        case datetime():
            return str(value.astimezone(UTC).replace(tzinfo=None))
        case str() | Failure():
            return str(value)
        case tuple():
            return ", ".join(map(_text, value)) or "none"
        case _:
            return repr(value)


def _part(text: str, first: int) -> str:
    end = first + TEXT_LIMIT
    return f"{'...' if first else ''}{text[first:end]}{'...' if end < len(text) else ''}"


def under(head: str, problems: Iterable[str]) -> str:
    """What is wrong with one row: in a line of its own under the row's name, unless it is one thing only."""
    first, *more = problems
    return "\n  ".join([head, first, *more]) if more else f"{head}, {first}"


# ---- two plans


def diff(expected: Plan, found: Plan) -> tuple[str, ...]:
    """What differs between the plan that was expected and the one that was found; nothing: they are equal.

    Rows are compared field by field, under the name of their step, event or hook.
    """
    problems = [f"{name}: {differ(*pair)}" for name, pair in _fields(expected, found, _OF_A_PLAN)]
    problems += _outcomes(expected.outcome, found.outcome)
    if expected.preconditions != found.preconditions:
        problems.append(f"preconditions: {differ(expected.preconditions, found.preconditions)}")
    problems += _mutations(expected.mutations, found.mutations)
    if expected.logs != found.logs:
        problems.append(f"logs: {differ(expected.logs, found.logs)}")
    return tuple(problems)


_OF_A_PLAN = ("ref", "execution_id")


def _outcomes(expected: Outcome, found: Outcome) -> Iterator[str]:
    if type(expected) is not type(found):
        yield f"outcome: expected {outcome_text(expected)}, found {outcome_text(found)}"
        return
    if wrong := [f"{name}: {differ(*pair)}" for name, pair in _fields(expected, found, _names(expected))]:
        yield under(f"outcome {type(found).__name__}", wrong)


def _mutations(expected: Sequence[Mutation], found: Sequence[Mutation]) -> Iterator[str]:
    wanted, had = _by_identity(expected), _by_identity(found)
    for identity, mutation in wanted.items():
        if identity not in had:
            yield f"missing: {mutation_text(mutation)}"
        elif mutation != had[identity]:
            yield from _rows(mutation, had[identity])
    yield from (f"unexpected: {mutation_text(had[identity])}" for identity in had if identity not in wanted)
    order = [identity for identity in had if identity in wanted]
    if order != [identity for identity in wanted if identity in had]:
        yield f"order of mutations: expected {_order(wanted.values())}, found {_order(had.values())}"


def _rows(expected: Mutation, found: Mutation) -> Iterator[str]:
    wanted, had = row_of(expected), row_of(found)
    if wanted is None or had is None:
        yield f"{mutation_text(found)}: expected {mutation_text(expected)}"
        return
    wrong = (f"{name}: {differ(*pair)}" for name, pair in _fields(wanted, had, _names(wanted)))
    yield under(f"{type(found).__name__} {row_name(had)}", wrong)


def _by_identity(mutations: Iterable[Mutation]) -> dict[tuple[str, ...], Mutation]:
    """The mutations by what they are about; those that cannot be told apart by their place among each other."""
    seen: Counter[tuple[str, ...]] = Counter()
    found: dict[tuple[str, ...], Mutation] = {}
    for each in mutations:
        row = row_of(each)
        about = "" if isinstance(each, Write) else each.ref if row is None else f"{each.ref} {row_name(row)}"
        about = (
            f"{about} {each.id if isinstance(each, DeleteHook) else each.key if isinstance(each, DeleteStep) else ''}"
        )
        seen[type(each).__name__, about] += 1
        found[type(each).__name__, about, str(seen[type(each).__name__, about])] = each
    return found


def _order(mutations: Iterable[Mutation]) -> str:
    return "; ".join(mutation_text(each, brief=True) for each in mutations)


# ---- one plan


def tell(plan: Plan, before: Snapshot) -> str:
    """A plan as changes of the rows that it was planned from, a line for each."""
    lines = [outcome_text(plan.outcome)]
    lines += [_change(each, before) for each in plan.mutations]
    lines += [f"log {line.message!r} {dict(line.fields)!r}" for line in plan.logs]
    return "\n".join(lines)


def outcome_text(outcome: Outcome) -> str:
    """An outcome in a text: ``Suspended until ..., waiting_on ...``."""
    facts = ", ".join(f"{name} {show(getattr(outcome, name))}" for name in _names(outcome))
    return f"{type(outcome).__name__}{': ' if facts else ''}{facts}"


def mutation_text(mutation: Mutation, *, brief: bool = False) -> str:
    """A mutation in a text: what it does to which row, and unless it is to be ``brief`` what that row holds."""
    name = type(mutation).__name__
    match mutation:
        case Write(value):
            return f"{name} {show(value)}"
        case DeleteHook(id):
            return f"{name} {_hook_name(id)}"
        case DeleteStep(_, _, key):
            return f"{name} {key}"
        case DeleteInstance(ref):
            return f"{name} {ref}"
        case stores:
            row = row_of(stores)
            return f"{name} {row_name(row)}" + ("" if brief else f" ({_told(row)})")


Row = Instance | StepRecord | Event | Hook


def row_of(mutation: Mutation) -> Row | None:
    """The row that a mutation stores, ``None`` if it stores none."""
    match mutation:
        case PutInstance(instance) | AddInstance(instance):
            return instance
        case PutStep(step):
            return step
        case PutEvent(event) | AddEvent(event):
            return event
        case PutHook(hook) | AddHook(hook):
            return hook
        case _:
            return None


def row_name(row: Row | None) -> str:
    """How a row is called in a text."""
    match row:
        case Instance():
            return row.ref
        case StepRecord():
            return row.key
        case Event():
            return row.id
        case Hook():
            return _hook_name(row.id)
        case None:
            return ""


_DULL = frozenset(
    {"instance_ref", "workflow_name", "instance_id", "ref", "id", "key", "kind", "name", "parent_key", "depth"}
    | {"run_number", "reason", "created_at", "updated_at", "execution_id", "created_by", "key_run", "max_attempts"}
)


def _change(mutation: Mutation, before: Snapshot) -> str:
    row = row_of(mutation)
    stored = _stored(row, before)
    name = mutation_text(mutation, brief=True)
    if row is None:
        return name
    if stored is None:
        return f"{name}: {_told(row)}"
    changed = _fields(stored, row, [field for field in _names(row) if field not in _DULL])
    return f"{name}: " + (
        ", ".join(f"{field} {show(was)} -> {show(now)}" for field, (was, now) in changed) or "as before"
    )


def _stored(row: Row | None, before: Snapshot) -> Row | None:
    match row:
        case Instance():
            return before.instance if before.instance and before.instance.ref == row.ref else None
        case StepRecord():
            return next((each for each in before.steps if each.key == row.key), None)
        case Event():
            return next(
                (each for each in before.events if (each.instance_ref, each.id) == (row.instance_ref, row.id)), None
            )
        case Hook():
            return next((each for each in before.hooks if each.id == row.id), None)
        case None:
            return None


def _told(row: Any) -> str:
    said = ((name, getattr(row, name)) for name in _names(row) if name not in _DULL)
    return ", ".join(f"{name} {show(value)}" for name, value in said if value not in (None, (), 0, {}))


def _hook_name(id: str) -> str:
    return id.split("#", 2)[-1] if id.count("#") > 1 else id


def _names(value: Any) -> list[str]:
    return [field.name for field in attrs.fields(type(value))]


def _fields(one: object, other: object, names: Iterable[str]) -> list[tuple[str, tuple[Any, Any]]]:
    """The fields in which they differ, with both values."""
    pairs = ((name, (getattr(one, name), getattr(other, name))) for name in names)
    return [(name, pair) for name, pair in pairs if pair[0] != pair[1]]
