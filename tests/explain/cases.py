"""Every way in which an instance can stand still, as a snapshot each; ``texts.txt`` holds what is said of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import attrs

from tests.lab import MINUTE, SECOND, T0
from tests.planner.rows import (
    FAILURE,
    event,
    hook,
    instance,
    listening,
    message,
    notice,
    record,
    retrying,
    sleeping,
    snapshot,
    timer,
)
from wfcore.errors import (
    CodecError,
    ContentionError,
    EventTimeoutError,
    NonDeterminismError,
    StepFailedError,
    StoreUnavailableError,
    UnawaitedStepError,
    UnknownWorkflowError,
    WriteFailedError,
)
from wfcore.failure import failure_of
from wfcore.keys import start_id
from wfcore.model import Event, Hook, InstanceStatus, Snapshot, StepRecord

TEXTS = Path(__file__).parent / "texts.txt"
SOON, LATER = T0 + MINUTE, T0 + timedelta(days=1)
CHARGED = record("do:charge", status="completed", result="1", sequence=1, settled_at=T0)
PAUSE = event("#pause:1", type="pause", actor="system")
TIMEOUT = failure_of(EventTimeoutError("wait_for_event:approval", ("approved",), T0))
REFUSED = failure_of(WriteFailedError(3, "shop.OrderPaid", "no such table: orders"))
MISMATCH = NonDeterminismError(
    "w#1", "do:charge", 1, ("do:reserve",), "", "the code does not ask for the step whose turn it is"
)


def parked(*steps: StepRecord, due: datetime | None = SOON, mail: tuple[Event, ...] = (), **more: Any) -> Snapshot:
    """A waiting instance that is as rule O5 wants it."""
    hooks = ([] if due is None else [timer(due)]) + list(more.pop("hooks", ()))
    return snapshot(instance(), steps=[CHARGED, *steps], events=mail, hooks=hooks, **more)


def active(due: datetime, *steps: StepRecord, hooks: tuple[Hook, ...] = (), **changes: Any) -> Snapshot:
    now = changes.pop("now", T0)
    return snapshot(instance(status="active", **changes), steps=steps, hooks=[timer(due), *hooks], now=now)


def ended(status: InstanceStatus, *steps: StepRecord, hooks: tuple[Hook, ...] = (), **changes: Any) -> Snapshot:
    return snapshot(instance(status=status, completed_at=T0, **changes), steps=steps, hooks=hooks, now=SOON)


def put_off(error: Exception, attempts: int = 3) -> Snapshot:
    """The tick of a sleep that is over fails."""
    deferred = timer(T0 + 4 * SECOND, attempts=attempts, last_error=str(failure_of(error)))
    return snapshot(instance(), steps=[CHARGED, sleeping(T0)], hooks=[deferred])


def failed(key: str, **changes: Any) -> StepRecord:
    return record(key, status="errored", sequence=2, settled_at=T0, **changes)


def _of_steps() -> Iterator[tuple[str, Snapshot]]:
    yield "a sleep", parked(sleeping(SOON))
    yield "a retry", parked(retrying(SOON))
    yield "an attempt more than the last policy granted", parked(attrs.evolve(retrying(SOON), attempts=3))
    yield "an event", parked(listening(), due=None)
    yield "an event of several types, with a deadline", parked(listening("approved", "refused", until=SOON))
    yield (
        "an event, while others came",
        parked(listening(until=SOON), mail=(event(type="aproved"), event("e2", type="news", created_at=T0 - MINUTE))),
    )
    yield (
        "an event that came too late",
        parked(listening(until=T0), due=T0, mail=(event(created_at=T0 + SECOND),), now=T0 + 3 * SECOND),
    )
    yield "an event that is there", parked(listening(until=SOON), mail=(event(),), hooks=(message(),))
    yield "at most once", parked(record("do:letter", status="started", wake_at=SOON))
    yield (
        "at most once, again",
        parked(record("do:letter", status="started", wake_at=SOON, attempts=1, max_attempts=2, failure=FAILURE)),
    )
    yield "a body that is to run again", active(T0, CHARGED, record("do:letter"))
    yield "a wait that a retry has opened", active(T0, CHARGED, record("wait_for_event:approval"))
    yield (
        "branches",
        parked(
            sleeping(LATER, "gather:both[0]>sleep:nap"),
            retrying(SOON, "gather:both[1]>do:mail"),
            listening(key="gather:both[2]>wait_for_event:approval"),
        ),
    )
    yield "many branches", parked(*(sleeping(SOON, f"map:all[{n:02}]>sleep:nap") for n in range(40)))


def _of_times() -> Iterator[tuple[str, Snapshot]]:
    yield "new", active(T0, started_at=None)
    yield (
        "new, made by another instance",
        snapshot(instance(status="active", started_at=None), hooks=[hook(start_id("w#1"), reason="create")]),
    )
    yield (
        "continued",
        snapshot(instance(status="active", started_at=None, run_number=3), hooks=[timer(T0, run=3)], now=T0 + SECOND),
    )
    yield "running", active(T0 + 10 * SECOND, CHARGED)
    yield "running, without a settled step", active(T0 + 10 * SECOND, record("do:a", status="started", wake_at=SOON))
    yield "left by its runner", active(T0, CHARGED)
    yield "due", parked(sleeping(T0), due=T0, now=T0 + 59 * SECOND)
    yield "overdue", parked(sleeping(T0), due=T0, now=SOON)
    yield "overdue before its first tick", active(T0, started_at=None, now=LATER)
    yield (
        "overdue after it was put off",
        snapshot(
            instance(), steps=[sleeping(T0)], hooks=[timer(SOON, attempts=1, last_error="OSError: no")], now=LATER
        ),
    )
    yield "paused", snapshot(instance(status="paused"), steps=[CHARGED, sleeping(SOON)], now=T0 + 2 * MINUTE)
    yield "asked to pause", parked(sleeping(SOON), mail=(PAUSE,), hooks=(message(PAUSE.id, reason="pause"),))
    yield (
        "asked to pause while it runs",
        snapshot(
            instance(status="active"),
            steps=[CHARGED],
            events=[PAUSE],
            hooks=[timer(T0 + 10 * SECOND), message(PAUSE.id, reason="pause")],
        ),
    )


def _of_problems() -> Iterator[tuple[str, Snapshot]]:
    yield "a mismatch", put_off(MISMATCH)
    yield "an unknown workflow", put_off(UnknownWorkflowError("w", ("other",)))
    yield "an error of the author", put_off(UnawaitedStepError(("do:mail",)), attempts=1)
    yield "a payload that does not fit", put_off(CodecError("$.cents", "an integer", "a string"))
    yield "contention", put_off(ContentionError("w#1", "tick", 6))
    yield "a store that failed", put_off(StoreUnavailableError("retrieve", "connection lost"))
    yield "a bug", put_off(ZeroDivisionError("division by zero"))
    unawaited = str(failure_of(UnawaitedStepError(("do:mail",))))
    yield (
        "stuck after new work",
        snapshot(
            instance(status="active"),
            steps=[CHARGED],
            hooks=[timer(T0 + SECOND, attempts=1, last_error=unawaited)],
        ),
    )
    yield (
        "a message that was put off while it runs",
        active(T0 + 10 * SECOND, CHARGED, hooks=(message(due_at=SOON, attempts=1, last_error="OSError: no"),)),
    )
    yield "without a timer", parked(sleeping(SOON), due=None)
    yield "waiting for nothing", parked(due=None)


def _of_ends() -> Iterator[tuple[str, Snapshot]]:
    yield "complete", ended("complete", CHARGED, output="1")
    yield "complete, not announced yet", ended("complete", CHARGED, output="1", hooks=(notice(),))
    yield "terminated", ended("terminated", CHARGED)
    of_step = failure_of(StepFailedError("do:ship", FAILURE))
    yield "failed by a step", ended("errored", CHARGED, failed("do:ship", failure=FAILURE), failure=of_step)
    waited = failed("wait_for_event:approval", failure=TIMEOUT, event_types=("approved",), wake_at=T0)
    yield (
        "failed by a timeout",
        snapshot(
            instance(status="errored", completed_at=T0, failure=TIMEOUT),
            steps=[waited],
            events=[event(created_at=T0 + SECOND)],
            now=SOON,
        ),
    )
    after = record("do:tell", status="completed", sequence=3, settled_at=T0)
    yield "failed, and not to be retried", ended("errored", failed("do:ship", failure=FAILURE), after, failure=of_step)
    both = [failed(f"gather:g[{n}]>do:ship", failure=FAILURE) for n in range(2)]
    of_branch = failure_of(StepFailedError("gather:g[1]>do:ship", FAILURE))
    yield "failed in two branches", ended("errored", *both, failure=of_branch)
    yield "failed without a failed step", ended("errored", CHARGED, failure=FAILURE)
    yield "failed by a write", ended("errored", failed("do:pay", failure=REFUSED), failure=REFUSED)
    yield "failed in workflow code", ended("errored", failed("do:ship", failure=FAILURE), failure=FAILURE)


CASES = {name: found for group in (_of_steps, _of_times, _of_problems, _of_ends) for name, found in group()}


def texts() -> dict[str, str]:
    """What is expected, by case."""
    found = {}
    for part in TEXTS.read_text(encoding="utf-8").split("## ")[1:]:
        name, _, text = part.partition("\n")
        found[name] = text.strip("\n")
    return found
