"""``AsyncDispatcher``: it takes hooks as its twin does, its tasks form a group, cancelling loses nothing (R3)."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.runner.doubles import WAIT, Machine, Watched, unavailable, world
from tests.runner.loops import Awaited, Gate, cancelled, in_loop
from wfadapters.memory import MemoryStore
from wfadapters.sqlite import SqliteStore
from wfcore.define import workflow
from wfcore.errors import StoreUnavailableError
from wfcore.planner import AsyncStep, Attempt, Step
from wfcore.ports import DueQuery
from wfcore.runner import AsyncClient, AsyncDispatcher, Client, TerminalNotice, TickReport, to_async
from wfcore.workflow import Registry, Workflow

HOUR = timedelta(hours=1)
SOON = timedelta(seconds=WAIT)


def one_step(body: Callable[[Attempt], Any], name: str = "w") -> Workflow[Any, Any]:
    @workflow(name=name)
    async def w(step: AsyncStep, params: Any) -> Any:
        return await step.do("only", body, returns=Any)

    return w


@workflow(name="idle")
async def waits(step: AsyncStep) -> int:
    received = await step.wait_for_event("go", "go")
    return int(received.payload)


class Floor:
    """A watched store on a machine, the workflows, and what they leave."""

    def __init__(self, *workflows: Workflow[Any, Any]) -> None:
        self.machine = Machine()
        self.watched = Watched(MemoryStore(self.machine.clock))
        self.store = Awaited(self.watched)
        self.registry = Registry(workflows)
        self.blocking = Client(self.watched.inner, self.registry)
        self.reports: list[TickReport] = []

    def dispatcher(self, **options: Any) -> AsyncDispatcher:
        options = {"runtime": self.machine.runtime, "observer": self.reports.append, **options}
        return AsyncDispatcher(self.store, self.registry, **options)

    def client(self) -> AsyncClient:
        return AsyncClient(self.store, self.registry, runtime=self.machine.runtime, poll_interval=HOUR)

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return in_loop(coroutine, self.machine)

    def idle(self, **options: Any) -> None:
        self.run(self.dispatcher(**options).run_until_idle())


class Bodies:
    """Awaitable bodies that stand at gates of their own; who came, and who was cancelled."""

    def __init__(self) -> None:
        self.gates: dict[str, Gate] = {}
        self.came: list[str] = []
        self.cancelled: list[str] = []

    def __call__(self, name: str) -> Callable[[Attempt], Any]:
        self.gates[name] = Gate()

        async def body(attempt: Attempt) -> str:
            self.came.append(name)
            try:
                await self.gates[name]()
            except asyncio.CancelledError:
                self.cancelled.append(name)
                raise
            return name

        return body


@pytest.fixture
def bodies() -> Bodies:
    return Bodies()


# ---- which hooks, how many at once


def test_r3_hooks_are_taken_in_the_order_in_which_they_are_due() -> None:
    order: list[str] = []

    async def note(name: str, attempt: Attempt) -> None:
        order.append(name)

    @workflow(name="w")
    async def w(step: AsyncStep, name: str) -> None:
        await step.do("note", partial(note, name))

    floor = Floor(w)
    for name in "dbeac":
        floor.blocking.create(w, name, id=name)
        floor.machine.advance(1)
    floor.idle(concurrency=1)
    assert "".join(order) == "dbeac"


def test_r3_concurrency_is_bounded_and_reached(bodies: Bodies) -> None:
    """No more hooks are asked for than can be handled."""
    floor = Floor(one_step(bodies("only")))
    (w,) = floor.registry
    floor.blocking.create_many(w, [(str(number), 0) for number in range(10)])

    async def main() -> tuple[int, set[int]]:
        running = asyncio.create_task(floor.dispatcher(concurrency=3).run_until_idle())
        await asyncio.sleep(1)
        most, limits = len(bodies.came), {query.limit for query in floor.watched.queries}
        bodies.gates["only"].opened.set()
        await running
        return most, limits

    assert floor.run(main()) == (3, {3})
    assert len(bodies.came) == 10


def test_r3_one_tick_per_instance_at_a_time(bodies: Bodies) -> None:
    w = one_step(bodies("only"))
    floor = Floor(w)
    handle = floor.blocking.create(w, 0)

    async def main() -> tuple[int, bool]:
        dispatcher = floor.dispatcher()
        running = asyncio.create_task(dispatcher.run_until_idle())
        await bodies.gates["only"].reached.wait()
        handle.send_event("go", 1)
        dispatcher.notify("another#one")
        await asyncio.sleep(0.1)
        found = len(bodies.came), handle.ref in floor.watched.queries[-1].exclude
        bodies.gates["only"].opened.set()
        await running
        return found

    assert floor.run(main()) == (1, True)


def test_g10_hooks_of_unknown_workflows_are_left_alone() -> None:
    known, unknown = one_step(lambda attempt: 1), one_step(lambda attempt: 1, "unknown")
    floor = Floor(known, unknown)
    handle = floor.blocking.create(unknown, 0)
    floor.registry = Registry([known])
    floor.idle()
    assert (floor.reports, handle.status()) == ([], "active")


# ---- when it looks


def test_r3_work_of_this_process_needs_no_polling() -> None:
    floor = Floor(waits)

    async def main() -> int:
        async with floor.dispatcher(poll_interval=HOUR):
            handle = await floor.client().create(waits)
            await handle.send_event("go", 7)
            return await handle.result(timeout=None)

    assert (floor.run(main()), floor.machine.seconds) == (7, 0)


def test_r3_it_wakes_when_the_next_hook_is_due() -> None:
    @workflow(name="w")
    async def w(step: AsyncStep) -> str:
        await step.sleep("nap", timedelta(minutes=90))
        return "awake"

    floor = Floor(w)

    async def main() -> str:
        async with floor.dispatcher(poll_interval=24 * HOUR):
            return await (await floor.client().create(w)).result(timeout=None)

    assert (floor.run(main()), floor.machine.seconds) == ("awake", 90 * 60)


@pytest.mark.parametrize("notified", [True, False])
def test_r3_notify_wakes_it_from_any_thread_and_polling_finds_the_rest(notified: bool) -> None:
    """The dispatcher's store tells nobody, as one in another process."""
    floor = Floor(waits)
    deaf = Awaited(floor.watched, tells=False)

    async def main() -> float:
        dispatcher = AsyncDispatcher(deaf, floor.registry, runtime=floor.machine.runtime, poll_interval=HOUR)
        async with dispatcher:
            await asyncio.sleep(1)
            handle = await floor.client().create(waits)
            await handle.send_event("go", 7)
            if notified:
                await asyncio.to_thread(dispatcher.notify, handle.ref)
            assert await handle.result(timeout=None) == 7
            return floor.machine.seconds

    assert floor.run(main()) == (1 if notified else 3600)


