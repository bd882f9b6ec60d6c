"""The catalog of every store: lists in pages, counts, histories (M9), candidates for an audit (R7)."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import attrs
import pytest

from tests.stores.build import MINUTE, NOW, OTHER, REF, create, delete, event, hook, instance, message, send, step, tick
from tests.stores.conftest import AnyStore, Clock
from wfcore.errors import InstanceNotFoundError, RunNotFoundError
from wfcore.keys import start_id
from wfcore.model import Instance
from wfcore.plan import AddEvent, AddHook, DeleteHook, PutEvent, PutHook, PutStep
from wfcore.ports import Catalog, InstanceQuery

SECOND = timedelta(seconds=1)


def refs(store: AnyStore, **query: Any) -> list[str]:
    return [each.ref for each in store.list_instances(InstanceQuery(**query)).items]


def pages(store: AnyStore, **query: Any) -> Iterator[list[str]]:
    asked: InstanceQuery | None = InstanceQuery(**query)
    while asked is not None:
        page = store.list_instances(asked)
        yield [each.ref for each in page.items]
        asked = asked.after(page)


def put(store: AnyStore, ref: str, **fields: Any) -> Instance:
    store.apply(create(ref, **fields))
    return instance(ref, **fields)


@pytest.fixture
def some(store: AnyStore) -> AnyStore:
    """Six instances; the last was created first."""
    put(store, "a#1", created_at=NOW, status="waiting", tags={"team": "red", "region": "eu"})
    put(store, "b#1", created_at=NOW, status="complete", tags={"team": "red"})
    put(store, "a#2", created_at=NOW - SECOND, status="waiting", tags={"region": "eu"})
    put(store, "b#2", created_at=NOW - SECOND, status="errored", tags={"team": "blue", "region": "eu"})
    put(store, "ab#3", created_at=NOW - SECOND, status="paused")
    put(store, "a#3", created_at=NOW - MINUTE, status="terminated", tags={"team": "red", "region": "eu"})
    return store


def test_every_store_here_is_a_catalog(store: AnyStore) -> None:
    assert isinstance(store, Catalog)


# ---- lists


def test_m9_the_newest_comes_first_and_of_those_the_last_by_ref(some: AnyStore) -> None:
    assert refs(some) == ["b#1", "a#1", "b#2", "ab#3", "a#2", "a#3"]


def test_m9_a_list_holds_whole_rows(store: AnyStore) -> None:
    row = put(store, REF, tags={"team": "red"}, params='{"cents": 100}')
    for query in (InstanceQuery(), InstanceQuery(workflow_names="checkout"), InstanceQuery(tags={"team": "red"})):
        assert store.list_instances(query).items == (row,)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"workflow_names": "a"}, ["a#1", "a#2", "a#3"]),
        ({"workflow_names": ["ab", "b", "unknown"]}, ["b#1", "b#2", "ab#3"]),
        ({"workflow_names": []}, []),
        ({"statuses": "waiting"}, ["a#1", "a#2"]),
        ({"statuses": ["errored", "complete"]}, ["b#1", "b#2"]),
        ({"statuses": []}, []),
        ({"created_since": NOW}, ["b#1", "a#1"]),
        ({"created_since": NOW + SECOND.resolution}, []),
        ({"created_before": NOW}, ["b#2", "ab#3", "a#2", "a#3"]),
        ({"created_since": NOW - SECOND, "created_before": NOW}, ["b#2", "ab#3", "a#2"]),
        ({"tags": {"region": "eu"}}, ["a#1", "b#2", "a#2", "a#3"]),
        ({"tags": {"region": "eu", "team": "red"}}, ["a#1", "a#3"]),
        ({"tags": {"region": "eu", "team": "green"}}, []),
        ({"tags": {"region": "eu"}, "workflow_names": ["a", "ab"], "statuses": "waiting"}, ["a#1", "a#2"]),
        ({"tags": {"team": "red", "region": "eu"}, "workflow_names": "a", "created_before": NOW}, ["a#3"]),
        ({"workflow_names": "a", "statuses": "waiting", "created_before": NOW}, ["a#2"]),
    ],
)
def test_m9_a_list_holds_what_passes_every_filter(some: AnyStore, query: dict[str, Any], expected: list[str]) -> None:
    assert refs(some, **query) == expected
    assert [ref for page in pages(some, **query, limit=1) for ref in page] == expected
    assert sum(some.count_by_status(InstanceQuery(**query)).values()) == len(expected)


def test_m9_pages_are_of_the_size_that_was_asked_for(some: AnyStore) -> None:
    assert list(pages(some, limit=2)) == [["b#1", "a#1"], ["b#2", "ab#3"], ["a#2", "a#3"]]
    assert list(pages(some, limit=4)) == [["b#1", "a#1", "b#2", "ab#3"], ["a#2", "a#3"]]
    assert list(pages(some, limit=1000)) == [refs(some)]


def test_m9_a_page_of_nothing_is_the_last(store: AnyStore) -> None:
    assert list(pages(store)) == [[]]


def test_m9_pages_may_change_their_size(some: AnyStore) -> None:
    first = InstanceQuery(limit=1)
    then = first.after(some.list_instances(first))
    assert then is not None
    assert [each.ref for each in some.list_instances(attrs.evolve(then, limit=3)).items] == ["a#1", "b#2", "ab#3"]


def test_m9_no_row_is_skipped_or_doubled_when_others_come_and_go_at_the_same_instant(store: AnyStore) -> None:
    """The last row of a page may be gone when the next is asked for, and rows may come beside it."""
    for name in ("b", "d", "f"):
        put(store, f"w#{name}")
    seen = pages(store, limit=1)
    assert next(seen) == ["w#f"]
    store.apply(delete(1, "w#f"))
    for name in ("a", "c", "e", "g"):
        put(store, f"w#{name}")
    assert list(seen) == [["w#e"], ["w#d"], ["w#c"], ["w#b"], ["w#a"]]


def test_m9_a_list_follows_what_is_put_and_deleted(store: AnyStore) -> None:
    put(store, REF, tags={"team": "red"})
    store.apply(tick(1, status="waiting", tags={"team": "red"}))
    assert (refs(store, statuses="active"), refs(store, statuses="waiting")) == ([], [REF])
    assert refs(store, tags={"team": "red"}, statuses="waiting") == [REF]
    store.apply(tick(2, status="waiting", tags={"team": "blue"}))
    assert (refs(store, tags={"team": "red"}), refs(store, tags={"team": "blue"})) == ([], [REF])
    store.apply(tick(3, status="complete"))
    assert (refs(store, tags={"team": "blue"}), refs(store)) == ([], [REF])
    store.apply(delete(4))
    assert (refs(store), sum(store.count_by_status(InstanceQuery()).values())) == ([], 0)


TAGS = ["", "\0", "x", "x\0", "x\0y", "x\\0y", "x\\u0000y", "\\", "\\\\", "\\\0", "\\\\u0000", '"', "'", "✓", "\n", "%"]


def test_m9_tags_are_told_apart_whatever_is_in_them(store: AnyStore) -> None:
    for place, tag in enumerate(TAGS):
        put(store, f"value#{place}", tags={"name": tag})
        put(store, f"name#{place}", tags={tag: "value"})
    for place, tag in enumerate(TAGS):
        assert refs(store, tags={"name": tag}) == [f"value#{place}"]
        assert refs(store, tags={tag: "value"}) == [f"name#{place}"]
        assert store.count_by_status(InstanceQuery(tags={tag: "value"}))["active"] == 1


def test_m9_instants_are_compared_to_the_microsecond(store: AnyStore) -> None:
    tiny = NOW.resolution
    for place in range(3):
        put(store, f"w#{place}", created_at=NOW + place * tiny)
    assert refs(store, created_since=NOW + tiny, created_before=NOW + 2 * tiny) == ["w#1"]
    assert list(pages(store, limit=1)) == [["w#2"], ["w#1"], ["w#0"]]


# ---- counts


def test_m9_counts_have_every_status(some: AnyStore) -> None:
    expected = {"active": 0, "waiting": 2, "paused": 1, "complete": 1, "errored": 1, "terminated": 1}
    assert some.count_by_status(InstanceQuery()) == expected
    assert some.count_by_status(InstanceQuery(statuses="paused")) == {**dict.fromkeys(expected, 0), "paused": 1}


def test_m9_limit_and_cursor_do_not_count(some: AnyStore) -> None:
    query = InstanceQuery(limit=1)
    then = query.after(some.list_instances(query))
    assert then is not None
    assert some.count_by_status(then) == some.count_by_status(InstanceQuery())


# ---- history


def test_m9_a_history_is_in_the_order_of_settlement_and_then_what_waits(store: AnyStore) -> None:
    store.apply(create())
    waits = step("wait_for_event:go", kind="wait_for_event", status="waiting")
    store.apply(tick(1, PutStep(waits), PutStep(step("do:a", sequence=2)), PutStep(step("do:b", sequence=1))))
    found = store.history(REF)
    assert (found.instance, found.run_number) == (instance(version=2), 1)
    assert [each.key for each in found.steps] == ["do:b", "do:a", "wait_for_event:go"]


@pytest.fixture
def third_run(store: AnyStore) -> AnyStore:
    """An instance whose first run took an event, whose second took none, and whose third has one pending."""
    store.apply(create())
    store.apply(send("first"))
    store.apply(send("restarted"))
    taken = attrs.evolve(event("first"), consumed_by="do:a", consumed_run=1)
    given_up = attrs.evolve(event("restarted"), consumed_by="#restart", consumed_run=1)
    store.apply(tick(1, PutStep(step("do:a", sequence=1)), PutEvent(taken), PutEvent(given_up), run_number=2))
    store.apply(tick(2, run_number=3))
    store.apply(tick(3, PutStep(step("do:c", run_number=3, sequence=1)), run_number=3))
    store.apply(send("pending"))
    return store


@pytest.mark.parametrize(
    ("run", "steps", "events"),
    [
        (1, ["do:a"], ["first", "restarted"]),
        (2, [], []),
        (3, ["do:c"], ["pending"]),
        (None, ["do:c"], ["pending"]),
    ],
)
def test_m9_a_history_is_of_one_run(third_run: AnyStore, run: int | None, steps: list[str], events: list[str]) -> None:
    found = third_run.history(REF, run)
    assert [each.key for each in found.steps] == steps
    assert [each.id for each in found.events] == events
    assert (found.run_number, found.instance.run_number) == (run or 3, 3)


@pytest.mark.parametrize("run", [0, -1, 4])
def test_m9_a_run_that_never_was_is_refused(third_run: AnyStore, run: int) -> None:
    with pytest.raises(RunNotFoundError) as caught:
        third_run.history(REF, run)
    assert (caught.value.ref, caught.value.run_number, caught.value.last) == (REF, run, 3)
    assert third_run.history(REF).run_number == 3


def test_m9_nothing_is_left_of_what_is_deleted(third_run: AnyStore) -> None:
    third_run.apply(delete(4))
    for run in (None, 1):
        with pytest.raises(InstanceNotFoundError):
            third_run.history(REF, run)
    third_run.apply(create())
    assert (third_run.history(REF).steps, third_run.history(REF).events) == ((), ())


# ---- suspects

STRANDED: dict[str, tuple[Any, ...]] = {
    "active without a timer": (DeleteHook(hook().id),),
    "waiting for nothing": (),
    "waiting without a timer": (PutStep(step("sleep:a", kind="sleep", status="waiting", wake_at=NOW + MINUTE)),),
    "waiting with a timer too late": (
        PutStep(step("sleep:a", kind="sleep", status="waiting", wake_at=NOW + MINUTE)),
        PutHook(hook(due_at=NOW + 2 * MINUTE)),
    ),
    "waiting for an attempt that no timer announces": (
        PutStep(step(status="waiting", next_retry_at=NOW + MINUTE)),
        PutHook(hook(due_at=NOW + 2 * MINUTE)),
    ),
    "waiting beside a message without a hook": (
        PutStep(step("wait_for_event:a", kind="wait_for_event", status="waiting", event_types=("approved",))),
        DeleteHook(hook().id),
        AddEvent(event()),
    ),
    "paused with a timer": (),
    "complete with a timer": (),
    "complete, and something waits": (DeleteHook(hook().id), PutStep(step(status="waiting"))),
    "errored with a timer of before": (),
}


@pytest.mark.parametrize("case", STRANDED)
def test_r7_what_breaks_o5_is_among_the_suspects(store: AnyStore, case: str) -> None:
    status: Any = case.replace(",", "").split()[0]
    store.apply(create(due_at=NOW))
    store.apply(tick(1, *STRANDED[case], status=status))
    assert [each.ref for each in store.suspects(10)] == [REF]


HEALTHY: dict[str, tuple[Any, ...]] = {
    "active": (),
    "waiting for a time": (
        PutStep(step("sleep:a", kind="sleep", status="waiting", wake_at=NOW + MINUTE)),
        PutStep(step("sleep:b", kind="sleep", status="waiting", wake_at=NOW + 2 * MINUTE)),
        PutStep(step("do:old", status="waiting", next_retry_at=NOW - MINUTE, run_number=2)),
        PutHook(hook(due_at=NOW + MINUTE)),
    ),
    "waiting for an attempt": (
        PutStep(step(status="waiting", next_retry_at=NOW + MINUTE)),
        PutHook(hook(due_at=NOW + MINUTE)),
    ),
    "waiting for the end of a start": (
        PutStep(step(status="started", wake_at=NOW + MINUTE)),
        PutHook(hook(due_at=NOW + MINUTE)),
    ),
    "waiting for an event": (
        PutStep(step("wait_for_event:a", kind="wait_for_event", status="waiting", event_types=("approved",))),
        DeleteHook(hook().id),
        AddEvent(event()),
        AddHook(message()),
    ),
    "paused": (DeleteHook(hook().id), PutStep(step(status="waiting"))),
    "complete": (DeleteHook(hook().id), PutStep(step())),
}


@pytest.mark.parametrize("case", HEALTHY)
def test_r7_a_healthy_instance_in_sqlite_is_none(sqlite_store: AnyStore, case: str) -> None:
    """So that an audit has nothing to retrieve."""
    status: Any = case.split(maxsplit=1)[0]
    sqlite_store.apply(create())
    sqlite_store.apply(tick(1, *HEALTHY[case], status=status))
    assert list(sqlite_store.suspects(10)) == []


def test_r7_suspects_come_in_the_order_of_their_refs(store: AnyStore) -> None:
    for ref in (OTHER, "refund#1", REF):
        store.apply(create(ref))
        store.apply(tick(1, DeleteHook(hook(ref).id), AddHook(hook(ref, id=start_id(ref))), ref=ref))
    assert [each.ref for each in store.suspects(2)] == [REF, OTHER]
    assert [each.ref for each in store.suspects(2, OTHER)] == ["refund#1"]


# ---- threads


def test_m9_pages_hold_what_was_there_all_the_time_while_threads_write(store: AnyStore, clock: Clock) -> None:
    old = [f"old#{number:03}" for number in range(40)]
    for ref in old:
        put(store, ref)

    def write(worker: int) -> None:
        for number in range(25):
            ref = f"new#{worker}-{number}"
            store.apply(create(ref, tags={"worker": str(worker)}))
            store.apply(tick(1, ref=ref, status="waiting", tags={"worker": str(worker)}))
            if number % 2:
                store.apply(delete(2, ref))

    def read(_reader: int) -> list[str]:
        return [ref for page in pages(store, limit=7) for ref in page]

    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write, worker) for worker in range(2)]
        seen = list(pool.map(read, range(8)))
        for writer in writers:
            writer.result()
    for each in seen:
        assert [ref for ref in each if ref.startswith("old")] == sorted(old, reverse=True)
        assert len(each) == len(set(each))
    assert store.count_by_status(InstanceQuery(tags={"worker": "0"}))["waiting"] == 13
