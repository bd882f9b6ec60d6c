"""What a step call of workflow code becomes: a request to the replay loop, and where it was made. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from datetime import datetime
from typing import Any, TypeAlias

from wfcore.errors import WorkflowError
from wfcore.keys import check_name
from wfcore.model import StepKind, StepRecord
from wfcore.plan import LogLine
from wfcore.planner.steps.decision import Raise, Return
from wfcore.planner.steps.do import Do
from wfcore.planner.steps.sleep import Sleep
from wfcore.planner.steps.wait import WaitForEvent

Spec: TypeAlias = Do | Sleep | WaitForEvent


class Unwind(BaseException):
    """Ends workflow code at the end of its tick; not an ``Exception``, so that ``except Exception`` lets it pass.

    ``error`` is the author's error that is on its way, if the one who raises it cannot tell the loop.
    """

    def __init__(self, error: WorkflowError | None = None) -> None:
        super().__init__(error)
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
        coroutine: how it is resumed; ``None`` for a ``def`` workflow, which is resumed by returning to it.
        answer: what it is resumed with.
        clock: what ``step.now()`` says there: the last settlement in its causal past (rule D5).
        logs: lines that were logged since its last request.
    """

    __slots__ = ("answer", "clock", "coroutine", "logs")

    def __init__(self, clock: datetime) -> None:
        self.coroutine: Coroutine[Any, Any, Any] | None = None
        self.answer: Return | Raise = Return(None)
        self.clock = clock
        self.logs: list[LogLine] = []


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

    def __init__(self, branch: Branch, scope: Scope, kind: StepKind, name: str, key: str, spec: Spec) -> None:
        self.branch = branch
        self.scope = scope
        self.kind: StepKind = kind
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
        """Raise an error where the request is awaited."""
        if self._iterator is None:
            self._iterator = self.__await__()
        return self._iterator.throw(error, *value_and_traceback)

    def close(self) -> None:
        """Let go of the request."""
        if self._iterator is not None:
            self._iterator.close()

    def blank(self, now: datetime, instance_ref: str, run_number: int, execution_id: str) -> StepRecord:
        """The record of its first visit, before anything is known of it."""
        return StepRecord(
            instance_ref=instance_ref,
            run_number=run_number,
            key=self.key,
            kind=self.kind,
            name=self.name,
            parent_key=self.scope.path or None,
            depth=self.scope.depth,
            status="waiting",
            created_at=now,
            execution_id=execution_id,
        )