def test_run_until_idle_may_be_called_again_and_again() -> None:
    floor = Floor(waits)
    dispatcher = floor.dispatcher()

    async def main() -> list[int]:
        results = []
        for number in range(3):
            handle = await floor.client().create(waits)
            await handle.send_event("go", number)
            await dispatcher.run_until_idle()
            results.append(await handle.result())
        return results

    assert floor.run(main()) == [0, 1, 2]


def test_run_until_idle_raises_what_the_store_raised() -> None:
    floor = Floor(waits)
    handle = floor.blocking.create(waits)
    floor.watched.when("before", "apply", 1, unavailable)
    with pytest.raises(StoreUnavailableError):
        floor.idle()
    assert handle.status() == "active"


# ---- how it ends


def test_r3_stop_waits_for_the_checkpoint_and_releases_the_instance(bodies: Bodies) -> None:
    first = bodies("first")

    @workflow(name="w")
    async def w(step: AsyncStep) -> None:
        await step.do("first", first)
        await step.do("second", lambda attempt: bodies.came.append("second"))

    floor = Floor(w)
    floor.blocking.create(w)

    async def main() -> None:
        dispatcher = floor.dispatcher()
        running = asyncio.create_task(dispatcher.run())
        await bodies.gates["first"].reached.wait()
        stopping = asyncio.create_task(dispatcher.stop(grace=HOUR))
        await asyncio.sleep(1)
        assert not stopping.done()
        bodies.gates["first"].opened.set()
        await stopping
        await running

    floor.run(main())
    assert (bodies.came, len(floor.watched.inner.due(DueQuery()))) == (["first"], 1)


