"""Faults of a store and its feed: each does what it says, and the workflows get over it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from tests.testing.shop import (
    HOUR,
    MINUTE,
    SECOND,
    SHOP,
    Approval,
    Approved,
    Order,
    careful,
    checkout,
    counting,
    impatient,
    patient,
)
from wfadapters.memory import MemoryStore
from wfcore import (
    Applied,
    Client,
    Conflict,
    Dispatcher,
    DueQuery,
    FiredHook,
    InstanceQuery,
    MissingCapabilityError,
    Registry,
    StoreUnavailableError,
    plan_pause,
)
from wfcore.testing import FaultyStore, Simulation, VirtualClock

ALL = DueQuery()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def inner(clock: VirtualClock) -> MemoryStore:
    return MemoryStore(clock)


@pytest.fixture
def store(inner: MemoryStore, clock: VirtualClock) -> FaultyStore:
    return FaultyStore(inner, clock=clock)


class Plain:
    """A store that is a feed, and nothing beside."""

    def __init__(self, inner: MemoryStore) -> None:
        self.retrieve, self.apply = inner.retrieve, inner.apply
        self.due, self.next_due_at = inner.due, inner.next_due_at


def create(store: MemoryStore, count: int = 1) -> list[str]:
    client = Client(store, Registry([patient]))
    return [client.create(patient, id=str(number)).ref for number in range(count)]


def ids(fired: Sequence[FiredHook]) -> list[str]:
    return [each.hook.instance_ref for each in fired]


# -- the store by itself


def test_without_faults_it_is_the_store_inside(store: FaultyStore, inner: MemoryStore) -> None:
    (ref,) = create(inner)
    heard: list[str] = []
    stop = store.listen(heard.append)
    assert isinstance(store.apply(plan_pause(store.retrieve(ref), ref, request_id="1", execution_id="x")), Applied)
    stop()
    assert inner.retrieve(ref) == store.retrieve(ref)
    assert (inner.due(ALL), inner.next_due_at(ALL)) == (store.due(ALL), store.next_due_at(ALL))
    assert {ref} == set(heard)


def test_it_is_the_catalog_that_the_store_inside_is(store: FaultyStore, inner: MemoryStore) -> None:
    [ref, _other] = create(inner, 2)
    query = InstanceQuery(limit=1)
    assert store.list_instances(query) == inner.list_instances(query)
    assert store.count_by_status(query) == inner.count_by_status(query)
    assert store.history(ref, 1) == inner.history(ref, 1)
    assert store.suspects(1, ref) == inner.suspects(1, ref)


def test_if_the_store_inside_is_no_catalog_it_is_none(inner: MemoryStore, clock: VirtualClock) -> None:
    create(inner)
    client = Client(FaultyStore(Plain(inner), clock=clock), Registry([patient]))
    with pytest.raises(MissingCapabilityError, match=r"^list_instances\(\) needs .* and Plain is none"):
        client.list()
    assert client.handle(patient, "0").history() == inner.history("patient#0")


def test_many_plans_come_one_at_a_time_so_that_each_may_fail(store: FaultyStore, inner: MemoryStore) -> None:
    store.lose_ack(committed=False)
    handles = Client(store, Registry([patient])).create_many(patient, [("0", None), ("1", None)])
    assert [handle.ref for handle in handles] == [row.ref for row in inner.suspects(10)]


def test_a_conflict_is_a_real_one(store: FaultyStore, inner: MemoryStore) -> None:
    (ref,) = create(inner)
    before = inner.retrieve(ref).instance
    assert before is not None
    dispatcher = Dispatcher(store, Registry([patient]))
    store.conflict()
    dispatcher.run_until_idle()
    after = inner.retrieve(ref).instance
    assert after is not None
    assert ("waiting", before.version + 2) == (after.status, after.version)


def test_what_only_appends_does_not_conflict(store: FaultyStore, inner: MemoryStore) -> None:
    create(inner)
    store.conflict()
    Client(store, Registry([patient])).handle(patient, "0").send_event("word", id="e1")
    assert ["e1"] == [event.id for event in inner.retrieve("patient#0").events]


@pytest.mark.parametrize("committed", [True, False])
def test_a_lost_acknowledgement_leaves_it_open_whether_the_plan_is_committed(
    store: FaultyStore, inner: MemoryStore, committed: bool
) -> None:
    (ref,) = create(inner)
    plan = plan_pause(inner.retrieve(ref), ref, request_id="1", execution_id="x")
    store.lose_ack(committed=committed)
    with pytest.raises(StoreUnavailableError, match="lose_ack"):
        store.apply(plan)
    assert committed == bool(inner.retrieve(ref).events)
    assert isinstance(store.apply(plan), Applied)


def test_a_store_that_is_down_refuses_everything_for_that_long(
    store: FaultyStore, inner: MemoryStore, clock: VirtualClock
) -> None:
    (ref,) = create(inner)
    plan = plan_pause(inner.retrieve(ref), ref, request_id="1", execution_id="x")
    store.store_down(for_=MINUTE)
    for call in (
        lambda: store.retrieve(ref),
        lambda: store.apply(plan),
        lambda: store.due(ALL),
        lambda: store.next_due_at(ALL),
        lambda: store.list_instances(InstanceQuery()),
        lambda: store.count_by_status(InstanceQuery()),
        lambda: store.history(ref),
        lambda: store.suspects(1),
    ):
        with pytest.raises(StoreUnavailableError, match="down until"):
            call()
    clock.advance_to(clock() + MINUTE)
    assert not isinstance(store.apply(plan), Conflict)


def test_every_hook_is_handed_out_once_more(store: FaultyStore, inner: MemoryStore) -> None:
    refs = create(inner, 2)
    store.duplicate_hooks()
    first = store.due(ALL)
    assert refs == ids(first)
    Dispatcher(inner, Registry([patient])).run_until_idle()
    assert [] == inner.due(ALL)
    assert first == store.due(ALL)
    assert [] == store.due(ALL)


def test_a_hook_that_is_repeated_is_one_that_the_query_admits(store: FaultyStore, inner: MemoryStore) -> None:
    refs = create(inner)
    store.duplicate_hooks()
    store.due(ALL)
    assert [] == store.due(DueQuery(exclude=frozenset(refs)))
    assert [] == store.due(DueQuery(workflow_names=frozenset({"other"})))


def test_a_late_hook_is_handed_out_within_its_delay(
    store: FaultyStore, inner: MemoryStore, clock: VirtualClock
) -> None:
    refs = create(inner, 20)
    store.delay_hooks(MINUTE)
    late = store.next_due_at(ALL)
    assert late is not None
    assert [] == store.due(ALL)
    assert clock() < late < clock() + MINUTE
    clock.advance_to(late)
    assert 1 == len(store.due(ALL))
    clock.advance_to(clock.start + MINUTE)
    assert sorted(refs) == sorted(ids(store.due(ALL)))


def test_delays_differ_with_the_seed(inner: MemoryStore, clock: VirtualClock) -> None:
    create(inner)
    delays = set()
    for seed in (1, 1, 2):
        store = FaultyStore(inner, clock=clock, seed=seed)
        store.delay_hooks(HOUR)
        delays.add(store.next_due_at(ALL))
    assert 2 == len(delays)


def test_hooks_come_in_any_order(store: FaultyStore, inner: MemoryStore) -> None:
    refs = create(inner, 5)
    store.reorder_hooks()
    orders = [ids(store.due(ALL)) for _ in range(5)]
    assert all(sorted(refs) == sorted(order) for order in orders)
    assert any(refs != order for order in orders)
    assert {2} == {len(store.due(DueQuery(limit=2))) for _ in range(5)}


def test_the_limit_holds_with_all_faults_at_once(store: FaultyStore, inner: MemoryStore, clock: VirtualClock) -> None:
    create(inner, 5)
    store.duplicate_hooks()
    store.reorder_hooks()
    store.delay_hooks(SECOND)
    clock.advance_to(clock() + SECOND)
    assert {3} == {len(store.due(DueQuery(limit=3))) for _ in range(5)}


# -- in a simulation


def survives(sim: Simulation) -> None:
    """A run of every step kind comes to its end, and nothing commits twice."""
    with sim:
        run = sim.create(checkout, Order("A-1"), id="a-1")
        sim.deliver(run, Approved, Approval("eva"), at=MINUTE)
        sim.run_until_done(run)
    assert "payment of A-1, approved by eva: parcel sent, mail sent" == run.result()
    assert (("charged", "A-1"),) == sim.writes


@pytest.mark.parametrize("dispatchers", [1, 2])
@pytest.mark.parametrize("continuations", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_a_run_survives_everything_at_once(seed: int, continuations: bool, dispatchers: int) -> None:
    sim = Simulation(SHOP, seed=seed, dispatchers=dispatchers, continuations=continuations)
    sim.conflict(times=2)
    sim.lose_ack()
    sim.lose_ack(committed=False)
    sim.duplicate_hooks()
    sim.reorder_hooks()
    sim.delay_hooks(MINUTE)
    sim.crash("before", apply=2)
    sim.crash("after", apply=4)
    sim.interrupt("charge")
    survives(sim)


def test_a_conflict_runs_the_body_once_more() -> None:
    sim = Simulation(SHOP)
    sim.conflict()
    run = sim.create(counting, 1)
    sim.run_until_done(run)
    assert (2, 1) == (sim.body_runs("one"), run.result())


@pytest.mark.parametrize("continuations", [False, True])
def test_a_tick_that_always_loses_puts_its_hook_off(continuations: bool) -> None:
    """Rule R1."""
    sim = Simulation(SHOP, continuations=continuations)
    sim.conflict(times=6)
    run = sim.create(counting, 1)
    sim.run_until_idle()
    assert ("active", "Deferred until 0:00:01: ContentionError") == (run.status(), sim.trace[-1].outcome)
    sim.run_until_done(run)
    assert sim.clock.start + SECOND == sim.now


def test_a_lost_acknowledgement_of_a_commit_runs_no_body_again() -> None:
    sim = Simulation(SHOP)
    sim.lose_ack()
    run = sim.create(counting, 2)
    sim.run_until_done(run)
    assert (2, 2) == (sim.body_runs("one"), run.result())


def test_a_lost_acknowledgement_of_nothing_runs_the_body_again() -> None:
    sim = Simulation(SHOP)
    sim.lose_ack(committed=False)
    run = sim.create(counting, 1)
    sim.run_until_done(run)
    assert (2, 1) == (sim.body_runs("one"), run.result())


@pytest.mark.parametrize("committed", [True, False])
def test_an_at_most_once_body_runs_once_whatever_becomes_of_the_acknowledgement_of_its_start(committed: bool) -> None:
    sim = Simulation(SHOP)
    sim.lose_ack(committed=committed)
    run = sim.create(careful)
    sim.run_until_done(run)
    assert (1, 1, sim.clock.start) == (sim.body_runs("one"), run.result(), sim.now)


def test_a_store_that_is_down_stops_the_dispatchers_and_not_the_test() -> None:
    sim = Simulation(SHOP)
    run = sim.create(counting, 1)
    sim.store_down(for_=MINUTE)
    sim.run_until_idle()
    assert ("active", 0) == (run.status(), sim.body_runs("one"))
    sim.advance(MINUTE)
    assert "complete" == run.status()
    sim.check()


def test_an_outage_outlasts_a_deadline_and_the_event_that_came_in_time_wins() -> None:
    sim = Simulation(SHOP)
    run = sim.create(impatient)
    sim.run_until_idle()
    sim.store_down(for_=2 * HOUR)
    sim.deliver(run, "word", "in time", at=HOUR)
    sim.run_until_done(run)
    assert ("in time", sim.clock.start + 2 * HOUR) == (run.result(), sim.now)


def test_a_hook_that_comes_twice_changes_nothing() -> None:
    sim = Simulation(SHOP)
    sim.duplicate_hooks()
    run = sim.create(counting, 2)
    sim.run_until_done(run)
    sim.run_until_idle()
    assert (2, 2) == (sim.body_runs("one"), run.result())
    assert any(row.outcome.startswith("Ignored") for row in sim.trace)


def test_a_sleep_is_as_long_as_it_says_or_longer_by_the_delay() -> None:
    sim = Simulation(SHOP)
    sim.delay_hooks(10 * MINUTE)
    run = sim.create(impatient)
    sim.run_until_done(run)
    assert timedelta(hours=2) < sim.now - sim.clock.start <= timedelta(hours=2, minutes=30)


def test_late_sleeps_are_skipped_as_well() -> None:
    sim = Simulation(SHOP)
    sim.delay_hooks(10 * MINUTE)
    sim.skip_sleeps()
    sim.time_out("word")
    run = sim.create(impatient)
    sim.advance(10 * MINUTE)
    assert "complete" == run.status()
    sim.check()


def test_hooks_that_come_in_any_order_are_all_handled() -> None:
    sim = Simulation(SHOP, concurrency=1)
    sim.reorder_hooks()
    runs = [sim.create(counting, 1, id=str(number)) for number in range(6)]
    sim.run_until_idle()
    assert {"complete"} == {run.status() for run in runs}
    assert [run.ref for run in runs] != [row.ref for row in sim.trace if row.who == "d1"]
