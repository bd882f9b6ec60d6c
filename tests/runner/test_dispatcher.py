"""``Dispatcher``: which hooks it takes, how many at once, when it looks, and how it ends (rules R1, R3, G4, G10)."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.lab import SECOND, T0
from tests.runner.doubles import WAIT, AnyStore, Machine, Watched, unavailable
from wfadapters.memory import MemoryStore
from wfadapters.sqlite import Sql, SqliteStore
from wfcore.define import workflow
from wfcore.errors import CorruptRecordError, StoreError, StoreUnavailableError
from wfcore.keys import timer_id
from wfcore.outcome import Checkpointed, Ignored
from wfcore.plan import Applied, Conflict, Plan, PutHook
from wfcore.planner import AsyncStep, Attempt, Step
from wfcore.planner.changes import change
from wfcore.ports import DueQuery, Shard
from wfcore.runner import Client, Dispatcher, Handle, Runtime, TickReport
from wfcore.runner.backoff import Backoff
from wfcore.workflow import Registry, Workflow

SOON = timedelta(seconds=WAIT)
HOUR = timedelta(hours=1)


def one_step(body: Callable[[Attempt], Any], name: str = "w") -> Workflow[Any, Any]:
    """A workflow of one step whose result is plain JSON; its params may be anything plain."""

    @workflow(name=name)
    async def w(step: AsyncStep, params: Any) -> Any:
        return await step.do("only", body)

    return w


@workflow(name="idle")
async def waits(step: AsyncStep) -> int:
    received = await step.wait_for_event("go", "go")
    return int(received.payload)


@workflow(name="sleeps")
async def sleeps(step: AsyncStep) -> str:
    await step.sleep("nap", timedelta(minutes=1))
    return "awake"


def wait_for(event: threading.Event) -> None:
    assert event.wait(WAIT)


@contextmanager
def running(dispatcher: Dispatcher) -> Iterator[Future[None]]:
    """``run()`` in a thread; it must have ended at the end of the block."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(dispatcher.run)
        try:
            yield future
        finally:
            dispatcher.stop(grace=SOON)
            with suppress(BaseException):
                future.result(WAIT)
        assert future.done()


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture(params=["memory", "sqlite"])
def inner(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyStore]:
    if request.param == "memory":
        yield MemoryStore()
    else:
        with SqliteStore(tmp_path / "workflows.db", synchronous="OFF") as store:
            yield store


# ---- which hooks, in which order


def test_r3_hooks_are_taken_in_the_order_in_which_they_are_due(machine: Machine) -> None:
    order: list[str] = []

    @workflow(name="w")
    async def w(step: AsyncStep, name: str) -> None:
        await step.do("note", lambda attempt: order.append(name))

    store, registry = MemoryStore(machine.clock), Registry([w])
    client = Client(store, registry)
    for name in "dbeac":
        client.create(w, name, id=name)
        machine.advance(1)
    Dispatcher(store, registry, concurrency=1, runtime=machine.runtime).run_until_idle()
    assert "".join(order) == "dbeac"


def test_r3_it_asks_for_as_many_hooks_as_it_can_handle(machine: Machine) -> None:
    store = Watched(MemoryStore(machine.clock))
    w = one_step(lambda attempt: 1)
    registry = Registry([w])
    Client(store, registry).create_many(w, [(str(number), 0) for number in range(10)])
    Dispatcher(store, registry, concurrency=3, runtime=machine.runtime).run_until_idle()
    assert {query.limit for query in store.queries} <= {1, 2, 3}
    assert store.queries[0].limit == 3


def test_g10_hooks_of_unknown_workflows_are_never_seen(machine: Machine) -> None:
    store = Watched(MemoryStore(machine.clock))
    known, unknown = one_step(lambda attempt: 1), one_step(lambda attempt: 1, "unknown")
    handle = Client(store, Registry([unknown])).create(unknown, 0)
    before = store.retrieve(handle.ref)
    Dispatcher(store, Registry([known]), runtime=machine.runtime).run_until_idle()
    assert store.retrieve(handle.ref) == before
    assert {query.workflow_names for query in store.queries} == {frozenset({"w"})}


def test_r3_one_tick_per_instance_at_a_time(inner: AnyStore) -> None:
    """A message comes while the body runs, and the dispatcher looks again: the message has to wait."""
    store = Watched(inner)
    alone, overlaps = threading.Lock(), []
    looked_again = threading.Event()

    def body(attempt: Attempt) -> int:
        if not alone.acquire(blocking=False):
            overlaps.append("overlap")
            return 0
        handle.send_event("go", 1)
        store.always["after", "due"] = looked_again.set
        dispatcher.notify("another#one")
        wait_for(looked_again)
        assert handle.ref in store.queries[-1].exclude
        alone.release()
        return 1

    w = one_step(body)
    registry = Registry([w])
    handle = Client(inner, registry).create(w, 0)
    dispatcher = Dispatcher(store, registry, concurrency=4)
    dispatcher.run_until_idle()
    assert (overlaps, handle.result()) == ([], 1)


