"""``to_async``: a blocking store under asyncio, in threads; no call is left in the middle (M12, A1)."""

import asyncio
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

from tests.runner.doubles import WAIT, AnyStore, Machine, Watched, unavailable
from tests.runner.loops import in_loop
from wfadapters.memory import MemoryStore
from wfadapters.sqlite import SqliteStore
from wfcore.define import workflow
from wfcore.errors import StoreUnavailableError
from wfcore.planner import AsyncStep, plan_create
from wfcore.ports import AsyncHookFeed, DueQuery, Listenable
from wfcore.runner import Client, to_async
from wfcore.workflow import Registry


@workflow(name="w")
async def w(step: AsyncStep) -> None: ...


@pytest.fixture(params=["memory", "sqlite"])
def inner(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyStore]:
    clock = Machine().clock
    if request.param == "memory":
        yield MemoryStore(clock)
    else:
        with SqliteStore(tmp_path / "workflows.db", clock=clock, synchronous="OFF") as store:
            yield store


def create(store: AnyStore | Watched) -> Any:
    return plan_create(store.retrieve("w#a"), w, None, instance_id="a", execution_id="x")


def test_it_answers_what_the_store_answers(inner: AnyStore) -> None:
    store: Any = to_async(inner)

    async def main() -> list[Any]:
        plan = create(inner)
        answers = [await store.apply(plan), await store.apply(plan), await store.retrieve("w#a")]
        return [*answers, await store.due(DueQuery()), await store.next_due_at(DueQuery())]

    applied, conflict, *rest = in_loop(main())
    assert (applied.pending_hooks, conflict.execution_id) == ({"w#a#timer"}, "x")
    assert rest == [inner.retrieve("w#a"), inner.due(DueQuery()), inner.next_due_at(DueQuery())]


def test_it_raises_what_the_store_raises(inner: AnyStore) -> None:
    store = Watched(inner)
    store.always["before", "retrieve"] = unavailable
    with pytest.raises(StoreUnavailableError):
        in_loop(to_async(store).retrieve("w#a"))


def test_it_runs_in_another_thread_with_the_context_of_its_caller(inner: AnyStore) -> None:
    variable: ContextVar[str] = ContextVar("variable", default="unset")
    seen: list[tuple[bool, str]] = []
    store = Watched(inner)
    store.always["before", "retrieve"] = lambda: seen.append(
        (threading.current_thread() is threading.main_thread(), variable.get())
    )

    async def main() -> None:
        variable.set("set")
        await to_async(store).retrieve("w#a")

    in_loop(main())
    assert seen == [(False, "set")]


def test_a_cancelled_apply_is_awaited_to_its_end(inner: AnyStore) -> None:
    """Whoever cancels it knows afterwards what is stored."""
    store = Watched(inner)
    reached, release = threading.Event(), threading.Event()
    plan = create(inner)

    def hold() -> None:
        reached.set()
        assert release.wait(WAIT)

    store.always["before", "apply"] = hold

    async def main() -> tuple[bool, bool, Any]:
        applying = asyncio.create_task(to_async(store).apply(plan))
        await asyncio.to_thread(reached.wait, WAIT)
        applying.cancel()
        await asyncio.sleep(0)
        early = applying.done()
        release.set()
        await asyncio.wait([applying])
        return early, applying.cancelled(), inner.retrieve("w#a").instance

    early, cancelled, instance = in_loop(main())
    assert (early, cancelled, instance is not None) == (False, True, True)


def test_it_tells_of_what_the_store_tells(inner: AnyStore) -> None:
    heard: list[str] = []
    store = to_async(inner)
    assert isinstance(store, Listenable)
    stop = store.listen(heard.append)
    Client(inner, Registry([w])).create(w, id="a")
    stop()
    Client(inner, Registry([w])).create(w, id="b")
    assert heard == ["w#a"]


class Bare:
    def retrieve(self, ref: str) -> Any: ...
    def apply(self, plan: Any) -> Any: ...


class Feed:
    def due(self, query: DueQuery) -> Any:
        return [] if query.limit else ()

    def next_due_at(self, query: DueQuery) -> Any: ...


def test_a_store_that_is_no_feed_does_not_become_one() -> None:
    store: Any = to_async(Bare())
    assert not isinstance(store, AsyncHookFeed)
    store.listen(print)()  # it never tells


def test_a_feed_alone_is_adapted_too() -> None:
    feed = to_async(Feed())
    assert in_loop(feed.due(DueQuery())) == []
    assert not hasattr(feed, "retrieve")


def test_anything_else_is_refused() -> None:
    refused: Any = to_async
    with pytest.raises(TypeError, match=r"^'a.db' is no store, feed or catalog: it has no retrieve"):
        refused("a.db")


def test_it_has_a_repr() -> None:
    assert repr(to_async(Bare())).startswith("to_async(<")
