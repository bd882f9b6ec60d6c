"""``AsyncClient`` and ``AsyncHandle``: they do what their blocking twins do, and wait without blocking (M1, M2, M9)."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from functools import partial
from typing import Any, TypeAlias

import pytest

from tests.runner.doubles import unavailable, world
from tests.runner.loops import Awaited, Gate, cancelled, in_loop
from tests.runner.office import Office, told
from wfcore.define import workflow
from wfcore.errors import (
    CodecError,
    ContentionError,
    InstanceExistsError,
    InstanceNotFoundError,
    NotFinishedError,
    StoreUnavailableError,
    UnknownWorkflowError,
)
from wfcore.planner import AsyncStep
from wfcore.runner import AsyncClient, Client
from wfcore.runner.doors import at_once
from wfcore.workflow import EventType, Registry

Approved = EventType("approved", int)
HOUR = timedelta(hours=1)


@workflow(name="w")
async def plus_one(step: AsyncStep, number: int) -> int:
    received = await step.wait_for_event("approval", Approved)
    return await step.do("add", lambda attempt: number + received.payload)


@workflow(name="idle")
async def idle(step: AsyncStep) -> None: ...


@workflow(name="other")
async def other(step: AsyncStep) -> None: ...


REGISTRY = Registry([plus_one, idle])
Ask: TypeAlias = Callable[[Any], Any]
"""What is asked of a client: the answer, or an awaitable of it."""


def staffed() -> Office:
    return Office(REGISTRY)


def rival(office: Office) -> None:
    office.store.when("before", "apply", 1, lambda: office.others.create(plus_one, 9, id="a"))


def lost_answer(office: Office) -> None:
    office.store.when("after", "apply", 1, unavailable)


def lost_request(office: Office) -> None:
    office.store.when("before", "apply", 1, unavailable)


def no_store(office: Office) -> None:
    office.store.always["before", "apply"] = unavailable


def well(office: Office) -> None:
    pass


def exists(office: Office) -> None:
    office.others.create(plus_one, 1, id="a")


def over(office: Office) -> None:
    exists(office)
    office.others.handle(plus_one, "a").send_event(Approved, 1, id="e")
    office.tick()


def exists_and_lost_answer(office: Office) -> None:
    exists(office)
    lost_answer(office)


def lost_and_over(office: Office) -> None:
    exists(office)
    office.store.when("after", "apply", 1, unavailable)
    office.store.when("before", "retrieve", 2, office.tick)


ASKED: dict[str, tuple[Callable[[Office], None], Ask]] = {
    "create": (well, lambda client: client.create(plus_one, 1, id="a", tags={"team": "red"})),
    "create without an id": (well, lambda client: client.create(idle)),
    "create what exists": (exists, lambda client: client.create(plus_one, 1, id="a")),
    "or take it": (exists, lambda client: client.create(plus_one, 1, id="a", on_conflict="return_existing")),
    "create in a race": (rival, lambda client: client.create(plus_one, 1, id="a")),
    "create with a lost answer": (lost_answer, lambda client: client.create(plus_one, 1, id="a")),
    "create with a lost request": (lost_request, lambda client: client.create(plus_one, 1, id="a")),
    "create without a store": (no_store, lambda client: client.create(plus_one, 1, id="a")),
    "create what does not fit": (well, lambda client: client.create(plus_one, "1", id="a")),
    "create what is not known": (well, lambda client: client.create(other)),
    "create many": (exists, lambda client: client.create_many(plus_one, [("a", 1), ("b", 2)], tags={"batch": "1"})),
    "get": (exists, lambda client: client.get("w#a")),
    "get what does not exist": (well, lambda client: client.get("w#a")),
    "a handle's row": (exists, lambda client: client.handle(plus_one, "a").get()),
    "status": (exists, lambda client: client.handle(plus_one, "a").status()),
    "history": (over, lambda client: client.handle(plus_one, "a").history()),
    "no history": (well, lambda client: client.handle(plus_one, "a").history()),
    "result": (over, lambda client: client.handle(plus_one, "a").result()),
    "no result yet": (exists, lambda client: client.handle(plus_one, "a").result()),
    "send": (exists, lambda client: client.handle(plus_one, "a").send_event(Approved, 1)),
    "send with a lost answer": (
        exists_and_lost_answer,
        lambda client: client.handle(plus_one, "a").send_event(Approved, 1, id="e"),
    ),
    "send to one that ends": (
        lost_and_over,
        lambda client: client.handle(plus_one, "a").send_event(Approved, 1, id="e"),
    ),
    "send to one that is over": (over, lambda client: client.handle(plus_one, "a").send_event(Approved, 1, id="f")),
}


@pytest.mark.parametrize("case", ASKED)
def test_m12_both_colours_of_a_client_say_the_same_to_a_store_and_to_their_caller(case: str) -> None:
    arrange, ask = ASKED[case]
    ours, theirs = staffed(), staffed()
    arrange(ours)
    arrange(theirs)

    async def awaited() -> Any:
        return await ask(ours.awaited)

    expected = told(lambda: ask(theirs.blocking))
    assert expected == told(lambda: in_loop(awaited(), ours.machine))
    assert theirs.store.plans == ours.store.plans
    assert theirs.store.calls == ours.store.calls
    assert world(theirs.store.inner, "w#a", "w#b") == world(ours.store.inner, "w#a", "w#b")


def test_the_cases_above_are_of_every_kind() -> None:
    """A table in which everything fails alike would prove nothing."""
    kinds = set()
    for arrange, ask in ASKED.values():
        ours = staffed()
        arrange(ours)
        kinds.add(told(partial(ask, ours.blocking))[0])
    errors = [
        CodecError, ContentionError, InstanceExistsError, InstanceNotFoundError, NotFinishedError,
        StoreUnavailableError, UnknownWorkflowError,
    ]  # fmt: skip
    assert {"answer", *(error.__name__ for error in errors)} <= kinds


def run(office: Office, coroutine: Coroutine[Any, Any, Any]) -> Any:
    return in_loop(coroutine, office.machine)


def test_m9_waiting_is_woken_by_the_end_in_this_process() -> None:
    """Nobody polls, and the loop goes on meanwhile: the interval is an hour, and no time passes."""
    office = staffed()
    looked = asyncio.Event()
    office.store.always["after", "retrieve"] = looked.set

    async def main() -> int:
        client = AsyncClient(Awaited(office.store), REGISTRY, poll_interval=HOUR, runtime=office.machine.runtime)
        handle = await client.create(plus_one, 1)
        await handle.send_event(Approved, 41)
        looked.clear()
        result = asyncio.create_task(handle.result(timeout=None))
        await looked.wait()
        office.tick()
        return await result

    assert run(office, main()) == 42
    assert office.machine.seconds == 0


@pytest.mark.parametrize("interval", [1, 7])
def test_m9_it_waits_for_so_long_and_no_longer(interval: int) -> None:
    office = staffed()
    store = Awaited(office.store)

    async def main() -> None:
        client = AsyncClient(store, REGISTRY, poll_interval=timedelta(seconds=interval), runtime=office.machine.runtime)
        handle = await client.create(plus_one, 1)
        office.store.calls.clear()
        await handle.result(timeout=timedelta(seconds=14))

    with pytest.raises(NotFinishedError, match="after 0:00:14"):
        run(office, main())
    assert (14, 1 + 14 // interval) == (office.machine.seconds, len(office.store.calls))


def test_m9_a_cancelled_wait_listens_no_more() -> None:
    office = staffed()

    async def main() -> bool:
        handle = await office.awaited.create(plus_one, 1)
        waiting = asyncio.create_task(handle.result(timeout=None))
        await asyncio.sleep(0.1)
        return await cancelled(waiting)

    assert run(office, main())
    assert office.store.inner._listeners._callbacks == {}


def test_m12_a_command_that_is_cancelled_while_it_is_applied_has_been_applied() -> None:
    """Nothing happens behind the back of whoever has cancelled it."""
    office = staffed()

    async def main() -> tuple[bool, bool, bool]:
        gate = Gate()
        client = AsyncClient(Awaited(office.store, before={"apply": gate}), REGISTRY, runtime=office.machine.runtime)
        creating = asyncio.create_task(client.create(plus_one, 1, id="a"))
        await gate.reached.wait()
        for _ in range(3):
            creating.cancel()
            await asyncio.sleep(0)
        done_early = creating.done()
        gate.opened.set()
        await asyncio.wait([creating])
        return done_early, creating.cancelled(), office.blocking.get("w#a").status == "active"

    assert run(office, main()) == (False, True, True)


def test_m12_and_a_failure_of_the_store_meanwhile_is_not_in_its_way() -> None:
    office = staffed()
    no_store(office)

    async def main() -> bool:
        gate = Gate()
        client = AsyncClient(Awaited(office.store, before={"apply": gate}), REGISTRY, runtime=office.machine.runtime)
        creating = asyncio.create_task(client.create(plus_one, 1, id="a"))
        await gate.reached.wait()
        creating.cancel()
        gate.opened.set()
        await asyncio.wait([creating])
        return creating.cancelled()

    assert run(office, main())


def test_what_blocks_must_not_wait_for_a_loop() -> None:
    async def main() -> None:
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="awaited something that is not at hand"):
        at_once(main())


def test_a_store_of_the_other_colour_is_refused() -> None:
    office = staffed()
    refused: Any = AsyncClient
    with pytest.raises(TypeError, match=r"^Watched blocks the event loop; pass to_async\(...\), which calls it in thr"):
        refused(office.store, REGISTRY)
    refused = Client
    with pytest.raises(TypeError, match=r"^Awaited is for asyncio; use AsyncClient, AsyncDispatcher and run_tick_"):
        refused(Awaited(office.store), REGISTRY)
    refused = AsyncClient
    with pytest.raises(TypeError, match=r"^'a.db' is no store: it has no retrieve"):
        refused("a.db", REGISTRY)
