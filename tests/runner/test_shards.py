"""Many dispatchers on one store: shards, stealing, and ticks that take too long (rule R4)."""

import asyncio
import logging
import threading
from collections import Counter
from datetime import timedelta
from typing import Any

import attrs
import pytest

from tests.lab import SECOND
from tests.runner.doubles import WAIT, AnyStore, Machine, Watched
from tests.runner.loops import Awaited, in_loop
from tests.twins import Colour, Running, both_colours
from wfadapters.memory import MemoryStore
from wfadapters.sqlite import SqliteStore
from wfcore.define import workflow
from wfcore.keys import shard_of
from wfcore.planner import AsyncStep, Attempt
from wfcore.ports import Shard
from wfcore.runner import AsyncDispatcher, Client, Dispatcher, TickReport
from wfcore.runner.watch import Overtime
from wfcore.workflow import Registry

MINUTE = timedelta(minutes=1)
MANY = 40


@workflow(name="job")
async def job(step: AsyncStep, number: int) -> int:
    doubled = await step.do("double", lambda attempt: number * 2, returns=int)
    await step.sleep("rest", MINUTE)
    return await step.do("add", lambda attempt: doubled + 1, returns=int)


REGISTRY = Registry([job])


@attrs.define
class Fleet:
    """Dispatchers of the shards of one store, each of which is let run by hand, until it is idle."""

    store: AnyStore
    machine: Machine
    count: int
    colour: str
    reports: dict[int, list[TickReport]] = attrs.field(factory=dict)

    def run(self, index: int) -> None:
        observer = self.reports.setdefault(index, []).append
        options: dict[str, Any] = {
            "shard": Shard(index, self.count),
            "observer": observer,
            "runtime": self.machine.runtime,
        }
        if self.colour == "blocking":
            Dispatcher(self.store, REGISTRY, **options).run_until_idle()
        else:
            dispatcher = AsyncDispatcher(Awaited(Watched(self.store)), REGISTRY, **options)
            in_loop(dispatcher.run_until_idle(), self.machine)

    def run_all(self, *indices: int) -> None:
        for index in indices:
            self.run(index)

    def handled(self, index: int) -> set[str]:
        return {report.fired.hook.instance_ref for report in self.reports.get(index, ())}

    @property
    def bodies(self) -> Counter[str]:
        reports = [report for each in self.reports.values() for report in each]
        return Counter(f"{report.fired.hook.instance_ref} {run.key}" for report in reports for run in report.body_runs)


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, machine: Machine, tmp_path: Any) -> Any:
    if request.param == "memory":
        yield MemoryStore(machine.clock)
        return
    with SqliteStore(tmp_path / "w.db", clock=machine.clock, synchronous="OFF") as opened:
        yield opened


@pytest.fixture
def client(store: AnyStore, machine: Machine) -> Client:
    client = Client(store, REGISTRY, runtime=machine.runtime)
    for number in range(MANY):
        client.create(job, number, id=str(number))
    return client


