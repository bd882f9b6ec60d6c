"""What a test may expect of a plan: when each expectation holds, and what it says if it does not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.testing.checkout import (
    DAY,
    Approval,
    Approved,
    Card,
    DeclinedError,
    Order,
    OrderPaid,
    Receipt,
    checkout,
)
from wfcore import AddInstance, AsyncStep, Attempt, Step, workflow
from wfcore.failure import failure_of
from wfcore.testing import (
    START,
    Expected,
    PlanMismatchError,
    Planned,
    add_event,
    add_instance,
    completed,
    event,
    fails,
    failure,
    given,
    hooks_left,
    message,
    no_step,
    no_timer,
    output,
    put_event,
    put_instance,
    put_step,
    returns,
    timer_at,
    waiting,
    writes,
)


@workflow(name="parcel")
def parcel(step: Step, card: Card) -> None: ...


def ship(attempt: Attempt) -> None:
    attempt.write(OrderPaid("1"))
    attempt.write(OrderPaid("2"))
    attempt.start(parcel, Card("1"), id="p-1")
    attempt.send_event(parcel, "p-0", Approved, Approval("eva"), event_id="x", required=True)


@workflow(name="shipping")
async def shipping(step: AsyncStep) -> None:
    inner = step.scope("parcel")
    await inner.do("ship", ship)
    raise DeclinedError("at the end")


def ends() -> Planned:
    charged = [completed("do:charge", Card("c")), completed("sleep:settle")]
    asking = waiting("wait_for_event:approval", Approved, until=START + DAY)
    return given(checkout, Order("A"), steps=[*charged, asking], events=[event(Approved, Approval("eva"))]).when(
        message()
    )


def ships() -> Planned:
    return given(shipping).when()


def declines() -> Planned:
    return given(checkout, Order("A")).performing({"charge": fails(DeclinedError("no"))}).when()


@pytest.mark.parametrize(
    ("tick", "expected"),
    [
        (ends, put_step("wait_for_event:approval", result=Approval("eva"), event_id="e1")),
        (ends, put_instance(output=Receipt(Card("c"), "eva"), params=Order("A"), failure=None)),
        (ends, put_event("e1", consumed_by="wait_for_event:approval", payload=Approval("eva"))),
        (ends, output(Receipt(Card("c"), "eva"))),
        (ends, no_step("do:charge")),
        (ends, no_timer()),
        (ends, hooks_left()),
        (ends, writes()),
        (ships, put_step("ship", result=None)),
        (ships, put_step("scope:parcel>do:ship", status="completed")),
        (ships, no_step("parcel")),
        (ships, add_instance("parcel#p-1", params=Card("1"), output=None)),
        (ships, add_event("x", payload=Approval("eva"), type="approved")),
        (ships, writes(OrderPaid("1"), OrderPaid("2"))),
        (ships, failure(DeclinedError)),
        (ships, failure(Exception)),
        (ships, failure(DeclinedError("at the end"))),
        (ships, put_instance(failure=failure_of(DeclinedError("at the end")))),
        (declines, put_step("charge", failure=DeclinedError("no"))),
        (declines, put_step("charge", result=None)),
        (declines, timer_at(START + (START.resolution * 2_000_000))),
    ],
    ids=range(21),
)
def test_an_expectation_that_holds(tick: Any, expected: Expected) -> None:
    tick().then(expected)


@pytest.mark.parametrize(
    ("tick", "expected", "problem"),
    [
        (
            ends,
            put_step("wait_for_event:approval", result=Approval("bob")),
            'PutStep wait_for_event:approval, result: expected Approval(by=\'bob\'), found {"by": "eva"}',
        ),
        (
            ends,
            put_instance(params=Order("B")),
            'PutInstance checkout#1, params: expected Order(id=\'B\'), found {"id":"A"}',
        ),
        (ends, output(object), "output: expected <class 'object'>, found "),
        (ends, put_step("wait_for_event:approval", result=object()), "result: expected <object object"),
        (ships, put_step("ship", result=1), "PutStep scope:parcel>do:ship, result: expected 1, found null"),
        (ships, put_step("ship", failure=DeclinedError), "failure: expected DeclinedError, found none"),
        (ships, failure(TimeoutError), "failure: expected TimeoutError, found DeclinedError: at the end"),
        (
            ships,
            failure(DeclinedError("yes")),
            "failure: expected DeclinedError: yes, found DeclinedError: at the end",
        ),
        (
            ships,
            writes(OrderPaid("2"), OrderPaid("1")),
            "writes: expected OrderPaid(order='2'), ",
        ),
        (declines, hooks_left("msg:e1"), "hooks after the plan: expected msg:e1, found timer"),
        (ships, add_instance("parcel#p-2"), "missing: AddInstance parcel#p-2 (found parcel#p-1)"),
        (declines, put_step("charge", result=1), "PutStep do:charge, result: expected 1, found none"),
        (declines, no_step("charge"), "unexpected: PutStep do:charge (status waiting, attempts 1, "),
    ],
    ids=range(13),
)
def test_an_expectation_that_does_not_hold(tick: Any, expected: Expected, problem: str) -> None:
    with pytest.raises(PlanMismatchError) as failed:
        tick().then(expected)
    assert problem in failed.value.problems[0]


def test_of_several_rows_the_nearest_is_told() -> None:
    """A bare name may mean several steps; one that fits will do."""

    @workflow(name="twice", checkpoint="tick")
    def twice(step: Step) -> None:
        step.do("pay", lambda attempt: 1, returns=int)
        step.do("pay", lambda attempt: 2, returns=int)
        step.sleep("nap", DAY)

    two = given(twice, steps=[waiting("do:pay", until=START)]).performing({"pay": returns(2)}).when()
    two.then(put_step("pay", attempts=1, result=2))
    with pytest.raises(PlanMismatchError) as failed:
        two.then(put_step("pay", attempts=1, sequence=7))
    assert ("PutStep do:pay#1, sequence: expected 7, found 2",) == failed.value.problems


def test_the_instance_that_a_plan_relies_on_is_taken_to_exist() -> None:
    """T4."""
    after = ships().and_then().world
    assert {"shipping#1", "parcel#p-1"} <= set(after)
    ships().then(*[each for each in ships().plan.mutations if isinstance(each, AddInstance)])
