"""Purging: what ended long ago is deleted, and nothing else (rule M11)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import attrs
import pytest

from tests.lab import T0
from tests.runner.doubles import Watched, unavailable
from tests.runner.loops import Awaited, in_loop
from tests.runner.office import Office
from wfadapters.memory import MemoryStore
from wfcore import (
    AsyncClient,
    AsyncStep,
    Client,
    InstanceQuery,
    InstanceStatus,
    MissingCapabilityError,
    Registry,
    StoreUnavailableError,
    workflow,
)
from wfcore.plan import Plan
from wfcore.runner import to_async

HOUR = timedelta(hours=1)


@workflow(name="w")
async def w(step: AsyncStep) -> None:
    await step.wait_for_event("go", "go")


@workflow(name="told", notify=True)
async def told(step: AsyncStep) -> None:
    await step.wait_for_event("go", "go")


REGISTRY = Registry([w, told])


@pytest.fixture
def office() -> Office:
    """Of ``w``: three that ended an hour apart, one that waits; of ``told`` one whose end was not announced."""
    found = Office(REGISTRY)
    for instance_id in ("a", "b", "c"):
        found.others.create(w, id=instance_id, tags={"id": instance_id}).terminate()
        found.machine.advance(3600)
    found.others.create(w, id="waits")
    found.others.create(told, id="told").terminate()
    found.machine.advance(3600)
    found.tick()
    return found


def left(office: Office) -> set[str]:
    return {row.instance_id for row in office.others.list().items}


def purge(office: Office, colour: str, *arguments: Any, **options: Any) -> Any:
    if colour == "blocking":
        return Client(office.store.inner, REGISTRY).purge(*arguments, **options)
    client = AsyncClient(to_async(office.store.inner), REGISTRY)
    return in_loop(client.purge(*arguments, **options))


CASES: dict[str, tuple[InstanceQuery, datetime, set[str]]] = {
    "all that have ended": (InstanceQuery(), T0 + 9 * HOUR, {"a", "b", "c"}),
    "those that ended before": (InstanceQuery(), T0 + HOUR, {"a"}),
    "page by page": (InstanceQuery(limit=1), T0 + 9 * HOUR, {"a", "b", "c"}),
    "those with a label": (InstanceQuery(tags={"id": "b"}), T0 + 9 * HOUR, {"b"}),
    "those of another workflow": (InstanceQuery(workflow_names="told"), T0 + 9 * HOUR, set()),
    "those in a status": (InstanceQuery(statuses=frozenset({"terminated"})), T0 + 9 * HOUR, {"a", "b", "c"}),
    "those in another status": (InstanceQuery(statuses=frozenset({"complete"})), T0 + 9 * HOUR, set()),
    "those that have not ended": (InstanceQuery(statuses=frozenset({"waiting"})), T0 + 9 * HOUR, set()),
}


@pytest.mark.parametrize("colour", ["blocking", "asyncio"])
@pytest.mark.parametrize(("query", "ended_before", "expected"), CASES.values(), ids=CASES)
def test_m11_what_ended_before_is_deleted_and_counted(
    office: Office, query: InstanceQuery, ended_before: datetime, expected: set[str], colour: str
) -> None:
    """Not what waits, nor what nobody was told of yet (O7)."""
    before = left(office)
    count = purge(office, colour, query, ended_before=ended_before)
    assert (len(expected), before - expected) == (count, left(office))


@attrs.frozen
class Meddling:
    """A store that is written by somebody else between the list and the first delete."""

    inner: MemoryStore
    watched: Watched

    def retrieve(self, ref: str) -> Any:
        return self.watched.retrieve(ref)

    def apply(self, plan: Plan) -> Any:
        return self.watched.apply(plan)

    def list_instances(self, query: InstanceQuery) -> Any:
        return self.inner.list_instances(query)

    def count_by_status(self, query: InstanceQuery) -> Any:
        return self.inner.count_by_status(query)

    def history(self, ref: str, run_number: int | None = None) -> Any:
        return self.inner.history(ref, run_number)

    def suspects(self, limit: int, after: str | None = None) -> Any:
        return self.inner.suspects(limit, after)


def restarts(office: Office) -> None:
    office.others.handle(w, "c").restart()


def ends_again(office: Office) -> None:
    office.others.handle(w, "c").restart()
    office.others.handle(w, "c").terminate()


def deletes(office: Office) -> None:
    office.others.handle(w, "c").delete()


@pytest.mark.parametrize(("meanwhile", "status"), [(restarts, "active"), (ends_again, "terminated"), (deletes, None)])
def test_m11_what_has_moved_on_since_it_was_listed_is_left_alone(
    office: Office, meanwhile: Any, status: InstanceStatus | None
) -> None:
    """Also if it has ended again: that is another end."""
    store = Meddling(office.store.inner, office.store)  # type: ignore[arg-type] # the office has one in memory
    office.store.when("before", "retrieve", 1, lambda: meanwhile(office))
    assert 2 == Client(store, REGISTRY).purge(ended_before=T0 + 3.5 * HOUR)
    row = office.store.inner.retrieve("w#c").instance
    assert status == (row.status if row else None)


def test_m11_what_was_deleted_before_the_store_failed_stays_deleted(office: Office) -> None:
    store = Meddling(office.store.inner, office.store)  # type: ignore[arg-type] # the office has one in memory
    office.store.when("before", "retrieve", 3, unavailable)
    with pytest.raises(StoreUnavailableError):
        Client(store, REGISTRY).purge(ended_before=T0 + 9 * HOUR)
    assert {"a", "b", "waits", "told"} == left(office)


@pytest.mark.parametrize("instant", [datetime(2026, 1, 1), HOUR, None])
def test_m11_the_instant_has_a_time_zone(office: Office, instant: Any) -> None:
    with pytest.raises(ValueError, match="ended_before="):
        office.others.purge(ended_before=instant)


def test_m11_a_store_without_a_catalog_says_so(office: Office) -> None:
    with pytest.raises(MissingCapabilityError, match="purge"):
        in_loop(AsyncClient(Awaited(office.store), REGISTRY).purge(ended_before=T0))
