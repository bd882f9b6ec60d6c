"""The rows that ``given`` makes: what is not said is as the rules have it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import attrs
import pytest

from tests.testing.checkout import DAY, MINUTE, Approval, Approved, Card, DeclinedError, Order, Receipt, Wire, checkout
from wfcore import Event, EventType, Instance, Snapshot, Step, StepRecord, workflow
from wfcore.errors import StepNameError
from wfcore.failure import failure_of
from wfcore.testing import (
    START,
    Given,
    GivenStep,
    cancelled,
    completed,
    errored,
    event,
    given,
    hook,
    message,
    pause_request,
    returns,
    send_event,
    started,
    stored,
    timed_out,
    timer,
    waiting,
)

ORDER = Order("A-1")
LATER = START + MINUTE


def instance(said: Given) -> Instance:
    found = said.snapshot.instance
    assert found is not None
    return found


def record(step: GivenStep) -> StepRecord:
    return given(checkout, ORDER, steps=[step]).snapshot.steps[0]


def timer_of(said: Given) -> datetime | None:
    return next((each.due_at for each in said.snapshot.hooks if each.id == "checkout#1#timer"), None)


# ---- as a whole


def test_the_rows_are_those_that_ticks_leave() -> None:
    """But for versions and execution ids; what is said of times has to be said."""
    at = START + 10 * MINUTE
    paid = given(checkout, ORDER).performing({"charge": returns(Wire("i"))}).when()
    left = paid.and_then().when(at=at).and_then().when(send_event(Approved, Approval("eva"))).and_then().snapshot
    said = given(
        checkout,
        ORDER,
        steps=[
            completed("do:charge", Wire("i"), max_attempts=2),
            completed("sleep:settle", wake_at=at, settled_at=at),
            waiting("wait_for_event:approval", Approved, until=at + DAY, created_at=at),
        ],
        events=[event(Approved, Approval("eva"), at=at)],
        updated_at=at,
        version=3,
    ).snapshot
    assert ids_apart(left) == ids_apart(said)


def ids_apart(snapshot: Snapshot) -> Snapshot:
    """Without what names plans, and without when and why hooks were written."""
    assert snapshot.instance is not None
    return attrs.evolve(
        snapshot,
        instance=attrs.evolve(snapshot.instance, execution_id="", created_by=""),
        steps=tuple(attrs.evolve(each, execution_id="") for each in snapshot.steps),
        hooks=tuple(attrs.evolve(each, created_at=START) for each in snapshot.hooks),
    )


# ---- the instance


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([], ("active", START)),
        ([completed("do:charge", Card("c"))], ("active", START)),
        ([waiting("sleep:settle", until=LATER)], ("waiting", LATER)),
        ([waiting("sleep:b", until=START + DAY), waiting("sleep:a", until=LATER)], ("waiting", LATER)),
        ([waiting("wait_for_event:approval", Approved)], ("waiting", None)),
        ([started("do:letter", until=LATER)], ("active", LATER)),
        ([cancelled("do:letter")], ("active", START)),
    ],
    ids=["new", "more to do", "parked", "the first deadline", "for an event", "a body may be running", "cancelled"],
)
def test_status_and_timer_are_as_the_steps_show(steps: list[GivenStep], expected: tuple[str, datetime | None]) -> None:
    """O3, O4, O5."""
    said = given(checkout, ORDER, steps=steps)
    assert expected == (instance(said).status, timer_of(said))


@pytest.mark.parametrize("status", ["paused", "complete", "errored", "terminated"])
def test_what_cannot_go_on_has_no_timer(status: Any) -> None:
    """O5."""
    assert timer_of(given(checkout, ORDER, status=status, steps=[waiting("sleep:settle", until=LATER)])) is None


def test_an_instance_that_has_ended_has_begun_and_ended() -> None:
    row = instance(given(checkout, ORDER, status="complete", output=Receipt(Card("c"), "eva")))
    assert (START, START, '{"payment":{"$type":"Card","number":"c"},"by":"eva"}') == (
        row.started_at,
        row.completed_at,
        row.output,
    )


def test_an_instance_that_has_failed() -> None:
    row = instance(given(checkout, ORDER, status="errored", failure=DeclinedError("no")))
    assert failure_of(DeclinedError("no")) == row.failure


def test_a_new_instance_has_not_begun() -> None:
    assert instance(given(checkout, ORDER)).started_at is None


def test_what_is_said_of_the_row_holds() -> None:
    row = instance(
        given(checkout, ORDER, id="a-1", run_number=3, version=7, tags={"shop": "1"}, created_at=START - DAY)
    )
    assert ("checkout#a-1", 3, 3, 7, {"shop": "1"}, START - DAY) == (
        row.ref,
        row.run_number,
        row.key_run,
        row.version,
        row.tags,
        row.created_at,
    )


def test_the_test_begins_when_it_says() -> None:
    said = given(checkout, ORDER, at=LATER)
    assert (LATER, LATER, LATER) == (said.now, said.snapshot.now, instance(said).created_at)


# ---- steps


def test_settled_steps_take_their_places_in_the_order_of_the_list() -> None:
    steps = [
        completed("do:a"),
        completed("patch:new-tax"),
        waiting("sleep:b", until=LATER),
        errored("do:c", DeclinedError()),
        cancelled("do:d"),
        completed("sleep:e", sequence=9),
        completed("do:f"),
    ]
    rows = given(checkout, ORDER, steps=steps).snapshot.steps
    assert [1, None, None, 2, None, 9, 10] == [each.sequence for each in rows]


def test_a_step_is_named_by_its_key() -> None:
    row = record(completed("gather:fulfil[0]>do:ship#1"))
    assert ("do", "ship", "gather:fulfil[0]", 1) == (row.kind, row.name, row.parent_key, row.depth)


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (completed("do:a"), {"attempts": 1, "max_attempts": 1, "settled_at": START, "result": "null"}),
        (completed("do:a", attempts=3), {"attempts": 3, "max_attempts": 3}),
        (completed("do:a", settled_at=LATER), {"created_at": START, "settled_at": LATER}),
        (completed("sleep:a"), {"attempts": 0, "wake_at": START, "result": None}),
        (errored("do:a", DeclinedError("no")), {"failure": failure_of(DeclinedError("no")), "settled_at": START}),
        (waiting("do:a", until=LATER), {"attempts": 1, "max_attempts": 2, "next_retry_at": LATER, "settled_at": None}),
        (waiting("do:a", until=LATER, failure=DeclinedError()), {"failure": failure_of(DeclinedError())}),
        (waiting("sleep:a", until=LATER), {"wake_at": LATER, "next_retry_at": None}),
        (waiting("wait_for_event:a", Approved, "no"), {"event_types": ("approved", "no"), "wake_at": None}),
        (waiting("wait_for_event:a", event_types=("no",)), {"event_types": ("no",)}),
        (started("do:a", until=LATER), {"attempts": 0, "wake_at": LATER, "execution_id": "before"}),
        (cancelled("sleep:a", wake_at=LATER), {"wake_at": LATER, "settled_at": START}),
        (completed("wait_for_event:a", event("no", 1, id="x")), {"event_id": "x", "event_types": ("no",)}),
        (completed("do:a", stored("7")), {"result": "7"}),
        (
            timed_out("wait_for_event:a", Approved, until=LATER),
            {"status": "errored", "event_types": ("approved",), "wake_at": LATER},
        ),
    ],
)
def test_a_record_says_what_such_a_step_leaves(step: GivenStep, expected: dict[str, Any]) -> None:
    row = record(step)
    assert expected == {name: getattr(row, name) for name in expected}


def test_a_step_that_is_not_named_by_its_key_is_refused() -> None:
    with pytest.raises(StepNameError):
        given(checkout, ORDER, steps=[completed("charge")])


def test_a_step_has_one_record() -> None:
    with pytest.raises(ValueError, match="2 records of 'do:a'; the next one of that name is 'do:a#1'"):
        given(checkout, ORDER, steps=[completed("do:a"), completed("do:a")])


def test_the_test_begins_at_an_instant_with_a_time_zone() -> None:
    with pytest.raises(ValueError, match="is naive"):
        given(checkout, ORDER, at=datetime(2026, 1, 1))


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: waiting("sleep:settle"), "say until when"),
        (lambda: waiting("do:charge"), "say until when"),
        (lambda: waiting("wait_for_event:approval"), "say for which events"),
    ],
    ids=["sleep", "do", "wait_for_event"],
)
def test_a_step_cannot_wait_for_nothing(make: Callable[[], object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        make()


@pytest.mark.parametrize(
    ("value", "payload"),
    [
        (None, "null"),
        ([1, "a"], '[1,"a"]'),
        ({"a": [1]}, '{"a":[1]}'),
        (Card("1"), '{"number":"1"}'),
        ([Card("1")], '[{"number":"1"}]'),
        ({"a": Card("1")}, '{"a":{"number":"1"}}'),
        ((1, Card("1")), '[1,{"number":"1"}]'),
        ({7}, "[7]"),
        (START, '"2026-01-01T00:00:00+00:00"'),
    ],
    ids=str,
)
def test_where_no_code_gives_the_type_the_value_shows_it(value: object, payload: str) -> None:
    assert payload == record(completed("do:unknown", value)).result


# ---- events


def test_events_arrive_in_order_with_the_wake_ups_that_announce_them() -> None:
    said = given(checkout, ORDER, events=[event(Approved, Approval("a")), event("no", [1], id="x", at=START - MINUTE)])
    rows = said.snapshot.events
    assert [
        Event(instance_ref="checkout#1", id="e1", type="approved", payload='{"by":"a"}', created_at=START),
        Event(instance_ref="checkout#1", id="x", type="no", payload="[1]", created_at=START - MINUTE),
    ] == list(rows)
    assert {"timer", "msg:e1", "msg:x"} == {each.id.removeprefix("checkout#1#") for each in said.snapshot.hooks}


def test_a_payload_is_encoded_by_the_type_that_the_workflow_lists() -> None:
    """W11."""
    listed = EventType("price", int | float)

    @workflow(name="listing", events=[listed])
    def listing(step: Step) -> None: ...

    assert "7" == given(listing, events=[event("price", 7)]).snapshot.events[0].payload


def test_a_request_to_pause() -> None:
    """M3."""
    (row,) = given(checkout, ORDER, events=[pause_request()]).snapshot.events
    assert ("#pause:1", "pause", "system") == (row.id, row.type, row.actor)


# ---- hooks


def test_hooks_are_those_that_are_said() -> None:
    said = given(
        checkout,
        ORDER,
        run_number=2,
        hooks=[timer(LATER, attempts=2, last_error="no"), hook("old", run=1), message("x"), hook("terminal:7")],
    )
    found = {
        (each.id.removeprefix("checkout#1#"), each.run_number, each.reason, each.due_at) for each in said.snapshot.hooks
    }
    assert {
        ("timer", 2, "wake", LATER),
        ("old", 1, "wake", START),
        ("msg:x", None, "event", START),
        ("terminal:7", None, "terminal", START),
    } == found
