"""``explain``: reads a snapshot the way the gate would, and says what it sees. Pure: no I/O, no clock.

No workflow code runs: whether the code that is deployed now fits the history, only a replay can tell.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from wfcore.codec import JSON
from wfcore.explain.explanation import Explanation
from wfcore.explain.limits import notes
from wfcore.explain.parts import About, NearMiss, Unsettled, WaitsFor, WakeUp
from wfcore.explain.situations import Sight, problem_of, situation
from wfcore.keys import is_terminal_notice, message_id, start_id, timer_id
from wfcore.model import Event, Hook, Instance, Snapshot, StepRecord
from wfcore.planner.reopening import failed_step
from wfcore.planner.steps.decision import LATEST, deadline, is_waiting, wanted_event
from wfcore.ports import Codec, payload_limit
from wfcore.workflow import Registry


def explain(
    snapshot: Snapshot,
    *,
    registry: Registry | None = None,
    now: datetime | None = None,
    codec: Codec = JSON,
) -> Explanation:
    """Say what an instance is waiting for, until when, and what would wake it (rule M10).

    Args:
        snapshot: what a store's ``retrieve`` returned.
        registry: if given, it is said whether it knows the workflow. No workflow code is run.
        now: the instant to compare deadlines with; left out: the snapshot's.
        codec: the one in use: payloads that come near the longest that it encodes are named.

    Returns:
        The explanation as data; ``str()`` of it is a short text.

    Raises:
        ValueError: the snapshot is of an instance that does not exist.
    """
    instance = snapshot.instance
    if instance is None:
        raise ValueError("there is no instance in this snapshot, so nothing to explain")
    now = now or max(snapshot.now, instance.updated_at)
    events = [event for event in snapshot.events if event.actor == "user"]
    live = sorted(filter(is_waiting, snapshot.steps), key=lambda step: (deadline(step) or LATEST, step.key))
    settled = sorted(filter(_has_settled, snapshot.steps), key=lambda step: (step.sequence or 0, step.key))
    last = settled[-1] if settled else None
    failed = failed_step(instance.failure, settled)
    hooks = sorted(snapshot.hooks, key=lambda hook: (hook.due_at, hook.id))
    sight = Sight(
        snapshot=snapshot,
        instance=instance,
        now=now,
        hooks=tuple(hook for hook in hooks if not is_terminal_notice(hook.id)),
        last_settled=last,
        failed_step=failed,
    )
    kind, summary, advice = situation(sight)
    return Explanation(
        ref=instance.ref,
        status=instance.status,
        situation=kind,
        summary=summary,
        advice=advice,
        now=now,
        run_number=instance.run_number,
        record_count=len(snapshot.steps),
        settled_count=len(settled),
        last_settled=last.key if last else None,
        last_settled_at=last.settled_at if last else None,
        unsettled=_unsettled(live, events),
        wake_ups=tuple(_wake_up(instance, hook) for hook in hooks),
        near_misses=_near_misses([*live, failed] if failed else live, events),
        problem=problem_of(sight),
        failure=instance.failure,
        failed_step=failed.key if failed else None,
        step_failure=failed.failure if failed else None,
        notes=notes(snapshot, instance, registry, payload_limit(codec)),
    )


def _has_settled(step: StepRecord) -> bool:
    """Whether a step has; patches and lists of maps are complete when they are first reached, and are no steps (K3)."""
    return step.status in ("completed", "errored") and step.kind not in ("patch", "map")


def _unsettled(live: list[StepRecord], events: list[Event]) -> tuple[Unsettled, ...]:
    by_type: dict[str, list[Event]] = {}
    for event in events:
        by_type.setdefault(event.type, []).append(event)
    found = []
    for step in live:
        taken = (wanted_event(step, by_type.get(type_, ())) for type_ in step.event_types)
        fitting = [event for event in taken if event is not None]
        first = min(fitting, key=events.index) if len(fitting) > 1 else next(iter(fitting), None)
        found.append(
            Unsettled(
                step_key=step.key,
                branch=step.parent_key or "",
                waits_for=_waits_for(step),
                until=deadline(step),
                event_types=step.event_types,
                event_id=first.id if first else None,
                attempts=step.attempts,
                max_attempts=step.max_attempts,
                failure=step.failure,
            )
        )
    return tuple(found)


def _waits_for(step: StepRecord) -> WaitsFor:
    if step.status == "started":
        return "result"
    if step.kind == "do":
        return "next attempt"
    return "event" if step.kind == "wait_for_event" else "time"


def _near_misses(live: Iterable[StepRecord], events: list[Event]) -> tuple[NearMiss, ...]:
    last: dict[str, datetime] = {}  # by type: until when an open wait takes it
    for step in live:
        until = step.wake_at or LATEST
        last.update((type_, max(until, last.get(type_, until))) for type_ in step.event_types)
    return tuple(
        NearMiss(
            event_id=event.id,
            type=event.type,
            created_at=event.created_at,
            why="late" if event.type in last else "type",
        )
        for event in events
        if event.type not in last or event.created_at > last[event.type]
    )


def _wake_up(instance: Instance, hook: Hook) -> WakeUp:
    about, event_id = _about(instance, hook)
    return WakeUp(
        hook_id=hook.id,
        about=about,
        event_id=event_id,
        due_at=hook.due_at,
        attempts=hook.attempts,
        last_error=hook.last_error,
    )


def _about(instance: Instance, hook: Hook) -> tuple[About, str | None]:
    if hook.id == timer_id(instance.ref):
        return "timer", None
    if hook.id == start_id(instance.ref):
        return "start", None
    if is_terminal_notice(hook.id):
        return "notice", None
    event_id = hook.id.removeprefix(message_id(instance.ref, ""))
    return ("pause" if event_id.startswith("#") else "event"), event_id