@pytest.fixture(params=[2, 4])
def count(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(params=["blocking", "asyncio"])
def fleet(request: pytest.FixtureRequest, store: AnyStore, machine: Machine, count: int) -> Fleet:
    return Fleet(store, machine, count, request.param)


def results(client: Client) -> list[int]:
    return [client.handle(job, str(number)).result() for number in range(MANY)]


EXPECTED = [number * 2 + 1 for number in range(MANY)]


def test_r4_every_hook_is_handled_by_its_shard_alone_when_all_live(client: Client, fleet: Fleet) -> None:
    fleet.run_all(*range(fleet.count))
    fleet.machine.advance(60)
    fleet.run_all(*reversed(range(fleet.count)))
    assert EXPECTED == results(client)
    refs = [f"job#{number}" for number in range(MANY)]
    for index in range(fleet.count):
        assert {ref for ref in refs if shard_of(ref, fleet.count) == index} == fleet.handled(index)
    assert Counter(f"{ref} do:{name}" for ref in refs for name in ("double", "add")) == fleet.bodies


def test_r4_the_work_of_a_dead_shard_is_stolen_and_nothing_strands(client: Client, fleet: Fleet) -> None:
    dead, *alive = range(fleet.count)
    fleet.run_all(*alive)
    fleet.machine.advance(5 * 60 - 1)
    fleet.run_all(*alive)
    assert {dead} == {shard_of(ref, fleet.count) for ref in _unfinished(client)}
    fleet.machine.advance(1)
    fleet.run_all(*alive)
    fleet.machine.advance(6 * 60)
    fleet.run_all(*alive)
    assert (EXPECTED, ()) == (results(client), client.audit())
    assert {1} == set(fleet.bodies.values())


def _unfinished(client: Client) -> list[str]:
    handles = [client.handle(job, str(number)) for number in range(MANY)]
    return [handle.ref for handle in handles if handle.status() != "complete"]


def test_r4_a_shard_that_comes_back_has_its_own_work_again(client: Client, fleet: Fleet) -> None:
    _, *alive = range(fleet.count)
    fleet.run_all(*alive)
    fleet.machine.advance(5 * 60)
    fleet.run_all(*alive)
    fleet.machine.advance(60)
    fleet.run_all(0, *alive)
    fleet.machine.advance(60)
    fleet.run_all(0, *alive)
    assert EXPECTED == results(client)
    assert {1} == set(fleet.bodies.values())


def test_r4_a_dispatcher_asks_for_its_shard(machine: Machine) -> None:
    store = Watched(MemoryStore(machine.clock))
    shard = Shard(1, 2)
    Dispatcher(store, REGISTRY, shard=shard, runtime=machine.runtime).run_until_idle()
    assert [shard] == [query.shard for query in store.queries]


def test_r4_news_of_another_shards_instances_wakes_nobody() -> None:
    store = Watched(MemoryStore())
    mine = next(number for number in range(9) if shard_of(f"job#{number}", 2) == 0)
    other = next(number for number in range(9) if shard_of(f"job#{number}", 2) == 1)
    looked = threading.Event()
    store.always["after", "next_due_at"] = looked.set
    with Dispatcher(store, REGISTRY, shard=Shard(0, 2), poll_interval=timedelta(hours=1)) as dispatcher:
        assert looked.wait(WAIT)
        before = store.calls.count("due")
        dispatcher.notify(f"job#{other}")
        Client(store.inner, REGISTRY).create(job, 1, id=str(other))
        assert before == store.calls.count("due")
        looked.clear()
        dispatcher.notify(f"job#{mine}")
        assert looked.wait(WAIT)


def test_r4_it_looks_in_time_for_what_it_may_steal_however_seldom_it_polls(machine: Machine) -> None:
    """Nobody tells of hooks of other shards."""
    store = MemoryStore(machine.clock)
    theirs = next(str(number) for number in range(9) if shard_of(f"job#{number}", 2) == 1)
    reports: list[TickReport] = []

    async def main() -> None:
        dispatcher = AsyncDispatcher(
            Awaited(Watched(store), tells=False),
            REGISTRY,
            shard=Shard(0, 2),
            poll_interval=timedelta(days=1),
            observer=reports.append,
            runtime=machine.runtime,
        )
        async with dispatcher:
            await asyncio.sleep(60)
            Client(store, REGISTRY, runtime=machine.runtime).create(job, 1, id=theirs)
            await asyncio.sleep(5 * 60 + 1)

    in_loop(main(), machine)
    assert [5 * MINUTE] == [report.fired.timestamp - report.fired.hook.due_at for report in reports]


@pytest.mark.parametrize("shard", [0, (0, 2), "0/2"])
def test_r4_what_is_no_shard_is_refused(shard: Any) -> None:
    with pytest.raises(TypeError, match=r"pass Shard\(index, count\)"):
        Dispatcher(MemoryStore(), REGISTRY, shard=shard)
    with pytest.raises(TypeError, match=r"pass Shard\(index, count\)"):
        AsyncDispatcher(Awaited(Watched(MemoryStore())), REGISTRY, shard=shard)


# ---- ticks that take too long


def test_r4_a_tick_that_outlives_half_of_steal_after_is_told_of_once(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    overtime = Overtime(10 * SECOND, machine.runtime)
    overtime.begins("a#1").keys = lambda: ("do:pay", "do:mail")
    machine.advance(2)
    overtime.begins("b#1")
    overtime.begins("c#1")
    assert 3.0 == overtime.seconds_left()
    overtime.tell()
    assert [] == caplog.messages
    machine.advance(3)
    overtime.ends("b#1")
    overtime.tell()
    overtime.tell()
    assert 2.0 == overtime.seconds_left()
    machine.advance(60)
    overtime.tell()
    assert None is overtime.seconds_left()
    assert [("a tick of a#1", "now in 'do:pay', 'do:mail'"), ("a tick of c#1", "in no step's body")] == [
        (message.split(" runs")[0], message.split(", ", 1)[1].split(";")[0]) for message in caplog.messages
    ]
    assert all("half of steal_after=0:00:10" in message for message in caplog.messages)


def test_r4_without_a_shard_nobody_is_told(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    overtime = Overtime(None, machine.runtime)
    overtime.begins("a#1")
    machine.advance(10_000)
    overtime.tell()
    assert (None, []) == (overtime.seconds_left(), caplog.messages)


@both_colours
def test_r4_a_dispatcher_warns_of_a_long_body_while_it_runs(colour: Colour, machine: Machine) -> None:
    """Also if all its threads are taken. It looks again after 10 ms, and time has passed only in the body."""
    warned = _Warned()
    logging.getLogger("wfcore.runner").addHandler(warned)

    def wait(attempt: Attempt) -> bool:
        machine.advance(1)
        return warned.event.wait(WAIT)

    def program(step: Any) -> Running:
        return (yield step.do("pay", wait))

    store, long = MemoryStore(machine.clock), colour(program)
    registry = Registry([long])
    handle = Client(store, registry).create(long, id="1")
    shard = Shard(0, 1, steal_after=timedelta(milliseconds=20))
    try:
        with Dispatcher(store, registry, shard=shard, runtime=machine.runtime, concurrency=1):
            assert handle.result(timeout=timedelta(seconds=WAIT)) is True
    finally:
        logging.getLogger("wfcore.runner").removeHandler(warned)
    assert ["a tick of w#1 runs for longer than half of steal_after=0:00:00.020000, now in 'do:pay'"] == [
        message.split(";")[0] for message in warned.messages
    ]


def test_r4_under_asyncio_the_bodies_in_flight_are_named(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    async def slow(attempt: Attempt) -> int:
        await asyncio.sleep(200)
        return 1

    @workflow(name="long")
    async def long(step: AsyncStep) -> list[int]:
        one, two = await step.gather(
            "all", lambda branch: branch.do("a", slow, returns=int), lambda branch: branch.do("b", slow, returns=int)
        )
        return [one, two]

    registry = Registry([long])
    store = MemoryStore(machine.clock)
    Client(store, registry, runtime=machine.runtime).create(long, id="1")
    dispatcher = AsyncDispatcher(
        Awaited(Watched(store)), registry, shard=Shard(0, 1), runtime=machine.runtime, concurrency=1
    )
    in_loop(dispatcher.run_until_idle(), machine)
    assert ["now in 'gather:all[0]>do:a', 'gather:all[1]>do:b'"] == [
        message.split(", ", 1)[1].split(";")[0] for message in caplog.messages if "steal_after" in message
    ]


class _Warned(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.event = threading.Event()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())
        self.event.set()
