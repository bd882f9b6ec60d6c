"""How a tick of workflow code ends, and what the loop asks and is answered: values. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from typing import Any, TypeAlias

import attrs

from wfcore.errors import CodecError, CorruptRecordError, WorkflowError
from wfcore.plan import Plan
from wfcore.planner.calls import Raised, Returned, Settled, StepCall


@attrs.frozen
class Continue:
    """The checkpoint is committed; planning goes on with this execution id."""

    execution_id: str


@attrs.frozen
class Stop:
    """The runner does not go on: it lost, it failed, it was asked to stop, or it saw a hook that the plan did not."""


Loop: TypeAlias = Generator[StepCall | Plan, Settled | Continue | Stop, None]
"""The replay loop: a ``StepCall`` is answered with ``Settled``, a checkpoint with ``Continue`` or ``Stop``."""


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
    """How the loop checkpoints (rule O6).

    Attributes:
        each_step: whether a step that has returned is committed before the next body starts.
        continues: whether somebody commits checkpoints while the tick goes on.
        recover_after: when another runner may take over, counted from a checkpoint that is continued.
    """

    each_step: bool
    continues: bool
    recover_after: timedelta
