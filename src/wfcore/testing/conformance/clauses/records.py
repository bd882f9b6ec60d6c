"""C4, C5: histories (rule M9), and candidates for an audit (rule R7)."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from wfcore.errors import InstanceNotFoundError, RunNotFoundError
from wfcore.keys import start_id
from wfcore.plan import AddEvent, AddHook, DeleteHook, PutEvent, PutHook, PutStep
from wfcore.testing.conformance.build import (
    MINUTE,
    NOW,
    OTHER,
    REF,
    create,
    delete,
    event,
    filled,
    hook,
    instance,
    send,
    step,
    tick,
)
from wfcore.testing.conformance.rig import StoreAndCatalog

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


class Histories:
    """A history is of one run, in order."""

    @pytest.fixture
    def third_run(self, catalog: StoreAndCatalog) -> StoreAndCatalog:
        """An instance whose first run took an event, whose second took none, and whose third has one pending."""
        catalog.apply(create())
        catalog.apply(send("first"))
        catalog.apply(send("restarted"))
        taken = attrs.evolve(event("first"), consumed_by="do:a", consumed_run=1)
        given_up = attrs.evolve(event("restarted"), consumed_by="#restart", consumed_run=1)
        catalog.apply(tick(1, PutStep(step("do:a", sequence=1)), PutEvent(taken), PutEvent(given_up), run_number=2))
        catalog.apply(tick(2, run_number=3))
        catalog.apply(tick(3, PutStep(step("do:c", run_number=3, sequence=1)), run_number=3))
        catalog.apply(send("pending"))
        return catalog

    def test_c4_a_history_is_in_the_order_of_settlement_and_then_what_waits(self, catalog: StoreAndCatalog) -> None:
        catalog.apply(create())
        waits = step("wait_for_event:go", kind="wait_for_event", status="waiting")
        catalog.apply(tick(1, PutStep(waits), PutStep(step("do:a", sequence=2)), PutStep(step("do:b", sequence=1))))
        found = catalog.history(REF)
        assert (found.instance, found.run_number) == (instance(version=2), 1)
        assert [each.key for each in found.steps] == ["do:b", "do:a", "wait_for_event:go"]

    @pytest.mark.parametrize(
        ("run", "steps", "events"),
        [
            (1, ["do:a"], ["first", "restarted"]),
            (2, [], []),
            (3, ["do:c"], ["pending"]),
            (None, ["do:c"], ["pending"]),
        ],
    )
    def test_c4_a_history_is_of_one_run(
        self, third_run: StoreAndCatalog, run: int | None, steps: list[str], events: list[str]
    ) -> None:
        """Rule M9."""
        found = third_run.history(REF, run)
        assert [each.key for each in found.steps] == steps
        assert [each.id for each in found.events] == events
        assert (found.run_number, found.instance.run_number) == (run or 3, 3)

    def test_c4_a_history_holds_whole_rows(self, catalog: StoreAndCatalog) -> None:
        """An event that was taken, too, which no retrieve gives."""
        rows = filled(2)
        rows = attrs.evolve(rows, event=attrs.evolve(rows.event, consumed_by=rows.step.key))
        catalog.apply(create())
        catalog.apply(rows.put(instance()))
        found = catalog.history(REF)
        assert (found.instance, found.steps, found.events) == (rows.instance, (rows.step,), (rows.event,))

    @pytest.mark.parametrize("run", [0, -1, 4])
    def test_c4_a_run_that_never_was_is_refused(self, third_run: StoreAndCatalog, run: int) -> None:
        with pytest.raises(RunNotFoundError) as caught:
            third_run.history(REF, run)
        assert (caught.value.ref, caught.value.run_number, caught.value.last) == (REF, run, 3)
        assert third_run.history(REF).run_number == 3

    def test_c4_nothing_is_left_of_what_is_deleted(self, third_run: StoreAndCatalog) -> None:
        third_run.apply(delete(4))
        for run in (None, 1):
            with pytest.raises(InstanceNotFoundError):
                third_run.history(REF, run)
        third_run.apply(create())
        assert (third_run.history(REF).steps, third_run.history(REF).events) == ((), ())


class Suspects:
    """Whatever breaks rule O5 is among them."""

    @pytest.mark.parametrize("case", STRANDED)
    def test_c5_what_breaks_o5_is_among_the_suspects(self, catalog: StoreAndCatalog, case: str) -> None:
        """Rule R7."""
        status: Any = case.replace(",", "").split()[0]
        catalog.apply(create(due_at=NOW))
        catalog.apply(tick(1, *STRANDED[case], status=status))
        assert [each.ref for each in catalog.suspects(10)] == [REF]

    def test_c5_a_timer_of_another_run_is_none(self, catalog: StoreAndCatalog) -> None:
        """Rule R7."""
        catalog.apply(create())
        catalog.apply(tick(1, run_number=2))
        assert [each.ref for each in catalog.suspects(10)] == [REF]

    def test_c5_suspects_come_in_the_order_of_their_refs(self, catalog: StoreAndCatalog) -> None:
        for ref in (OTHER, "refund#1", REF):
            catalog.apply(create(ref))
            catalog.apply(tick(1, DeleteHook(hook(ref).id), AddHook(hook(ref, id=start_id(ref))), ref=ref))
        assert [each.ref for each in catalog.suspects(2)] == [REF, OTHER]
        assert [each.ref for each in catalog.suspects(2, OTHER)] == ["refund#1"]
