"""Errors whose blame lies with the caller of a command; values only, no I/O."""

from __future__ import annotations

from datetime import timedelta

import attrs

from wfcore.errors.base import WfcoreError
from wfcore.failure import Failure


class CommandError(WfcoreError):
    """The caller of a command asked for something that cannot be."""


@attrs.define(eq=False)
class InstanceNotFoundError(CommandError, LookupError):
    """There is no such instance.

    Attributes:
        ref: the instance asked for.
    """

    ref: str

    def __str__(self) -> str:
        return f"there is no instance {self.ref!r}; create it first, or check the workflow's name and the id"


@attrs.define(eq=False)
class RunNotFoundError(CommandError, LookupError):
    """The instance has no such run.

    Attributes:
        ref: the instance.
        run_number: the run asked for.
        last: number of its current run.
    """

    ref: str
    run_number: int
    last: int

    def __str__(self) -> str:
        return f"instance {self.ref!r} has no run {self.run_number}; its runs are 1 to {self.last}"


@attrs.define(eq=False)
class CursorError(CommandError, ValueError):
    """A list cannot go on at this cursor (rule M9).

    Attributes:
        cursor: what was given as one.
        problem: what is wrong with it.
    """

    cursor: str
    problem: str

    def __str__(self) -> str:
        return (
            f"cursor {self.cursor!r} cannot be used: {self.problem}; pass the next_cursor of a page with the filters "
            "of that page's query, or no cursor for the first page"
        )


@attrs.define(eq=False)
class InstanceExistsError(CommandError):
    """An instance of that id exists already (rule M1).

    Attributes:
        ref: the instance.
        status: its status.
    """

    ref: str
    status: str

    def __str__(self) -> str:
        return (
            f"instance {self.ref!r} exists already ({self.status}); pass on_conflict='return_existing' to get its "
            "handle, or another id"
        )


@attrs.define(eq=False)
class IllegalTransitionError(CommandError):
    """The command is not possible in the instance's status.

    Attributes:
        ref: the instance.
        status: its status.
        command: the command.
        instead: the commands that move an instance of that status, the gentlest first.
    """

    ref: str
    status: str
    command: str
    instead: tuple[str, ...] = ()

    def __str__(self) -> str:
        possible = ", ".join(self.instead)
        advice = f"what can be done with it: {possible}" if possible else "look at its status first"
        return f"cannot {self.command} instance {self.ref!r}: it is {self.status}; nothing was written; {advice}"


@attrs.define(eq=False)
class NoticePendingError(CommandError):
    """An instance cannot be deleted before its end was announced (rules O7, M11).

    Attributes:
        ref: the instance.
        transition_id: of the terminal transition that nobody was told of yet.
    """

    ref: str
    transition_id: str

    def __str__(self) -> str:
        return (
            f"cannot delete instance {self.ref!r}: its end was not announced yet ({self.transition_id!r}); run a "
            "dispatcher with on_terminal=, or drop the notice with plan_terminal_notified"
        )


@attrs.define(eq=False)
class StepNotRetryableError(CommandError):
    """No errored step of the instance can be opened again (rule M7).

    Attributes:
        ref: the instance.
        step_key: the first record that stands after the failed step.
    """

    ref: str
    step_key: str

    def __str__(self) -> str:
        return (
            f"cannot retry instance {self.ref!r}: step {self.step_key!r} settled after the failed one; restart it "
            "instead"
        )


@attrs.define(eq=False)
class InstanceFailedError(CommandError):
    """The result was asked for, and the instance is ``errored``.

    Attributes:
        ref: the instance.
        failure: why it failed.
    """

    ref: str
    failure: Failure

    def __str__(self) -> str:
        return (
            f"instance {self.ref!r} failed: {self.failure}; mend the cause, then handle.retry() goes on, and "
            "handle.restart() begins again"
        )


@attrs.define(eq=False)
class InstanceTerminatedError(CommandError):
    """The result was asked for, and the instance is ``terminated``.

    Attributes:
        ref: the instance.
    """

    ref: str

    def __str__(self) -> str:
        return f"instance {self.ref!r} was terminated and has no result; handle.restart() begins again"


@attrs.define(eq=False)
class NotFinishedError(CommandError, TimeoutError):
    """The result was asked for, and the instance has not ended in time.

    Attributes:
        ref: the instance.
        status: its status.
        timeout: how long the caller waited, or ``None``.
    """

    ref: str
    status: str
    timeout: timedelta | None = None

    def __str__(self) -> str:
        waited = f" after {self.timeout}" if self.timeout else ""
        advice = "handle.resume() lets it go on" if self.status == "paused" else "handle.explain() says for what"
        return f"instance {self.ref!r} has not ended{waited}: it is {self.status}; {advice}"


@attrs.define(eq=False)
class ContentionError(CommandError):
    """A command lost against other writers too often, or its effect is not known (rule M12).

    Attributes:
        ref: the instance.
        command: the command.
        tries: how often it was tried.
        unknown: whether it may have taken effect: its acknowledgement was lost and the instance has moved on.
    """

    ref: str
    command: str
    tries: int
    unknown: bool = False

    def __str__(self) -> str:
        if self.unknown:
            return (
                f"it is not known whether {self.command} took effect on {self.ref!r}: the acknowledgement was lost and "
                "the instance has moved on; look at the instance before you repeat it"
            )
        return (
            f"{self.command} of {self.ref!r} lost against other writers {self.tries} times; nothing was written, try "
            "again"
        )


@attrs.define(eq=False)
class UnknownEventTypeError(CommandError):
    """The workflow lists its event types, and this is none of them (rule W11).

    Attributes:
        workflow_name: the workflow.
        event_type: the type that was sent.
        known: the types that the workflow lists.
    """

    workflow_name: str
    event_type: str
    known: tuple[str, ...]

    def __str__(self) -> str:
        known = ", ".join(map(repr, self.known)) or "none"
        return (
            f"workflow {self.workflow_name!r} takes no event {self.event_type!r}; it lists: {known}; send one of them, "
            "or list it in @workflow(events=[...])"
        )
