"""A3, A9, A10: several writers and readers at once, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event
from typing import TypeVar

import attrs
import pytest

from wfcore.model import Snapshot
from wfcore.plan import AddEvent, AddHook, Applied, Conflict, PutEvent, PutHook, PutStep
from wfcore.ports import Store
from wfcore.testing.conformance.build import (
    NOW,
    OTHER,
    REF,
    create,
    delete,
    event,
    hook,
    instance,
    message,
    must,
    plan,
    send,
    step,
    tick,
)
from wfcore.testing.conformance.processes import LAST_VERSION, cannot_be_opened, competed
from wfcore.testing.conformance.rig import Rig

T = TypeVar("T")
THREADS = 4
ROUNDS = 60
PATIENCE = 60
"""Seconds that a thread waits for the others."""


def together(work: Callable[[int, Barrier], T], threads: int = THREADS) -> list[T]:
    """Let threads work at the same time; what each of them gives. One that fails keeps no other waiting."""
    barrier = Barrier(threads, timeout=PATIENCE)

    def guarded(thread: int) -> T:
        try:
            return work(thread, barrier)
        except BaseException:
            barrier.abort()
            raise

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(guarded, range(threads)))


def watched(store: Store, write: Callable[[int], None]) -> list[Snapshot]:
    """What is retrieved while another thread writes, round after round: at least ``ROUNDS`` of both."""
    done, written, found = Event(), [0], list[Snapshot]()

    def go_on() -> None:
        while not done.is_set():
            written[0] += 1
            write(written[0])

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(go_on)
        try:
            while not writer.done() and min(len(found), written[0]) < ROUNDS:
                found.append(store.retrieve(REF))
        finally:
            done.set()
        writer.result()
    return found


class Winners:
    """Exactly one winner per version."""

    def test_a3_the_second_plan_for_a_version_conflicts(self, store: Store) -> None:
        store.apply(create())
        assert isinstance(store.apply(tick(1)), Applied)
        assert store.apply(tick(1)) == Conflict(REF, 2, "e2")

    def test_a3_a_plan_for_a_deleted_and_recreated_instance_conflicts(self, store: Store) -> None:
        store.apply(create())
        store.apply(delete(1))
        store.apply(create(execution_id="e1-again"))
        assert store.apply(tick(1)) == Conflict(REF, 1, "e1-again")
        assert store.retrieve(REF).instance == instance(execution_id="e1-again")

    def test_a3_one_thread_wins_each_version(self, store: Store) -> None:
        store.apply(create())
        versions = 25

        def compete(thread: int, barrier: Barrier) -> list[bool]:
            won = []
            for version in range(1, versions + 1):
                barrier.wait()
                mine = tick(version, PutStep(step(f"do:{version}", result=f"{thread}")))
                won.append(isinstance(store.apply(mine), Applied))
            return won

        won = together(compete)
        winners = [[str(thread) for thread in range(THREADS) if won[thread][version]] for version in range(versions)]
        results = {each.key: each.result for each in store.retrieve(REF).steps}
        assert winners == [[results.get(f"do:{version + 1}")] for version in range(versions)]

    def test_a3_one_thread_creates_an_instance(self, store: Store) -> None:
        """The others are told so: a clash of identities is a conflict, no success and no error."""

        def begin(thread: int, barrier: Barrier) -> list[bool]:
            won = []
            for number in range(20):
                barrier.wait()
                mine = create(f"checkout#{number}", created_by=f"{thread}", execution_id=f"{thread}")
                answer = store.apply(mine)
                won.append(isinstance(answer, Applied))
                assert won[-1] or answer.version == 1  # type: ignore[union-attr] # it is a Conflict then
            return won

        won = together(begin)
        for number in range(20):
            found = store.retrieve(f"checkout#{number}").instance
            assert found is not None
            assert [f"{thread}" for thread in range(THREADS) if won[thread][number]] == [found.created_by]

    def test_a3_a_tick_or_a_delete_wins_a_version(self, store: Store) -> None:
        """Not both: a delete must not take what a tick has written since it looked at the version."""
        steps = [PutStep(step(f"do:{number}")) for number in range(20)]

        def race(thread: int, barrier: Barrier) -> bool:
            barrier.wait()
            return isinstance(store.apply(delete(1) if thread else tick(1, *steps)), Applied)

        for _ in range(40):
            must(store.apply(create()))
            ticked, deleted = together(race, threads=2)
            assert [ticked, deleted].count(True) == 1
            assert store.retrieve(REF).instance == (instance(version=2) if ticked else None)
            if ticked:
                must(store.apply(delete(2)))

    def test_a3_one_process_wins_each_version(self, durable: Rig, request: pytest.FixtureRequest) -> None:
        reason = cannot_be_opened(durable.adapter.open)
        if reason is not None:
            pytest.skip(reason)
        durable.open().apply(create())
        written = competed(durable.adapter.open, asynchronous=request.instance.asynchronous)
        assert sorted(version for won in written for version in won) == list(range(2, LAST_VERSION + 1))
        expected = {f"do:{version}": f"p{number}" for number, won in enumerate(written) for version in won}
        assert {each.key: each.result for each in durable.open().retrieve(REF).steps} == expected


class Cuts:
    """One retrieve is one cut, whoever writes."""

    def test_a9_a_retrieve_under_a_concurrent_writer_is_one_cut(self, store: Store) -> None:
        """Every tick writes its version into all four kinds of rows; no reader may see two versions."""
        store.apply(create())

        def write(round_: int) -> None:
            text = str(round_ + 1)
            rows = PutStep(step(result=text)), PutEvent(event(payload=text))
            must(store.apply(tick(round_, *rows, PutHook(attrs.evolve(hook(), last_error=text)), params=text)))

        for found in watched(store, write):
            if found.instance and found.instance.version > 1:
                result = found.steps[0].result if found.steps else None
                payload = found.events[0].payload if found.events else None
                cut = found.instance.params, result, payload, found.hooks[0].last_error
                assert {str(found.instance.version)} == {*cut}

    def test_a9_a_retrieve_while_instances_come_and_go_is_one_cut(self, store: Store) -> None:
        """An instance has its event and its timer, or there is nothing at all."""
        whole = plan(*create().mutations, AddEvent(event()), given=create().preconditions)

        def come_and_go(_round: int) -> None:
            must(store.apply(whole))
            must(store.apply(delete(1)))

        for found in watched(store, come_and_go):
            seen = found.instance is not None, len(found.events), len(found.hooks)
            assert seen in ((True, 1, 1), (False, 0, 0))


class Appends:
    """An append needs no version, is never refused, and never lost."""

    def test_a10_an_append_neither_conflicts_with_a_tick_nor_makes_it_conflict(self, store: Store) -> None:
        store.apply(create())
        running = tick(1, PutStep(step()))
        assert isinstance(store.apply(send("m1")), Applied)
        assert isinstance(store.apply(running), Applied)
        assert isinstance(store.apply(send("m2")), Applied)
        found = store.retrieve(REF)
        assert ([each.id for each in found.events], len(found.hooks)) == (["m1", "m2"], 3)

    def test_a10_appends_and_ticks_of_threads_all_succeed(self, store: Store) -> None:
        store.apply(create())

        def append(sender: int) -> None:
            for number in range(15):
                must(store.apply(send(f"m{sender}-{number}")))

        def work() -> None:
            for version in range(1, 31):
                must(store.apply(tick(version, PutStep(step(f"do:{version}")))))

        with ThreadPoolExecutor(THREADS) as pool:
            running = [pool.submit(work), *(pool.submit(append, sender) for sender in range(3))]
            for each in running:
                each.result()
        found = store.retrieve(REF)
        assert (found.instance, len(found.steps), len(found.hooks)) == (instance(version=31), 30, 46)
        for sender in range(3):  # of each sender in its own order
            mine = [each.id for each in found.events if each.id.startswith(f"m{sender}-")]
            assert mine == [f"m{sender}-{number}" for number in range(15)]

    def test_a10_the_same_event_of_several_threads_is_there_once(self, store: Store) -> None:
        store.apply(create())

        def append(_sender: int, barrier: Barrier) -> None:
            for number in range(15):
                barrier.wait()
                must(store.apply(send(f"m{number}")))

        together(append)
        found = store.retrieve(REF)
        assert [each.id for each in found.events] == [f"m{number}" for number in range(15)]
        assert len(found.hooks) == 16

    def test_a10_an_event_that_races_a_purge_belongs_to_the_instance_or_is_undelivered(self, store: Store) -> None:
        """Nothing of it is left when the instance is gone, to be found by the next one of that name."""
        store.apply(create(OTHER))
        append = plan(AddEvent(event()), AddHook(message()), ref=OTHER)

        def race(thread: int, barrier: Barrier) -> Applied:
            barrier.wait()
            return must(store.apply(append if thread else delete(1)))

        for _ in range(20):
            must(store.apply(create()))
            _purged, told = together(race, threads=2)
            assert told.undelivered in ((), append.mutations)
            assert store.retrieve(REF) == Snapshot(instance=None, now=NOW)
            must(store.apply(create()))
            assert store.retrieve(REF).events == ()
            must(store.apply(delete(1)))
