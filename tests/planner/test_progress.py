"""Whether stored rows break rule O5, and which clause of it (rules O5, R7)."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from tests.lab import MINUTE, T0
from tests.planner.rows import (
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
from wfcore import breaks_o5
from wfcore.keys import start_id
from wfcore.model import TERMINAL, InstanceStatus, Snapshot

SOON, LATER = T0 + MINUTE, T0 + 2 * MINUTE
REQUEST = pause_request()
NO_TIMER = "waiting, and it has no timer, but the earliest deadline is 2026-01-01T00:01:00+00:00"


def parked(*steps: Any, hooks: list[Any] | None = None, mail: list[Any] | None = None) -> Snapshot:
    return snapshot(instance(), steps=steps, hooks=hooks or [], events=mail or [])


def of_status(status: InstanceStatus, *hooks: Any, steps: tuple[Any, ...] = ()) -> Snapshot:
    return snapshot(instance(status=status), hooks=hooks, steps=steps)


WELL: dict[str, Snapshot] = {
    "no instance": snapshot(None, hooks=[timer()]),
    "a sleep": parked(sleeping(SOON), hooks=[timer(SOON)]),
    "the earliest of several deadlines": parked(sleeping(LATER), retrying(SOON), hooks=[timer(SOON)]),
    "an at-most-once start": parked(record("do:a", status="started", wake_at=SOON), hooks=[timer(SOON)]),
    "a cancelled record does not count": parked(
        sleeping(SOON, status="cancelled"), sleeping(LATER, "sleep:b"), hooks=[timer(LATER)]
    ),
    "an event without a deadline": parked(listening()),
    "an event that no wait wants": parked(listening(), mail=[event(type="other")]),
    "an event that came too late": parked(listening(until=SOON), mail=[event(created_at=LATER)], hooks=[timer(SOON)]),
    "an event that no tick has seen": parked(listening(), mail=[event()], hooks=[message()]),
    "an event whose wake-up was put off": parked(
        listening(), mail=[event()], hooks=[message(due_at=LATER, attempts=3)]
    ),
    "a request to pause that no tick has seen": parked(
        sleeping(SOON), mail=[REQUEST], hooks=[timer(SOON), message(REQUEST.id)]
    ),
    "a timer that was put off": parked(sleeping(SOON), hooks=[timer(LATER, attempts=1)]),
    "active": of_status("active", timer(LATER)),
    "active, put off": of_status("active", timer(LATER, attempts=1)),
    "active, with mail": attrs.evolve(of_status("active", timer()), events=(event(), REQUEST)),
    "started by another instance": of_status("active", hook(start_id("w#1"))),
    "a start that was put off": of_status("active", hook(start_id("w#1"), LATER, attempts=1)),
    "paused": of_status("paused", steps=(sleeping(SOON),)),
    "paused, with mail": attrs.evolve(of_status("paused"), events=(event(), REQUEST)),
    **{
        status: of_status(status, notice(), message(), steps=(sleeping(SOON, status="cancelled"),))
        for status in sorted(TERMINAL)
    },
}
BROKEN: dict[str, tuple[Snapshot, str]] = {
    "no timer": (parked(sleeping(SOON)), NO_TIMER),
    "a timer that stands too late": (
        parked(sleeping(SOON), hooks=[timer(LATER)]),
        f"waiting, and its timer is due at {LATER.isoformat()}, but the earliest deadline is {SOON.isoformat()}",
    ),
    "a timer that stands too early": (
        parked(sleeping(SOON), hooks=[timer(T0)]),
        f"waiting, and its timer is due at {T0.isoformat()}, but the earliest deadline is {SOON.isoformat()}",
    ),
    "a timer for no deadline": (
        parked(listening(), hooks=[timer(SOON)]),
        "waiting, and its timer is due at 2026-01-01T00:01:00+00:00, but the earliest deadline is none",
    ),
    "a timer for no deadline that was put off": (
        parked(listening(), hooks=[timer(SOON, attempts=1)]),
        "waiting, and its timer is due at 2026-01-01T00:01:00+00:00, but the earliest deadline is none",
    ),
    "a timer of another run": (parked(sleeping(SOON), hooks=[timer(SOON, run=2)]), NO_TIMER),
    "a start hook is no timer of a parked instance": (
        parked(sleeping(SOON), hooks=[hook(start_id("w#1"), SOON)]),
        NO_TIMER,
    ),
    "nothing to wait for": (parked(), "waiting for nothing"),
    "nothing live to wait for": (parked(sleeping(SOON, status="cancelled")), "waiting for nothing"),
    "an event that is not announced": (
        parked(sleeping(SOON), listening(until=LATER), mail=[event()], hooks=[timer(SOON)]),
        "waiting, and 'wait_for_event:approval' may take the event 'e1', which no wake-up announces",
    ),
    "one of two events is announced": (
        parked(listening(), mail=[event(), event("e2")], hooks=[message()]),
        "waiting, and 'wait_for_event:approval' may take the event 'e2', which no wake-up announces",
    ),
    "a request to pause that is not announced": (
        parked(sleeping(SOON), mail=[REQUEST], hooks=[timer(SOON)]),
        "it was asked to pause, and no wake-up says so",
    ),
    "active without a timer": (of_status("active"), "active, and it has no timer"),
    "active with a message only": (of_status("active", message()), "active, and it has no timer"),
    "active with the timer of another run": (of_status("active", timer(run=2)), "active, and it has no timer"),
    "paused with a timer": (
        of_status("paused", timer(SOON)),
        "paused, and its timer is due at 2026-01-01T00:01:00+00:00",
    ),
    "ended with a timer": (
        of_status("complete", timer(SOON)),
        "complete, and its timer is due at 2026-01-01T00:01:00+00:00",
    ),
    "ended and waiting": (of_status("errored", steps=(sleeping(SOON),)), "errored, and 'sleep:nap' still waits"),
}


@pytest.mark.parametrize("seen", WELL.values(), ids=WELL)
def test_r7_what_is_well_breaks_nothing(seen: Snapshot) -> None:
    """O5."""
    assert None is breaks_o5(seen)


@pytest.mark.parametrize(("seen", "clause"), BROKEN.values(), ids=BROKEN)
def test_r7_what_breaks_o5_is_told_with_the_clause_that_it_breaks(seen: Snapshot, clause: str) -> None:
    assert clause == breaks_o5(seen)


@pytest.mark.parametrize("seen", WELL.values(), ids=WELL)
def test_r7_time_does_not_count(seen: Snapshot) -> None:
    """An instance that is overdue breaks nothing."""
    assert None is breaks_o5(attrs.evolve(seen, now=T0 + 1_000 * MINUTE))
