"""Mistakes that a type checker finds before anything runs. ``# E``: both report the line; ``# E: mypy``: only one."""

from datetime import datetime, timedelta
from typing import Any

import attrs

from wfcore import (
    AsyncClient,
    AsyncStep,
    Attempt,
    Client,
    EventType,
    Handle,
    InstanceQuery,
    Received,
    Registry,
    Retry,
    Step,
    Workflow,
    workflow,
)
from wfcore.testing import completed, given, put_step


@attrs.frozen
class Order:
    id: str


@attrs.frozen
class Approval:
    by: str


Approved = EventType("approved", Approval)
Cancelled = EventType("cancelled")


@workflow(name="checkout")
def checkout(step: Step, order: Order) -> str:
    return order.id


@workflow(name="nightly")
async def nightly(step: AsyncStep) -> int:
    return 1


# -- params and results


def creates(client: Client) -> None:
    client.create(checkout, "1")  # E
    client.create(checkout, Approval("ada"))  # E
    client.create(checkout)  # E
    client.create(nightly, Order("1"))  # E
    client.create(checkout, Order("1"), on_conflict="ignore")  # E
    client.create(checkout.fn, Order("1"))  # E
    name: int = client.create(checkout, Order("1")).result()  # E
    handle: Handle[int] = client.create(checkout, Order("1"))  # E
    client.handle(nightly, "1").result(timeout=5)  # E
    client.restart_or_create(checkout, Order("1"))  # E
    client.restart_or_create(checkout, "1", id="1")  # E
    client.restart_or_create(checkout, Order("1"), id="1", when={"faulty"})  # E
    client.apply(client.handle(nightly, "1").retry())  # E
    Registry([checkout.fn, name, handle])  # E


async def creates_under_asyncio(client: AsyncClient) -> None:
    await client.create(checkout, "1")  # E
    await client.create(nightly, Order("1"))  # E
    name: int = await (await client.create(checkout, Order("1"))).result()  # E
    await client.handle(nightly, "1").result(timeout=5)  # E
    Registry([name])  # E


def annotates() -> Workflow[Order, int]:
    return checkout  # E


# -- events


def sends(handle: Handle[Any]) -> None:
    handle.send_event(Approved, Order("1"))  # E
    handle.send_event(Approved)  # E
    handle.send_event(Cancelled, Approval("ada"))  # E
    handle.send_event(Approval("ada"))  # E


async def waits(step: AsyncStep, plain: Step) -> None:
    order: Order = (await step.wait_for_event("one", Approved)).payload  # E
    answer = await step.wait_for_event("two", Approved, Cancelled)
    answer.payload.by  # E
    plain.wait_for_event("one", Approved).payload.id  # E
    await step.wait_for_event("one", Approval)  # E
    await step.wait_for_event("one")  # E
    await step.wait_for_event("one", Approved, timeout=5)  # E
    order.id


# -- colours


@workflow(name="wrong handle for async def")  # the decorator itself refuses it, when the module is imported
async def wrong_for_async(step: Step) -> None:
    await step.sleep("nap", timedelta(1))  # E
    await step.wait_for_event("one", Approved)  # E


@workflow(name="wrong handle for def")  # E
def wrong_for_def(step: AsyncStep) -> None:
    pass


@workflow(name="too many parameters")  # E
def too_many(step: Step, one: int, two: int) -> None:
    pass


@workflow  # E
def not_called(step: Step) -> None:
    pass


@workflow(name="forgotten await")
async def forgets(step: AsyncStep, order: Order) -> None:
    step.sleep("nap", timedelta(1))  # E
    step.sleep_until("nap", datetime.max)  # E
    step.do("charge", lambda attempt: order.id)  # E
    step.wait_for_event("one", Approved)  # E
    step.do("charge", lambda attempt: order.id).upper()  # E
    step.wait_for_event("one", Approved).payload  # E


def awaits_in_def(step: Step) -> str:
    return step.do("charge", lambda attempt: 1)  # E


async def awaits_what_is_no_step(step: Step) -> None:
    await step.do("charge", lambda attempt: 1)  # E


# -- bodies and arguments


def no_argument() -> int:
    return 1


def two_arguments(attempt: Attempt, order: Order) -> int:
    return 1