def test_r3_concurrency_is_bounded_and_reached(inner: AnyStore) -> None:
    concurrency = 3
    together = threading.Barrier(concurrency, timeout=WAIT)
    lock, now, most = threading.Lock(), [0], [0]

    def body(attempt: Attempt) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        together.wait()
        with lock:
            now[0] -= 1

    w = one_step(body)
    registry = Registry([w])
    handles = Client(inner, registry).create_many(w, [(str(number), 0) for number in range(concurrency * 4)])
    Dispatcher(inner, registry, concurrency=concurrency).run_until_idle()
    assert most == [concurrency]
    assert {handle.status() for handle in handles} == {"complete"}


def test_while_all_threads_are_busy_nothing_is_asked_of_the_store(inner: AnyStore) -> None:
    store = Watched(inner)
    started, release = threading.Event(), threading.Event()

    def body(attempt: Attempt) -> None:
        started.set()
        wait_for(release)

    w = one_step(body)
    registry = Registry([w])
    client = Client(inner, registry)
    with Dispatcher(store, registry, concurrency=1, poll_interval=timedelta(milliseconds=1)) as dispatcher:
        first = client.create(w, 0)
        wait_for(started)
        count = len(store.queries)
        for number in range(20):
            client.create(w, 0, id=str(number))
            dispatcher.notify("another#one")
        assert len(store.queries) == count
        release.set()
        first.result(timeout=SOON)


# ---- run_until_idle


def test_run_until_idle_does_what_becomes_due_meanwhile(machine: Machine) -> None:
    store = MemoryStore(machine.clock)

    @workflow(name="chain")
    async def chain(step: AsyncStep, left: int) -> int:
        if left:
            await step.do("next", lambda attempt: str(client.create(chain, left - 1, id=str(left - 1))))
        return left

    registry = Registry([chain])
    client = Client(store, registry)
    client.create(chain, 5, id="5")
    Dispatcher(store, registry, runtime=machine.runtime).run_until_idle()
    assert [client.handle(chain, str(number)).status() for number in range(6)] == ["complete"] * 6


def test_run_until_idle_does_not_wait_for_time(machine: Machine) -> None:
    store, registry = MemoryStore(machine.clock), Registry([sleeps])
    handle = Client(store, registry).create(sleeps)
    dispatcher = Dispatcher(store, registry, runtime=machine.runtime)
    dispatcher.run_until_idle()
    assert handle.status() == "waiting"
    machine.advance(60)
    dispatcher.run_until_idle()
    assert handle.result() == "awake"
    assert machine.pauses == []


def test_run_until_idle_with_nothing_to_do_looks_once(machine: Machine) -> None:
    store = Watched(MemoryStore(machine.clock))
    Dispatcher(store, Registry([waits]), runtime=machine.runtime).run_until_idle()
    assert store.calls == ["due", "next_due_at"]


def test_run_until_idle_raises_what_the_store_raised_and_may_be_called_again(machine: Machine) -> None:
    store = Watched(MemoryStore(machine.clock))
    registry = Registry([waits])
    handle = Client(store, registry).create(waits)
    dispatcher = Dispatcher(store, registry, runtime=machine.runtime)
    store.when("before", "due", 1, unavailable)
    with pytest.raises(StoreUnavailableError):
        dispatcher.run_until_idle()
    dispatcher.run_until_idle()
    assert handle.status() == "waiting"


@pytest.mark.parametrize("operation", ["retrieve", "apply"])
def test_run_until_idle_does_not_call_a_failed_tick_idle(machine: Machine, operation: Any) -> None:
    """Everything else is done, the hook is still there, and the caller is told."""
    store = Watched(MemoryStore(machine.clock))
    registry = Registry([waits])
    failed, done = Client(store, registry).create_many(waits, [("a", None), ("b", None)])
    dispatcher = Dispatcher(store, registry, concurrency=1, runtime=machine.runtime)
    store.when("before", operation, 1, unavailable)
    with pytest.raises(StoreUnavailableError):
        dispatcher.run_until_idle()
    assert (failed.status(), done.status()) == ("active", "waiting")
    machine.advance(0.1)
    dispatcher.run_until_idle()
    assert failed.status() == "waiting"


