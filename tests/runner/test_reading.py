"""Reading through the catalog: lists, counts, histories (M9), audits (R7); in both colours, and without a catalog."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.runner.doubles import AnyStore, Machine
from tests.runner.loops import in_loop
from wfadapters.memory import MemoryStore
from wfadapters.sqlite import SqliteStore
from wfcore.define import workflow
from wfcore.errors import InstanceNotFoundError, MissingCapabilityError, RunNotFoundError
from wfcore.keys import timer_id
from wfcore.model import Instance
from wfcore.outcome import Checkpointed
from wfcore.plan import DeleteHook, Plan, PutHook
from wfcore.planner import AsyncStep, Step, plan_delete, plan_restart, plan_terminate
from wfcore.planner.changes import change
from wfcore.ports import AsyncCatalog, Catalog, InstanceQuery
from wfcore.runner import AsyncClient, Client, Dispatcher, to_async
from wfcore.runner.reading import EXAMINED_AT_ONCE
from wfcore.workflow import Registry

Ask = Callable[[Any], Any]
"""What is asked of a client of either colour."""
HOUR = timedelta(hours=1)


@workflow(name="parcel")
def parcel(step: Step, cents: int) -> int:
    step.do("weigh", lambda attempt: 1)
    step.wait_for_event("sent", "sent")
    return cents


@workflow(name="nap")
async def nap(step: AsyncStep) -> None:
    await step.sleep("nap", HOUR)


REGISTRY = Registry([parcel, nap])


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyStore]:
    """Three parcels and a nap, each created a second after the one before, and run until idle."""
    machine = Machine()
    if request.param == "memory":
        yield filled(MemoryStore(machine.clock), machine)
    else:
        with SqliteStore(tmp_path / "workflows.db", clock=machine.clock, synchronous="OFF") as opened:
            yield filled(opened, machine)


def filled(store: AnyStore, machine: Machine) -> AnyStore:
    client = Client(store, REGISTRY, runtime=machine.runtime)
    for name in ("a", "b", "c"):
        client.create(parcel, 100, id=name, tags={"team": "red" if name == "a" else "blue"})
        machine.advance(1)
    client.create(nap, id="n")
    Dispatcher(store, REGISTRY, runtime=machine.runtime).run_until_idle()
    client.handle(parcel, "c").send_event("sent")
    Dispatcher(store, REGISTRY, runtime=machine.runtime).run_until_idle()
    return store


class Plain:
    """A store without a catalog."""

    def __init__(self, inner: AnyStore) -> None:
        self._inner = inner
        self.retrieve = inner.retrieve

    def apply(self, plan: Plan) -> Any:
        return self._inner.apply(plan)


def both(store: Any, ask: Ask) -> list[Any]:
    """What a client of each colour answers, or raises."""

    async def awaited() -> Any:
        return await ask(AsyncClient(to_async(store), REGISTRY))

    return [told(lambda: ask(Client(store, REGISTRY))), told(lambda: in_loop(awaited()))]


def history_of(run: int | None) -> Ask:
    return lambda client: client.handle(parcel, "c").history(run=run)


def told(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except Exception as error:
        return type(error), str(error).replace("AsyncCatalog", "Catalog").replace("_Adapted", "Plain")


def apply(store: AnyStore, plan: Plan) -> None:
    store.apply(plan)


def row(store: AnyStore, ref: str) -> Instance:
    found = store.retrieve(ref).instance
    assert found is not None
    return found


# ---- lists and counts


def test_m9_both_colours_list_what_the_catalog_lists(store: AnyStore) -> None:
    query = InstanceQuery(workflow_names="parcel", limit=2)
    page = store.list_instances(query)
    assert [each.instance_id for each in page.items] == ["c", "b"]
    assert both(store, lambda client: client.list(query)) == [page, page]
    more = query.after(page)
    assert more is not None
    assert both(store, lambda client: client.list(more)) == [store.list_instances(more)] * 2
    assert both(store, lambda client: client.list()) == [store.list_instances(InstanceQuery())] * 2


def test_m9_both_colours_count_what_the_catalog_counts(store: AnyStore) -> None:
    blue = {"active": 0, "waiting": 1, "paused": 0, "complete": 1, "errored": 0, "terminated": 0}
    query = InstanceQuery(tags={"team": "blue"})
    assert both(store, lambda client: client.count_by_status(query)) == [blue] * 2
    assert both(store, lambda client: client.count_by_status()) == [{**blue, "waiting": 3}] * 2


# ---- histories


def test_m9_a_history_holds_the_events_that_were_taken(store: AnyStore) -> None:
    for found in both(store, lambda client: client.handle(parcel, "c").history()):
        assert [step.key for step in found.steps] == ["do:weigh", "wait_for_event:sent"]
        assert [event.consumed_by for event in found.events] == ["wait_for_event:sent"]
        assert (found.run_number, found.instance) == (1, row(store, "parcel#c"))


def restarted(store: AnyStore) -> AnyStore:
    apply(store, plan_restart(store.retrieve("parcel#c"), "parcel#c", parcel, 200, execution_id="again"))
    return store


def test_m9_runs_before_are_kept(store: AnyStore) -> None:
    before = store.history("parcel#c")
    restarted(store)
    for found in both(store, lambda client: client.handle(parcel, "c").history(run=1)):
        assert (found.steps, found.events) == (before.steps, before.events)
        assert (found.run_number, found.instance.run_number) == (1, 2)
    for found in both(store, lambda client: client.handle(parcel, "c").history()):
        assert (found.steps, found.events, found.run_number) == ((), (), 2)


@pytest.mark.parametrize("plain", [False, True])
def test_m9_what_has_no_history_is_said(store: AnyStore, plain: bool) -> None:
    asked = Plain(store) if plain else store
    nobody = InstanceNotFoundError("parcel#z")
    assert both(asked, lambda client: client.handle(parcel, "z").history()) == [(type(nobody), str(nobody))] * 2
    for run in (0, 2):
        never = RunNotFoundError("parcel#c", run, 1)
        assert both(asked, history_of(run)) == [(type(never), str(never))] * 2


# ---- a store without a catalog


def test_m9_without_a_catalog_a_history_is_what_a_retrieve_tells(store: AnyStore) -> None:
    full = restarted(store).history("parcel#c")
    for run in (None, 2):
        assert both(Plain(store), history_of(run)) == [full] * 2
    [alone, *_] = both(Plain(store), lambda client: client.handle(parcel, "a").history())
    assert alone == store.history("parcel#a")


@pytest.mark.parametrize(
    ("ask", "wanted_by"),
    [
        (lambda client: client.list(), "list()"),
        (lambda client: client.count_by_status(), "count_by_status()"),
        (lambda client: client.audit(), "audit()"),
        (lambda client: client.handle(parcel, "c").history(run=1), "history(run=1)"),
    ],
)
def test_m9_the_rest_says_what_is_missing(store: AnyStore, ask: Ask, wanted_by: str) -> None:
    restarted(store)
    text = (
        f"{wanted_by} needs a store that is a Catalog, and Plain is none; take one that is, or give it the methods of "
        "wfcore.Catalog"
    )
    assert both(Plain(store), ask) == [(MissingCapabilityError, text)] * 2


def test_a_store_in_a_transaction_of_the_callers_is_no_catalog(tmp_path: Path) -> None:
    with (
        SqliteStore(tmp_path / "a.db") as opened,
        closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as connection,
    ):
        connection.execute("BEGIN IMMEDIATE")
        client = Client(opened.within(connection), REGISTRY)
        handle = client.create(parcel, 1, id="a")
        assert handle.history().steps == ()
        with pytest.raises(MissingCapabilityError, match="BoundStore"):
            client.list()
        connection.execute("ROLLBACK")


# ---- to_async


def test_to_async_makes_a_catalog_of_a_catalog(store: AnyStore) -> None:
    adapted: Any = to_async(store)
    assert isinstance(adapted, AsyncCatalog)

    async def main() -> list[Any]:
        return [
            await adapted.list_instances(InstanceQuery()),
            await adapted.count_by_status(InstanceQuery()),
            await adapted.history("parcel#c", 1),
            await adapted.history("parcel#a"),
            await adapted.suspects(10),
            await adapted.suspects(1, "nap#n"),
        ]

    assert in_loop(main()) == [
        store.list_instances(InstanceQuery()),
        store.count_by_status(InstanceQuery()),
        store.history("parcel#c", 1),
        store.history("parcel#a"),
        store.suspects(10),
        store.suspects(1, "nap#n"),
    ]
    assert not isinstance(to_async(Plain(store)), AsyncCatalog)


class OnlyCatalog:
    """A catalog that is no store: of a replica, say."""

    def __init__(self, inner: AnyStore) -> None:
        self.list_instances = inner.list_instances
        self.count_by_status = inner.count_by_status
        self.history = inner.history
        self.suspects = inner.suspects


def test_to_async_adapts_a_catalog_alone(store: AnyStore) -> None:
    catalog: Catalog = OnlyCatalog(store)
    adapted = to_async(catalog)
    assert in_loop(adapted.count_by_status(InstanceQuery())) == store.count_by_status(InstanceQuery())
    assert not hasattr(adapted, "retrieve")


# ---- R7


def test_r7_an_audit_of_a_healthy_store_is_empty(store: AnyStore) -> None:
    restarted(store)
    assert both(store, lambda client: client.audit()) == [()] * 2


def stranded(store: AnyStore, ref: str) -> None:
    """Somebody deletes the timer."""
    seen = store.retrieve(ref)
    assert seen.instance is not None
    plan = change(
        seen.instance, (DeleteHook(timer_id(ref)),), Checkpointed(), execution_id="x", now=seen.now, status="active"
    )
    apply(store, plan)


def test_r7_an_audit_lists_what_breaks_o5(store: AnyStore) -> None:
    stranded(store, "nap#n")
    stranded(store, "parcel#a")
    for found in both(store, lambda client: client.audit()):
        assert [each.instance for each in found] == [row(store, "nap#n"), row(store, "parcel#a")]
        assert {each.problem for each in found} == {"active, and it has no timer"}
    for found in both(store, lambda client: client.audit(limit=1)):
        assert [each.instance.ref for each in found] == ["nap#n"]


def test_r7_a_sleep_without_a_wake_up_is_found(store: AnyStore) -> None:
    seen = store.retrieve("nap#n")
    assert seen.instance is not None
    timer = attrs.evolve(seen.hooks[0], due_at=seen.hooks[0].due_at + HOUR)
    apply(store, change(seen.instance, (PutHook(timer),), Checkpointed(), execution_id="x", now=seen.now))
    [found] = Client(store, REGISTRY).audit()
    assert (found.instance.ref, "but the earliest deadline is" in found.problem) == ("nap#n", True)


def test_r7_what_was_put_off_is_no_finding(store: AnyStore) -> None:
    """It is a candidate in every catalog, and healthy."""
    seen = store.retrieve("nap#n")
    assert seen.instance is not None
    timer = attrs.evolve(seen.hooks[0], due_at=seen.hooks[0].due_at + HOUR, attempts=1, last_error="unknown workflow")
    apply(store, change(seen.instance, (PutHook(timer),), Checkpointed(), execution_id="x", now=seen.now))
    assert "nap#n" in [each.ref for each in store.suspects(9)]
    assert both(store, lambda client: client.audit()) == [()] * 2


def test_r7_more_candidates_than_are_examined_at_once_are_all_examined(store: AnyStore) -> None:
    client = Client(store, REGISTRY)
    names = [f"x{number:04}" for number in range(2 * EXAMINED_AT_ONCE)]
    client.create_many(nap, [(name, None) for name in names])
    for name in names:
        stranded(store, f"nap#{name}")
    assert [each.instance.instance_id for each in client.audit(limit=1000)] == names
    assert len(client.audit()) == 100


def test_r7_an_instance_that_cannot_be_read_is_found(tmp_path: Path) -> None:
    path = tmp_path / "workflows.db"
    machine = Machine()
    with SqliteStore(path, clock=machine.clock, synchronous="OFF") as opened:
        filled(opened, machine)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("UPDATE wfcore_steps SET kind = 'luck' WHERE instance_ref = 'nap#n'")
            connection.execute("DELETE FROM wfcore_hooks WHERE instance_ref = 'nap#n'")
            connection.commit()
        [found] = Client(opened, REGISTRY).audit()
    assert found.instance.ref == "nap#n"
    assert found.problem.startswith("corrupt row in wfcore_steps")


@pytest.mark.parametrize("limit", [0, -1])
def test_an_audit_for_nothing_is_refused(store: AnyStore, limit: int) -> None:
    refused = (ValueError, f"limit={limit}: must be at least 1")
    assert both(store, lambda client: client.audit(limit=limit)) == [refused] * 2


class Stale(Plain):
    """Its candidates are those of before."""

    def __init__(self, inner: AnyStore) -> None:
        super().__init__(inner)
        self._candidates = inner.suspects(10)

    def suspects(self, limit: int, after: str | None = None) -> list[Instance]:
        return [each for each in self._candidates if after is None or each.ref > after][:limit]

    list_instances = count_by_status = history = suspects


def test_r7_what_has_moved_on_since_it_was_a_candidate_is_judged_as_it_is(store: AnyStore) -> None:
    stranded(store, "nap#n")
    stranded(store, "parcel#a")
    stale: Any = Stale(store)
    apply(store, plan_terminate(store.retrieve("nap#n"), "nap#n", notify=False, execution_id="end"))
    [found] = Client(stale, REGISTRY).audit()
    assert found.instance.ref == "parcel#a"
    apply(store, plan_terminate(store.retrieve("parcel#a"), "parcel#a", notify=False, execution_id="end"))
    apply(store, plan_delete(store.retrieve("parcel#a"), "parcel#a", execution_id="gone"))
    assert Client(stale, REGISTRY).audit() == ()
