"""A7, A9: what is stored comes back exactly, and whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import attrs
import pytest

from wfcore.model import Snapshot
from wfcore.plan import AddEvent, AddHook, AddInstance, AtVersion, PutEvent, PutHook, PutInstance, PutStep
from wfcore.ports import Store
from wfcore.testing.conformance.adapter import Clock
from wfcore.testing.conformance.build import (
    FAILURE,
    MINUTE,
    NOW,
    REF,
    OneOfEach,
    create,
    event,
    filled,
    hook,
    instance,
    message,
    must,
    plain,
    plan,
    send,
    step,
    tick,
)

PAYLOADS = [
    "",
    "null",
    str(2**4000),
    "1e999",
    '{"b":1,"a" :  2}',
    '{"a":1,"a":2}',
    '"\\u0000\\ud800"',
    '"é✓😀\u2028\x7f"',
    " \t\r\n plain ",
    '"' + "x" * 2**20 + '"',
]
INSTANTS = [
    datetime.min.replace(tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(2026, 3, 1, 12, 0, 0, 1, tzinfo=UTC),
    datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=5, minutes=45, microseconds=3))),
    datetime.max.replace(tzinfo=UTC),
]
# One more than a round number, at which what is long may be cut off.
MANY_STEPS = 10_001
MANY_EVENTS = 1_001


class Values:
    """Payloads byte for byte, instants to the microsecond, every field as it was."""

    @pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: payload[:12].encode().hex())
    def test_a7_payloads_come_back_byte_for_byte(self, store: Store, payload: str) -> None:
        store.apply(create(params=payload))
        results = PutStep(step(result=payload)), AddEvent(event(payload=payload))
        store.apply(tick(1, *results, params=payload, output=payload))
        found = store.retrieve(REF)
        assert found.instance is not None
        assert (found.instance.params, found.instance.output) == (payload, payload)
        assert (found.steps[0].result, found.events[0].payload) == (payload, payload)

    @pytest.mark.parametrize("instant", INSTANTS, ids=str)
    def test_a7_instants_come_back_to_the_microsecond(self, store: Store, instant: datetime) -> None:
        row = instance(version=2, created_at=instant, updated_at=instant, started_at=instant, completed_at=instant)
        waiting = step(created_at=instant, settled_at=instant, next_retry_at=instant, wake_at=instant)
        timer = hook(due_at=instant, created_at=instant)
        mail = event(created_at=instant, delivered_at=instant)
        store.apply(create())
        given = (AtVersion(REF, 1, "e1"),)
        store.apply(plan(PutInstance(row), PutStep(waiting), PutHook(timer), PutEvent(mail), given=given))
        found = store.retrieve(REF)
        assert found == Snapshot(instance=row, steps=(waiting,), events=(mail,), hooks=(timer,), now=NOW)
        assert found.hooks[0].due_at.tzinfo is not None

    def test_a7_every_field_comes_back(self, store: Store) -> None:
        store.apply(create())
        must(store.apply(filled(2).put(instance())))
        found = store.retrieve(REF)
        assert found == filled(2).snapshot()
        assert found.steps[0].failure is not None
        assert found.steps[0].failure.traceback == FAILURE.traceback  # no part of equality

    @pytest.mark.parametrize(("first", "then"), [(plain(2), filled(3)), (filled(2), plain(3))], ids=["fill", "empty"])
    def test_a7_a_put_changes_every_field(self, store: Store, first: OneOfEach, then: OneOfEach) -> None:
        """Whatever was there: what a put leaves out of its columns is a row of nobody's."""
        store.apply(create())
        must(store.apply(first.put(instance())))
        must(store.apply(then.put(first.instance)))
        assert store.retrieve(REF) == then.snapshot()

    def test_a7_an_add_stores_every_field(self, store: Store) -> None:
        rows = filled(1)
        must(store.apply(plan(AddInstance(rows.instance), AddEvent(rows.event), AddHook(rows.hook))))
        assert store.retrieve(REF) == attrs.evolve(rows.snapshot(), steps=())

    def test_a7_a_field_that_is_nothing_is_not_an_empty_text(self, store: Store) -> None:
        store.apply(create())
        store.apply(tick(1, PutStep(step("do:none")), PutStep(step("do:empty", result="", event_id="")), output=""))
        found = store.retrieve(REF)
        assert {each.key: (each.result, each.event_id) for each in found.steps} == {
            "do:none": (None, None),
            "do:empty": ("", ""),
        }
        assert found.instance == instance(version=2, output="")


class Retrieves:
    """All of it: the current run, pending events, all hooks, the store's clock."""

    def test_a9_a_retrieve_of_what_does_not_exist_is_empty(self, store: Store, clock: Clock) -> None:
        clock.advance(MINUTE)
        found = store.retrieve(REF)
        assert found == Snapshot(instance=None, now=NOW)
        assert found.now == NOW + MINUTE

    def test_a9_a_retrieve_gives_the_current_run_pending_events_and_all_hooks(self, store: Store) -> None:
        store.apply(create())
        store.apply(tick(1, PutStep(step("do:old"))))
        store.apply(send("m1"))
        store.apply(send("m2"))
        taken = event("m1", consumed_by="do:new", consumed_run=2, delivered_at=NOW)
        store.apply(tick(2, PutStep(step("do:new", run_number=2)), PutEvent(taken), run_number=2))
        assert store.retrieve(REF) == Snapshot(
            instance=instance(version=3, run_number=2),
            steps=(step("do:new", run_number=2),),
            events=(event("m2"),),
            hooks=(hook(), message("m1"), message("m2")),
            now=NOW,
        )

    def test_a9_what_was_applied_is_read(self, store: Store) -> None:
        store.apply(create())
        for version in range(1, 30):
            must(store.apply(tick(version, PutStep(step(f"do:{version}")))))
            found = store.retrieve(REF)
            assert (found.instance, len(found.steps)) == (instance(version=version + 1), version)

    def test_a9_a_history_of_10_000_steps_comes_back_whole(self, store: Store) -> None:
        store.apply(create())
        puts = [
            PutStep(step(f"do:{number:05}", result=f"{number}", sequence=number)) for number in range(1, MANY_STEPS + 1)
        ]
        must(store.apply(tick(1, *puts)))
        found = sorted(store.retrieve(REF).steps, key=lambda each: each.key)
        assert len(found) == MANY_STEPS
        assert found == [each.step for each in puts]

    def test_a9_a_mailbox_of_1_000_events_comes_back_whole_and_in_order(self, store: Store) -> None:
        """With the hook of each event, of which the answer tells too."""
        store.apply(create())
        names = [f"m{number * 7919 % MANY_EVENTS}" for number in range(MANY_EVENTS)]
        events, hooks = (AddEvent(event(name)) for name in names), (AddHook(message(name)) for name in names)
        answer = must(store.apply(plan(*events, *hooks)))
        found = store.retrieve(REF)
        assert [each.id for each in found.events] == names
        assert {each.id for each in found.hooks} == {hook().id, *(message(name).id for name in names)}
        assert answer.pending_hooks == {each.id for each in found.hooks}