def test_run_until_idle_tells_of_an_error_that_nobody_expects(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    store = Watched(MemoryStore(machine.clock))
    registry = Registry([waits])
    handle = Client(store, registry).create(waits)
    store.always["before", "apply"] = broken
    with pytest.raises(ZeroDivisionError):
        Dispatcher(store, registry, runtime=machine.runtime).run_until_idle()
    assert handle.status() == "active"
    assert f"a tick of {handle.ref} failed" in caplog.text


# ---- when it looks


def test_r3_work_of_this_process_needs_no_polling(inner: AnyStore) -> None:
    with Dispatcher(inner, Registry([waits]), poll_interval=HOUR):
        handle = Client(inner, Registry([waits]), poll_interval=HOUR).create(waits)
        handle.send_event("go", 7)
        assert handle.result(timeout=SOON) == 7


@attrs.frozen
class Deaf:
    """A store that tells nobody, as one in another process."""

    inner: AnyStore

    def retrieve(self, ref: str) -> Any:
        return self.inner.retrieve(ref)

    def apply(self, plan: Plan) -> Applied | Conflict:
        return self.inner.apply(plan)

    def due(self, query: DueQuery) -> Any:
        return self.inner.due(query)

    def next_due_at(self, query: DueQuery) -> Any:
        return self.inner.next_due_at(query)


def test_r3_notify_wakes_it(inner: AnyStore) -> None:
    asleep = threading.Event()
    watched = Watched(inner)
    watched.always["after", "next_due_at"] = asleep.set
    with Dispatcher(Deaf(inner), Registry([waits]), feed=watched, poll_interval=HOUR) as dispatcher:
        wait_for(asleep)
        handle = Client(inner, Registry([waits])).create(waits)
        handle.send_event("go", 7)
        dispatcher.notify(handle.ref)
        assert handle.result(timeout=SOON) == 7


@pytest.mark.parametrize("index", [0, 1])
def test_r3_to_hear_that_something_may_have_been_missed_wakes_every_shard(inner: AnyStore, index: int) -> None:
    asleep = threading.Event()
    watched = Watched(inner)
    watched.always["after", "next_due_at"] = asleep.set
    registry, shard = Registry([waits]), Shard(index, 2)
    own = next(each for each in "abcdef" if shard.owns(f"{waits.name}#{each}"))
    with Dispatcher(Deaf(inner), registry, feed=watched, poll_interval=HOUR, shard=shard) as dispatcher:
        wait_for(asleep)
        handle = Client(inner, registry).create(waits, id=own)
        handle.send_event("go", 7)
        dispatcher.notify("")
        assert handle.result(timeout=SOON) == 7


def test_r3_the_poll_interval_finds_the_work_of_another_process(tmp_path: Path) -> None:
    path = tmp_path / "w.db"
    with SqliteStore(path, synchronous="OFF") as ours, SqliteStore(path, synchronous="OFF") as theirs:
        asleep = threading.Event()
        watched = Watched(ours)
        watched.always["after", "next_due_at"] = asleep.set
        with Dispatcher(watched, Registry([waits]), poll_interval=timedelta(milliseconds=5)):
            wait_for(asleep)
            handle = Client(theirs, Registry([waits]), poll_interval=timedelta(milliseconds=5)).create(waits)
            handle.send_event("go", 7)
            assert handle.result(timeout=SOON) == 7


def test_r3_it_sleeps_until_the_next_hook_is_due(inner: AnyStore) -> None:
    @workflow(name="nap")
    async def nap(step: AsyncStep) -> str:
        await step.sleep("nap", timedelta(milliseconds=30))
        return "awake"

    with Dispatcher(inner, Registry([nap]), poll_interval=HOUR):
        assert Client(inner, Registry([nap])).create(nap).result(timeout=SOON) == "awake"


def test_an_idle_dispatcher_looks_once_for_each_message(inner: AnyStore) -> None:
    """No busy loop, and no wake-up by what changes nothing."""
    asleep = threading.Semaphore(0)
    store = Watched(inner)
    store.always["after", "next_due_at"] = asleep.release
    with Dispatcher(store, Registry([waits]), poll_interval=HOUR) as dispatcher:
        assert asleep.acquire(timeout=WAIT)
        for _ in range(10):
            dispatcher.notify("another#one")
            assert asleep.acquire(timeout=WAIT)
    assert store.calls.count("due") == 11


def test_a_store_whose_clock_is_behind_is_not_asked_in_a_busy_loop(machine: Machine) -> None:
    """By this machine's clock the hook is due; the store's, which counts, says not yet."""
    store = Watched(MemoryStore(machine.clock))
    handle = Client(store, Registry([sleeps])).create(sleeps)
    Dispatcher(store, Registry([sleeps])).run_until_idle()
    store.calls.clear()
    too_often = threading.Event()

    def count() -> None:
        if store.calls.count("due") > 30:
            too_often.set()

    store.always["before", "due"] = count
    with Dispatcher(store, Registry([sleeps]), poll_interval=HOUR) as dispatcher:
        assert not too_often.wait(0.1)
        machine.advance(60)
        dispatcher.notify(handle.ref)
        assert handle.result(timeout=SOON) == "awake"


def test_a_machine_whose_clock_is_behind_finds_the_hook_by_polling() -> None:
    """It would sleep for a year; the poll interval bounds it."""
    runtime = Runtime(now=lambda: T0)
    store, registry = MemoryStore(), Registry([sleeps])

    @workflow(name="sleeps")
    async def nap(step: AsyncStep) -> str:
        await step.sleep("nap", timedelta(milliseconds=20))
        return "awake"

    registry = Registry([nap])
    with Dispatcher(store, registry, poll_interval=timedelta(milliseconds=5), runtime=runtime):
        assert Client(store, registry).create(nap).result(timeout=SOON) == "awake"


def test_a_message_for_an_instance_at_work_is_not_forgotten(inner: AnyStore) -> None:
    """It is sent while the last plan of the tick is on its way: the hook is due when the tick ends."""
    store = Watched(inner)
    registry = Registry([waits])
    handle = Client(inner, registry).create(waits)
    store.when("before", "apply", 1, lambda: handle.send_event("go", 7))
    with Dispatcher(store, registry, poll_interval=HOUR):
        assert handle.result(timeout=SOON) == 7


def test_nothing_is_forgotten_under_fire(inner: AnyStore) -> None:
    """Many threads create and send; nobody polls; every instance ends."""
    threads, each = 6, 10
    registry = Registry([waits])
    client = Client(inner, registry)

    def fire(thread: int) -> list[int]:
        handles = [client.create(waits, id=f"{thread}-{number}") for number in range(each)]
        for number, handle in enumerate(handles):
            handle.send_event("go", number)
        return [handle.result(timeout=SOON) for handle in handles]

    with Dispatcher(inner, registry, poll_interval=HOUR, concurrency=3), ThreadPoolExecutor(threads) as pool:
        assert list(pool.map(fire, range(threads))) == [list(range(each))] * threads


# ---- failures of the store


@pytest.mark.parametrize("operation", ["due", "next_due_at"])
def test_a_store_that_cannot_be_asked_is_asked_again(
    machine: Machine, operation: Any, caplog: pytest.LogCaptureFixture
) -> None:
    store = Watched(MemoryStore())
    for number in (1, 2, 3):
        store.when("before", operation, number, unavailable)
    registry = Registry([waits])
    with Dispatcher(store, registry, poll_interval=timedelta(milliseconds=1)):
        handle = Client(store, registry).create(waits)
        handle.send_event("go", 7)
        assert handle.result(timeout=SOON) == 7
    if operation == "due":
        assert "cannot look for due hooks, trying again: store unavailable" in caplog.text


@pytest.mark.parametrize("operation", ["retrieve", "apply"])
def test_a_tick_that_failed_is_tried_again(operation: Any) -> None:
    store = Watched(MemoryStore())
    registry = Registry([waits])
    handle = Client(store.inner, registry).create(waits)
    for number in (1, 2):
        store.when("before", operation, number, unavailable)
    with Dispatcher(store, registry, poll_interval=HOUR):
        handle.send_event("go", 7)
        assert handle.result(timeout=SOON) == 7


def test_a_corrupt_hook_keeps_no_other_instance_from_running(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "w.db"
    with SqliteStore(path, synchronous="OFF") as store:
        registry = Registry([waits])
        handles = Client(store, registry).create_many(waits, [(each, None) for each in "abcd"])
        corrupt(path, "UPDATE wfcore_hooks SET reason = 'because' WHERE instance_ref IN ('idle#a', 'idle#c')")
        dispatcher = Dispatcher(store, registry)
        with pytest.raises(CorruptRecordError) as caught:
            dispatcher.run_until_idle()
        assert caught.value.ref in ("idle#a", "idle#c")
        assert [handle.status() for handle in (handles[1], handles[3])] == ["waiting", "waiting"]
        assert "reason 'because' is none of create" in caplog.text
        corrupt(path, "UPDATE wfcore_hooks SET reason = 'create'")
        Dispatcher(store, registry).run_until_idle()
        assert {handle.status() for handle in handles} == {"waiting"}


def test_a_corrupt_row_of_an_instance_keeps_no_other_from_running(tmp_path: Path) -> None:
    path = tmp_path / "w.db"
    with SqliteStore(path, synchronous="OFF") as store:
        registry = Registry([waits])
        _, other = Client(store, registry).create_many(waits, [("a", None), ("b", None)])
        corrupt(path, "UPDATE wfcore_instances SET tags = '[]' WHERE ref = 'idle#a'")
        with pytest.raises(CorruptRecordError):
            Dispatcher(store, registry).run_until_idle()
        assert other.status() == "waiting"


def corrupt(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA ignore_check_constraints = 1")
    connection.execute(statement)
    connection.commit()
    connection.close()


def test_a_store_that_fails_at_any_call_loses_nothing() -> None:
    """At each call in turn, before or after it took effect; then everything goes on."""

    def write(attempt: Attempt) -> int:
        attempt.write(attempt.idempotency_key)
        return attempt.number

    @workflow(name="w")
    async def w(step: AsyncStep) -> int:
        first = await step.do("first", write)
        second = await step.do("second", write)
        received = await step.wait_for_event("go", "go")
        return first + second + int(received.payload)

    registry = Registry([w])
    for operation in ("retrieve", "apply", "due", "next_due_at"):
        for when in ("before", "after"):
            for number in range(1, 8):
                machine = Machine()
                memory = MemoryStore(machine.clock)
                store = Watched(memory)
                handle = Client(memory, registry).create(w, id="1")
                handle.send_event("go", 40)
                store.when(when, operation, number, unavailable)
                for _ in range(3):
                    with suppress(StoreUnavailableError):
                        Dispatcher(store, registry, runtime=machine.runtime).run_until_idle()
                    machine.advance(10)
                assert handle.result() == 42
                assert len(set(memory.writes)) == len(memory.writes) == 2
                assert [step.attempts for step in handle.history().steps] == [1, 1, 0]


# ---- R1: instances that are left out for a while


def test_r1_an_instance_is_left_out_for_a_tenth_of_a_second_doubling_to_five(machine: Machine) -> None:
    backoff = Backoff(machine.runtime)
    pauses = []
    for _ in range(8):
        backoff.leave_out("w#1")
        pause = backoff.seconds_left()
        assert pause is not None
        pauses.append(round(pause, 6))
        assert backoff.left_out() == {"w#1"}
        machine.advance(pause)
        assert backoff.left_out() == set()
        assert backoff.seconds_left() is None
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    backoff.forget("w#1")
    backoff.leave_out("w#1")
    assert backoff.seconds_left() == pytest.approx(0.1)


def test_r1_what_was_left_out_is_not_remembered_for_ever(machine: Machine) -> None:
    backoff = Backoff(machine.runtime)
    for number in range(100):
        backoff.leave_out(f"w#{number}")
    machine.advance(10)
    backoff.left_out()
    assert backoff._until == {}


def at_work_elsewhere(store: AnyStore, handle: Handle[Any], machine: Machine) -> None:
    """Another runner has written a checkpoint and goes on."""
    snapshot = store.retrieve(handle.ref)
    (hook,) = snapshot.hooks
    assert snapshot.instance is not None
    later = PutHook(attrs.evolve(hook, due_at=machine.now + 10 * SECOND))
    plan = change(snapshot.instance, (later,), Checkpointed(), execution_id="other", now=machine.now)
    assert isinstance(store.apply(plan), Applied)


def test_g4_an_instance_that_another_runner_is_at_work_on_is_left_out(machine: Machine) -> None:
    reports: list[TickReport] = []
    inner = MemoryStore(machine.clock)
    store = Watched(inner)
    registry = Registry([waits])
    handle = Client(inner, registry).create(waits)
    at_work_elsewhere(inner, handle, machine)
    handle.send_event("go", 7)
    dispatcher = Dispatcher(store, registry, observer=reports.append, runtime=machine.runtime)
    for seconds in (0, 0.05, 0.06, 0.1, 0.11):
        machine.advance(seconds)
        dispatcher.run_until_idle()
    assert [type(report.plan and report.plan.outcome) for report in reports] == [Ignored] * 3
    assert "apply" not in store.calls
    machine.advance(10)
    dispatcher.run_until_idle()
    assert handle.result() == 7


def test_g4_a_running_dispatcher_comes_back_to_it_by_itself() -> None:
    ignored = threading.Semaphore(0)

    def observe(report: TickReport) -> None:
        if report.plan is not None and isinstance(report.plan.outcome, Ignored):
            ignored.release()

    store, registry = MemoryStore(), Registry([waits])
    handle = Client(store, registry).create(waits)
    at_work_elsewhere(store, handle, Machine(now=handle.get().created_at))
    handle.send_event("go", 7)
    with Dispatcher(store, registry, observer=observe, poll_interval=HOUR):
        assert ignored.acquire(timeout=WAIT)
        assert ignored.acquire(timeout=WAIT)


# ---- several dispatchers


@pytest.mark.parametrize("colour", ["def", "async def"])
def test_two_dispatchers_on_one_store_commit_each_step_once(tmp_path: Path, inner: AnyStore, colour: str) -> None:
    steps, instances = 4, 12

    def write(number: int, ref: str, attempt: Attempt) -> int:
        attempt.write(Sql("INSERT INTO done VALUES (?, ?)", (ref, number)))
        return number

    if colour == "def":

        @workflow(name="w")
        def w(step: Step, ref: str) -> int:
            return sum(step.do("add", partial(write, number, ref)) for number in range(steps))
    else:

        @workflow(name="w")
        async def w(step: AsyncStep, ref: str) -> int:
            total = 0
            for number in range(steps):
                total += await step.do("add", partial(write, number, ref))
            return total

    if isinstance(inner, SqliteStore):
        corrupt(tmp_path / "workflows.db", "CREATE TABLE done (ref TEXT, number INTEGER)")
    registry = Registry([w])
    handles = Client(inner, registry).create_many(w, [(str(number), str(number)) for number in range(instances)])
    with Dispatcher(inner, registry, concurrency=2), Dispatcher(inner, registry, concurrency=2):
        assert {handle.result(timeout=SOON) for handle in handles} == {sum(range(steps))}
    assert {handle.get().version for handle in handles} == {1 + steps}
    expected = [(str(ref), number) for ref in range(instances) for number in range(steps)]
    assert sorted(written(inner, tmp_path)) == sorted(expected)


def written(store: AnyStore, tmp_path: Path) -> list[tuple[Any, ...]]:
    if isinstance(store, MemoryStore):
        return [tuple(each.parameters) for each in store.writes if isinstance(each, Sql)]
    connection = sqlite3.connect(tmp_path / "workflows.db")
    try:
        return connection.execute("SELECT ref, number FROM done").fetchall()
    finally:
        connection.close()


# ---- how it ends


def test_r3_a_body_that_outlives_the_grace_is_left_behind_and_its_hook_survives(inner: AnyStore) -> None:
    started, release, told = threading.Event(), threading.Event(), threading.Event()
    reports: list[TickReport] = []

    def body(attempt: Attempt) -> int:
        started.set()
        wait_for(release)
        return 1

    def observe(report: TickReport) -> None:
        reports.append(report)
        told.set()

    w = one_step(body)
    registry = Registry([w])
    handle = Client(inner, registry).create(w, 0)
    before = inner.retrieve(handle.ref)
    dispatcher = Dispatcher(inner, registry, observer=observe)
    with running(dispatcher) as future:
        wait_for(started)
        dispatcher.stop(grace=timedelta(0))
        future.result(WAIT)
        assert reports == []
        release.set()
        wait_for(told)
    after = inner.retrieve(handle.ref)
    assert (after.instance, after.steps, after.hooks) == (before.instance, before.steps, before.hooks)
    assert [(report.plan, report.bodies) for report in reports] == [(None, 1)]
    Dispatcher(inner, registry).run_until_idle()
    assert handle.result() == 1


def test_r3_stop_waits_for_the_checkpoint_and_releases_the_instance(inner: AnyStore) -> None:
    started, release = threading.Event(), threading.Event()
    runs: list[str] = []

    def first(attempt: Attempt) -> None:
        runs.append("first")
        started.set()
        wait_for(release)

    @workflow(name="w")
    async def w(step: AsyncStep) -> None:
        await step.do("first", first)
        await step.do("second", lambda attempt: runs.append("second"))

    registry = Registry([w])
    handle = Client(inner, registry).create(w)
    dispatcher = Dispatcher(inner, registry)
    with running(dispatcher) as future, ThreadPoolExecutor(1) as pool:
        wait_for(started)
        stopping = pool.submit(dispatcher.stop, grace=SOON)
        wait_until_stopping(dispatcher)
        release.set()
        stopping.result(WAIT)
        future.result(WAIT)
    (fired,) = inner.due(DueQuery())
    assert (fired.hook.id, runs, handle.status()) == (timer_id(handle.ref), ["first"], "active")
    Dispatcher(inner, registry).run_until_idle()
    assert runs == ["first", "second"]


def test_r3_a_hook_that_was_found_while_it_was_stopped_is_not_started(machine: Machine) -> None:
    runs: list[int] = []
    w = one_step(lambda attempt: runs.append(1))
    store = Watched(MemoryStore(machine.clock))
    registry = Registry([w])
    handle = Client(store, registry).create(w, 0)
    dispatcher = Dispatcher(store, registry, runtime=machine.runtime)
    store.when("after", "due", 1, partial(dispatcher.stop, grace=timedelta(0)))
    dispatcher.run()
    join_ticks()
    assert ([], "active") == (runs, handle.status())


def join_ticks() -> None:
    """Wait for the threads that dispatchers have left behind."""
    for thread in threading.enumerate():
        if thread.name.startswith("wfcore-tick"):
            thread.join(WAIT)


def wait_until_stopping(dispatcher: Dispatcher) -> None:
    """A stopped dispatcher cannot be started; until then it is running already."""
    deadline = threading.Event()
    while "was stopped" not in refusal(dispatcher):
        assert not deadline.wait(0.001)


def refusal(dispatcher: Dispatcher) -> str:
    with pytest.raises(RuntimeError) as caught:
        dispatcher.run_until_idle()
    return str(caught.value)


def test_stop_of_a_dispatcher_that_never_ran_returns_at_once(machine: Machine) -> None:
    dispatcher = Dispatcher(MemoryStore(), Registry([waits]))
    dispatcher.stop()
    dispatcher.stop()
    assert refusal(dispatcher) == "this dispatcher was stopped; make a new one"


def test_a_stopped_dispatcher_cannot_be_started_again(machine: Machine) -> None:
    store = Watched(MemoryStore())
    with Dispatcher(store, Registry([waits])) as dispatcher:
        pass
    for start in (dispatcher.run, dispatcher.run_until_idle, dispatcher.__enter__):
        with pytest.raises(RuntimeError, match="was stopped; make a new one"):
            start()
    assert store.inner._listeners._callbacks == {}


def test_a_running_dispatcher_cannot_be_started_again() -> None:
    """Two loops would start two ticks of one instance."""
    with Dispatcher(MemoryStore(), Registry([waits])) as dispatcher:
        for start in (dispatcher.run, dispatcher.run_until_idle, dispatcher.__enter__):
            with pytest.raises(RuntimeError, match="is running already"):
                start()


def test_it_says_whether_it_is_running() -> None:
    dispatcher = Dispatcher(MemoryStore(), Registry([waits]))
    running = [dispatcher.is_running]
    with dispatcher:
        running.append(dispatcher.is_running)
    assert [*running, dispatcher.is_running] == [False, True, False]


def test_one_that_has_ended_before_its_time_does_not_say_that_it_is_running(inner: AnyStore) -> None:
    """A program that goes on meanwhile can tell that nobody runs its workflows."""
    w = one_step(leave)
    running = []

    def block() -> None:
        with Dispatcher(inner, Registry([w])) as dispatcher:
            Client(inner, Registry([w])).create(w, 0)
            dispatcher._thread.join(WAIT)
            running.append(dispatcher.is_running)

    with pytest.raises(SystemExit):
        block()
    assert running == [False]


def test_run_until_idle_may_be_called_again_and_again(machine: Machine) -> None:
    store, registry = MemoryStore(machine.clock), Registry([waits])
    dispatcher = Dispatcher(store, registry, runtime=machine.runtime)
    for number in range(3):
        handle = Client(store, registry).create(waits)
        handle.send_event("go", number)
        dispatcher.run_until_idle()
        assert handle.result() == number


def leave(attempt: Attempt) -> None:
    raise SystemExit(3)


@pytest.mark.parametrize("start", [Dispatcher.run, Dispatcher.run_until_idle])
def test_s14_what_a_body_raises_that_is_no_exception_ends_the_dispatcher(
    inner: AnyStore, start: Callable[[Dispatcher], None]
) -> None:
    w = one_step(leave)
    handle = Client(inner, Registry([w])).create(w, 0)
    with pytest.raises(SystemExit) as caught:
        start(Dispatcher(inner, Registry([w])))
    assert caught.value.code == 3
    assert (handle.get().version, len(inner.due(DueQuery()))) == (1, 1)


def test_s14_it_does_not_wait_for_the_other_bodies(inner: AnyStore) -> None:
    started, release, ended = threading.Event(), threading.Event(), threading.Event()

    def slow(attempt: Attempt) -> None:
        started.set()
        wait_for(release)

    def fatal(attempt: Attempt) -> None:
        wait_for(started)
        raise SystemExit(3)

    w, f = one_step(slow, "slow"), one_step(fatal, "fatal")
    registry = Registry([w, f])
    left_behind = Client(inner, registry).create(w, 0)
    Client(inner, registry).create(f, 0)

    def observe(report: TickReport) -> None:
        if report.bodies:
            ended.set()

    with pytest.raises(SystemExit):
        Dispatcher(inner, registry, observer=observe).run()
    release.set()
    wait_for(ended)
    assert left_behind.get().version == 1


def test_the_context_manager_raises_what_ended_it(inner: AnyStore, caplog: pytest.LogCaptureFixture) -> None:
    w = one_step(leave)
    ended = threading.Event()

    def block() -> None:
        with Dispatcher(inner, Registry([w]), observer=lambda report: ended.set()):
            Client(inner, Registry([w])).create(w, 0)
            wait_for(ended)

    with pytest.raises(SystemExit):
        block()
    assert "the dispatcher ended" in caplog.text


def test_the_context_manager_does_not_hide_the_error_of_its_block(inner: AnyStore) -> None:
    w = one_step(leave)
    ended = threading.Event()

    def block() -> None:
        with Dispatcher(inner, Registry([w]), observer=lambda report: ended.set()):
            Client(inner, Registry([w])).create(w, 0)
            wait_for(ended)
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        block()


def test_a_feed_that_is_broken_ends_it() -> None:
    def broken() -> None:
        raise ZeroDivisionError

    store = Watched(MemoryStore())
    store.always["before", "due"] = broken
    with pytest.raises(ZeroDivisionError):
        Dispatcher(store, Registry([waits])).run()
    with pytest.raises(ZeroDivisionError), Dispatcher(store, Registry([waits])):
        pass


def test_a_signal_handler_may_stop_it(inner: AnyStore) -> None:
    """As ``signal.signal(SIGTERM, lambda *_: dispatcher.stop())`` in a worker's main thread."""
    w = one_step(lambda attempt: os.kill(os.getpid(), signal.SIGUSR1))
    registry = Registry([w])
    handle = Client(inner, registry).create(w, 0)
    dispatcher = Dispatcher(inner, registry, poll_interval=HOUR)
    before = signal.signal(signal.SIGUSR1, lambda *_: dispatcher.stop())
    try:
        dispatcher.run()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert handle.status() == "complete"


def test_a_body_that_never_ends_does_not_keep_the_process() -> None:
    program = textwrap.dedent("""
        import threading
        from datetime import timedelta
        from wfadapters.memory import MemoryStore
        from wfcore import AsyncStep, Client, Dispatcher, Registry, workflow

        started = threading.Event()

        def body(attempt):
            started.set()
            threading.Event().wait()

        @workflow(name="w")
        async def w(step: AsyncStep) -> None:
            await step.do("stuck", body)

        store, registry = MemoryStore(), Registry([w])
        Client(store, registry).create(w)
        dispatcher = Dispatcher(store, registry)
        thread = threading.Thread(target=dispatcher.run)
        thread.start()
        started.wait()
        dispatcher.stop(grace=timedelta(0))
        thread.join()
        print("left behind")
    """)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=WAIT, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("left behind\n", "", 0)


# ---- arguments


def test_timedelta_max_is_for_ever(inner: AnyStore) -> None:
    for_ever = timedelta.max
    client = Client(inner, Registry([waits]), poll_interval=for_ever)
    dispatcher = Dispatcher(inner, Registry([waits]), poll_interval=for_ever)
    with running(dispatcher) as future:
        handle = client.create(waits)
        handle.send_event("go", 7)
        assert handle.result(timeout=for_ever) == 7
        dispatcher.stop(grace=for_ever)
        future.result(WAIT)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"concurrency": 0}, "concurrency=0: must be at least 1"),
        ({"poll_interval": timedelta(0)}, "poll_interval and recover_after must be longer than zero"),
        ({"recover_after": timedelta(-1)}, "poll_interval and recover_after must be longer than zero"),
    ],
)
def test_arguments_out_of_range_are_refused(options: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Dispatcher(MemoryStore(), Registry([waits]), **options)


def test_a_store_without_a_feed_is_refused() -> None:
    class Bare:
        def retrieve(self, ref: str) -> Any: ...
        def apply(self, plan: Plan) -> Any: ...

    with pytest.raises(TypeError, match=r"Bare has no due\(\) and next_due_at\(\); pass feed="):
        Dispatcher(Bare(), Registry([waits]))


def test_it_has_a_repr() -> None:
    dispatcher = Dispatcher(MemoryStore(), Registry([waits, sleeps]), concurrency=2)
    assert repr(dispatcher) == "Dispatcher(Registry(idle, sleeps), concurrency=2)"


def test_it_hands_its_settings_to_the_ticks(machine: Machine) -> None:
    reports: list[TickReport] = []
    timers: list[timedelta] = []
    store = Watched(MemoryStore(machine.clock))

    def second(attempt: Attempt) -> None:
        (hook,) = store.inner.retrieve(handle.ref).hooks
        timers.append(hook.due_at - machine.now)

    @workflow(name="w")
    async def w(step: AsyncStep) -> None:
        await step.do("first", lambda attempt: 1)
        await step.do("second", second)

    registry = Registry([w])
    handle = Client(store, registry).create(w)
    Dispatcher(
        store, registry, recover_after=timedelta(seconds=42), observer=reports.append, runtime=machine.runtime
    ).run_until_idle()
    assert timers == [timedelta(seconds=42)]
    assert len(reports) == 1


def test_a_fault_of_the_store_is_a_store_error_of_the_tick(machine: Machine) -> None:
    reports: list[TickReport] = []
    store = Watched(MemoryStore(machine.clock))
    Client(store, Registry([waits])).create(waits)
    store.always["before", "retrieve"] = unavailable
    with pytest.raises(StoreError):
        Dispatcher(store, Registry([waits]), observer=reports.append, runtime=machine.runtime).run_until_idle()
    assert [type(report.error) for report in reports] == [StoreUnavailableError]


def test_s14_a_cancellation_that_leaves_a_body_does_not_end_the_dispatcher(inner: AnyStore) -> None:
    """Another process, and the next start of this one, would meet it again; the rest of the work must go on."""

    def cancel(attempt: Attempt) -> None:
        raise asyncio.CancelledError

    cancelled, well = one_step(cancel, "cancelled"), one_step(lambda attempt: None, "well")
    registry = Registry([cancelled, well])
    left, done = Client(inner, registry).create(cancelled, 0), Client(inner, registry).create(well, 0)
    with pytest.raises(asyncio.CancelledError):
        Dispatcher(inner, registry, concurrency=1).run_until_idle()
    assert ("active", 1, "complete") == (left.status(), left.get().version, done.status())
