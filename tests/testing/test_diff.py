"""The texts in which plans are compared and told, word for word."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import attrs
import pytest

from tests.testing.checkout import DAY, MINUTE, Approval, Approved, Card, DeclinedError, Order, OrderPaid, checkout
from wfcore import (
    Absent,
    AddEvent,
    AddHook,
    AddInstance,
    AtVersion,
    DeleteHook,
    DeleteInstance,
    DeleteStep,
    Errored,
    LogLine,
    Mutation,
    Plan,
    PutEvent,
    PutHook,
    PutInstance,
    PutStep,
    Suspended,
    Write,
)
from wfcore.failure import Failure, failure_of
from wfcore.testing import START, completed, diff, event, given, waiting
from wfcore.testing.diff import differ, show, tell

ASKING = given(
    checkout,
    Order("A-1"),
    steps=[
        completed("do:charge", Card("c")),
        waiting("sleep:settle", until=START + MINUTE),
        waiting("do:mail", until=START + MINUTE, failure=DeclinedError("no")),
    ],
    events=[event(Approved, Approval("eva"))],
)
SEEN = ASKING.snapshot
STEP, SLEEP, MAIL = SEEN.steps
SENT = SEEN.events[0]
TIMER, MESSAGE = SEEN.hooks
assert SEEN.instance is not None
ROW = SEEN.instance
PLAN = Plan(
    ref=ROW.ref,
    execution_id="tick-1",
    preconditions=(AtVersion(ROW.ref, 1, "before"),),
    mutations=(),
    outcome=Suspended(START + MINUTE, ("sleep:settle",)),
)


def planned(*mutations: Mutation, **changes: Any) -> Plan:
    return attrs.evolve(PLAN, mutations=mutations, **changes)


# ---- values


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "none"),
        (START, "2026-01-01 00:00:00"),
        (START + timedelta(microseconds=1), "2026-01-01 00:00:00.000001"),
        (MINUTE, "datetime.timedelta(seconds=60)"),
        ((), "none"),
        (("do:a", None), "do:a, none"),
        (failure_of(DeclinedError("no")), "DeclinedError: no"),
        (7, "7"),
        ({"a": "b"}, "{'a': 'b'}"),
        ("x" * 60, "x" * 60),
        ("x" * 61, f"{'x' * 57}... (61 characters)"),
        (list(range(100)), "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16... (390 characters)"),
    ],
    ids=range(12),
)
def test_a_value_is_shown_short(value: object, text: str) -> None:
    assert text == show(value)


@pytest.mark.parametrize(
    ("expected", "found", "text"),
    [
        ("waiting", "completed", "expected waiting, found completed"),
        (None, 1, "expected none, found 1"),
        (
            START,
            START + MINUTE,
            "expected 2026-01-01 00:00:00, found 2026-01-01 00:01:00 (0:01:00 later)",
        ),
        (
            START,
            START - 2 * DAY,
            "expected 2026-01-01 00:00:00, found 2025-12-30 00:00:00 (2 days, 0:00:00 earlier)",
        ),
        (START, None, "expected 2026-01-01 00:00:00, found none"),
        (
            "a" * 100 + "b" + "c" * 100,
            "a" * 100 + "d" + "c" * 100,
            f"expected ...{'a' * 20}b{'c' * 39}..., found ...{'a' * 20}d{'c' * 39}...",
        ),
        ("a" * 70, "a" * 71, f"expected ...{'a' * 20}, found ...{'a' * 21}"),
        ("b" + "a" * 70, "b", f"expected b{'a' * 59}..., found b"),
        (
            Failure(type="E", message="no", details=1),
            Failure(type="E", message="no", details=2),
            (
                "expected Failure(type='E', message='no', details=1, bases=()), "
                "found Failure(type='E', message='no', details=2, bases=())"
            ),
        ),
    ],
    ids=range(9),
)
def test_of_two_values_that_is_shown_in_which_they_differ(expected: object, found: object, text: str) -> None:
    assert text == differ(expected, found)


# ---- two plans


def test_equal_plans_do_not_differ() -> None:
    assert () == diff(planned(PutStep(STEP)), planned(PutStep(STEP)))


@pytest.mark.parametrize(
    ("expected", "found", "text"),
    [
        (planned(), planned(execution_id="tick-2"), "execution_id: expected tick-1, found tick-2"),
        (
            planned(),
            planned(preconditions=(Absent("checkout#1"),)),
            (
                "preconditions: expected AtVersion(ref='checkout#1', version=1, execution_id='before'..., "
                "found Absent(ref='checkout#1')"
            ),
        ),
        (
            planned(),
            planned(outcome=Errored(failure_of(DeclinedError("no")))),
            (
                "outcome: expected Suspended: until 2026-01-01 00:01:00, waiting_on sleep:settle, "
                "found Errored: failure DeclinedError: no"
            ),
        ),
        (
            planned(),
            planned(outcome=Suspended(START, ("sleep:settle",))),
            "outcome Suspended, until: expected 2026-01-01 00:01:00, found 2026-01-01 00:00:00 (0:01:00 earlier)",
        ),
        (
            planned(),
            planned(outcome=Suspended(None, ())),
            (
                "outcome Suspended\n"
                "  until: expected 2026-01-01 00:01:00, found none\n"
                "  waiting_on: expected sleep:settle, found none"
            ),
        ),
        (
            planned(PutStep(SLEEP)),
            planned(PutStep(attrs.evolve(SLEEP, status="completed", sequence=2))),
            "PutStep sleep:settle\n  status: expected waiting, found completed\n  sequence: expected none, found 2",
        ),
        (
            planned(PutHook(TIMER)),
            planned(PutHook(attrs.evolve(TIMER, due_at=START))),
            "PutHook timer, due_at: expected 2026-01-01 00:01:00, found 2026-01-01 00:00:00 (0:01:00 earlier)",
        ),
        (planned(), planned(DeleteHook(TIMER.id)), "unexpected: DeleteHook timer"),
        (planned(DeleteStep(ROW.ref, 1, "a")), planned(), "missing: DeleteStep a"),
        (planned(DeleteInstance(ROW.ref)), planned(), "missing: DeleteInstance checkout#1"),
        (planned(PutEvent(SENT)), planned(), 'missing: PutEvent e1 (type approved, payload {"by":"eva"}, actor user)'),
        (planned(AddHook(MESSAGE)), planned(), "missing: AddHook msg:e1 (due_at 2026-01-01 00:00:00)"),
        (
            planned(AddInstance(ROW)),
            planned(),
            (
                'missing: AddInstance checkout#1 (status waiting, params {"id":"A-1"}, started_at 2026-01-01 00:00:00, '
                "version 1)"
            ),
        ),
        (planned(Write("a"), Write("b")), planned(Write("a")), "missing: Write b"),
        (planned(Write("a"), Write("b")), planned(Write("a"), Write("c")), "Write c: expected Write b"),
        (
            planned(PutStep(STEP), DeleteHook(TIMER.id)),
            planned(DeleteHook(TIMER.id), PutStep(STEP)),
            (
                "order of mutations: expected PutStep do:charge; DeleteHook timer, "
                "found DeleteHook timer; PutStep do:charge"
            ),
        ),
        (
            planned(),
            planned(logs=(LogLine("paid", {"by": "eva"}),)),
            "logs: expected none, found LogLine(message='paid', fields={'by': 'eva'})",
        ),
    ],
    ids=range(17),
)
def test_what_differs_is_told(expected: Plan, found: Plan, text: str) -> None:
    assert (text,) == diff(expected, found)


def test_all_that_differs_is_told() -> None:
    assert 3 == len(diff(planned(Write("a"), PutStep(STEP)), planned(Write("b"), execution_id="tick-2")))


# ---- one plan


def test_a_plan_is_told_as_changes_of_rows() -> None:
    plan = planned(
        PutInstance(attrs.evolve(ROW, status="paused", version=2)),
        PutInstance(ROW),
        PutStep(attrs.evolve(MAIL, status="completed", attempts=2, failure=None, next_retry_at=None, sequence=2)),
        PutStep(attrs.evolve(SLEEP, key="sleep:next")),
        PutEvent(attrs.evolve(SENT, consumed_by="#pause", delivered_at=START)),
        AddEvent(attrs.evolve(SENT, id="e2")),
        DeleteHook(TIMER.id),
        PutHook(attrs.evolve(TIMER, due_at=START + 2 * MINUTE, attempts=1, last_error="KeyError: 1")),
        AddInstance(attrs.evolve(ROW, ref="parcel#1")),
        Write(OrderPaid("A-1")),
        logs=(LogLine("paid", {"by": "eva"}),),
    )
    assert (
        "Suspended: until 2026-01-01 00:01:00, waiting_on sleep:settle\n"
        "PutInstance checkout#1: status waiting -> paused, version 1 -> 2\n"
        "PutInstance checkout#1: as before\n"
        "PutStep do:mail: status waiting -> completed, attempts 1 -> 2, next_retry_at 2026-01-01 00:01:00 -> none, "
        "failure DeclinedError: no -> none, sequence none -> 2\n"
        "PutStep sleep:next: status waiting, wake_at 2026-01-01 00:01:00\n"
        "PutEvent e1: consumed_by none -> #pause, delivered_at none -> 2026-01-01 00:00:00\n"
        'AddEvent e2: type approved, payload {"by":"eva"}, actor user\n'
        "DeleteHook timer\n"
        "PutHook timer: due_at 2026-01-01 00:01:00 -> 2026-01-01 00:02:00, attempts 0 -> 1, "
        "last_error none -> KeyError: 1\n"
        'AddInstance parcel#1: status waiting, params {"id":"A-1"}, started_at 2026-01-01 00:00:00, version 1\n'
        "Write OrderPaid(order='A-1')\n"
        "log 'paid' {'by': 'eva'}"
    ) == tell(plan, SEEN)
