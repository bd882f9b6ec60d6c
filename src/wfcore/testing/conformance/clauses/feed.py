"""F1 to F6: which hooks are due, and when the next one is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import attrs
import pytest

from wfcore.model import FiredHook, Hook, HookReason
from wfcore.plan import AddHook, AddInstance, DeleteHook, PutHook
from wfcore.ports import DueQuery, HookFeed
from wfcore.testing.conformance.adapter import Clock
from wfcore.testing.conformance.build import (
    MINUTE,
    NOW,
    OTHER,
    REF,
    THIRD,
    create,
    delete,
    hook,
    instance,
    message,
    must,
    notice,
    plan,
    send,
    tick,
)
from wfcore.testing.faults import StoreAndFeed


def due(feed: HookFeed, **query: object) -> list[str]:
    return [fired.hook.id for fired in feed.due(DueQuery(**query))]  # type: ignore[arg-type]


def create_many(feed: StoreAndFeed, hooks: Sequence[Hook]) -> None:
    """Instances that have one hook each, a hundred in a plan."""
    for begin in range(0, len(hooks), 100):
        some = hooks[begin : begin + 100]
        rows = [AddInstance(instance(each.instance_ref)) for each in some]
        must(feed.apply(plan(*rows, *map(AddHook, some))))


class Due:
    """Due hooks in order, one per instance, of those that are wanted."""

    def test_f1_a_hook_is_due_at_its_instant_and_not_before(self, feed: StoreAndFeed, clock: Clock) -> None:
        feed.apply(create(due_at=NOW + MINUTE))
        clock.now = NOW + MINUTE - MINUTE.resolution
        assert due(feed) == []
        clock.now = NOW + MINUTE
        assert list(feed.due(DueQuery())) == [FiredHook(hook=hook(due_at=NOW + MINUTE), timestamp=NOW + MINUTE)]

    def test_f1_instants_are_compared_to_the_microsecond(self, feed: StoreAndFeed, clock: Clock) -> None:
        """As instants, not as texts of them: some have a fraction, and some have none."""
        instants = [NOW - MINUTE.resolution, NOW, NOW + MINUTE.resolution, NOW + timedelta(milliseconds=500)]
        ids = [hook(f"checkout#{place}").id for place in range(len(instants))]
        create_many(feed, [hook(f"checkout#{place}", instants[place]) for place in (3, 1, 0, 2)])
        for place, instant in enumerate(instants):
            clock.now = instant
            assert sorted(due(feed)) == ids[: place + 1]

    def test_f2_due_hooks_come_in_the_order_of_instant_and_id(self, feed: StoreAndFeed) -> None:
        later = NOW - MINUTE + MINUTE.resolution
        feed.apply(create(REF, later))
        feed.apply(create(THIRD, NOW - MINUTE))
        feed.apply(create(OTHER, later))
        assert due(feed) == [hook(THIRD).id, hook(REF).id, hook(OTHER).id]

    def test_f2_an_instance_gives_its_first_hook_only(self, feed: StoreAndFeed) -> None:
        feed.apply(create(due_at=NOW + MINUTE))
        feed.apply(create(OTHER))
        for name in ("b", "a"):
            feed.apply(send(name))
        assert due(feed) == [message("a").id, hook(OTHER).id]

    def test_f3_the_limit_counts_instances(self, feed: StoreAndFeed) -> None:
        feed.apply(create())
        feed.apply(create(OTHER))
        feed.apply(send())
        assert due(feed, limit=1) == [message().id]
        assert due(feed, limit=2) == [message().id, hook(OTHER).id]

    def test_f3_a_query_may_name_workflows_and_leave_out_instances(self, feed: StoreAndFeed) -> None:
        for ref in (REF, OTHER, THIRD):
            feed.apply(create(ref))
        assert due(feed, workflow_names=frozenset({"refund", "unknown"})) == [hook(THIRD).id]
        assert due(feed, workflow_names=frozenset()) == []
        assert due(feed, exclude=frozenset({REF})) == [hook(OTHER).id, hook(THIRD).id]
        assert due(feed, exclude=frozenset({REF, *(f"checkout#{number}" for number in range(2_000))}), limit=1) == [
            hook(OTHER).id
        ]

    def test_f3_few_due_hooks_are_found_among_many(self, feed: StoreAndFeed, clock: Clock) -> None:
        create_many(feed, [hook(f"checkout#{number}", NOW + number * MINUTE) for number in range(3_000)])
        clock.advance(4 * MINUTE)
        assert due(feed, exclude=frozenset({"checkout#1"})) == [f"checkout#{number}#timer" for number in (0, 2, 3, 4)]

    def test_f4_next_due_at_is_the_earliest_that_the_query_admits(self, feed: StoreAndFeed) -> None:
        assert feed.next_due_at(DueQuery()) is None
        feed.apply(create(REF, NOW - MINUTE))
        feed.apply(create(THIRD, NOW + MINUTE))
        assert feed.next_due_at(DueQuery()) == NOW - MINUTE
        assert feed.next_due_at(DueQuery(exclude=frozenset({REF}))) == NOW + MINUTE
        assert feed.next_due_at(DueQuery(workflow_names=frozenset({"refund"}))) == NOW + MINUTE
        assert feed.next_due_at(DueQuery(workflow_names=frozenset({"unknown"}))) is None

    def test_f6_the_feed_follows_what_is_put_and_deleted(self, feed: StoreAndFeed) -> None:
        feed.apply(create())
        feed.apply(tick(1, PutHook(hook(due_at=NOW + MINUTE))))
        assert (due(feed), feed.next_due_at(DueQuery())) == ([], NOW + MINUTE)
        feed.apply(tick(2, PutHook(hook(due_at=NOW - MINUTE))))
        assert due(feed) == [hook().id]
        feed.apply(tick(3, DeleteHook(hook().id)))
        assert (due(feed), feed.next_due_at(DueQuery())) == ([], None)
        feed.apply(tick(4, PutHook(attrs.evolve(hook(), attempts=2))))
        assert due(feed) == [hook().id]
        feed.apply(delete(5))
        assert (due(feed), feed.next_due_at(DueQuery())) == ([], None)


class Notices:
    """Notices of terminal transitions: for those who want them (rule O7), known by their ids (rule G9)."""

    def test_f5_a_feed_leaves_notices_out_unless_they_are_wanted(self, feed: StoreAndFeed) -> None:
        feed.apply(create(due_at=NOW + MINUTE))
        feed.apply(tick(1, AddHook(notice())))
        assert (due(feed), feed.next_due_at(DueQuery())) == ([], NOW + MINUTE)
        assert due(feed, terminal_notices=True) == [notice().id]
        assert feed.next_due_at(DueQuery(terminal_notices=True)) == NOW

    def test_f5_a_notice_that_is_not_wanted_stands_before_no_other_hook(self, feed: StoreAndFeed) -> None:
        feed.apply(create())
        feed.apply(tick(1, AddHook(notice(due_at=NOW - MINUTE))))
        assert (due(feed), due(feed, terminal_notices=True)) == ([hook().id], [notice().id])

    def test_f5_a_wanted_notice_takes_its_turn_among_the_hooks(self, feed: StoreAndFeed) -> None:
        feed.apply(create(due_at=NOW - MINUTE))
        feed.apply(tick(1, AddHook(notice(due_at=NOW))))
        feed.apply(create(OTHER, NOW - 2 * MINUTE))
        feed.apply(tick(1, AddHook(notice(2, OTHER, NOW - 3 * MINUTE)), ref=OTHER))
        assert due(feed, terminal_notices=True) == [notice(2, OTHER).id, hook().id]
        assert due(feed, terminal_notices=True, limit=1) == [notice(2, OTHER).id]
        assert due(feed, terminal_notices=True, exclude=frozenset({OTHER})) == [hook().id]
        assert due(feed, terminal_notices=True, workflow_names=frozenset()) == []

    def test_f5_the_first_of_several_notices_comes_first(self, feed: StoreAndFeed) -> None:
        feed.apply(create(due_at=NOW + MINUTE))
        feed.apply(tick(1, AddHook(notice(4, due_at=NOW - MINUTE)), AddHook(notice(3))))
        assert due(feed, terminal_notices=True) == [notice(4).id]
        feed.apply(tick(2, DeleteHook(notice(4).id)))
        assert due(feed, terminal_notices=True) == [notice(3).id]

    @pytest.mark.parametrize("reason", ["terminal", "wake"])
    def test_f5_a_notice_is_known_by_its_id_and_not_by_its_reason(self, feed: StoreAndFeed, reason: HookReason) -> None:
        feed.apply(create(due_at=NOW - MINUTE))
        feed.apply(
            tick(1, PutHook(attrs.evolve(hook(), reason=reason)), AddHook(attrs.evolve(notice(), reason="wake")))
        )
        assert due(feed) == [hook().id]

    @pytest.mark.parametrize("ref", ["terminal#terminal", "checkout#order:terminal:1", "✓#\U0001f600 2"])
    def test_f5_no_other_hook_is_taken_for_a_notice(self, feed: StoreAndFeed, ref: str) -> None:
        feed.apply(create(ref, NOW + MINUTE))
        feed.apply(send("terminal:1", ref))
        feed.apply(tick(1, AddHook(notice(1, ref, NOW - MINUTE)), ref=ref))
        assert due(feed) == [message("terminal:1", ref).id]

    def test_f5_notices_that_nobody_takes_are_not_read_by_others(self, feed: StoreAndFeed) -> None:
        """They stay due for ever."""
        create_many(feed, [notice(2, f"checkout#{number}") for number in range(1_000)])
        feed.apply(create())
        assert (due(feed), feed.next_due_at(DueQuery())) == ([hook().id], NOW)
