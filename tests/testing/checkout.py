"""A workflow for the tests of the test kit: it charges, waits, asks, and ships two ways at once."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import attrs

from wfcore import AsyncStep, Attempt, EventType, Received, Retry, workflow

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


@attrs.frozen
class Order:
    id: str


@attrs.frozen
class Card:
    number: str


@attrs.frozen
class Wire:
    iban: str


@attrs.frozen
class Approval:
    by: str


@attrs.frozen
class OrderPaid:
    order: str


@attrs.frozen
class Receipt:
    payment: Card | Wire
    by: str


class DeclinedError(Exception):
    """The bank says no."""


Approved = EventType("approved", Approval)


def charge(order: Order, attempt: Attempt) -> Card | Wire:
    attempt.write(OrderPaid(order.id))
    return Card("real")


@workflow(name="checkout")
async def checkout(step: AsyncStep, order: Order) -> Receipt:
    payment = await step.do("charge", partial(charge, order), retry=Retry(max_attempts=2, delay=2 * SECOND))
    await step.sleep("settle", 10 * MINUTE)
    approval: Received[Approval] = await step.wait_for_event("approval", Approved, timeout=DAY)
    step.log("approved", by=approval.payload.by)
    return Receipt(payment, approval.payload.by)
