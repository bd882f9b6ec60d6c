"""What the replay loop asks and is answered, and how a tick of workflow code ends: values. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from typing import Any, TypeAlias

import attrs

from wfcore.errors import CodecError, CorruptRecordError, WorkflowError
from wfcore.plan import Plan
from wfcore.planner.calls import Raised, Returned, Settled, StepCall

# ---- the loop asks


@attrs.frozen(eq=False)
class Bodies:
    """Start these bodies, then say what happened first among the bodies in flight.

    Attributes:
        start: the bodies to start, in this order.
        unwanted: keys of bodies in flight whose results nobody waits for (rule P5): one that can be cancelled is.
        until: the time since the retrieve at which the next deadline passes; ``None``: no deadline counts now.
        only: keys of the bodies to answer with; others keep their results until they are asked for. ``None``: any.
            A group has failed, and nothing but its own bodies may settle until it is raised (rule P4).
    """

    start: tuple[StepCall, ...] = ()
    unwanted: frozenset[str] = frozenset()
    until: timedelta | None = None
    only: frozenset[str] | None = None


# ---- and is answered


@attrs.frozen(eq=False)
class Done:
    """A body in flight has settled."""

    call: StepCall
    settled: Settled


@attrs.frozen(eq=False)
class Dropped:
    """An unwanted body was cancelled, or a body has used a step (``Unwind``): it leaves no record (rules P3, D9)."""

    call: StepCall


@attrs.frozen
class Elapsed:
    """``Bodies.until`` has passed, so much time after the retrieve, and no body has settled (rule W10)."""

    elapsed: timedelta


@attrs.frozen
class Continue:
    """The checkpoint is committed; planning goes on with this execution id."""

    execution_id: str


@attrs.frozen
class Stop:
    """The runner does not go on: it lost, it failed, it was asked to stop, or it saw a hook that the plan did not."""


Answer: TypeAlias = Done | Dropped | Elapsed | Continue | Stop
Loop: TypeAlias = Generator[Bodies | Plan, Answer, None]
"""The replay loop: ``Bodies`` is answered with ``Done``, ``Dropped`` or ``Elapsed``, a checkpoint ``Plan`` with
``Continue`` or ``Stop``."""


# ---- how a tick ends


@attrs.frozen
class Parked:
    """Every branch waits."""


@attrs.frozen
class Checkpoint:
    """This plan is to be committed, and there is nobody to do so while the tick goes on."""

    plan: Plan


@attrs.frozen
class Stopped:
    """The runner answered a checkpoint with ``Stop``."""


@attrs.frozen
class Fault:
    """The author's error, or a stored record or payload that the code cannot take."""

    error: WorkflowError | CodecError | CorruptRecordError


@attrs.frozen
class Abort:
    """Something that is not ours to judge is on its way out: ``KeyboardInterrupt`` in a body, a broken runner."""

    error: BaseException


End: TypeAlias = Returned[Any] | Raised | Parked | Checkpoint | Stopped | Fault | Abort


@attrs.frozen(kw_only=True)
class Manner:
    """How a runner runs bodies and commits checkpoints (rule O6).

    Attributes:
        continues: whether somebody commits checkpoints while the tick goes on.
        recover_after: when another runner may take over, counted from a checkpoint that is continued.
        concurrent: whether bodies of several branches may be in flight at once.
    """

    continues: bool
    recover_after: timedelta
    concurrent: bool = False
