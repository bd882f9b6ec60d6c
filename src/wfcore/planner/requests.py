"""What a step call of workflow code becomes: a request to the replay loop, and where it was made. Pure: no I/O."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Generator
from datetime import datetime
from typing import Any, TypeAlias

import attrs

from wfcore.errors import WorkflowError
from wfcore.keys import SegmentKind, check_name
from wfcore.model import StepRecord
from wfcore.plan import LogLine
from wfcore.planner.calls import Raised, Returned
from wfcore.planner.groups import Fan
from wfcore.planner.steps.decision import Raise, Return
from wfcore.planner.steps.do import Do
from wfcore.planner.steps.sleep import Sleep
from wfcore.planner.steps.wait import WaitForEvent


@attrs.frozen
class ContinueWith:
    """What a workflow returns to begin its next run with these parameters (rule O8)."""

    params: Any


@attrs.frozen
class Patch:
    """Workflow code asks whether it goes by the code behind a patch (rule D4); only its record is a step's."""


Spec: TypeAlias = Do | Sleep | WaitForEvent | Fan | Patch


_PATIENCE = 100
"""How often code is told to end: each step that its ``finally`` blocks await takes one time more."""


class Unwind(BaseException):
    """Ends workflow code at the end of its tick; not an ``Exception``, so that ``except Exception`` lets it pass.

    ``error`` is the author's error that is on its way, if the one who raises it cannot tell the loop.
    """

    def __init__(self, error: WorkflowError | None = None) -> None:
        self.error = error


class Scope:
    """A place in which step names are counted: the workflow, a ``scope``, a branch (rules K1, K2)."""

    __slots__ = ("_counts", "depth", "path")

    def __init__(self, path: str = "", depth: int = 0) -> None:
        self.path = path
        self.depth = depth
        self._counts: dict[str, int] = {}

    def key(self, kind: str, name: str) -> str:
        """The key of the next step of that kind and name. Raises ``StepNameError`` for a name that cannot be used."""
        local = f"{kind}:{name}"
        repeat = self._counts.get(local)
        if repeat is None:
            check_name(name)
            repeat = 0
        self._counts[local] = repeat + 1
        if repeat:
            local = f"{local}#{repeat}"
        return f"{self.path}>{local}" if self.path else local


class Branch:
    """One line of execution of workflow code.

    Attributes:
        coroutine: how it is resumed; ``None`` for a ``def`` workflow, which is resumed by returning to it, and for a
            branch that has not begun.
        begin: makes the coroutine of a branch that has not begun.
        group: the group that it is a branch of; ``None`` for the workflow itself.
        order: where it stands among all branches, whatever has settled: the indices of the branches around it.
        asked: the request that it waits for.
        inner: the group that it waits for, if it has asked for one.
        answer: what it is resumed with.
        clock: what ``step.now()`` says there: the last settlement in its causal past (rule D5).
        logs: lines that were logged since its last request.
        closed: whether its group was decided without it (rules P4, P5).
        has_run: whether a body of it, or of a branch below it, has run.
        bounds: it and the branches around it, outermost first, that are branches of maps with bounded concurrency.
    """

    __slots__ = (
        "answer",
        "asked",
        "begin",
        "bounds",
        "clock",
        "closed",
        "coroutine",
        "group",
        "has_run",
        "inner",
        "logs",
        "order",
    )

    def __init__(
        self,
        clock: datetime,
        group: Group | None = None,
        order: tuple[int, ...] = (),
        begin: Callable[[Branch], Any] | None = None,
    ) -> None:
        self.coroutine: Coroutine[Any, Any, Any] | None = None
        self.begin = begin
        self.group = group
        self.order = order
        self.asked: Request | None = None
        self.inner: Group | None = None
        self.answer: Return | Raise = Return(None)
        self.clock = clock
        self.logs: list[LogLine] = []
        self.closed = False
        self.has_run = False
        self.bounds: tuple[Branch, ...] = group.request.branch.bounds if group is not None else ()
        if group is not None and group.fan.max_concurrency is not None:
            self.bounds = (*self.bounds, self)

    @property
    def path(self) -> str:
        """What the keys of its steps begin with."""
        return f"{self.group.request.key}[{self.group.fan.labels[self.order[-1]]}]" if self.group else ""

    def mark_begun(self) -> None:
        """A body of the branch has run: under a map it goes before branches that have not begun."""
        around: Branch | None = self
        while around is not None and not around.has_run:
            around.has_run = True
            around = around.group.request.branch if around.group else None


