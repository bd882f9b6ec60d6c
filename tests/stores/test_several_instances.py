"""Plans that touch several instances, as steps make them (rules T1, T4): applied whole, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.stores.build import Paid, must
from tests.stores.conftest import AnyStore
from wfadapters.memory import MemoryStore
from wfcore.define import workflow
from wfcore.errors import WriteFailedError
from wfcore.evolve import Rows, evolve
from wfcore.keys import build_ref, timer_id
from wfcore.model import FiredHook, Snapshot
from wfcore.plan import AddEvent, AddHook, Conflict, Exists, Plan
from wfcore.planner import Attempt, Step, plan_create, plan_tick
from wfcore.ports import DueQuery, Store
from wfcore.workflow import Registry, Workflow

PARENT, CHILD = "parent#p", "child#c"


@workflow(name="child")
def child(step: Step, amount: int) -> None:
    step.wait_for_event("go", "go")


def parent(body: Callable[[Attempt], Any]) -> Workflow[None, None]:
    @workflow(name="parent")
    def made(step: Step) -> None:
        step.do("tell", body)

    return made


def create(store: Store, flow: Workflow[Any, Any], instance_id: str, params: object = None) -> None:
    before = store.retrieve(build_ref(flow.name, instance_id))
    must(store.apply(plan_create(before, flow, params, instance_id=instance_id, execution_id=f"create {instance_id}")))


def planned(store: Store, body: Callable[[Attempt], Any], execution_id: str = "tick") -> Plan:
    """The plan of the parent's first tick; the parent is created if need be."""
    flow = parent(body)
    if store.retrieve(PARENT).instance is None:
        create(store, flow, "p")
    before = store.retrieve(PARENT)
    [hook] = [each for each in before.hooks if each.id == timer_id(PARENT)]
    fired = FiredHook(hook=hook, timestamp=before.now)
    return plan_tick(before, fired, Registry([flow, child]), execution_id=execution_id)


def start_and_tell(attempt: Attempt) -> None:
    attempt.start(child, 1, id="c", tags={"colour": "red"})
    attempt.send_event(child, "c", "go", {"any": [1]}, event_id="e")


def tell_for_sure(attempt: Attempt) -> None:
    attempt.send_event(child, "c", "go", event_id="e", required=True)


def rows(snapshot: Snapshot) -> Rows:
    return Rows(
        instance=snapshot.instance,
        steps={(step.run_number, step.key): step for step in snapshot.steps},
        events={event.id: event for event in snapshot.events},
        hooks={hook.id: hook for hook in snapshot.hooks},
    )


def cut(store: Store) -> dict[str, Snapshot]:
    return {ref: store.retrieve(ref) for ref in (PARENT, CHILD)}


def test_t4_a_store_gives_what_evolve_gives_for_both_instances(store: AnyStore) -> None:
    plan = planned(store, start_and_tell)
    after = evolve({ref: rows(snapshot) for ref, snapshot in cut(store).items()}, plan)
    assert not isinstance(after, Conflict)
    must(store.apply(plan))
    now = store.retrieve(PARENT).now
    assert {ref: after[ref].snapshot(now) for ref in (PARENT, CHILD)} == cut(store)


def test_t4_a_started_instance_is_due(store: AnyStore) -> None:
    must(store.apply(planned(store, start_and_tell)))
    assert [CHILD] == [each.hook.instance_ref for each in store.due(DueQuery(limit=10))]


def test_t4_a_plan_that_lost_its_version_leaves_no_trace_of_the_other_instance(store: AnyStore) -> None:
    plan = planned(store, start_and_tell)
    must(store.apply(planned(store, lambda attempt: None, execution_id="faster")))
    before = cut(store)
    assert (Conflict(PARENT, 2, "faster"), before) == (store.apply(plan), cut(store))


def test_t4_a_required_receiver_that_does_not_exist_is_a_conflict_of_its_ref_and_leaves_no_trace(
    store: AnyStore,
) -> None:
    plan = planned(store, tell_for_sure)
    before = cut(store)
    assert (Conflict(CHILD, None, None), before) == (store.apply(plan), cut(store))


def test_t4_a_required_receiver_that_exists_gets_the_event(store: AnyStore) -> None:
    create(store, child, "c", 1)
    plan = planned(store, tell_for_sure)
    assert Exists(CHILD) in plan.preconditions
    must(store.apply(plan))
    assert ["e"] == [event.id for event in store.retrieve(CHILD).events]


def test_t4_a_write_that_fails_leaves_no_trace_of_the_other_instance(store: AnyStore) -> None:
    if isinstance(store, MemoryStore):
        pytest.skip("the memory store takes every write")

    def body(attempt: Attempt) -> None:
        start_and_tell(attempt)
        attempt.write(Paid("o1", -1))

    plan = planned(store, body)
    before = cut(store)
    with pytest.raises(WriteFailedError):
        store.apply(plan)
    assert before == cut(store)


def test_a13_an_event_to_an_instance_that_does_not_exist_is_reported(store: AnyStore) -> None:
    answer = must(store.apply(planned(store, lambda attempt: attempt.send_event(child, "c", "go", event_id="e"))))
    assert [AddEvent, AddHook] == [type(each) for each in answer.undelivered]


def test_a13_an_event_to_an_instance_that_the_plan_starts_is_not(store: AnyStore) -> None:
    assert () == must(store.apply(planned(store, start_and_tell))).undelivered


def test_t4_a_start_keeps_an_instance_that_is_there(store: AnyStore) -> None:
    create(store, child, "c", 7)
    before = store.retrieve(CHILD)
    must(store.apply(planned(store, start_and_tell)))
    assert before.instance == store.retrieve(CHILD).instance