def test_r3_a_body_that_outlives_the_grace_is_cancelled_and_its_hook_survives(
    bodies: Bodies, caplog: pytest.LogCaptureFixture
) -> None:
    w = one_step(bodies("only"))
    floor = Floor(w)
    handle = floor.blocking.create(w, 0)
    before = world(floor.watched.inner, handle.ref)

    async def main() -> float:
        dispatcher = floor.dispatcher()
        running = asyncio.create_task(dispatcher.run())
        await bodies.gates["only"].reached.wait()
        await dispatcher.stop(grace=timedelta(seconds=5))
        await running
        return floor.machine.seconds

    assert floor.run(main()) == 5
    assert (bodies.cancelled, world(floor.watched.inner, handle.ref)) == (["only"], before)
    assert f"left behind, still at work: ['{handle.ref}']" in caplog.text


def test_the_end_of_the_block_is_a_stop(bodies: Bodies) -> None:
    """With its grace of 10 seconds: the body is done after 9."""
    w = one_step(bodies("only"))
    floor = Floor(w)
    handle = floor.blocking.create(w, 0)

    async def main() -> None:
        async with floor.dispatcher():
            await bodies.gates["only"].reached.wait()
            asyncio.get_running_loop().call_later(9, bodies.gates["only"].opened.set)

    floor.run(main())
    assert (handle.result(), bodies.cancelled) == ("only", [])


@pytest.mark.parametrize("how", ["async with", "run", "run_until_idle"])
def test_cancelling_the_host_cancels_bodies_leaks_no_task_and_loses_nothing(how: str, bodies: Bodies) -> None:
    names = ["a", "b", "c"]
    workflows = [one_step(bodies(name), name) for name in names]
    floor = Floor(*workflows)
    refs = [floor.blocking.create(each, 0, id="1").ref for each in workflows]
    before = world(floor.watched.inner, *refs)

    async def host() -> None:
        dispatcher = floor.dispatcher()
        if how == "async with":
            async with dispatcher:
                await asyncio.Event().wait()
        await (dispatcher.run() if how == "run" else dispatcher.run_until_idle())

    async def main() -> bool:
        tasks = asyncio.all_tasks()
        task = asyncio.create_task(host())
        for name in names:
            await bodies.gates[name].reached.wait()
        was_cancelled = await cancelled(task)
        assert asyncio.all_tasks() == tasks
        return was_cancelled

    assert floor.run(main())
    assert (sorted(bodies.cancelled), world(floor.watched.inner, *refs)) == (names, before)
    assert floor.machine.seconds == 0
    for gate in bodies.gates.values():
        gate.reached, gate.opened = asyncio.Event(), asyncio.Event()
        gate.opened.set()
    floor.idle()
    assert {floor.blocking.get(ref).status for ref in refs} == {"complete"}


def test_cancelling_the_host_while_it_stops_cancels_the_rest(bodies: Bodies) -> None:
    w = one_step(bodies("only"))
    floor = Floor(w)
    floor.blocking.create(w, 0)

    async def host() -> None:
        async with floor.dispatcher():
            await bodies.gates["only"].reached.wait()

    async def main() -> bool:
        task = asyncio.create_task(host())
        await bodies.gates["only"].reached.wait()
        await asyncio.sleep(1)
        return await cancelled(task)

    assert floor.run(main())
    assert (bodies.cancelled, floor.machine.seconds) == (["only"], 1)


