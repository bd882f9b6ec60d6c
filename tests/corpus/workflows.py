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
    Received,
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


# ---- branches


async def nap(minutes: int, step: AsyncStep) -> int:
    await step.sleep("nap", minutes * MINUTE)
    return minutes


async def deliver(order: Order, step: AsyncStep) -> str:
    label = await step.do("label", lambda attempt: f"label {order.id}")
    await step.sleep("dry", MINUTE)
    return await step.do("ship", lambda attempt: f"{label} shipped", retry=RETRIES["linear"])


async def flaky(step: AsyncStep) -> int:
    return await step.do("flaky", decline(2), retry=RETRIES["exponential"])


@workflow(name="branches", checkpoint="tick")
async def branches(step: AsyncStep) -> list[Any]:
    found: list[Any] = []
    label, minutes, attempts = await step.gather("all", partial(deliver, Order("o1", 1)), partial(nap, 3), flaky)
    found += [label, minutes, attempts, step.now().isoformat()]
    found += await step.gather("again", {"a": partial(nap, 1), "b": partial(nap, 1)})
    racers: dict[str, Any] = {"slow": partial(nap, 60), "fast": partial(nap, 2), "flaky": flaky}
    key, winner = await step.race("race", racers)
    found += [key, winner, step.now().isoformat(), str(step.uuid("id"))]
    return found


@workflow(name="branches")
async def branches_by_step(step: AsyncStep) -> list[Any]:
    return await branches.fn(step)  # type: ignore[no-any-return] # the same code


async def refuse(step: AsyncStep) -> None:
    await step.do("refuse", decline(9))


async def nested(step: AsyncStep) -> None:
    await step.gather("inner", partial(nap, 60), partial(nap, 2), deliver_late)


async def deliver_late(step: AsyncStep) -> str:
    await step.sleep("wait", MINUTE)
    return await step.do("late", lambda attempt: "late")


@workflow(name="failing branches", checkpoint="tick")
async def failing_branches(step: AsyncStep) -> list[str]:
    found = []
    try:
        await step.gather("all", nested, refuse, deliver_late)
    except StepFailedError as error:
        found.append(error.step_key)
    try:
        await step.race("race", nested, refuse)
    except StepFailedError as error:
        found.append(error.step_key)
    await step.sleep("after", MINUTE)
    return found


async def divide(step: AsyncStep, number: int) -> int:
    await step.sleep("think", SECOND)
    return await step.do("divide", lambda attempt: 60 // number)


@workflow(name="maps", checkpoint="tick")
async def maps(step: AsyncStep, numbers: list[int]) -> list[Any]:
    found: list[Any] = [await step.map("all", numbers, divide, max_concurrency=2)]
    results = await step.map("collect", [*numbers, 0], divide, key=str, on_error="collect")
    found.append([type(each).__name__ for each in results])
    found.append(await step.map("none", [], divide))
    return found


@workflow(name="maps", checkpoint="tick")
async def maps_of_others(step: AsyncStep, numbers: list[int]) -> list[Any]:
    return [await step.map("all", [1, *numbers], divide, max_concurrency=2)]


# ---- starts that are committed first, bodies that decide, patches, others, runs without end


@workflow(name="once")
async def once(step: AsyncStep) -> list[Any]:
    return [
        *await step.gather(
            "both",
            lambda branch: branch.do("pay", lambda attempt: "paid", at_most_once=timedelta(hours=1)),
            partial(nap, 1),
        )
    ]


@workflow(name="once")
def once_alone(step: Step) -> str:
    try:
        return step.do("pay", lambda attempt: "paid", at_most_once=timedelta(hours=1), retry=RETRIES["constant"])
    except StepFailedError as error:
        return error.failure.type


def accept(attempt: Attempt, received: Received[Any]) -> None:
    attempt.write({"answered by": received.id})
    if received.payload == "no":
        raise DeclinedError("no is no answer", received.payload)


async def answered(step: AsyncStep) -> str:
    try:
        received: Received[str] = await step.wait_for_event("answer", Rejected, on_consume=accept)
    except StepFailedError as error:
        return error.failure.message
    return received.id


@workflow(name="deciding", checkpoint="tick")
async def deciding(step: AsyncStep) -> list[str]:
    return [*await step.gather("both", answered, answered)]


@workflow(name="patched")
def unpatched(step: Step) -> list[Any]:
    step.do("work", lambda attempt: 1)
    step.sleep("nap", MINUTE)
    return []


@workflow(name="patched")
def patched(step: Step) -> list[Any]:
    step.do("work", lambda attempt: 1)
    found: list[Any] = [step.patched("check")]
    if found[0]:
        found.append(step.do("check", lambda attempt: 2))
    step.sleep("nap", MINUTE)
    return [*found, step.patched("end"), step.patched("check")]


def tell(attempt: Attempt) -> None:
    attempt.start(sleeps, id="child", tags={"parent": "1"})
    attempt.send_event(waits, "other", Approved, Approval("parent"))
    attempt.send_event(waits, "other", "anything", {"n": 1}, event_id="mine")


@workflow(name="telling", notify=True)
def telling(step: Step) -> None:
    step.do("tell", tell)


@workflow(name="endless", notify=True, checkpoint="tick")
def endless(step: Step, number: int) -> str:
    step.do("count", lambda attempt: attempt.idempotency_key)
    received = step.wait_for_event("next", Anything)
    if number < 2:
        return step.continue_with(number + 1)
    return received.id


async def work(step: AsyncStep) -> str:
    return await step.do("work", lambda attempt: "worked", retry=RETRIES["linear"])


async def struggle(step: AsyncStep) -> int:
    return await step.do("struggle", decline(9), retry=RETRIES["linear"])


@workflow(name="racing")
async def racing(step: AsyncStep) -> list[Any]:
    found: list[Any] = [*await step.race("first", work, struggle, partial(nap, 1))]
    found += await step.race("second", partial(nap, 1), work, work)
    return [*found, step.now().isoformat()]


def demand(attempt: Attempt) -> int:
    attempt.send_event(waits, "other", Approved, Approval("parent"), event_id="demand", required=True)
    return attempt.number


@workflow(name="demanding")
def demanding(step: Step) -> int | str:
    try:
        return step.do("demand", demand, retry=RETRIES["constant"])
    except StepFailedError as error:
        return error.failure.type


@workflow(name="parallel")
async def parallel(step: AsyncStep) -> list[Any]:
    return [*await step.gather("both", work, work)]


@workflow(name="escaping")
async def escaping(step: AsyncStep) -> None:
    await step.gather("all", nested, partial(nap, 3), struggle)
