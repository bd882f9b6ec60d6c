"""A shop's workflows, as a user of the kit would have them, and what their bodies take and give."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import attrs

from wfcore import AsyncStep, Attempt, EventTimeoutError, EventType, Retry, Step, Workflow, workflow

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


@attrs.frozen
class Order:
    id: str


@attrs.frozen
class Payment:
    id: str


@attrs.frozen
class Approval:
    by: str


Approved = EventType("approved", Approval)


class DeclinedError(Exception):
    pass


def charge(order: Order, attempt: Attempt) -> Payment:
    attempt.write(("charged", order.id))
    return Payment(f"payment of {order.id}")


async def send(what: str, attempt: Attempt) -> str:
    return f"{what} sent"


async def parcel(step: AsyncStep) -> str:
    return await step.do("send", partial(send, "parcel"))


async def mail(step: AsyncStep) -> str:
    return await step.do("send", partial(send, "mail"))


@workflow(name="checkout")
async def checkout(step: AsyncStep, order: Order) -> str:
    payment = await step.do("charge", partial(charge, order), retry=Retry(max_attempts=3, delay=2 * SECOND))
    await step.sleep("settle", 10 * MINUTE)
    approval = await step.wait_for_event("approval", Approved, timeout=24 * HOUR)
    sent = await step.gather("fulfil", parcel, mail)
    return f"{payment.id}, approved by {approval.payload.by}: {', '.join(sent)}"


@workflow(name="patient")
def patient(step: Step) -> str:
    """Waits for an event without a deadline."""
    return str(step.wait_for_event("word", "word").payload)


@workflow(name="impatient")
def impatient(step: Step) -> str:
    """Waits for an event for an hour, then sleeps."""
    try:
        return str(step.wait_for_event("word", "word", timeout=HOUR).payload)
    except EventTimeoutError:
        step.sleep("sulk", HOUR)
        return "nobody spoke"


def one(attempt: Attempt) -> int:
    return 1


@workflow(name="counting")
def counting(step: Step, number: int) -> int:
    """One body after the other."""
    return sum(step.do("one", one) for _ in range(number))


@workflow(name="careful")
def careful(step: Step) -> int:
    """A body that is started at most once."""
    return step.do("one", one, at_most_once=MINUTE)


@workflow(name="restless")
def restless(step: Step) -> None:
    """Never ends, and never lets time pass."""
    while True:
        step.sleep("nothing", timedelta(0))
        step.do("one", one)


SHOP: list[Workflow[Any, Any]] = [checkout, patient, impatient, counting, careful, restless]