def test_a_timeout_of_the_host_is_a_timeout(bodies: Bodies) -> None:
    floor = Floor(one_step(bodies("only")))
    (w,) = floor.registry
    floor.blocking.create(w, 0)

    async def main() -> None:
        async with asyncio.timeout(3):
            await floor.dispatcher().run_until_idle()

    with pytest.raises(TimeoutError):
        floor.run(main())
    assert bodies.cancelled == ["only"]


def test_the_context_manager_does_not_hide_the_error_of_its_block() -> None:
    floor = Floor(waits)

    async def main() -> None:
        async with floor.dispatcher():
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        floor.run(main())


def left_with(host: Callable[[], Awaitable[object]]) -> Coroutine[Any, Any, BaseException | None]:
    """What leaves the host, caught inside of the loop: a task would throw SystemExit at it."""

    async def main() -> BaseException | None:
        try:
            await host()
        except BaseException as error:  # that is the point
            return error
        return None

    return main()


@pytest.mark.parametrize("how", ["async with", "run", "run_until_idle"])
@pytest.mark.parametrize("threaded", [True, False])
def test_s14_what_a_body_raises_that_is_no_exception_ends_it(how: str, threaded: bool, bodies: Bodies) -> None:
    """As itself, not in a group; the other bodies are cancelled."""

    def exits(attempt: Attempt) -> None:
        raise SystemExit(3)

    async def exits_too(attempt: Attempt) -> None:
        await bodies.gates["other"].reached.wait()
        raise SystemExit(3)

    fatal, other = one_step(exits if threaded else exits_too, "fatal"), one_step(bodies("other"), "other")
    floor = Floor(fatal, other)
    for each in (other, fatal):
        floor.blocking.create(each, 0)
    ended = asyncio.Event()

    async def host() -> None:
        dispatcher = floor.dispatcher(observer=lambda report: ended.set())
        if how == "async with":
            async with dispatcher:
                await ended.wait()
                return
        await (dispatcher.run() if how == "run" else dispatcher.run_until_idle())

    error = floor.run(left_with(host))
    assert isinstance(error, SystemExit)
    assert (error.code, bodies.cancelled or ["other"]) == (3, ["other"])


def test_s14_a_cancellation_that_leaves_a_body_does_not_end_it() -> None:
    async def cancel(attempt: Attempt) -> None:
        raise asyncio.CancelledError

    left, well = one_step(cancel, "left"), one_step(lambda attempt: None, "well")
    floor = Floor(left, well)
    handles = [floor.blocking.create(each, 0) for each in (left, well)]
    error = floor.run(left_with(floor.dispatcher(concurrency=1).run_until_idle))
    assert isinstance(error, asyncio.CancelledError)
    assert [handle.status() for handle in handles] == ["active", "complete"]


def broken() -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize("how", ["async with", "run"])
def test_a_feed_that_is_broken_ends_it(how: str, caplog: pytest.LogCaptureFixture) -> None:
    floor = Floor(waits)
    floor.watched.always["before", "due"] = broken

    async def host() -> None:
        if how == "run":
            await floor.dispatcher().run()
        async with floor.dispatcher():
            await asyncio.sleep(1)

    with pytest.raises(ZeroDivisionError):
        floor.run(host())
    assert ("the dispatcher ended" in caplog.text) == (how == "async with")


def test_one_that_has_ended_before_its_time_does_not_say_that_it_is_running() -> None:
    """A web server that goes on meanwhile can tell that nobody runs its workflows."""
    floor, running = Floor(waits), []
    floor.watched.always["before", "due"] = broken

    async def host() -> None:
        async with floor.dispatcher() as dispatcher:
            running.append(dispatcher.is_running)
            await asyncio.sleep(1)
            running.append(dispatcher.is_running)

    with pytest.raises(ZeroDivisionError):
        floor.run(host())
    assert running == [True, False]


def test_it_says_whether_it_is_running() -> None:
    floor, running = Floor(waits), []

    async def main() -> None:
        dispatcher = floor.dispatcher()
        running.append(dispatcher.is_running)
        async with dispatcher:
            running.append(dispatcher.is_running)
        running.append(dispatcher.is_running)

    floor.run(main())
    assert running == [False, True, False]


