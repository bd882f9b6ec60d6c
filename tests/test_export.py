"""Snapshots and plans as text: nothing is lost, every text says its version, and what is not one is refused."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from tests.lab import MINUTE, T0
from tests.planner.rows import (
    FAILURE,
    event,
    hook,
    instance,
    listening,
    message,
    notice,
    pause_request,
    record,
    retrying,
    sleeping,
    snapshot,
    timer,
)
from wfcore import CodecError, export_plan, export_snapshot, import_plan, import_snapshot
from wfcore.failure import failure_of
from wfcore.model import Snapshot
from wfcore.outcome import (
    Checkpointed,
    Completed,
    Created,
    Deferred,
    Errored,
    EventSent,
    Ignored,
    Outcome,
    Paused,
    Rescheduled,
    Stuck,
    Suspended,
)
from wfcore.plan import (
    Absent,
    AddEvent,
    AddHook,
    AddInstance,
    AtVersion,
    DeleteHook,
    DeleteInstance,
    DeleteStep,
    Exists,
    LogLine,
    Plan,
    PutEvent,
    PutHook,
    PutInstance,
    PutStep,
    Write,
)

DONE = record("scope:a#1>do:b", status="completed", result='{"id":9007199254740993}', sequence=1, settled_at=T0)
FULL = snapshot(
    instance(status="errored", tags={"é": "\u2028"}, output='"\\u0000"', failure=FAILURE, completed_at=T0 + MINUTE / 7),
    steps=[DONE, sleeping(T0), retrying(T0), listening("a", "b", until=T0)],
    events=[event(), event("e2", payload="1" * 1_500_000), pause_request()],
    hooks=[timer(), message(), notice(), hook("w#1#old", run=1, attempts=3, last_error="no")],
)
ROW = instance()
MUTATIONS = (
    PutInstance(ROW),
    PutStep(DONE),
    DeleteStep("w#1", 1, "do:a"),
    PutEvent(event()),
    PutHook(timer()),
    DeleteHook("w#1#timer"),
    DeleteInstance("w#1"),
    AddInstance(attrs.evolve(ROW, ref="w#2", instance_id="2")),
    AddEvent(event("e3")),
    AddHook(message("e3")),
    Write({"sql": ["insert", 1, None]}),
)
OUTCOMES: list[Outcome] = [
    Completed("1"),
    Errored(FAILURE),
    Suspended(T0, ("do:a",)),
    Paused(),
    Checkpointed(),
    Stuck(FAILURE),
    Rescheduled(None),
    Ignored("why"),
    Created("w#1"),
    EventSent("e1"),
    Deferred(T0, FAILURE),
]
HELD = AtVersion("w#1", 7, "before")


def plan(outcome: Outcome) -> Plan:
    return Plan("w#1", "tick", (HELD, Absent("w#2"), Exists("w#3")), MUTATIONS, outcome, (LogLine("é", {"n": [1.5]}),))


@pytest.mark.parametrize("seen", [FULL, snapshot(None), snapshot(ROW)], ids=["full", "no instance", "a row"])
def test_a_snapshot_comes_back(seen: Snapshot) -> None:
    found = import_snapshot(export_snapshot(seen))
    assert (seen, seen.now, seen.steps, seen.hooks) == (found, found.now, found.steps, found.hooks)


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda outcome: type(outcome).__name__)
def test_a_plan_comes_back(outcome: Outcome) -> None:
    assert plan(outcome) == import_plan(export_plan(plan(outcome)))


def test_the_traceback_of_a_failure_comes_back() -> None:
    """It is not compared, so the text has to be looked at."""
    failed = attrs.evolve(ROW, failure=failure_of(_raised()))
    found = import_snapshot(export_snapshot(snapshot(failed))).instance
    assert found is not None
    assert failed.failure is not None
    assert found.failure is not None
    assert failed.failure.traceback == found.failure.traceback != ""


def _raised() -> Exception:
    try:
        raise ValueError("no")
    except ValueError as error:
        return error


@pytest.mark.parametrize("text", [export_snapshot(FULL), export_plan(plan(Paused()))], ids=["snapshot", "plan"])
def test_every_text_begins_with_its_format_version(text: str) -> None:
    assert text.startswith('{"format_version":1,')


def test_a_text_is_the_same_in_every_process() -> None:
    assert (
        '{"format_version":1,"snapshot":{"instance":null,"steps":[],"events":[],"hooks":[],'
        '"now":"2026-01-01T00:00:00+00:00"}}'
    ) == export_snapshot(snapshot(None))


def changed(**changes: Any) -> str:
    return json.dumps({**json.loads(export_snapshot(snapshot(ROW))), **changes})


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", "$"),
        ("[]", "$"),
        ("{}", "$.format_version"),
        (changed(format_version=2), "$.format_version"),
        (changed(format_version=0), "$.format_version"),
        (changed(format_version="1"), "$.format_version"),
        (changed(format_version=True), "$.format_version"),
        (changed(snapshot=None), "$.snapshot"),
        (changed(snapshot={"instance": None}), "$.snapshot.now"),
        (export_plan(plan(Paused())), "$.snapshot"),
    ],
    ids=["empty", "a list", "no version", "a later one", "an older one", "text", "a bool", "null", "no time", "a plan"],
)
def test_what_is_no_snapshot_is_refused_with_its_place(text: str, path: str) -> None:
    with pytest.raises(CodecError) as refused:
        import_snapshot(text)
    assert path == refused.value.path


def test_a_refused_version_says_who_can_read_it() -> None:
    with pytest.raises(CodecError) as refused:
        import_plan(changed(format_version=7))
    assert ("1", "7", "another version of wfcore wrote it: read it with that one") == (
        refused.value.expected,
        refused.value.found,
        refused.value.advice,
    )


def test_a_field_that_a_later_version_added_is_ignored() -> None:
    exported = json.loads(export_snapshot(snapshot(ROW)))
    exported["snapshot"]["instance"]["colour"] = "blue"
    assert snapshot(ROW) == import_snapshot(json.dumps(exported))


def test_a_field_that_an_older_version_did_not_have_has_its_default() -> None:
    exported = json.loads(export_snapshot(snapshot(ROW)))
    del exported["snapshot"]["instance"]["tags"]
    assert snapshot(ROW) == import_snapshot(json.dumps(exported))


def test_a_plan_with_a_write_that_is_no_plain_json_is_refused() -> None:
    with pytest.raises(CodecError) as refused:
        export_plan(Plan("w#1", "tick", (HELD,), (Write((1, 2)),), Paused()))
    assert "$.plan.mutations[0].value" == refused.value.path
