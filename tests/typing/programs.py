"""Programs as users write them: both type checkers accept every line, and infer what replay gives."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, Literal, assert_type
from uuid import UUID

import attrs

from wfcore import (
    Applied,
    AsyncCatalog,
    AsyncClient,
    AsyncHandle,
    AsyncHookFeed,
    AsyncStep,
    AsyncStore,
    Attempt,
    Catalog,
    Client,
    Conflict,
    EventTimeoutError,
    EventType,
    Explanation,
    Failure,
    Handle,
    History,
    HookFeed,
    Instance,
    InstanceQuery,
    InstanceStatus,
    NonRetryableError,
    Plan,
    Page,
    Raised,
    Received,
    Registry,
    Retry,
    RetryAfterError,
    Returned,
    Step,
    StepFailedError,
    Store,
    Suspended,
    Workflow,
    plan_terminate,
    to_async,
    workflow,
)
from wfcore.testing import (
    START,
    Planned,
    SimulatedHandle,
    Simulation,
    completed,
    event,
    given,
    no_timer,
    pause,
    put_step,
    returns,
    timer,
    waiting,
)


@attrs.frozen
class Order:
    id: str
    cents: int


@dataclass(frozen=True)
class Payment:
    id: str


@attrs.frozen
class Receipt:
    payment: str
    at: datetime


@attrs.frozen
class Approval:
    by: str


@attrs.frozen
class Rejection:
    reason: str


class CardDeclined(Exception):
    pass


class Gateway:
    def charge(self, order: Order, attempt: Attempt) -> Payment:
        raise CardDeclined(order.id, attempt.idempotency_key)

    async def charge_async(self, order: Order, attempt: Attempt) -> Payment:
        return self.charge(order, attempt)


def maybe(order: Order) -> Payment | None:
    return Payment(order.id) if order.cents else None


POLITE = Retry(max_attempts=6, delay=timedelta(seconds=2), backoff="linear", give_up_on=(CardDeclined,))
Approved = EventType("approved", Approval)
Rejected = EventType("rejected", Rejection)
Cancelled = EventType("cancelled")
Tags = EventType("tags", list[str])
Amount = EventType("amount", int | None)

assert_type(Approved, EventType[Approval])
assert_type(Cancelled, EventType[None])
assert_type(Tags, EventType[list[str]])
assert_type(Amount, EventType[int | None])


# -- def: dependencies by closure


def make_checkout(gateway: Gateway) -> Workflow[Order, Receipt]:
    @workflow(name="checkout", events=[Approved, Rejected, Cancelled])
    def checkout(step: Step, order: Order) -> Receipt:
        assert_type(step.do("charge", partial(gateway.charge, order), retry=POLITE), Payment)
        payment = step.do("charge", lambda attempt: gateway.charge(order, attempt))
        assert_type(payment, Payment)
        assert_type(step.do("typed", lambda attempt: Payment(order.id), returns=Payment), Payment)
        assert_type(step.do("none", lambda attempt: None), None)
        assert_type(step.do("count", lambda attempt: attempt.number), int)
        assert_type(step.do("list", lambda attempt: [order.id], returns=list[str]), list[str])
        assert_type(step.do("maybe", lambda attempt: maybe(order), returns=Payment | None), Payment | None)
        step.sleep("settle", timedelta(minutes=10))
        step.sleep_until("morning", step.now() + timedelta(hours=8))
        inner = step.scope("inner")
        assert_type(inner, Step)
        assert_type(inner.now(), datetime)
        assert_type(inner.uuid("x"), UUID)
        assert_type(inner.random("x"), float)
        inner.log("paid", payment=payment.id, cents=order.cents)
        return Receipt(payment.id, step.now())

    assert_type(checkout, Workflow[Order, Receipt])
    return checkout


# -- async def


def make_async_checkout(gateway: Gateway) -> Workflow[Order, Receipt]:
    @workflow(name="checkout_async", checkpoint="tick")
    async def checkout(step: AsyncStep, order: Order) -> Receipt:
        assert_type(await step.do("charge", partial(gateway.charge, order), retry=POLITE), Payment)
        assert_type(await step.do("charge", partial(gateway.charge_async, order)), Payment)
        assert_type(await step.do("charge", lambda attempt: gateway.charge_async(order, attempt)), Payment)
        payment = await step.do("typed", lambda attempt: Payment(order.id), returns=Payment)
        assert_type(payment, Payment)

        async def audit(attempt: Attempt) -> list[str]:
            attempt.write(("audit", attempt.number))
            attempt.on_terminal_error("gone")
            assert_type(attempt.last_failure, Failure | None)
            return [attempt.idempotency_key]

        assert_type(await step.do("audit", audit), list[str])
        assert_type(await step.do("audit", audit, returns=list[str]), list[str])
        await step.sleep("settle", timedelta(minutes=10))
        await step.sleep_until("morning", step.now() + timedelta(hours=8))
        assert_type(step.scope("inner"), AsyncStep)
        assert_type(await booked(step.scope("inner"), order), str)
        return Receipt(payment.id, step.now())

    assert_type(checkout, Workflow[Order, Receipt])
    return checkout


async def booked(step: AsyncStep, order: Order) -> str:
    """A helper: a coroutine made of steps."""
    return await step.do("book", lambda attempt: order.id)


# -- events; a `match` that forgets one of them would be a missing return


@workflow(name="approval")
async def approval(step: AsyncStep, order: Order) -> str:
    one = await step.wait_for_event("one", Approved)
    assert_type(one, Received[Approval])
    assert_type(one.payload, Approval)
    assert_type(one.created_at, datetime)
    nothing = await step.wait_for_event("cancelled", Cancelled)
    assert_type(nothing.payload, None)
    plain = await step.wait_for_event("plain", "plain")
    assert_type(plain, Received[Any])
    try:
        answer = await step.wait_for_event("two", Approved, Rejected, timeout=timedelta(days=1))
    except EventTimeoutError as error:
        assert_type(error.deadline, datetime)
        return "late"
    assert_type(answer.payload, Approval | Rejection)
    match answer.payload:
        case Approval(by):
            assert_type(by, str)
        case Rejection(reason):
            return reason
    three = await step.wait_for_event("three", Approved, Rejected, Cancelled)
    match three.payload:
        case Approval() | Rejection():
            return "answered"
        case None:
            return "cancelled"


@workflow(name="approval_def")
def approval_def(step: Step) -> bool:
    answer = step.wait_for_event("two", Approved, Cancelled)
    assert_type(answer.payload, Approval | None)
    assert_type(step.wait_for_event("three", Approved, Rejected, Cancelled).payload, Approval | Rejection | None)
    assert_type(step.wait_for_event("plain", "plain", Approved), Received[Any])
    match answer.payload:
        case Approval(by):
            return by == "ada"
        case None:
            return False


assert_type(approval, Workflow[Order, str])
assert_type(approval_def, Workflow[None, bool])


# -- errors


@workflow(name="trip")
def trip(step: Step, day: date) -> str:
    undo: list[str] = []
    try:
        undo.append(step.do("flight", lambda attempt: "F1"))
        undo.append(step.do("hotel", lambda attempt: "H1", retry=Retry(max_attempts=3)))
    except StepFailedError as failed:
        assert_type(failed.step_key, str)
        for booking in undo:
            step.do("cancel", partial(cancel, booking))
        return "declined" if failed.failure.is_a(CardDeclined) else failed.failure.message
    return day.isoformat()


def cancel(booking: str, attempt: Attempt) -> None:
    if attempt.number < 3:
        raise RetryAfterError(timedelta(seconds=30))
    raise NonRetryableError("gone", details={"booking": booking})


@workflow(name="no params")
async def no_params(step: AsyncStep) -> None:
    await step.sleep("nap", timedelta(seconds=1))


assert_type(no_params, Workflow[None, None])


# -- branches: tuples and mappings keep their types, `match` narrows a race


async def paid(step: AsyncStep) -> Payment:
    return await step.do("pay", lambda attempt: Payment("1"), returns=Payment)


async def mailed(step: AsyncStep) -> bool:
    return await step.do("mail", lambda attempt: True)


async def counted(step: AsyncStep, item: str) -> int:
    return await step.do("count", lambda attempt: len(item))


@workflow(name="fulfil")
async def fulfil(step: AsyncStep, order: Order) -> int:
    assert_type(await step.gather("one", paid), tuple[Payment])
    payment, mail = await step.gather("two", paid, mailed)
    assert_type(payment, Payment)
    assert_type(mail, bool)
    assert_type(await step.gather("three", paid, mailed, paid), tuple[Payment, bool, Payment])
    assert_type(await step.gather("four", paid, mailed, paid, mailed), tuple[Payment, bool, Payment, bool])
    five = await step.gather("five", paid, mailed, paid, mailed, paid)
    assert_type(five, tuple[Payment, bool, Payment, bool, Payment])
    six = await step.gather("six", paid, mailed, paid, mailed, paid, mailed)
    assert_type(six, tuple[Payment, bool, Payment, bool, Payment, bool])
    assert_type(await step.gather("many", *[mailed] * 9), tuple[bool, ...])
    assert_type(await step.gather("named", {"a": mailed, "b": mailed}), dict[str, bool])
    assert_type(await step.gather("bound", partial(counted, item="a"), mailed), tuple[int, bool])
    steps = await step.gather(
        "steps", lambda s: s.do("a", lambda attempt: attempt.number), lambda s: s.sleep("nap", timedelta(1))
    )
    assert_type(steps, tuple[int, None])
    return steps[0]


@workflow(name="first answer")
async def first_answer(step: AsyncStep, order: Order) -> str:
    match await step.race(
        "decision",
        lambda s: s.wait_for_event("approved", Approved),
        lambda s: s.sleep("late", timedelta(days=3)),
        lambda s: s.wait_for_event("cancelled", Cancelled),
    ):
        case (0, event):
            assert_type(event, Received[Approval])
            return event.payload.by
        case (1, nothing):
            assert_type(nothing, None)
            return "late"
        case (2, cancelled):
            assert_type(cancelled.payload, None)
            return "cancelled"


@workflow(name="first of two")
async def first_of_two(step: AsyncStep) -> str:
    match await step.race("two", paid, mailed):
        case (0, payment):
            return payment.id
        case (1, mail):
            assert_type(mail, bool)
    winner, _ = await step.race("named", {"paid": mailed, "mailed": mailed})
    assert_type(winner, str)
    number, value = await step.race("many", *[mailed] * 9)
    assert_type(number, int)
    assert_type(value, bool)
    return winner


@workflow(name="resize all")
async def resize_all(step: AsyncStep, names: list[str]) -> dict[str, str]:
    assert_type(await step.map("count", names, counted), list[int])
    assert_type(await step.map("count", names, counted, key=str.lower, max_concurrency=2), list[int])
    assert_type(await step.map("sleep", [1, 2], lambda s, days: s.sleep("nap", timedelta(days))), list[None])
    sizes: dict[str, str] = {}
    for name, result in zip(names, await step.map("count", names, counted, on_error="collect"), strict=True):
        match result:
            case Returned(size):
                assert_type(size, int)
                sizes[name] = str(size)
            case Raised(error):
                assert_type(error, Exception)
                sizes[name] = str(error)
    return sizes


# -- at most once, patches, on_consume, other instances, the next run


def note(attempt: Attempt, received: Received[Approval]) -> None:
    attempt.write(received.payload.by)


def note_either(attempt: Attempt, received: Received[Approval] | Received[Rejection]) -> None:
    attempt.write(received.payload)


@workflow(name="night")
def night(step: Step, day: date) -> str:
    if step.patched("report"):
        assert_type(step.do("report", lambda attempt: 3, at_most_once=timedelta(hours=1)), int)
    assert_type(step.wait_for_event("one", Approved, on_consume=note).payload, Approval)
    assert_type(step.wait_for_event("two", Approved, Rejected, on_consume=note_either).payload, Approval | Rejection)
    step.wait_for_event("three", Approved, on_consume=lambda attempt, received: attempt.write(received.payload.by))
    step.do("tell", tell)
    if day.year > 2030:
        return "over"
    return step.continue_with(day + timedelta(days=1))


@workflow(name="night_async")
async def night_async(step: AsyncStep, day: date) -> str:
    if step.patched("report"):
        assert_type(await step.do("report", lambda attempt: 3, at_most_once=timedelta(hours=1)), int)
    assert_type((await step.wait_for_event("one", Approved, on_consume=note)).payload, Approval)
    both = await step.wait_for_event("two", Approved, Rejected, on_consume=note_either)
    assert_type(both.payload, Approval | Rejection)
    await step.wait_for_event("three", Approved, on_consume=lambda attempt, received: note(attempt, received))
    return "over" if day.year > 2030 else step.continue_with(day + timedelta(days=1))


def tell(attempt: Attempt) -> None:
    attempt.start(trip, date(2026, 1, 1), id="trip-1", tags={"kind": "trip"})
    attempt.start(no_params, id="1")
    attempt.send_event(approval, "1", Approved, Approval("ada"))
    attempt.send_event(approval, "1", Cancelled, required=True)
    attempt.send_event(approval, "1", "plain", {"any": [1]}, event_id="e1")
    attempt.send_event(approval, "1", "plain")


assert_type(fulfil, Workflow[Order, int])
assert_type(resize_all, Workflow[list[str], dict[str, str]])
assert_type(night, Workflow[date, str])
assert_type(night_async, Workflow[date, str])


# -- the caller's side


def use(store: Store, gateway: Gateway) -> None:
    checkout = make_checkout(gateway)
    client = Client(store, Registry([checkout, approval, approval_def, trip, no_params]))
    handle = client.create(checkout, Order("1", 100), id="1")
    assert_type(handle, Handle[Receipt])
    assert_type(handle.result(timeout=timedelta(seconds=1)), Receipt)
    assert_type(handle.status(), InstanceStatus)
    assert_type(handle.ref, str)
    handle.send_event(Approved, Approval("ada"))
    handle.send_event(Cancelled)
    handle.send_event(Tags, ["a"])
    handle.send_event(Amount, None)
    handle.send_event("plain", {"any": [1]}, id="e1")
    assert_type(client.create(approval_def), Handle[bool])
    assert_type(client.create(no_params, id="1"), Handle[None])
    assert_type(client.create(make_async_checkout(gateway), Order("1", 1)).result(), Receipt)
    assert_type(client.handle(trip, "1"), Handle[str])
    assert_type(client.handle(trip, "1").result(), str)
    again, what = client.restart_or_create(checkout, Order("1", 100), id="1", when={"errored", "complete"})
    assert_type(again, Handle[Receipt])
    assert_type(what, Literal["created", "restarted", "unchanged"])
    assert_type(client.restart_or_create(no_params, id="1")[0], Handle[None])
    assert_type(handle.preview.send_event(Cancelled), Plan)
    assert_type(client.apply(handle.preview.retry()), Applied | Conflict)
    assert_type(handle.explain(), Explanation)
    assert_type(client.purge(ended_before=datetime(2026, 1, 1, tzinfo=UTC)), int)
    handle.restart(Order("1", 200), keep_keys=True)


def simulate(gateway: Gateway) -> None:
    checkout = make_checkout(gateway)
    with Simulation([checkout, no_params], seed=1, dispatchers=2) as sim:
        assert_type(sim, Simulation)
        run = sim.create(checkout, Order("1", 100), id="1")
        assert_type(run, SimulatedHandle[Receipt])
        assert_type(run.result(), Receipt)
        assert_type(run.steps()["do:charge"].attempts, int)
        assert_type(run.failure(), Failure | None)
        assert_type(sim.create(no_params), SimulatedHandle[None])
        sim.deliver(run, Approved, Approval("ada"), at=timedelta(minutes=1))
        sim.deliver((checkout, "1"), Cancelled, at=sim.now)
        sim.deliver(run, "plain", {"any": [1]}, at=sim.now)
        sim.stub("charge", returns=1)
        sim.stub("charge", lambda attempt: attempt.number)


async def use_under_asyncio(store: Store, gateway: Gateway) -> None:
    checkout = make_checkout(gateway)
    assert_type(to_async(store), AsyncStore)
    client = AsyncClient(to_async(store), Registry([checkout, approval_def, trip, no_params]))
    handle = await client.create(checkout, Order("1", 100), id="1")
    assert_type(handle, AsyncHandle[Receipt])
    assert_type(await handle.result(timeout=timedelta(seconds=1)), Receipt)
    assert_type(await handle.status(), InstanceStatus)
    await handle.send_event(Approved, Approval("ada"))
    await handle.send_event(Cancelled)
    await handle.send_event("plain", {"any": [1]}, id="e1")
    assert_type(await client.create(no_params, id="1"), AsyncHandle[None])
    assert_type(client.handle(trip, "1"), AsyncHandle[str])
    again, what = await client.restart_or_create(checkout, Order("1", 100), id="1")
    assert_type(again, AsyncHandle[Receipt])
    assert_type(what, Literal["created", "restarted", "unchanged"])
    assert_type(await client.apply(await handle.preview.retry()), Applied | Conflict)
    assert_type(await handle.explain(), Explanation)


def check_ticks(checkout: Workflow[Order, Receipt], nightly: Workflow[None, int]) -> None:
    """Tests of single ticks are typed: what is given by the workflow, what is expected by its fields."""
    settled = given(
        checkout,
        Order("A", 1),
        steps=[completed("do:charge", Payment("p")), waiting("sleep:settle", until=START, attempts=0)],
        events=[event(Approved, Approval("eva"))],
        status="waiting",
    )
    planned = settled.performing({"charge": returns(Payment("p"))}).when(timer(), at=timedelta(minutes=10))
    assert_type(planned, Planned)
    planned.then(Suspended, put_step("charge", status="completed", result=Payment("p")), no_timer()).stays_quiet()
    planned.and_then().when(pause()).refuses(ValueError, args=("no",))
    given(nightly).when(
        lambda snapshot, new_id: plan_terminate(snapshot, "nightly#1", notify=False, execution_id=new_id)
    )


# -- lists


def look(client: Client, since: datetime) -> None:
    query: InstanceQuery | None = InstanceQuery(
        statuses="errored", workflow_names=["a", "b"], created_since=since, limit=5
    )
    while query is not None:
        page = client.list(query)
        assert_type(page, Page[Instance])
        assert_type(page.next_cursor, str | None)
        query = query.after(page)
    failed = InstanceQuery(statuses=["errored", "terminated"], workflow_names="a", tags={"team": "red"})
    assert_type(client.list().items, tuple[Instance, ...])
    assert_type(client.count_by_status(failed)["errored"], int)
    assert_type(client.audit()[0].problem, str)
    assert_type(failed.statuses, frozenset[InstanceStatus] | None)


async def look_under_asyncio(client: AsyncClient, handle: AsyncHandle[int]) -> None:
    assert_type(await client.list(InstanceQuery(cursor=None)), Page[Instance])
    assert_type(await client.count_by_status(), Mapping[InstanceStatus, int])
    assert_type(await handle.history(run=1), History)


def adapt(feed: HookFeed, catalog: Catalog) -> None:
    assert_type(to_async(feed), AsyncHookFeed)
    assert_type(to_async(catalog), AsyncCatalog)
