"""Plans of commands compared whole: those that do nothing, and the rows that one writes (rules M3-M6, O7, T5, K5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from tests.lab import MINUTE, T0
from tests.planner.rows import (
    FAILURE,
    REF,
    fired,
    instance,
    pause_request,
    record,
    sleeping,
    snapshot,
    timer,
    written_events,
    written_steps,
)
from wfcore import (
    CodecError,
    Step,
    StepNameError,
    UnknownWorkflowError,
    WriteFailedError,
    plan_adopt_bare_keys,
    plan_defer,
    plan_pause,
    plan_restart,
    plan_resume,
    plan_send_event,
    plan_terminate,
    workflow,
)
from wfcore.failure import failure_of
from wfcore.model import Instance
from wfcore.outcome import (
    BareKeysAdopted,
    Checkpointed,
    Deferred,
    Ignored,
    PauseRequested,
    Resumed,
    Suspended,
    TerminalNotified,
)
from wfcore.plan import AtVersion, Plan, PutHook, PutInstance, PutStep, Write
from wfcore.planner import released
from wfcore.planner.commands import plan_terminal_notified, plan_write_failure

LATER = T0 + MINUTE
ERROR = UnknownWorkflowError("w", ())
WRITE_ERROR = WriteFailedError(2, "str", "no writer")
DONE = record("do:a", status="completed", result="1", sequence=1, attempts=1, settled_at=T0)
FAILED = Plan(
    REF,
    "failed",
    (AtVersion(REF, 7, "before"),),
    (PutInstance(instance(version=8)), PutStep(DONE), Write("a")),
    Suspended(None, ()),
)


@workflow(name="w")
def plain(step: Step) -> None: ...


def fail(seen: Any) -> Plan:
    return plan_write_failure(seen, FAILED, WRITE_ERROR, notify=False, execution_id="again")


NOTICE = f"{REF}#terminal:7"
EMPTY: list[Any] = [
    pytest.param(
        lambda: plan_defer(snapshot(instance()), fired(timer()), ERROR, execution_id="again"),
        Deferred(None, failure_of(ERROR)),
        id="G10: the hook is gone",
    ),
    pytest.param(
        lambda: fail(snapshot(instance(version=8))),
        Ignored("the instance has moved on"),
        id="T5: the instance has moved on",
    ),
    pytest.param(
        lambda: plan_resume(snapshot(instance()), REF, execution_id="again"),
        Resumed(),
        id="M4: nobody asked for a pause",
    ),
    pytest.param(
        lambda: plan_pause(snapshot(instance(status="paused")), REF, request_id="2", execution_id="again"),
        PauseRequested(None),
        id="M3: it is paused",
    ),
    pytest.param(
        lambda: plan_pause(snapshot(instance(), events=[pause_request()]), REF, request_id="2", execution_id="again"),
        PauseRequested("#pause-1"),
        id="M3: it was asked already",
    ),
    pytest.param(
        lambda: plan_terminal_notified(snapshot(instance()), REF, transition_id=NOTICE, execution_id="again"),
        TerminalNotified(NOTICE),
        id="O7: the notice is gone",
    ),
    pytest.param(
        lambda: plan_adopt_bare_keys(snapshot(instance()), REF, execution_id="again"),
        BareKeysAdopted(()),
        id="K5: no key is bare",
    ),
]


@pytest.mark.parametrize(("plan", "outcome"), EMPTY)
def test_a_command_with_nothing_to_do_gives_an_empty_plan_of_its_instance(
    plan: Callable[[], Plan], outcome: Any
) -> None:
    """Under its own execution id, and without a condition: whoever applies it has nothing to lose."""
    assert Plan(REF, "again", (), (), outcome) == plan()


def test_t5_the_rows_of_a_failed_write_are_settled_now_by_the_plan_that_ends_the_instance() -> None:
    nap = sleeping(LATER)
    settled: dict[str, Any] = {"settled_at": LATER, "execution_id": "again"}
    failure = failure_of(WRITE_ERROR)
    assert {
        "sleep:nap": attrs.evolve(nap, status="cancelled", **settled),
        "do:a": attrs.evolve(DONE, status="errored", result=None, failure=failure, **settled),
    } == written_steps(fail(snapshot(instance(), steps=[nap], now=LATER)))


@pytest.mark.parametrize(
    ("row", "plan"),
    [
        (instance(), fail),
        (instance(), lambda seen: plan_terminate(seen, REF, notify=False, execution_id="x")),
        (instance(status="errored"), lambda seen: plan_restart(seen, REF, plain, execution_id="x")),
    ],
    ids=["T5: a write has failed", "M5: terminate", "M6: restart"],
)
def test_a_request_to_pause_that_comes_to_nothing_is_consumed_now(row: Instance, plan: Callable[[Any], Plan]) -> None:
    taken = attrs.evolve(pause_request(), consumed_by="#pause", consumed_run=1, delivered_at=LATER)
    assert {"#pause-1": taken} == written_events(plan(snapshot(row, events=[pause_request()], now=LATER)))


# ---- what an error says


def send(event_id: str = "e1", payload: object = None) -> Plan:
    return plan_send_event(
        snapshot(instance()), REF, plain, "approved", payload, event_id=event_id, execution_id="send"
    )


def test_k4_an_event_id_that_cannot_be_used_is_named_as_one() -> None:
    with pytest.raises(StepNameError) as refused:
        send("a#b")
    assert ("event id", "a#b", "#", 1) == (
        refused.value.what,
        refused.value.name,
        refused.value.character,
        refused.value.position,
    )


def test_w11_a_payload_that_does_not_fit_is_named_as_that_events() -> None:
    with pytest.raises(CodecError) as refused:
        send(payload=instance())
    assert "in the payload of event 'approved'" in refused.value.advice


# ---- K5


def bare(**changes: Any) -> Any:
    return record("do:charge", status="completed", result="1", attempts=1, settled_at=T0, sequence=1, **changes)


def test_k5_an_adopted_record_stands_at_the_top_whatever_the_older_engine_says_of_it() -> None:
    """A bare name tells of no scope around it."""
    old = attrs.evolve(bare(), key="charge", name="x", parent_key="p", depth=3)
    plan = plan_adopt_bare_keys(snapshot(instance(), steps=[old]), REF, execution_id="adopt")
    assert {"do:charge": attrs.evolve(bare(), execution_id="adopt")} == written_steps(plan)


def test_k5_a_good_record_that_is_numbered_is_written_by_the_plan_that_does_so() -> None:
    good = attrs.evolve(bare(), sequence=None)
    plan = plan_adopt_bare_keys(snapshot(instance(), steps=[good]), REF, execution_id="adopt")
    assert {"do:charge": attrs.evolve(good, sequence=1, execution_id="adopt")} == written_steps(plan)


# ---- released


def test_s13_a_released_checkpoint_starts_no_body_and_leaves_those_of_others_alone() -> None:
    """Its attempts and their failures stay as they were."""
    row = instance(version=8, execution_id="mine", updated_at=LATER)
    own = record("do:own", status="started", wake_at=LATER, attempts=1, failure=FAILURE, execution_id="mine")
    others = record("do:other", status="started", wake_at=LATER, execution_id="other")
    done = attrs.evolve(DONE, execution_id="mine")
    hook = timer(LATER + MINUTE)
    rest = (PutStep(others), PutStep(done), Write("a"))
    held = (AtVersion(REF, 7, "before"),)
    checkpoint = Plan(REF, "mine", held, (PutInstance(row), PutStep(own), *rest, PutHook(hook)), Checkpointed())
    waits = attrs.evolve(own, status="waiting", wake_at=None)
    expected = (PutInstance(row), PutStep(waits), *rest, PutHook(timer(LATER)))
    assert attrs.evolve(checkpoint, mutations=expected) == released(checkpoint)
