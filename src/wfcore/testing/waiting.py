"""What an instance waits for, in words, from its rows alone. Pure: no I/O."""

from __future__ import annotations

from wfcore.model import Event, Hook, Snapshot, StepRecord


def waiting_text(snapshot: Snapshot) -> str:
    """One line for everything that an instance waits for, and what would wake it."""
    instance = snapshot.instance
    if instance is None:
        return "  there is no such instance"
    lines = [_step(step) for step in snapshot.steps if step.status in ("waiting", "started")]
    if instance.status == "paused":
        lines.append("it is paused: resume it")
    lines.extend(_event(event) for event in snapshot.events)
    lines.extend(_hook(hook) for hook in snapshot.hooks)
    return "\n".join(f"  {line}" for line in lines or ["it waits for nothing that is stored"])


def _step(step: StepRecord) -> str:
    match step.kind, step.status:
        case "wait_for_event", _:
            wanted = " or ".join(map(repr, step.event_types))
            until = "without a deadline" if step.wake_at is None else f"until {step.wake_at.isoformat()}"
            return f"{step.key} waits for event {wanted}, {until}; send it"
        case "do", "started":
            return f"{step.key} was started at most once; it counts as failed from {_at(step)} on"
        case "do", _ if step.next_retry_at is not None:
            failure = f" after {step.failure}" if step.failure else ""
            return f"{step.key} is tried again at {step.next_retry_at.isoformat()}{failure}"
        case _:
            return f"{step.key} waits until {_at(step)}"


def _at(step: StepRecord) -> str:
    return "no time" if step.wake_at is None else step.wake_at.isoformat()


def _event(event: Event) -> str:
    return f"event {event.type!r} has come at {event.created_at.isoformat()}, and nobody has taken it"


def _hook(hook: Hook) -> str:
    name = hook.id.removeprefix(f"{hook.instance_ref}#")
    failed = f", failed {hook.attempts} times, last with {hook.last_error}" if hook.attempts else ""
    return f"wake-up (hook) {name!r} is due at {hook.due_at.isoformat()}{failed}"
