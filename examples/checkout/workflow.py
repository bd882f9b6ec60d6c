"""The checkout of an order: what happens, in which order, and what is done if it cannot go on.

Everything here is replayed after a crash, so it only decides; whatever touches the world is in the bodies of the
steps, the methods of ``Shop``. Times are short, so that a demo is; nothing else would be different with days.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from examples.checkout.gateway import CardDeclined
from examples.checkout.orders import ANSWERED, Order, Result
from examples.checkout.shop import Shop, SoldOut

from wfcore import AsyncStep, EventTimeoutError, Retry, StepFailedError, Workflow, workflow

GATEWAY = Retry(max_attempts=6, delay=timedelta(milliseconds=200), give_up_on=(CardDeclined,))
SETTLING = timedelta(seconds=1)
PATIENCE = timedelta(seconds=6)


def make_checkout(shop: Shop) -> Workflow[Order, Result]:
    """The workflow of a shop: what its steps need comes in by this closure, and is no part of what is stored."""

    @workflow(name="checkout", events=[ANSWERED])
    async def checkout(step: AsyncStep, order: Order) -> Result:
        try:
            payment = await step.do("charge", partial(shop.charge, order), retry=GATEWAY)
        except StepFailedError as error:
            if not error.failure.is_a(CardDeclined):
                raise  # the gateway stayed away: errored, for somebody to look at
            return Result("declined", error.failure.message)

        await step.sleep("settle", SETTLING)
        await step.do("ask", partial(shop.ask, order))
        obstacle = await find_obstacle(step, order)
        if obstacle is not None:
            await step.do("refund", partial(shop.refund, order, payment), retry=GATEWAY)
            return Result("refunded", obstacle)

        await step.do("book", partial(shop.book, order, payment))
        receipt = await step.do("receipt", partial(shop.receipt, order, payment, step.now()))
        return Result("paid", receipt)

    async def find_obstacle(step: AsyncStep, order: Order) -> str | None:
        """Have the order approved and picked; why not, if not."""
        try:
            answer = await step.wait_for_event("approval", ANSWERED, timeout=PATIENCE)
        except EventTimeoutError:
            return f"no answer of {order.approver} in time"
        if not answer.payload.yes:
            return f"rejected by {answer.payload.by}"
        try:
            await step.do("pick", partial(shop.pick, order))
        except StepFailedError as error:
            if not error.failure.is_a(SoldOut):
                raise
            return error.failure.message
        return None

    return checkout
