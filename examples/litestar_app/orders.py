"""The life of an order: paid, approved, shipped. It knows of no web server and of no database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

import attrs
from attrs.validators import ge, le

from wfcore import AsyncStep, Attempt, EventTimeoutError, EventType, Retry, Workflow, workflow

RETRY = Retry(max_attempts=6, delay=timedelta(seconds=1))


@attrs.frozen
class Basket:
    item: str
    cents: int = attrs.field(validator=[ge(1), le(1_000_000)])
    voucher: str | None = None


@attrs.frozen
class Order:
    id: str
    basket: Basket


@attrs.frozen
class Approval:
    by: str
    granted: bool = True


APPROVAL = EventType("approval", Approval)


@attrs.frozen
class Moved:
    """The order's row gets another state, in the transaction that records the step."""

    order_id: str
    state: str


Partner = Callable[[str, Order, str], Awaitable[str]]


async def pretend(what: str, order: Order, key: str) -> str:
    """Stands for a payment provider and a carrier. A real one is asked by HTTP; ``key`` makes asking twice harmless."""
    return f"{what}: {order.basket.item}, {order.basket.cents} cents, {key[-8:]}"


def make_fulfilment(partner: Partner) -> Workflow[Order, str]:
    async def ask(what: str, state: str, order: Order, attempt: Attempt) -> str:
        answer = await partner(what, order, attempt.idempotency_key)
        attempt.write(Moved(order.id, state))
        return answer

    @workflow(name="fulfilment", events=[APPROVAL])
    async def fulfilment(step: AsyncStep, order: Order) -> str:
        await step.do("charge", partial(ask, "charge", "paid", order), retry=RETRY)
        try:
            approval = (await step.wait_for_event("approval", APPROVAL, timeout=timedelta(days=7))).payload
        except EventTimeoutError:
            approval = Approval("nobody", granted=False)
        if not approval.granted:
            return await step.do("refund", partial(ask, "refund", "refunded", order), retry=RETRY)
        return await step.do("ship", partial(ask, "ship", "shipped", order), retry=RETRY)

    return fulfilment
