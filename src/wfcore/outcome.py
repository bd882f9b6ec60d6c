"""What a plan means, as past participles: one class for each way a tick or a command can end. Values only, no I/O."""

from __future__ import annotations

from datetime import datetime
from typing import TypeAlias

import attrs

from wfcore.failure import Failure
from wfcore.model import InstanceStatus, Payload


@attrs.frozen
class Completed:
    """The workflow returned (rule O1); ``output`` is the encoded result."""

    output: Payload


@attrs.frozen
class Errored:
    """The instance ended with a failure (rules O2, T5)."""

    failure: Failure


@attrs.frozen
class Continued:
    """The run has ended, and run ``run_number`` has begun with new parameters (rule O8)."""

    run_number: int


@attrs.frozen
class Suspended:
    """The workflow is parked (rule O3) until ``until`` (``None``: until an event) on the steps ``waiting_on``."""

    until: datetime | None
    waiting_on: tuple[str, ...]


@attrs.frozen
class Paused:
    """A pause request was honoured (rule G5)."""


@attrs.frozen
class Checkpointed:
    """What has settled is committed; there is more to do at once (rules O4, O6)."""


@attrs.frozen
class Stuck:
    """An error of the author was found after new work: the work is kept, the instance tries again later (rule D9)."""

    error: Failure


@attrs.frozen
class Rescheduled:
    """Nothing was due; the timer stands at ``due_at``, ``None`` if only an event can wake the instance (rule G7)."""

    due_at: datetime | None


@attrs.frozen
class Ignored:
    """The hook had nothing to say; ``why`` tells the reason (rules G1 to G6)."""

    why: str


@attrs.frozen
class Created:
    """An instance was created (rule M1)."""

    ref: str


@attrs.frozen
class EventSent:
    """An event was appended (rule M2)."""

    event_id: str


@attrs.frozen
class Deferred:
    """A tick failed for a reason that is not the workflow's; its hook is tried again at ``due_at`` (rule D3)."""

    due_at: datetime | None
    error: Failure


@attrs.frozen
class PauseRequested:
    """The next tick pauses the instance (rule M3).

    Attributes:
        event_id: of the request that does so, which may be an earlier one; ``None``: the instance is paused.
    """

    event_id: str | None


@attrs.frozen
class Resumed:
    """The instance goes on (rule M4); ``withdrawn`` are the pending requests to pause that came to nothing."""

    withdrawn: tuple[str, ...] = ()


@attrs.frozen
class Terminated:
    """The instance was ended by a command (rule M5)."""


@attrs.frozen
class Restarted:
    """A new run begins (rule M6)."""

    run_number: int


@attrs.frozen
class Retried:
    """The failed run goes on (rule M7).

    Attributes:
        reopened: keys of the failed steps that are tried again.
        removed: keys of records that are made anew, if the code comes to them again.
    """

    reopened: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


@attrs.frozen
class Unchanged:
    """The instance is left as it is: it has a status in which it was not to be restarted (rule M8)."""

    status: InstanceStatus


@attrs.frozen
class Deleted:
    """The instance and all its rows are gone (rule M11)."""

    ref: str


@attrs.frozen
class TerminalNotified:
    """The notice of a terminal transition was handed over, and is gone (rule O7)."""

    transition_id: str


@attrs.frozen
class BareKeysAdopted:
    """Records of an older engine have new keys (rule K5): ``(old, new)`` for each, in the order of the new ones."""

    keys: tuple[tuple[str, str], ...]


Outcome: TypeAlias = (
    Completed
    | Continued
    | Errored
    | Suspended
    | Paused
    | Checkpointed
    | Stuck
    | Rescheduled
    | Ignored
    | Created
    | EventSent
    | Deferred
    | PauseRequested
    | Resumed
    | Terminated
    | Restarted
    | Retried
    | Unchanged
    | Deleted
    | TerminalNotified
    | BareKeysAdopted
)
