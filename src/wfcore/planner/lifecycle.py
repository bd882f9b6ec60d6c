"""Which command an instance takes in which status, and what becomes of it. A table and one look-up; no I/O, no clock.

Theory of operation:

* An instance lives in one of three statuses: ``active`` (it can make progress now), ``waiting`` (it is parked),
  ``paused``. It ends in one of three: ``complete``, ``errored``, ``terminated``. What moves it between ``active`` and
  ``waiting``, and to the first two ends, are ticks (``tick.py``); all other moves are commands.
* There is no ``running``. Whether a tick is at work just now is not in any row, so no command can be refused because
  of it: either the command only appends, and the next tick sees what it has appended, or it writes the row, and
  the tick that read the old row conflicts and plans again.
* A status that is not in a command's row refuses the command, with the one error that is raised below, which names
  the commands that do move the instance. A status that maps to itself is no move: the command has something else to
  do there, or nothing.
* To restart or create (rule M8) is no row: where there is no instance it creates one, in the statuses that the caller
  names it restarts, in all others it leaves the instance alone. So it is never refused.
* A pause is a request. The table says what the request does to the row: nothing. The tick that finds the request
  makes ``paused`` of ``active`` and ``waiting``, between two steps and never within one (rule G5).

Whoever meets a conflict does not look at this table again by heart: it retrieves, and asks again (rule M12).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias

from wfcore.errors import IllegalTransitionError, InstanceNotFoundError
from wfcore.model import Instance, InstanceStatus, Snapshot

Command: TypeAlias = Literal[
    "send an event to", "pause", "resume", "terminate", "restart", "retry", "delete", "adopt bare step keys of"
]
"""What is asked for, as the words that an error puts before the instance."""
Becomes: TypeAlias = InstanceStatus | Literal["deleted"]

TRANSITIONS: Mapping[Command, Mapping[InstanceStatus, Becomes]] = MappingProxyType(
    {
        "send an event to": {"active": "active", "waiting": "waiting", "paused": "paused"},
        "pause": {"active": "active", "waiting": "waiting", "paused": "paused"},
        "resume": {"active": "active", "waiting": "waiting", "paused": "active"},
        "terminate": {"active": "terminated", "waiting": "terminated", "paused": "terminated"},
        "restart": {
            "active": "active",
            "waiting": "active",
            "paused": "active",
            "complete": "active",
            "errored": "active",
            "terminated": "active",
        },
        "retry": {"errored": "active"},
        "delete": {"complete": "deleted", "errored": "deleted", "terminated": "deleted"},
        "adopt bare step keys of": {
            "active": "active",
            "waiting": "active",
            "paused": "paused",
            "complete": "complete",
            "errored": "errored",
            "terminated": "terminated",
        },
    }
)
"""For each command the statuses that take it, and what becomes of each."""
_ALTERNATIVES: tuple[Command, ...] = ("resume", "retry", "restart", "terminate", "delete")
"""What can be proposed to somebody whose command is refused, the gentlest first."""


def transition(snapshot: Snapshot, ref: str, command: Command) -> tuple[Instance, Becomes]:
    """The instance that a command is for, and what becomes of it (rules M2 to M8, M11).

    Args:
        snapshot: of the instance.
        ref: the instance, for the errors.
        command: what is asked for.

    Returns:
        The row as it is, and the status that it takes: the same one if the command does not move it.

    Raises:
        InstanceNotFoundError: there is no such instance.
        IllegalTransitionError: the command is not possible in the instance's status.
    """
    instance = snapshot.instance
    if instance is None:
        raise InstanceNotFoundError(ref)
    becomes = TRANSITIONS[command].get(instance.status)
    if becomes is None:
        raise IllegalTransitionError(ref, instance.status, command, instead(instance.status))
    return instance, becomes


def instead(status: InstanceStatus) -> tuple[Command, ...]:
    """The commands that move an instance of that status, the gentlest first."""
    return tuple(
        command
        for command in _ALTERNATIVES
        if status in TRANSITIONS[command] and (command == "restart" or TRANSITIONS[command][status] != status)
    )
