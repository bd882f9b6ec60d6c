"""What is wrong with what was planned, as texts; none: nothing. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, TypeAlias

import attrs

from wfcore.keys import timer_id
from wfcore.model import Instance, Snapshot
from wfcore.outcome import Outcome
from wfcore.plan import DeleteHook, LogLine, Mutation, Plan, PutEvent, PutHook, PutInstance
from wfcore.testing.diff import diff, differ, mutation_text, outcome_text
from wfcore.testing.expect import Expected, Found

Expectation: TypeAlias = Plan | Outcome | type[Outcome] | Mutation | LogLine | Expected
"""What ``then`` takes."""


def misses(found: Found, expected: Expectation) -> Iterator[str]:
    """What is not as expected."""
    plan = found.plan
    if isinstance(expected, Plan):
        yield from diff(expected, plan)
    elif isinstance(expected, Expected):
        problem = expected.problem(found)
        yield from () if problem is None else (problem,)
    elif isinstance(expected, LogLine):
        if expected not in plan.logs:
            yield f"missing: log {expected.message!r} {dict(expected.fields)!r}"
    elif isinstance(expected, type):
        if not isinstance(plan.outcome, expected):
            yield f"outcome: expected {expected.__name__}, found {outcome_text(plan.outcome)}"
    elif isinstance(expected, Outcome):
        if expected != plan.outcome:
            yield f"outcome: expected {outcome_text(expected)}, found {outcome_text(plan.outcome)}"
    elif isinstance(expected, Mutation):
        if expected not in plan.mutations:
            yield f"missing: {mutation_text(expected)}"
    else:
        raise TypeError(f"then: {expected!r} is no plan, outcome, mutation or expectation such as put_step(...)")


def noises(plan: Plan, before: Snapshot, performed: Collection[str]) -> Iterator[str]:
    """What a quiet tick would not have done."""
    yield from (f"the body of {key!r} ran" for key in performed)
    for each in plan.mutations:
        if not _tidies(each, before):
            yield f"unexpected: {mutation_text(each)}"
    yield from (f"unexpected: log {line.message!r}" for line in plan.logs)


def unlike(found: Exception, expected: type[Exception] | Exception, facts: Mapping[str, object]) -> Iterator[str]:
    """In what an error is not the expected one."""
    if isinstance(expected, type):
        if not isinstance(found, expected):
            yield f"expected {expected.__name__}, found {error_text(found)}"
            return
    elif type(found) is not type(expected):
        yield f"expected {error_text(expected)}, found {error_text(found)}"
        return
    else:
        facts = {**_facts(expected), **facts}
    for name, value in facts.items():
        had = getattr(found, name, attrs.NOTHING)
        if had is attrs.NOTHING:
            yield f"{error_text(found)} has no {name!r}"
        elif had != value:
            yield f"{type(found).__name__}, {name}: {differ(value, had)}"


def error_text(error: type[Exception] | Exception) -> str:
    """An error in a text."""
    return error.__name__ if isinstance(error, type) else f"{type(error).__name__}: {error}"


def _facts(error: Exception) -> dict[str, Any]:
    if attrs.has(type(error)):
        return attrs.asdict(error, recurse=False)  # type: ignore[arg-type] # of a class that has attributes
    return {"args": error.args, **vars(error)}


def _tidies(mutation: Mutation, before: Snapshot) -> bool:
    match mutation:
        case DeleteHook():
            return True
        case PutHook(hook):
            return hook.id == timer_id(hook.instance_ref)
        case PutEvent(event):
            return event.consumed_by == "#pause"
        case PutInstance(instance):
            return before.instance is not None and _unwritten(instance) == _unwritten(before.instance)
        case _:
            return False


def _unwritten(instance: Instance) -> Instance:
    """The row without what every write of it changes."""
    return attrs.evolve(instance, version=1, updated_at=instance.created_at, execution_id="")
