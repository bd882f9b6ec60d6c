"""Which hooks are due, for every store."""

import attrs
import pytest

from tests.stores.build import MINUTE, NOW, OTHER, REF, create, delete, hook, message, notice, send, tick
from tests.stores.conftest import AnyStore, Clock
from wfcore.model import FiredHook, HookReason
from wfcore.plan import AddHook, DeleteHook, PutHook
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


def test_o7_a_feed_leaves_notices_out_unless_they_are_wanted(store: AnyStore) -> None:
    store.apply(create(due_at=NOW + MINUTE))
    store.apply(tick(1, AddHook(notice())))
    assert (due(store), store.next_due_at(DueQuery())) == ([], NOW + MINUTE)
    assert due(store, terminal_notices=True) == [notice().id]
    assert store.next_due_at(DueQuery(terminal_notices=True)) == NOW


def test_o7_a_notice_that_is_not_wanted_stands_before_no_other_hook(store: AnyStore) -> None:
    store.apply(create())
    store.apply(tick(1, AddHook(notice(due_at=NOW - MINUTE))))
    assert (due(store), due(store, terminal_notices=True)) == ([hook().id], [notice().id])


def test_o7_a_wanted_notice_takes_its_turn_among_the_hooks(store: AnyStore) -> None:
    store.apply(create(due_at=NOW - MINUTE))
    store.apply(tick(1, AddHook(notice(due_at=NOW))))
    store.apply(create(OTHER, NOW - 2 * MINUTE))
    store.apply(tick(1, AddHook(notice(2, OTHER, NOW - 3 * MINUTE)), ref=OTHER))
    assert due(store, terminal_notices=True) == [notice(2, OTHER).id, hook().id]
    assert due(store, terminal_notices=True, limit=1) == [notice(2, OTHER).id]
    assert due(store, terminal_notices=True, exclude=frozenset({OTHER})) == [hook().id]
    assert due(store, terminal_notices=True, workflow_names=frozenset()) == []


def test_o7_the_first_of_several_notices_comes_first(store: AnyStore) -> None:
    store.apply(create(due_at=NOW + MINUTE))
    store.apply(tick(1, AddHook(notice(4, due_at=NOW - MINUTE)), AddHook(notice(3))))
    assert due(store, terminal_notices=True) == [notice(4).id]
    store.apply(tick(2, DeleteHook(notice(4).id)))
    assert due(store, terminal_notices=True) == [notice(3).id]


@pytest.mark.parametrize("reason", ["terminal", "wake"])
def test_g9_a_notice_is_known_by_its_id_and_not_by_its_reason(store: AnyStore, reason: HookReason) -> None:
    store.apply(create(due_at=NOW - MINUTE))
    store.apply(tick(1, PutHook(attrs.evolve(hook(), reason=reason)), AddHook(attrs.evolve(notice(), reason="wake"))))
    assert due(store) == [hook().id]


@pytest.mark.parametrize("ref", ["terminal#terminal", "checkout#order:terminal:1", "✓#\U0001f600 2"])
def test_o7_no_other_hook_is_taken_for_a_notice(store: AnyStore, ref: str) -> None:
    store.apply(create(ref, NOW + MINUTE))
    store.apply(send("terminal:1", ref))
    store.apply(tick(1, AddHook(notice(1, ref, NOW - MINUTE)), ref=ref))
    assert due(store) == [message("terminal:1", ref).id]


def test_o7_notices_that_nobody_takes_are_not_read_by_others(store: AnyStore) -> None:
    """They stay due for ever."""
    for number in range(1_000):
        ref = f"checkout#{number}"
        store.apply(create(ref, NOW + MINUTE))
        store.apply(tick(1, DeleteHook(hook(ref).id), AddHook(notice(2, ref)), ref=ref))
    store.apply(create())
    assert (due(store), store.next_due_at(DueQuery())) == ([hook().id], NOW)


@pytest.mark.parametrize("count", [3_000])
def test_few_due_hooks_are_found_among_many(store: AnyStore, clock: Clock, count: int) -> None:
    for number in range(count):
        store.apply(create(f"checkout#{number}", NOW + number * MINUTE))
    clock.advance(4 * MINUTE)
    assert due(store, exclude=frozenset({"checkout#1"})) == [f"checkout#{number}#timer" for number in (0, 2, 3, 4)]
