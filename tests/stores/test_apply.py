"""The contract of apply, clause by clause, for every store (design 5, A1 to A13)."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from threading import Barrier
from typing import Any

import attrs
import pytest

from tests.stores.build import (
    MINUTE,
    NOW,
    OTHER,
    REF,
    Paid,
    busy_tick,
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
from tests.stores.conftest import AnyStore, Clock
from wfcore.failure import Failure
from wfcore.model import Snapshot
from wfcore.plan import (
    Absent,
    AddEvent,
    AddHook,
    AddInstance,
    Applied,
    AtVersion,
    Conflict,
    DeleteHook,
    DeleteStep,
    Exists,
    Plan,
    PutEvent,
    PutHook,
    PutInstance,
    PutStep,
    Write,
)

FAILURE = Failure(
    type="shop.CardDeclined",
    message="declined \x00 \ud800 ✓",
    details={"reason": [None, 1.5, 10**30, "\u2028"], "": {}},
    bases=("shop.PaymentError", "builtins.Exception"),
    traceback='File "shop.py", line 1, in charge',
)


def rows(store: AnyStore, ref: str = REF) -> Snapshot:
    return store.retrieve(ref)


# ---- A1 all or nothing, in the order given


def test_a1_a_plan_is_applied_whole(store: AnyStore) -> None:
    store.apply(create())
    store.apply(busy_tick())
    assert rows(store) == Snapshot(
        instance=instance(version=2),
        steps=(step(result='{"id": 7}'),),
        events=(event("m2"),),
        hooks=(hook(due_at=NOW + MINUTE), message("m2")),
        now=NOW,
    )


def test_a1_one_plan_may_touch_several_instances(store: AnyStore) -> None:
    store.apply(create())
    store.apply(tick(1, AddInstance(instance(OTHER)), AddHook(hook(OTHER))))
    assert (rows(store).instance, rows(store, OTHER)) == (
        instance(version=2),
        Snapshot(instance=instance(OTHER), hooks=(hook(OTHER),), now=NOW),
    )


def test_a1_mutations_are_performed_in_the_order_given(store: AnyStore) -> None:
    store.apply(create())
    store.apply(
        tick(
            1,
            PutStep(step("do:a")),
            DeleteStep(REF, 1, "do:a"),
            DeleteStep(REF, 1, "do:b"),
            PutStep(step("do:b")),
            DeleteHook(hook().id),
            PutHook(hook(due_at=NOW + MINUTE)),
            PutHook(message()),
            DeleteHook(message().id),
        )
    )
    found = rows(store)
    assert (found.steps, found.hooks) == ((step("do:b"),), (hook(due_at=NOW + MINUTE),))


# ---- A2 if and only if every precondition holds


@pytest.mark.parametrize("given", [Absent(OTHER), Exists(REF), AtVersion(REF, 1, "e1")])
def test_a2_a_plan_whose_preconditions_hold_is_applied(store: AnyStore, given: Any) -> None:
    store.apply(create())
    assert isinstance(store.apply(plan(AddEvent(event()), given=(given,))), Applied)


@pytest.mark.parametrize(
    ("given", "conflict"),
    [
        (Absent(REF), Conflict(REF, 1, "e1")),
        (Exists(OTHER), Conflict(OTHER, None, None)),
        (AtVersion(OTHER, 1, "e1"), Conflict(OTHER, None, None)),
        (AtVersion(REF, 2, "e1"), Conflict(REF, 1, "e1")),
        (AtVersion(REF, 1, "another"), Conflict(REF, 1, "e1")),
    ],
)
def test_a2_a_conflict_says_what_was_found_and_leaves_no_trace(store: AnyStore, given: Any, conflict: Conflict) -> None:
    store.apply(create())
    before = rows(store), rows(store, OTHER)
    mutations = AddEvent(event()), AddHook(message()), AddInstance(instance(OTHER))
    assert store.apply(plan(*mutations, given=(Exists(REF), given))) == conflict
    assert (rows(store), rows(store, OTHER)) == before


# ---- A3 exactly one winner per version


def test_a3_the_second_plan_for_a_version_conflicts(store: AnyStore) -> None:
    store.apply(create())
    assert isinstance(store.apply(tick(1)), Applied)
    assert store.apply(tick(1)) == Conflict(REF, 2, "e2")


def test_a3_a_plan_for_a_deleted_and_recreated_instance_conflicts(store: AnyStore) -> None:
    store.apply(create())
    store.apply(delete(1))
    store.apply(create(execution_id="e1-again"))
    assert store.apply(tick(1)) == Conflict(REF, 1, "e1-again")


def test_a3_one_thread_wins_each_version(store: AnyStore) -> None:
    store.apply(create())
    threads, versions = 4, 30
    barrier = Barrier(threads)

    def compete(thread: int) -> list[bool]:
        won = []
        for version in range(1, versions + 1):
            barrier.wait()
            mine = tick(version, PutStep(step(f"do:{version}", result=f"{thread}")))
            won.append(isinstance(store.apply(mine), Applied))
        return won

    with ThreadPoolExecutor(threads) as pool:
        won = list(pool.map(compete, range(threads)))
    winners = [[thread for thread in range(threads) if won[thread][version]] for version in range(versions)]
    results = {each.key: each.result for each in rows(store).steps}
    assert [[results[f"do:{number}"]] for number in range(1, versions + 1)] == [
        [f"{w}" for w in each] for each in winners
    ]


# ---- A6 identities are unique


def test_a6_a_put_replaces_the_row_of_that_identity(store: AnyStore) -> None:
    store.apply(create())
    store.apply(tick(1, PutStep(step(status="waiting", next_retry_at=NOW, failure=FAILURE))))
    store.apply(tick(2, PutStep(step(result="1")), PutHook(hook(due_at=NOW + MINUTE))))
    found = rows(store)
    assert (found.steps, found.hooks) == ((step(result="1"),), (hook(due_at=NOW + MINUTE),))


def test_a6_an_add_leaves_the_row_that_is_there(store: AnyStore) -> None:
    store.apply(create(params="1"))
    store.apply(send(payload="1"))
    again = (
        AddInstance(instance(params="2")),
        AddEvent(event(payload="2")),
        AddHook(attrs.evolve(message(), attempts=7)),
    )
    assert store.apply(plan(*again)) == Applied(frozenset({hook().id, message().id}))
    found = rows(store)
    assert (found.instance, found.events) == (instance(params="1"), (event(payload="1"),))
    assert message() in found.hooks


def test_a6_an_event_keeps_its_place_when_it_is_put_again(store: AnyStore) -> None:
    store.apply(create())
    for name in ("b", "a", "c"):
        store.apply(send(name))
    store.apply(tick(1, PutEvent(event("b", consumed_by="#pause", consumed_run=1, delivered_at=NOW))))
    store.apply(tick(2, PutEvent(event("b", payload="[]"))))
    assert [each.id for each in rows(store).events] == ["b", "a", "c"]


def test_a6_an_event_that_comes_back_after_a_delete_is_the_last(store: AnyStore) -> None:
    store.apply(create())
    store.apply(send("a"))
    store.apply(delete(1))
    store.apply(create())
    for name in ("b", "a"):
        store.apply(send(name))
    assert [each.id for each in rows(store).events] == ["b", "a"]


def test_a6_a_delete_takes_all_rows_of_every_run(store: AnyStore) -> None:
    store.apply(create())
    store.apply(busy_tick())
    store.apply(tick(2, PutStep(step(run_number=2)), run_number=2))
    store.apply(create(OTHER))
    store.apply(delete(3))
    store.apply(create(run_number=2))
    assert rows(store) == Snapshot(instance=instance(run_number=2), hooks=(hook(),), now=NOW)
    assert rows(store, OTHER).instance == instance(OTHER)


def test_a6_a_delete_takes_consumed_events_too(store: AnyStore) -> None:
    store.apply(create())
    store.apply(tick(1, PutEvent(event(consumed_by="do:charge"))))
    store.apply(delete(2))
    store.apply(create())
    store.apply(send())
    assert rows(store).events == (event(),)


def test_a6_a_step_belongs_to_its_run(store: AnyStore) -> None:
    store.apply(create())
    store.apply(tick(1, PutStep(step()), PutStep(step(run_number=2)), DeleteStep(REF, 2, step().key)))
    assert rows(store).steps == (step(),)
    store.apply(tick(2, run_number=2))
    assert rows(store).steps == ()


# ---- A7 what is stored comes back exactly

PAYLOADS = [
    "",
    "null",
    str(2**4000),
    "1e999",
    '{"b":1,"a" :  2}',
    '"\\u0000\\ud800"',
    '"é✓😀\u2028\x7f"',
    "\x00 plain",
    '"' + "x" * 2**20 + '"',
]


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: payload[:12].encode().hex())
def test_a7_payloads_come_back_byte_for_byte(store: AnyStore, payload: str) -> None:
    store.apply(create(params=payload))
    store.apply(
        tick(1, PutStep(step(result=payload)), AddEvent(event(payload=payload)), params=payload, output=payload)
    )
    found = rows(store)
    assert found.instance is not None
    assert (found.instance.params, found.instance.output) == (payload, payload)
    assert (found.steps[0].result, found.events[0].payload) == (payload, payload)


@pytest.mark.parametrize(
    "instant",
    [
        datetime.min.replace(tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(2026, 3, 1, 12, 0, 0, 1, tzinfo=UTC),
        datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=5, minutes=45, microseconds=3))),
        datetime.max.replace(tzinfo=UTC),
    ],
)
def test_a7_instants_come_back_to_the_microsecond(store: AnyStore, instant: datetime) -> None:
    row = instance(version=2, created_at=instant, updated_at=instant, started_at=instant, completed_at=instant)
    waiting = step(created_at=instant, settled_at=instant, next_retry_at=instant, wake_at=instant)
    timer = hook(due_at=instant, created_at=instant)
    mail = event(created_at=instant)
    store.apply(create())
    given = (AtVersion(REF, 1, "e1"),)
    store.apply(plan(PutInstance(row), PutStep(waiting), PutHook(timer), PutEvent(mail), given=given))
    assert rows(store) == Snapshot(instance=row, steps=(waiting,), events=(mail,), hooks=(timer,), now=NOW)


def test_a7_every_field_comes_back(store: AnyStore) -> None:
    tags = {"": "", "größe": "\x00\ud800✓"}
    row = instance(version=2, status="errored", key_run=3, run_number=4, failure=FAILURE, tags=tags, created_by="x")
    full = step(
        "gather:g[a]>do:x#1",
        run_number=4,
        kind="wait_for_event",
        name="✓",
        parent_key="gather:g[a]",
        depth=1,
        status="errored",
        attempts=3,
        max_attempts=2**63 - 1,
        event_types=("a", "\x00", "✓"),
        event_id="m✓",
        failure=FAILURE,
        sequence=9,
    )
    deferred = attrs.evolve(hook(), run_number=None, reason="terminal", attempts=5, last_error="\ud800\x00 ✓")
    mail = event("#pause✓", type="pause", actor="system")
    store.apply(create())
    given = (AtVersion(REF, 1, "e1"),)
    store.apply(plan(PutInstance(row), PutStep(full), PutHook(deferred), PutEvent(mail), given=given))
    found = rows(store)
    assert found == Snapshot(instance=row, steps=(full,), events=(mail,), hooks=(deferred,), now=NOW)
    assert found.steps[0].failure is not None
    assert found.steps[0].failure.traceback == FAILURE.traceback  # no part of equality


# ---- A8 an empty plan


def test_a8_an_empty_plan_writes_nothing(store: AnyStore) -> None:
    store.apply(create())
    before = rows(store)
    assert store.apply(plan(given=(AtVersion(REF, 1, "e1"),))) == Applied(frozenset({hook().id}))
    assert rows(store) == before


# ---- A9 one consistent cut


def test_a9_a_retrieve_of_what_does_not_exist_is_empty(store: AnyStore, clock: Clock) -> None:
    clock.advance(MINUTE)
    found = rows(store)
    assert found == Snapshot(instance=None, now=NOW)
    assert found.now == NOW + MINUTE


def test_a9_a_retrieve_gives_the_current_run_pending_events_and_all_hooks(store: AnyStore) -> None:
    store.apply(create())
    store.apply(tick(1, PutStep(step("do:old"))))
    store.apply(send("m1"))
    store.apply(send("m2"))
    store.apply(
        tick(
            2,
            PutStep(step("do:new", run_number=2)),
            PutEvent(event("m1", consumed_by="do:new", consumed_run=2, delivered_at=NOW)),
            run_number=2,
        )
    )
    assert rows(store) == Snapshot(
        instance=instance(version=3, run_number=2),
        steps=(step("do:new", run_number=2),),
        events=(event("m2"),),
        hooks=(hook(), message("m1"), message("m2")),
        now=NOW,
    )


def test_a9_a_retrieve_under_a_concurrent_writer_is_one_cut(store: AnyStore) -> None:
    """Every tick writes its version into all four kinds of rows; no reader may see two versions."""
    store.apply(create())
    last = 120

    def write() -> None:
        for version in range(1, last):
            text = str(version + 1)
            store.apply(
                tick(
                    version,
                    PutStep(step(result=text)),
                    PutEvent(event(payload=text)),
                    PutHook(attrs.evolve(hook(), last_error=text)),
                    params=text,
                )
            )

    seen: set[tuple[object, ...]] = set()
    with ThreadPoolExecutor() as pool:
        writer = pool.submit(write)
        while not writer.done() or len(seen) < 2:
            found = rows(store)
            if found.instance and found.instance.version > 1:
                cut = found.instance.params, found.steps[0].result, found.events[0].payload, found.hooks[0].last_error
                seen.add(cut)
            if writer.done():
                break
        writer.result()
    assert {len(set(cut)) for cut in seen} <= {1}
    assert rows(store).steps[0].result == str(last)


# ---- A10 an append needs no version


def test_a10_an_append_neither_conflicts_with_a_tick_nor_makes_it_conflict(store: AnyStore) -> None:
    store.apply(create())
    running = tick(1, PutStep(step()))
    assert isinstance(store.apply(send("m1")), Applied)
    assert isinstance(store.apply(running), Applied)
    assert isinstance(store.apply(send("m2")), Applied)
    found = rows(store)
    assert ([each.id for each in found.events], len(found.hooks)) == (["m1", "m2"], 3)


# ---- A11 writes; how they fail is the business of each store


def test_a11_a_write_commits_with_its_plan_and_not_with_a_conflict(store: AnyStore) -> None:
    store.apply(create())
    store.apply(tick(1, Write(Paid("order-1", 100))))
    assert isinstance(store.apply(tick(1, Write(Paid("order-2", 100)))), Conflict)
    assert written(store) == [Paid("order-1", 100)]


def written(store: AnyStore) -> list[object]:
    if hasattr(store, "writes"):
        return list(store.writes)
    with store._connections.cursor("test") as cursor:
        return [Paid(*row) for row in cursor.execute("SELECT * FROM paid ORDER BY rowid").fetchall()]


# ---- A13 the answer


def test_a13_the_answer_names_the_hooks_that_are_now_pending(store: AnyStore) -> None:
    assert must(store.apply(create())).pending_hooks == {hook().id}
    assert must(store.apply(send())).pending_hooks == {hook().id, message().id}
    assert must(store.apply(tick(1, DeleteHook(hook().id)))).pending_hooks == {message().id}
    assert must(store.apply(create(OTHER))).pending_hooks == {hook(OTHER).id}


def test_a13_the_answer_is_about_the_ref_of_the_plan(store: AnyStore) -> None:
    store.apply(create())
    store.apply(create(OTHER))
    assert must(store.apply(plan(AddHook(message(ref=OTHER))))).pending_hooks == {hook().id}


@pytest.mark.parametrize(
    ("sent", "undelivered"),
    [
        (plan(AddEvent(event(ref=OTHER)), AddHook(message(ref=OTHER))), True),
        (plan(AddEvent(event()), AddHook(message())), False),
    ],
)
def test_a13_the_answer_names_appends_whose_instance_does_not_exist(
    store: AnyStore, sent: Plan, undelivered: bool
) -> None:
    store.apply(create())
    assert must(store.apply(sent)).undelivered == (sent.mutations if undelivered else ())
    found = rows(store, OTHER)
    assert found == Snapshot(instance=None, now=NOW)


def test_a13_a_repeated_append_is_no_undelivered_one(store: AnyStore) -> None:
    store.apply(create())
    store.apply(send())
    assert must(store.apply(send())).undelivered == ()


def test_g1_hooks_of_an_instance_that_does_not_exist_are_deleted_under_absent(store: AnyStore) -> None:
    store.apply(create())
    store.apply(plan(DeleteHook(hook().id), DeleteHook(message().id), ref=OTHER, given=(AtVersion(REF, 1, "e1"),)))
    assert rows(store).hooks == ()
    assert isinstance(store.apply(plan(DeleteHook(hook(OTHER).id), ref=OTHER, given=(Absent(OTHER),))), Applied)
