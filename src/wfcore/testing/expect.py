"""What a test may expect of a plan besides the whole plan: single rows by some of their fields. No I/O, no clock."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypedDict, Unpack, final

import attrs

from wfcore.errors import CodecError
from wfcore.evolve import NOTHING, World
from wfcore.failure import Failure, failure_of
from wfcore.keys import timer_id
from wfcore.model import Actor, Instance, InstanceStatus, Payload, StepStatus
from wfcore.outcome import Completed, Errored
from wfcore.plan import AddEvent, AddInstance, Mutation, Plan, PutEvent, PutInstance, PutStep, Write
from wfcore.ports import Codec
from wfcore.testing.diff import differ, mutation_text, outcome_text, row_name, row_of, show, under
from wfcore.testing.outcomes import names_step
from wfcore.testing.values import type_of
from wfcore.workflow import Workflow


class StepExpectation(TypedDict, total=False):
    """Fields of a record that a test may expect; ``result`` is a value, ``failure`` an exception or its class."""

    status: StepStatus
    attempts: int
    max_attempts: int | None
    next_retry_at: datetime | None
    wake_at: datetime | None
    event_types: tuple[str, ...]
    event_id: str | None
    result: Any
    failure: type[BaseException] | BaseException | Failure | None
    sequence: int | None
    created_at: datetime
    settled_at: datetime | None
    execution_id: str
    run_number: int


class InstanceExpectation(TypedDict, total=False):
    """Fields of an instance that a test may expect; ``params`` and ``output`` are values, ``failure`` as of a step."""

    status: InstanceStatus
    run_number: int
    key_run: int
    version: int
    params: Any
    output: Any
    failure: type[BaseException] | BaseException | Failure | None
    tags: Mapping[str, str]
    updated_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    execution_id: str
    created_by: str


class EventExpectation(TypedDict, total=False):
    """Fields of an event that a test may expect; ``payload`` is a value."""

    type: str
    payload: Any
    actor: Actor
    created_at: datetime
    consumed_by: str | None
    consumed_run: int | None
    delivered_at: datetime | None


@attrs.frozen(kw_only=True)
class Found:
    """What was planned, for an expectation to look at.

    Attributes:
        plan: the plan.
        after: the rows once it is applied.
        workflow: of the instance; ``None`` if the registry does not know it.
        types: types of the results of the bodies that ran, by step key.
        codec: how values become payloads.
    """

    plan: Plan
    after: World
    workflow: Workflow[Any, Any] | None
    types: Mapping[str, Any]
    codec: Codec

    def holds(self, payload: Payload | None, value: Any, type_: Any = attrs.NOTHING) -> bool:
        """Whether a payload is of that value, by its type or as the value shows."""
        if payload is None:
            return value is None
        try:
            if type_ is attrs.NOTHING:
                return bool(json.loads(payload) == json.loads(self.codec.encode(value, type_of(value))))
            return bool(self.codec.decode(payload, type_) == value)
        except CodecError:
            return False


@final
@attrs.frozen
class Expected:
    """Something that is expected of a plan. Made by :func:`put_step` and its neighbours.

    Attributes:
        problem: what is wrong with what was found, ``None`` if nothing is.
    """

    problem: Callable[[Found], str | None]


def put_step(key: str, /, **fields: Unpack[StepExpectation]) -> Expected:
    """The plan stores a record of this step, with these fields.

    Args:
        key: of the step, or the bare name of a ``do`` in any scope.
        fields: of the record; ``result=Payment("p")`` is compared as a value, of a ``wait_for_event`` with the
            event's payload; ``failure=CardDeclined`` wants that class.
    """
    return _stored(PutStep, lambda name: names_step(key, name), key, fields)


def put_instance(**fields: Unpack[InstanceExpectation]) -> Expected:
    """The plan stores the instance's row, with these fields."""
    return _stored(PutInstance, lambda _name: True, "the instance", fields)


def put_event(id: str, /, **fields: Unpack[EventExpectation]) -> Expected:
    """The plan changes this event of the mailbox, to these fields: ``put_event("e1", consumed_by="...")``."""
    return _stored(PutEvent, id.__eq__, id, fields)


def add_event(id: str, /, **fields: Unpack[EventExpectation]) -> Expected:
    """The plan appends this event, to the mailbox of whatever instance (rules M2, T4)."""
    return _stored(AddEvent, id.__eq__, id, fields)


def add_instance(ref: str, /, **fields: Unpack[InstanceExpectation]) -> Expected:
    """The plan creates this instance, ``workflow#id`` (rules M1, T4)."""
    return _stored(AddInstance, ref.__eq__, ref, fields)


def no_step(key: str) -> Expected:
    """The plan stores no record of this step; a bare name is every ``do`` of that name."""

    def problem(found: Found) -> str | None:
        steps = (each for each in found.plan.mutations if isinstance(each, PutStep) and names_step(key, each.step.key))
        return next((f"unexpected: {mutation_text(each)}" for each in steps), None)

    return Expected(problem)


