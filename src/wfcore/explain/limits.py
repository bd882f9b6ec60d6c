"""What comes near a limit, and other notes for operators. Pure: no I/O, no clock, no payload is shown."""

from __future__ import annotations

from collections.abc import Iterator

from wfcore.errors import UnknownWorkflowError
from wfcore.explain.wording import shown
from wfcore.model import MANY_RECORDS, Instance, Payload, Snapshot
from wfcore.workflow import Registry


def notes(
    snapshot: Snapshot, row: Instance, registry: Registry | None, max_payload_bytes: int | None
) -> tuple[str, ...]:
    """What an operator should know besides, a line each.

    Args:
        snapshot: of the instance.
        row: the instance.
        registry: of the process that asks, if any.
        max_payload_bytes: of the codec in use; ``None``: it has no limit.
    """
    found: list[str] = []
    if registry is not None and row.workflow_name not in registry.names:
        found.append(str(UnknownWorkflowError(row.workflow_name, tuple(sorted(registry.names)))))
    if len(snapshot.steps) > MANY_RECORDS:
        found.append(
            f"the run has {len(snapshot.steps):,} records, and every tick reads and replays them: end runs by "
            "step.continue_with (rule O8)"
        )
    if max_payload_bytes is None:
        return tuple(found)
    near = (
        f"{what} has {size:,} bytes, of {max_payload_bytes:,} that a payload may have: store it elsewhere and pass a "
        "reference"
        for what, payload in _payloads(snapshot, row)
        if is_near((size := size_of(payload)), max_payload_bytes)
    )
    return (*found, *shown(list(near)))


def size_of(payload: Payload) -> int:
    """Its length in UTF-8 bytes."""
    return len(payload) if payload.isascii() else len(payload.encode("utf-8", "surrogatepass"))


def is_near(size: int, max_payload_bytes: int) -> bool:
    """Whether a payload has reached four fifths of what is allowed."""
    return size * 5 >= max_payload_bytes * 4


def _payloads(snapshot: Snapshot, row: Instance) -> Iterator[tuple[str, Payload]]:
    yield "the value of its parameters", row.params
    yield "its result", row.output or ""
    for step in sorted(snapshot.steps, key=lambda step: step.key):
        yield f"the result of {step.key!r}", step.result or ""
    for event in snapshot.events:
        yield f"the payload of event {event.id!r}", event.payload
