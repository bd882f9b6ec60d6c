"""``do``: a body whose result is recorded, with retries, or started at most once (rules S1 to S15). Pure: no I/O."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import attrs

from wfcore.errors import CodecError, NonRetryableError, RetryAfterError, StepFailedError, StepInterruptedError
from wfcore.failure import failure_of
from wfcore.model import Payload, StepRecord
from wfcore.planner.attempt import Attempt
from wfcore.planner.calls import Raised, Returned
from wfcore.planner.steps.decision import Raise, Return, Stamp, later
from wfcore.retry import Retry


@attrs.define(eq=False)  # not frozen: one is made for each step call, and frozen objects take thrice as long to make
class Do:
    """What workflow code asks for.

    Attributes:
        body: the function to run.
        returns: the type that the caller gave, ``None``: see the body's annotation.
        retry: how often and how fast to try.
        at_most_once: how long a started attempt may take before it counts as failed (rule S13); ``None``: attempts
            are not committed before they start, and run at least once.
    """

    body: Callable[[Attempt], Any]
    returns: Any
    retry: Retry
    at_most_once: timedelta | None = None


def decide_do(record: StepRecord, do: Do, decode: Callable[[StepRecord, Do], Any]) -> Return | Raise | None:
    """What a record gives: its result, or its failure (rules S1, S2); ``None``: it has not settled."""
    if record.status == "completed":
        return Return(decode(record, do))
    if record.status == "errored" and record.failure is not None:
        return Raise(StepFailedError(record.key, record.failure.without_traceback()))
    return None


def must_start(spec: object, record: StepRecord | None) -> bool:
    """Whether the start of the next attempt is committed before its body runs (rule S13)."""
    return isinstance(spec, Do) and spec.at_most_once is not None and (record is None or record.status != "started")


def start_do(record: StepRecord, at_most_once: timedelta, stamp: Stamp) -> StepRecord:
    """The record of an attempt that is committed before its body runs (rule S13): a deadline, never renewed."""
    return attrs.evolve(
        record,
        status="started",
        next_retry_at=None,
        wake_at=later(stamp.now, at_most_once),
        execution_id=stamp.execution_id,
    )


def interrupted(record: StepRecord) -> Raised:
    """How an attempt ends that was started and left no result by its deadline (rule S13)."""
    return Raised(StepInterruptedError(record.key, record.wake_at or record.created_at))


def settle_do(
    record: StepRecord,
    result: Returned[Any] | Raised,
    retry: Retry,
    encode: Callable[[object], Payload],
    stamp: Stamp,
) -> StepRecord:
    """The record after an attempt: completed, errored, or waiting for the next attempt (rules S5 to S8).

    ``record`` is the one before the attempt (blank on the first visit). ``encode`` refuses what could not be decoded.
    """
    ended = partial(
        attrs.evolve,
        record,
        attempts=record.attempts + 1,
        max_attempts=retry.max_attempts,
        next_retry_at=None,
        wake_at=None,
        execution_id=stamp.execution_id,
    )
    settled = partial(ended, sequence=stamp.sequence, settled_at=stamp.now)
    if isinstance(result, Returned):
        try:
            payload = encode(result.value)
        except CodecError as refused:
            return settled(status="errored", failure=failure_of(refused))
        return settled(status="completed", result=payload, failure=None)
    error = result.error
    final = isinstance(error, (NonRetryableError, *retry.give_up_on))
    if final or record.attempts + 1 >= retry.max_attempts:
        return settled(status="errored", failure=failure_of(error))
    next_retry_at = later(stamp.now, _pause(record, error, retry))
    return ended(status="waiting", failure=failure_of(error), next_retry_at=next_retry_at)


def _pause(record: StepRecord, error: Exception, retry: Retry) -> timedelta:
    if isinstance(error, RetryAfterError):
        return error.delay
    return retry.delay_after(record.attempts + 1, record.instance_ref, str(record.run_number), record.key)
