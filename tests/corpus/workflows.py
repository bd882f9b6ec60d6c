"""The workflows of the frozen ticks. They are as frozen as those: add others, never change one.

What a body returns depends on nothing but its arguments, so that a tick can be planned again by calling it.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import attrs

from wfcore import (
    AsyncStep,
    Attempt,
    EventTimeoutError,
    EventType,
    NonRetryableError,
    Retry,
    RetryAfterError,
    Step,
    StepFailedError,
    workflow,
)

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


@attrs.frozen
class Order:
    id: str
    cents: int
    limit: Decimal = Decimal("99.50")


@attrs.frozen
class Receipt:
    payment: str
    items: tuple[str, ...]
    at: datetime


@attrs.frozen
class Approval:
    by: str


class DeclinedError(Exception):
    def __init__(self, message: str, details: Any = None) -> None:
        super().__init__(message)
        self.details = details


Approved = EventType("approved", Approval)
Rejected = EventType("rejected", str)
Anything = EventType("anything")


def charge(order: Order, attempt: Attempt) -> str:
    attempt.write({"charged": order.id, "attempt": attempt.number})
    return f"{order.id}:{order.cents}"


def pack(order: Order, attempt: Attempt) -> tuple[str, ...]:
    return (order.id, str(order.limit))


@workflow(name="orders", events=[Approved, Rejected])
def orders(step: Step, order: Order) -> Receipt:
    payment = step.do("charge", partial(charge, order))
    step.log("charged", payment=payment, order=order.id)
    items = step.do("pack", partial(pack, order))
    step.sleep("settle", 10 * MINUTE)
    received = step.wait_for_event("approval", Approved, Rejected, timeout=timedelta(days=1))
    step.log("answered", type=received.type)
    return Receipt(payment, items, step.now())


@workflow(name="orders", events=[Approved, Rejected])
async def orders_async(step: AsyncStep, order: Order) -> Receipt:
    payment = await step.do("charge", partial(charge, order))
    step.log("charged", payment=payment, order=order.id)
    items = await step.do("pack", partial(pack, order))
    await step.sleep("settle", 10 * MINUTE)
    received = await step.wait_for_event("approval", Approved, Rejected, timeout=timedelta(days=1))
    step.log("answered", type=received.type)
    return Receipt(payment, items, step.now())


@workflow(name="orders", checkpoint="tick", events=[Approved, Rejected])
def orders_by_tick(step: Step, order: Order) -> Receipt:
    return orders.fn(step, order)  # type: ignore[no-any-return] # the same code


@workflow(name="orders", events=[Approved, Rejected])
def orders_renamed(step: Step, order: Order) -> Receipt:
    payment = step.do("take money", partial(charge, order))
    return Receipt(payment, (), step.now())


@workflow(name="orders", events=[Approved, Rejected])
def orders_cut(step: Step, order: Order) -> Receipt:
    payment = step.do("charge", partial(charge, order))
    return Receipt(payment, (), step.now())


def failing(times: int, error: Exception, attempt: Attempt) -> int:
    attempt.write({"succeeded at": attempt.number})
    attempt.on_terminal_error({"failed at": attempt.number})
    if attempt.number <= times:
        raise error
    return attempt.number


def decline(times: int) -> partial[int]:
    return partial(failing, times, DeclinedError("no money", {"code": 51}))


RETRIES = {
    "constant": Retry(max_attempts=4, delay=3 * SECOND, backoff="constant"),
    "linear": Retry(max_attempts=4, delay=3 * SECOND, backoff="linear"),
    "exponential": Retry(max_attempts=5, delay=3 * SECOND, max_delay=10 * SECOND),
    "jitter": Retry(max_attempts=5, delay=3 * SECOND, jitter=0.5),
}


@workflow(name="retries")
def retries(step: Step, policy: str) -> int:
    return step.do("charge", decline(3), retry=RETRIES[policy])


@workflow(name="failures", checkpoint="tick")
def failures(step: Step) -> list[str]:
    found = []
    for name, body, retry in (
        ("no retry", decline(1), None),
        ("no attempts left", decline(9), Retry(max_attempts=2, delay=SECOND)),
        ("final", partial(failing, 9, NonRetryableError("never", details={"a": [1]})), Retry(max_attempts=3)),
        ("given up", decline(9), Retry(max_attempts=3, give_up_on=(DeclinedError,))),
        ("later", partial(failing, 1, RetryAfterError(timedelta(hours=1))), Retry(max_attempts=2)),
        ("not JSON", lambda attempt: math.nan, Retry(max_attempts=3)),
    ):
        try:
            found.append(f"{name}: {step.do(name, body, retry=retry)}")
        except StepFailedError as error:
            found.append(f"{name}: {error.failure.type.rpartition('.')[2]}, {error.failure.details}, {error.step_key}")
    return found


@workflow(name="failures")
async def failures_async(step: AsyncStep) -> list[str]:
    found = []
    for name, body, retry in (
        ("no retry", decline(1), None),
        ("no attempts left", decline(9), Retry(max_attempts=2, delay=SECOND)),
        ("final", partial(failing, 9, NonRetryableError("never", details={"a": [1]})), Retry(max_attempts=3)),
    ):
        try:
            found.append(f"{name}: {await step.do(name, body, retry=retry)}")
        except StepFailedError as error:
            found.append(f"{name}: {error.failure.type.rpartition('.')[2]}, {error.failure.details}, {error.step_key}")
    return found


@workflow(name="sleeps")
def sleeps(step: Step) -> None:
    step.sleep("zero", timedelta(0))
    step.sleep_until("past", datetime(1999, 12, 31, tzinfo=UTC))
    step.sleep_until("far", datetime(2026, 1, 1, 12, 0, 0, 1, tzinfo=UTC))
    step.sleep("nap", MINUTE)
    step.sleep("nap", MINUTE)
    step.sleep("for ever", timedelta.max)


@workflow(name="waits")
def waits(step: Step) -> list[str]:
    found = []
    for name, timeout in (("a", None), ("b", timedelta(0)), ("c", 10 * MINUTE), ("d", 10 * MINUTE), ("e", MINUTE)):
        try:
            received = step.wait_for_event(name, Approved, Rejected, timeout=timeout)
        except EventTimeoutError as error:
            found.append(f"{name}: {error.step_key} at {step.now().isoformat()}")
        except StepFailedError as error:
            found.append(f"{name}: {error.failure.type}")
        else:
            found.append(f"{name}: {received.id} {received.type} {received.payload} {received.created_at.isoformat()}")
    return found


@workflow(name="waits")
def waits_for_others(step: Step) -> None:
    step.wait_for_event("a", Anything)


@workflow(name="scopes", checkpoint="tick")
def scopes(step: Step) -> list[Any]:
    parcels = [step.scope("parcel"), step.scope("parcel")]
    found: list[Any] = []
    for parcel in parcels:
        found.append(parcel.do("ship", lambda attempt: attempt.idempotency_key))
        found.append(parcel.do("ship", lambda attempt: attempt.number))
        found += [str(parcel.uuid("id")), parcel.random("dice")]
        parcel.scope("label").sleep("dry", SECOND)
        found.append(parcel.now().isoformat())
    found += [str(step.uuid("id")), str(step.uuid("id")), step.random("dice"), step.now().isoformat()]
    step.log("done", many=len(found))
    return found


@workflow(name="ends")
def ends(step: Step, how: str) -> Any:
    step.do("work", lambda attempt: 1)
    if how == "raise":
        raise DeclinedError("over", {"a": None})
    if how == "final":
        step.do("fail", decline(9))
    if how == "no JSON":
        return {1, 2}
    if how == "bad name":
        step.do("a>b", lambda attempt: 1)
    if how == "swallow":
        try:
            step.sleep("nap", MINUTE)
        except BaseException:
            return "swallowed"
    return how


@workflow(name="forgetful")
async def forgetful(step: AsyncStep) -> None:
    await step.do("work", lambda attempt: 1)
    step.do("forgotten", lambda attempt: 2)  # type: ignore[unused-coroutine] # the point of it