def test_it_cannot_be_started_twice_nor_after_a_stop() -> None:
    floor = Floor(waits)

    async def main() -> None:
        async with floor.dispatcher() as dispatcher:
            for start in (dispatcher.run, dispatcher.run_until_idle, dispatcher.__aenter__):
                with pytest.raises(RuntimeError, match="is running already"):
                    await start()
        for start in (dispatcher.run, dispatcher.run_until_idle, dispatcher.__aenter__):
            with pytest.raises(RuntimeError, match="was stopped; make a new one"):
                await start()

    floor.run(main())
    assert floor.watched.inner._listeners._callbacks == {}


def test_stop_of_one_that_never_ran_returns_at_once() -> None:
    floor = Floor(waits)
    floor.run(floor.dispatcher().stop())
    assert floor.machine.seconds == 0


# ---- blocking stores


def plain(attempt: Attempt) -> int:
    return 1


@workflow(name="def")
def a_def(step: Step) -> int:
    return step.do("a", plain) + step.do("b", plain)


@workflow(name="async def")
async def an_async_def(step: AsyncStep) -> int:
    async def fetch(number: int, attempt: Attempt) -> int:
        await asyncio.sleep(0)
        return number

    async def branch(number: int, step: AsyncStep) -> int:
        return await step.do("fetch", partial(fetch, number))

    return sum(await step.gather("all", partial(branch, 1), partial(branch, 2))) + await step.do("plain", plain)


def test_two_dispatchers_on_one_file_commit_each_instance_once(tmp_path: Path) -> None:
    """In a host's loop, with real threads and a real database."""
    registry = Registry([a_def, an_async_def])

    async def main(ours: SqliteStore, theirs: SqliteStore) -> tuple[set[int], set[int]]:
        store = to_async(ours)
        client = AsyncClient(store, registry, poll_interval=timedelta(milliseconds=20))
        async with (
            AsyncDispatcher(store, registry, concurrency=4),
            AsyncDispatcher(to_async(theirs), registry, concurrency=4, poll_interval=timedelta(milliseconds=20)),
        ):
            first = await client.create_many(a_def, [(str(number), None) for number in range(8)])
            second = await client.create_many(an_async_def, [(str(number), None) for number in range(8)])
            return (
                {await each.result(timeout=SOON) for each in first},
                {await each.result(timeout=SOON) for each in second},
            )

    path = tmp_path / "w.db"
    with SqliteStore(path, synchronous="OFF") as ours, SqliteStore(path, synchronous="OFF") as theirs:
        assert in_loop(main(ours, theirs)) == ({2}, {4})


def test_the_loop_goes_on_while_a_body_blocks() -> None:
    release = threading.Event()

    def blocks(attempt: Attempt) -> bool:
        return release.wait(WAIT)

    w = one_step(blocks)
    registry = Registry([w])

    async def main() -> bool:
        store = to_async(MemoryStore())
        async with AsyncDispatcher(store, registry):
            handle = await AsyncClient(store, registry).create(w, 0)
            asyncio.get_running_loop().call_later(0.01, release.set)  # by the loop that must not be blocked
            return bool(await handle.result(timeout=SOON))

    assert in_loop(main())


# ---- arguments

dispatcher: Any = AsyncDispatcher
STORE: Any = to_async(MemoryStore())
REGISTRY = Registry([waits])


class Bare:
    async def retrieve(self, ref: str) -> Any: ...
    async def apply(self, plan: Any) -> Any: ...