def timer_at(due_at: datetime) -> Expected:
    """Once the plan is applied the instance's timer is due at that instant, written now or before."""
    return Expected(lambda found: _timer_problem(found, due_at))


def no_timer() -> Expected:
    """Once the plan is applied the instance has no timer: it has ended, is paused, or only an event can wake it."""
    return Expected(lambda found: _timer_problem(found, None))


def hooks_left(*names: str) -> Expected:
    """Once the plan is applied these wake-ups (hooks) of the instance stand and no others; ``hooks_left()``: none.

    Args:
        names: what their ids end in: ``timer``, ``msg:e1``, ``terminal:7``.
    """

    def problem(found: Found) -> str | None:
        hooks = found.after.get(found.plan.ref, NOTHING).hooks
        left = sorted(each.removeprefix(f"{found.plan.ref}#") for each in hooks)
        wanted = sorted(names)
        return None if left == wanted else f"hooks after the plan: {differ(tuple(wanted), tuple(left))}"

    return Expected(problem)


def writes(*values: object) -> Expected:
    """The plan holds these writes of the user's and no others, in this order (rule T1)."""

    def problem(found: Found) -> str | None:
        written = tuple(each.value for each in found.plan.mutations if isinstance(each, Write))
        return None if written == values else f"writes: {differ(values, written)}"

    return Expected(problem)


def output(value: object) -> Expected:
    """The workflow returns this value (rule O1)."""

    def problem(found: Found) -> str | None:
        outcome = found.plan.outcome
        if not isinstance(outcome, Completed):
            return f"outcome: expected Completed with {show(value)}, found {outcome_text(outcome)}"
        type_ = attrs.NOTHING if found.workflow is None else found.workflow.result_type
        if found.holds(outcome.output, value, type_):
            return None
        return f"output: expected {show(value)}, found {show(outcome.output)}"

    return Expected(problem)


def failure(error: type[BaseException] | BaseException | Failure) -> Expected:
    """The instance ends with this failure, or one of this class (rule O2)."""

    def problem(found: Found) -> str | None:
        outcome = found.plan.outcome
        if isinstance(outcome, Errored):
            return None if _is_failure(outcome.failure, error) else f"failure: {_failures(error, outcome.failure)}"
        return f"outcome: expected Errored with {_failure_text(error)}, found {outcome_text(outcome)}"

    return Expected(problem)


def _timer_problem(found: Found, expected: datetime | None) -> str | None:
    stored = found.after.get(found.plan.ref, NOTHING).hooks.get(timer_id(found.plan.ref))
    due_at = None if stored is None else stored.due_at
    return None if due_at == expected else f"timer after the plan: {differ(expected, due_at)}"


def _stored(kind: type[Mutation], is_meant: Callable[[str], bool], name: str, fields: Mapping[str, Any]) -> Expected:
    """The plan holds a mutation of that kind, about a row that is meant, with these fields."""

    def problem(found: Found) -> str | None:
        rows = [row_of(each) for each in found.plan.mutations if isinstance(each, kind)]
        meant = [row for row in rows if is_meant(row_name(row))]
        head, nearest = "", list[str]()
        for row in meant:
            wrong = [text for field, value in fields.items() if (text := _field(found, row, field, value)) is not None]
            if not wrong:
                return None
            if not nearest or len(wrong) < len(nearest):
                head, nearest = f"{kind.__name__} {row_name(row)}", wrong
        if not nearest:
            others = ", ".join(row_name(row) for row in rows) or "none"
            return f"missing: {kind.__name__} {name} (found {others})"
        return under(head, nearest)

    return Expected(problem)


def _field(found: Found, row: Any, name: str, value: Any) -> str | None:
    """What is wrong with one field."""
    had = getattr(row, name)
    match name:
        case "failure":
            return None if _is_failure(had, value) else f"failure: {_failures(value, had)}"
        case "result":
            if row.kind == "wait_for_event" and had is not None:
                had = json.dumps(json.loads(had)["payload"])
            type_ = found.types.get(row.key, attrs.NOTHING) if row.kind == "do" else attrs.NOTHING
        case "params" | "output" | "payload":
            type_ = attrs.NOTHING
            if isinstance(row, Instance) and found.workflow is not None and row.workflow_name == found.workflow.name:
                type_ = found.workflow.params_type if name == "params" else found.workflow.result_type
        case _:
            return None if had == value else f"{name}: {differ(value, had)}"
    return None if found.holds(had, value, type_) else f"{name}: expected {show(value)}, found {show(had)}"


def _is_failure(found: Failure | None, expected: Any) -> bool:
    if found is None or expected is None:
        return found is expected
    if isinstance(expected, type):
        return found.is_a(expected)
    return found == (failure_of(expected) if isinstance(expected, BaseException) else expected)


def _failures(expected: Any, found: Failure | None) -> str:
    return f"expected {_failure_text(expected)}, found {show(found)}"


def _failure_text(expected: Any) -> str:
    if isinstance(expected, type):
        return expected.__name__
    return show(failure_of(expected) if isinstance(expected, BaseException) else expected)
