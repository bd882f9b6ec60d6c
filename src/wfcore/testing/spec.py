"""``given(...).when(...).then(...)``: one tick, or one command, as a test. No I/O, no clock: time is a value.

Nothing is stored and nothing waits: ``given`` makes the rows, ``when`` has the real planner plan, ``then`` compares.
``and_then`` goes on from the rows that the plan leaves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar, Unpack, overload

from wfcore.codec import JSON
from wfcore.model import Snapshot
from wfcore.ports import Codec
from wfcore.testing.clock import START
from wfcore.testing.planned import Given, begin
from wfcore.testing.rows import GivenEvent, GivenHook, GivenStep, InstanceFields, Stored
from wfcore.testing.state import Said
from wfcore.workflow import Registry, Workflow

P = TypeVar("P")


@overload
def given(
    workflow: Workflow[None, Any],
    /,
    *,
    steps: Sequence[GivenStep] = (),
    events: Sequence[GivenEvent] = (),
    hooks: Sequence[GivenHook] | None = None,
    at: datetime = START,
    codec: Codec = JSON,
    **row: Unpack[InstanceFields],
) -> Given: ...
@overload
def given(
    workflow: Workflow[P, Any],
    params: P | Stored,
    /,
    *,
    steps: Sequence[GivenStep] = (),
    events: Sequence[GivenEvent] = (),
    hooks: Sequence[GivenHook] | None = None,
    at: datetime = START,
    codec: Codec = JSON,
    **row: Unpack[InstanceFields],
) -> Given: ...
@overload
def given(snapshot: Snapshot, workflows: Iterable[Workflow[Any, Any]], /, *, codec: Codec = JSON) -> Given: ...
def given(
    what: Workflow[Any, Any] | Snapshot,
    params: Any = None,
    /,
    *,
    steps: Sequence[GivenStep] = (),
    events: Sequence[GivenEvent] = (),
    hooks: Sequence[GivenHook] | None = None,
    at: datetime = START,
    codec: Codec = JSON,
    **row: Unpack[InstanceFields],
) -> Given:
    """The rows that a tick or a command finds.

    What is not said is as the rules have it: an instance whose steps wait is ``waiting``, its timer at the first
    deadline; any other is ``active``, its timer due now; each event has the wake-up that announces it (rule O5).

    Args:
        what: the workflow; or a :class:`Snapshot`, and then the workflows that are known.
        params: of the instance; left out for a workflow without.
        steps: records of the run: ``completed("do:charge", Payment("p"))``, ``waiting("sleep:settle", until=...)``;
            settled ones in the order in which they have settled. Results are encoded by the type that the workflow's
            code gives them.
        events: in the mailbox, in order of arrival: ``event(Approved, Approval("eva"))``.
        hooks: all wake-ups that stand: ``timer(due_at)``, ``message("e1")``; left out: as said above.
        at: when the test begins.
        codec: how values become payloads.
        row: fields of the instance's row: ``status="paused"``, ``version=7``, ``run_number=2``, ``id="a-1"``.

    Raises:
        UnfitValueError: a value does not fit the type that the workflow gives it.
    """
    if isinstance(what, Snapshot):
        return begin(what, Registry(params or ()), codec)
    registry = Registry([what])
    said = Said(workflow=what, params=params, fields=row, steps=steps, events=events, hooks=hooks, at=at)
    return begin(said.snapshot(registry, codec), registry, codec)
