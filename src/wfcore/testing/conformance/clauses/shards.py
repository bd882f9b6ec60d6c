"""F7: which hooks a shard takes, and when (rule R4)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from wfcore.plan import AddHook
from wfcore.ports import DueQuery, Shard
from wfcore.testing.conformance.adapter import Clock
from wfcore.testing.conformance.build import MINUTE, NOW, OTHER, REF, THIRD, create, hook, notice, tick
from wfcore.testing.conformance.clauses.feed import create_many, due
from wfcore.testing.faults import StoreAndFeed

# THIRD belongs to the first of two, REF and OTHER to the second: by the CRC-32 of the ref's UTF-8.
FIRST, SECOND = Shard(0, 2), Shard(1, 2)
STEAL_AFTER = FIRST.steal_after
NEVER = datetime.max.replace(tzinfo=UTC)


class Shards:
    """Own hooks when they are due, those of others once they are overdue by ``steal_after`` (rule R4)."""

    def test_f7_a_shard_takes_the_hooks_of_its_own_instances(self, feed: StoreAndFeed) -> None:
        for ref in (REF, OTHER, THIRD):
            feed.apply(create(ref))
        assert due(feed, shard=FIRST) == [hook(THIRD).id]
        assert due(feed, shard=SECOND) == [hook(REF).id, hook(OTHER).id]
        assert len(due(feed, shard=Shard(0, 1))) == 3

    def test_f7_every_hook_is_some_shards_and_no_two_have_one(self, feed: StoreAndFeed) -> None:
        refs = [f"✓#ä{number}" for number in range(50)]
        create_many(feed, [hook(ref) for ref in refs])
        for shard in (Shard(index, 5) for index in range(5)):
            assert due(feed, shard=shard) == sorted(hook(ref).id for ref in refs if shard.owns(ref))

    def test_f7_a_hook_of_another_shard_is_taken_once_it_is_overdue(self, feed: StoreAndFeed, clock: Clock) -> None:
        """Nothing strands (rule R4)."""
        feed.apply(create(REF, NOW))
        feed.apply(create(THIRD, NOW + MINUTE))
        clock.now = NOW + STEAL_AFTER - timedelta.resolution
        assert due(feed, shard=FIRST) == [hook(THIRD).id]
        clock.now = NOW + STEAL_AFTER
        assert due(feed, shard=FIRST) == [hook(REF).id, hook(THIRD).id]
        assert due(feed, shard=FIRST, limit=1) == [hook(REF).id]
        assert due(feed, shard=Shard(0, 2, steal_after=timedelta.max), exclude=frozenset({THIRD})) == []

    def test_f7_hooks_of_others_that_are_due_stand_before_no_own_one(self, feed: StoreAndFeed) -> None:
        refs = [f"checkout#{number}" for number in range(50)]
        create_many(feed, [hook(ref, NOW - MINUTE) for ref in refs])
        own = sorted(hook(ref).id for ref in refs if FIRST.owns(ref))
        assert due(feed, shard=FIRST, limit=5) == own[:5]

    @pytest.mark.parametrize(
        ("own", "foreign", "expected"),
        [
            pytest.param(MINUTE, -MINUTE, MINUTE, id="its own come before another's could be stolen"),
            pytest.param(10 * MINUTE, MINUTE, 6 * MINUTE, id="another's can be stolen before its own are due"),
            pytest.param(None, MINUTE, 6 * MINUTE, id="it has none"),
            pytest.param(MINUTE, None, MINUTE, id="others have none"),
            pytest.param(None, None, None, id="there is none"),
        ],
    )
    def test_f7_next_due_at_is_the_earlier_of_its_own_and_of_others_when_they_are_overdue(
        self, feed: StoreAndFeed, own: timedelta | None, foreign: timedelta | None, expected: timedelta | None
    ) -> None:
        """So that a dispatcher wakes to steal (rule R4)."""
        for ref, due_in in ((THIRD, own), (REF, foreign)):
            if due_in is not None:
                feed.apply(create(ref, NOW + due_in))
        found = feed.next_due_at(DueQuery(shard=FIRST))
        assert found == (None if expected is None else NOW + expected)

    def test_f7_next_due_at_of_the_only_shard_is_that_of_all(self, feed: StoreAndFeed) -> None:
        feed.apply(create(REF, NOW + MINUTE))
        assert feed.next_due_at(DueQuery(shard=Shard(0, 1))) == NOW + MINUTE

    def test_f7_a_hook_at_the_end_of_time_is_never_stolen(self, feed: StoreAndFeed) -> None:
        feed.apply(create(REF, NEVER))
        assert feed.next_due_at(DueQuery(shard=FIRST)) == NEVER
        assert feed.next_due_at(DueQuery(shard=Shard(0, 2, steal_after=timedelta.max))) == NEVER

    def test_f7_a_notice_belongs_to_the_shard_of_its_instance(self, feed: StoreAndFeed, clock: Clock) -> None:
        feed.apply(create(REF, NOW + 60 * MINUTE))
        feed.apply(tick(1, AddHook(notice())))
        assert due(feed, shard=SECOND, terminal_notices=True) == [notice().id]
        assert due(feed, shard=FIRST, terminal_notices=True) == []
        assert feed.next_due_at(DueQuery(shard=FIRST, terminal_notices=True)) == NOW + STEAL_AFTER
        clock.advance(STEAL_AFTER)
        assert due(feed, shard=FIRST, terminal_notices=True) == [notice().id]
