"""Which hooks are due, for every store."""

import attrs
import pytest

from tests.stores.build import MINUTE, NOW, OTHER, REF, create, delete, hook, message, send, tick
from tests.stores.conftest import AnyStore, Clock
from wfcore.model import FiredHook
from wfcore.plan import DeleteHook, PutHook
from wfcore.ports import DueQuery

THIRD = "refund#order-1"


def due(store: AnyStore, **query: object) -> list[str]:
    return [fired.hook.id for fired in store.due(DueQuery(**query))]  # type: ignore[arg-type]


def test_a_hook_is_due_at_its_instant_and_not_before(store: AnyStore, clock: Clock) -> None:
    store.apply(create(due_at=NOW + MINUTE))
    clock.now = NOW + MINUTE - MINUTE.resolution
    assert due(store) == []
    clock.now = NOW + MINUTE
    assert list(store.due(DueQuery())) == [FiredHook(hook=hook(due_at=NOW + MINUTE), timestamp=NOW + MINUTE)]


def test_due_hooks_come_in_the_order_of_instant_and_id(store: AnyStore) -> None:
    store.apply(create(REF, NOW - MINUTE))
    store.apply(create(THIRD, NOW - 2 * MINUTE))
    store.apply(create(OTHER, NOW - MINUTE))
    assert due(store) == [hook(THIRD).id, hook(REF).id, hook(OTHER).id]


def test_an_instance_gives_its_first_hook_only(store: AnyStore) -> None:
    store.apply(create(due_at=NOW + MINUTE))
    store.apply(create(OTHER))
    for name in ("b", "a"):
        store.apply(send(name))
    assert due(store) == [message("a").id, hook(OTHER).id]


def test_the_limit_counts_instances(store: AnyStore) -> None:
    store.apply(create())
    store.apply(create(OTHER))
    store.apply(send())
    assert due(store, limit=1) == [message().id]
    assert due(store, limit=2) == [message().id, hook(OTHER).id]


def test_a_query_may_name_workflows_and_leave_out_instances(store: AnyStore) -> None:
    for ref in (REF, OTHER, THIRD):
        store.apply(create(ref))
    assert due(store, workflow_names=frozenset({"refund", "unknown"})) == [hook(THIRD).id]
    assert due(store, workflow_names=frozenset()) == []
    assert due(store, exclude=frozenset({REF})) == [hook(OTHER).id, hook(THIRD).id]
    assert due(store, exclude=frozenset({REF, *(f"checkout#{number}" for number in range(2_000))}), limit=1) == [
        hook(OTHER).id
    ]


def test_next_due_at_is_the_earliest_that_the_query_admits(store: AnyStore) -> None:
    assert store.next_due_at(DueQuery()) is None
    store.apply(create(REF, NOW - MINUTE))
    store.apply(create(THIRD, NOW + MINUTE))
    assert store.next_due_at(DueQuery()) == NOW - MINUTE
    assert store.next_due_at(DueQuery(exclude=frozenset({REF}))) == NOW + MINUTE
    assert store.next_due_at(DueQuery(workflow_names=frozenset({"refund"}))) == NOW + MINUTE
    assert store.next_due_at(DueQuery(workflow_names=frozenset({"unknown"}))) is None


def test_the_feed_follows_what_is_put_and_deleted(store: AnyStore) -> None:
    store.apply(create())
    store.apply(tick(1, PutHook(hook(due_at=NOW + MINUTE))))
    assert (due(store), store.next_due_at(DueQuery())) == ([], NOW + MINUTE)
    store.apply(tick(2, PutHook(hook(due_at=NOW - MINUTE))))
    assert due(store) == [hook().id]
    store.apply(tick(3, DeleteHook(hook().id)))
    assert (due(store), store.next_due_at(DueQuery())) == ([], None)
    store.apply(tick(4, PutHook(attrs.evolve(hook(), attempts=2))))
    assert due(store) == [hook().id]
    store.apply(delete(5))
    assert (due(store), store.next_due_at(DueQuery())) == ([], None)


@pytest.mark.parametrize("count", [3_000])
def test_few_due_hooks_are_found_among_many(store: AnyStore, clock: Clock, count: int) -> None:
    for number in range(count):
        store.apply(create(f"checkout#{number}", NOW + number * MINUTE))
    clock.advance(4 * MINUTE)
    assert due(store, exclude=frozenset({"checkout#1"})) == [f"checkout#{number}#timer" for number in (0, 2, 3, 4)]