WRONG: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "a blocking store": (
        lambda: dispatcher(MemoryStore(), REGISTRY),
        TypeError,
        "MemoryStore blocks the event loop; pass to_async(...), which calls it in threads",
    ),
    "a blocking feed": (
        lambda: dispatcher(Bare(), REGISTRY, feed=MemoryStore()),
        TypeError,
        "MemoryStore blocks the event loop; pass to_async(...), which calls it in threads",
    ),
    "no feed": (lambda: dispatcher(Bare(), REGISTRY), TypeError, "Bare has no due() and next_due_at(); pass feed="),
    "a list": (lambda: dispatcher(STORE, [waits]), TypeError, "registry: pass Registry([...]), not a list"),
    "no concurrency": (
        lambda: dispatcher(STORE, REGISTRY, concurrency=0),
        ValueError,
        "concurrency=0: must be at least 1",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_argument_is_refused_where_it_is_given(case: str) -> None:
    call, error, text = WRONG[case]
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == text


def test_it_has_a_repr() -> None:
    assert repr(AsyncDispatcher(STORE, REGISTRY)) == "AsyncDispatcher(Registry(idle), concurrency=8)"


def test_a_number_as_a_grace_is_refused() -> None:
    with pytest.raises(TypeError, match=r"grace=3: must be a timedelta"):
        in_loop(dispatcher(STORE, REGISTRY).stop(grace=3))


def test_nothing_of_asyncios_own_is_logged_as_an_error(bodies: Bodies, caplog: pytest.LogCaptureFixture) -> None:
    """Such as exceptions of tasks that nobody has retrieved."""
    caplog.set_level(logging.ERROR, "asyncio")
    floor = Floor(one_step(bodies("only")))
    (w,) = floor.registry
    floor.blocking.create(w, 0)

    async def main() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await floor.dispatcher().run()

    floor.run(main())
    assert [] == [record.message for record in caplog.records if record.name == "asyncio"]


# ---- O7: notices of ends


@pytest.mark.parametrize("colour", ["def", "async def"])
def test_o7_on_terminal_is_a_function_of_either_colour(colour: str) -> None:
    told: list[tuple[str, bool]] = []

    @workflow(name="w", notify=True)
    async def w(step: AsyncStep) -> None: ...

    def tell(notice: TerminalNotice) -> None:
        told.append((notice.instance.ref, threading.current_thread() is threading.main_thread()))

    async def tell_on_the_loop(notice: TerminalNotice) -> None:
        await asyncio.sleep(0)
        tell(notice)

    floor = Floor(w)
    handle = floor.blocking.create(w)
    floor.idle(on_terminal=tell if colour == "def" else tell_on_the_loop)
    assert told == [(handle.ref, colour == "async def")]
    assert floor.watched.inner.retrieve(handle.ref).hooks == ()


def test_o7_one_that_raises_is_called_again() -> None:
    told: list[str] = []

    @workflow(name="w", notify=True)
    async def w(step: AsyncStep) -> None: ...

    async def tell(notice: TerminalNotice) -> None:
        told.append(notice.transition_id)
        if len(told) == 1:
            raise ConnectionError

    floor = Floor(w)
    floor.blocking.create(w)
    floor.idle(on_terminal=tell)
    floor.machine.advance(60)
    floor.idle(on_terminal=tell)
    assert [told[0]] * 2 == told


def test_a_task_group_of_the_host_is_told_at_once_what_ended_it(bodies: Bodies) -> None:
    floor = Floor(waits)
    floor.watched.always["before", "due"] = broken

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(floor.dispatcher().run())
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as caught:
        floor.run(main())
    assert [type(error) for error in caught.value.exceptions] == [ZeroDivisionError]


def test_cancelling_the_host_again_and_again_changes_nothing(bodies: Bodies) -> None:
    """While it waits for a write that has begun."""
    w = one_step(lambda attempt: 1)
    floor = Floor(w)
    handle = floor.blocking.create(w, 0)
    gate = Gate()
    floor.store.before["apply"] = gate

    async def host() -> None:
        async with floor.dispatcher():
            await asyncio.Event().wait()

    async def main() -> tuple[bool, bool]:
        task = asyncio.create_task(host())
        await gate.reached.wait()
        for _ in range(5):
            task.cancel()
            await asyncio.sleep(0.1)
        early = task.done()
        gate.opened.set()
        await asyncio.wait([task])
        return early, task.cancelled()

    assert floor.run(main()) == (False, True)
    assert handle.result() == 1