class Group:
    """A gather, race or map under way.

    Attributes:
        request: what asked for it.
        fan: the branches as they were asked for.
        branches: those that run, by index.
        ended: the results of those that have ended, by index.
        decision: what it gives, once that is decided.
        clock: what ``step.now()`` says after it.
        logs: lines that were logged before it, to be emitted with the first record that is made in it.
        admitted: branches that may start bodies, in a map with bounded concurrency.
    """

    __slots__ = ("admitted", "branches", "clock", "decision", "ended", "fan", "logs", "request")

    def __init__(self, request: Request, fan: Fan) -> None:
        self.request = request
        self.fan = fan
        self.branches: list[Branch] = []
        self.ended: dict[int, Returned[Any] | Raised] = {}
        self.decision: Return | Raise | None = None
        self.clock = request.branch.clock
        self.logs: list[LogLine] = []
        self.admitted: set[Branch] = set()


class Request(Coroutine[Any, Any, Any]):
    """A step that workflow code asks for. Awaiting it hands it to the replay loop, once.

    Attributes:
        branch: where it was made.
        scope: the scope that its key was counted in.
        kind: kind of step.
        name: the author's name.
        key: its key.
        spec: what is asked for.
        record: the step's record as of now, ``None`` before its first visit.
        logs: lines that were logged before it, to be emitted with its first record.
    """

    __slots__ = ("_iterator", "branch", "key", "kind", "logs", "name", "record", "scope", "spec")

    def __init__(self, branch: Branch, scope: Scope, kind: SegmentKind, name: str, key: str, spec: Spec) -> None:
        self.branch = branch
        self.scope = scope
        self.kind: SegmentKind = kind
        self.name = name
        self.key = key
        self.spec = spec
        self.record: StepRecord | None = None
        self.logs: tuple[LogLine, ...] = ()
        self._iterator: Generator[Request, Any, Any] | None = None

    def __await__(self) -> Generator[Request, Any, Any]:
        return (yield self)

    def send(self, value: Any) -> Any:
        """Drive the request as a coroutine object."""
        if self._iterator is None:
            self._iterator = self.__await__()
        return self._iterator.send(value)

    def throw(self, error: Any, /, *value_and_traceback: Any) -> Any:
        """Raise an error where the request is awaited: nothing of it catches one."""
        self.close()
        return super().throw(error, *value_and_traceback)

    def close(self) -> None:
        """Let go of the request."""
        if self._iterator is not None:
            self._iterator.close()

    def take_logs(self) -> tuple[LogLine, ...]:
        """The lines to emit with its first record: those before it, and those before the groups around it."""
        lines, self.logs = list(self.logs), ()
        group = self.branch.group
        while group is not None:
            lines[:0] = group.logs
            group.logs = []
            group = group.request.branch.group
        return tuple(lines)

    def leave_logs(self) -> None:
        """No record of it will ever be made: its lines go to the code around the branches that are closed."""
        lines, self.logs = list(self.logs), ()
        around, group = self.branch, self.branch.group
        while group is not None and (around := group.request.branch).closed:
            lines[:0] = group.logs
            group.logs = []
            group = around.group
        around.logs.extend(lines)

    def blank(self, now: datetime, instance_ref: str, run_number: int, execution_id: str) -> StepRecord:
        """The record of its first visit, before anything is known of it."""
        return StepRecord(
            instance_ref=instance_ref,
            run_number=run_number,
            key=self.key,
            kind=self.kind,  # type: ignore[arg-type] # a gather or a race has no record
            name=self.name,
            parent_key=self.scope.path or None,
            depth=self.scope.depth,
            status="waiting",
            created_at=now,
            execution_id=execution_id,
        )


def with_those_below(branch: Branch) -> list[Branch]:
    """The branch and the branches of the groups that are under way below it: those first, the branch last."""
    found, left = [], [branch]
    while left:
        found.append(left.pop())
        inner = found[-1].inner
        left.extend(inner.branches if inner else ())
    return found[::-1]


def close_all(branch: Branch) -> None:
    """Let go of the code of a branch and of those below it."""
    for each in with_those_below(branch):
        close_code(each)


def close_code(branch: Branch) -> None:
    """Let go of the code of a branch; what its ``finally`` blocks await is not asked for."""
    coroutine = branch.coroutine
    if isinstance(coroutine, Request):
        coroutine.close()
        return
    for _ in range(_PATIENCE):
        if coroutine is None or inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED:
            break
        try:
            coroutine.close()
        except (Exception, Unwind):  # noqa: S112 - a finally block failed, or awaits: the branch is over either way
            continue