def does(step: Step) -> None:
    step.do("a", no_argument)  # E
    step.do("a", two_arguments)  # E
    step.do("a", lambda: 1)  # E
    step.do("a", lambda attempt: attempt.nothing)  # E
    step.do("a", lambda attempt: "text", returns=int)  # E: mypy
    step.do("a", lambda attempt: 1, retry=3)  # E
    step.do(lambda attempt: 1)  # E
    step.do("a", lambda attempt: 1).upper()  # E
    step.sleep("nap", 5)  # E
    step.sleep("nap", datetime.max)  # E
    step.sleep_until("nap", timedelta(1))  # E
    step.gather("both", lambda inner: 1)  # E
    Retry(delay=timedelta(1))  # E
    Retry(max_attempts=3, backoff="random")  # E
    Retry(max_attempts=3, give_up_on=ValueError)  # E


# -- branches


async def number(step: AsyncStep) -> int:
    return await step.do("number", lambda attempt: 1)


async def sized(step: AsyncStep, item: str) -> int:
    return await step.do("size", lambda attempt: len(item))


def plain_branch(step: AsyncStep) -> int:
    return 1


async def branches(step: AsyncStep) -> str:
    step.gather("both", number, number)  # E
    step.race("both", number, number)  # E
    step.map("all", ["a"], sized)  # E
    await step.gather("both", plain_branch)  # E
    await step.gather("both", number(step))  # E
    await step.gather("both", sized)  # E
    await step.gather(number, number)  # E
    await step.gather("both", {1: number})  # E
    one, two, three = await step.gather("both", number, number)  # E
    word: str = (await step.gather("one", number))[0]  # E
    word = (await step.gather("named", {"a": number}))["a"]  # E
    (await step.map("all", ["a"], sized, on_error="collect"))[0].upper()  # E
    await step.map("all", [1], sized)  # E
    await step.map("all", ["a"], number)  # E
    await step.map("all", ["a"], sized, key=len)  # E
    await step.map("all", ["a"], sized, on_error="ignore")  # E
    await step.map("all", ["a"], sized, max_concurrency="all")  # E
    match await step.race("first", number, lambda inner: inner.wait_for_event("one", Approved)):
        case (0, count):
            return count  # E
        case (1, event):
            return event.payload  # E


async def forgets_a_branch(step: AsyncStep) -> None:
    match await step.race("first", number, lambda inner: inner.sleep("late", timedelta(1))):  # E
        case (0, count):
            str(count)


# -- at most once, on_consume, other instances


def takes_order(attempt: Attempt, received: Received[Order]) -> None:
    pass


def takes_one(attempt: Attempt) -> None:
    pass


def options(step: Step) -> None:
    step.do("a", lambda attempt: 1, at_most_once=True)  # E
    step.do("a", lambda attempt: 1, at_most_once=60)  # E
    step.wait_for_event("one", Approved, on_consume=takes_order)  # E
    step.wait_for_event("one", Approved, on_consume=takes_one)  # E
    step.wait_for_event("one", Approved, on_consume=lambda attempt: None)  # E
    step.patched(1)  # E


def tells(attempt: Attempt) -> None:
    attempt.start(checkout, "1", id="1")  # E
    attempt.start(checkout, id="1")  # E
    attempt.start(checkout, Order("1"))  # E
    attempt.start(nightly, Order("1"), id="1")  # E
    attempt.start(checkout.fn, Order("1"), id="1")  # E
    attempt.send_event(checkout, "1", Approved, Order("1"))  # E
    attempt.send_event(checkout, "1", Approved)  # E
    attempt.send_event(checkout, "1", Cancelled, Approval("ada"))  # E
    attempt.send_event("checkout", "1", Cancelled)  # E
    attempt.send_event(checkout, "1", Cancelled, required="yes")  # E


# -- tests of ticks


def check_ticks() -> None:
    given(checkout, 1)  # E
    given(checkout)  # E
    given(checkout, Order("A"), status="done")  # E
    given(checkout, Order("A"), steps=[completed("do:charge", attempt=2)])  # E
    given(nightly).when().then("completed")  # E
    given(nightly).when().then(put_step("charge", status="done"))  # E
    given(nightly).when().then(put_step("charge", stauts="completed"))  # E
    given(nightly).performing({"charge": 1})  # E


def looks(client: Client) -> None:
    InstanceQuery(statuses="done")  # E
    InstanceQuery(statuses=["errored", "done"])  # E
    InstanceQuery(tags={"team": 1})  # E
    InstanceQuery(limit="10")  # E
    InstanceQuery(created_since="2026-01-01")  # E
    client.list(status="errored")  # E
    client.count_by_status(limit=1)  # E
