"""Errors whose blame lies with the author of a workflow; values only, no I/O."""

from __future__ import annotations

import attrs

from wfcore.errors.base import WfcoreError


class WorkflowError(WfcoreError):
    """The author of a workflow has something to mend. The instance is unchanged; its wake-up is deferred."""


@attrs.define(eq=False)
class WorkflowDefinitionError(WorkflowError, TypeError):
    """A decorated function or a type in its signature cannot be a workflow's.

    Attributes:
        workflow: name of the workflow.
        problem: what is wrong.
        advice: what to do.
    """

    workflow: str
    problem: str
    advice: str

    def __str__(self) -> str:
        return f"workflow {self.workflow!r}: {self.problem}; {self.advice}"


@attrs.define(eq=False)
class NonDeterminismError(WorkflowError):
    """Workflow code does not fit the recorded history (rules D1, D2). Nothing was run and nothing was written.

    Attributes:
        ref: the instance.
        expected: key of the recorded step whose turn it is.
        sequence: its place in the order of settlement, ``None`` if it had not settled.
        asked: keys that the code asks for instead, in order; empty if it ended or did something else.
        scope: the scope of the expected step (``""`` at the top).
        problem: what differs.
        advice: what to do.
    """

    ref: str
    expected: str
    sequence: int | None
    asked: tuple[str, ...]
    scope: str
    problem: str
    advice: str = (
        "deploy code that asks for the recorded steps in the recorded order; "
        "the instance is unchanged and goes on by itself"
    )

    def __str__(self) -> str:
        place = f"in scope {self.scope!r}" if self.scope else "at the top of the workflow"
        order = "" if self.sequence is None else f" (number {self.sequence} in the history)"
        asked = ", ".join(map(repr, self.asked)) or "no step"
        return (
            f"{self.ref}: {self.problem}: history has {self.expected!r}{order} {place}, the code asked for {asked}; "
            f"{self.advice}"
        )


@attrs.define(eq=False)
class ForeignAwaitError(WorkflowError):
    """Workflow code awaited, or called into an event loop for, something that is not a step (rule D6).

    Attributes:
        what: what was awaited or called.
        file: source file of the line, or ``None`` if it is not known.
        line: line number, or ``None``.
    """

    what: str
    file: str | None
    line: int | None

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: " if self.file else ""
        return (
            f"{place}workflow code may await steps and coroutines made of steps, not {self.what}; "
            "do it in a step body (step.do), or use step.sleep for a pause"
        )


@attrs.define(eq=False)
class StepNameError(WorkflowError, ValueError):
    """A name, id or key that cannot be used (rule K4).

    Attributes:
        what: which kind of name.
        name: the name.
        character: the offending character, or ``None``.
        position: its index in the name, or ``None``.
        problem: what is wrong with it.
    """

    what: str
    name: str
    character: str | None
    position: int | None
    problem: str

    def __str__(self) -> str:
        where = "" if self.character is None else f" ({self.character!r} at position {self.position})"
        return (
            f"{self.what} {self.name[:200]!r} cannot be used: {self.problem}{where}; names are 1 to 128 characters "
            "without > # [ ] / and control characters, ids 1 to 256 without # and control characters"
        )


@attrs.define(eq=False)
class StepBodyError(WorkflowError, TypeError):
    """A step body of the wrong shape (rule S16); counted as no attempt.

    Attributes:
        step_key: the step.
        problem: what is wrong.
        advice: what to do.
    """

    step_key: str
    problem: str
    advice: str

    def __str__(self) -> str:
        return f"step {self.step_key!r}: {self.problem}; {self.advice}"


@attrs.define(eq=False)
class StepUsageError(WorkflowError):
    """A step, or an argument of a step, used where it is not valid.

    Attributes:
        step: key or name of the step.
        problem: what is wrong.
        advice: what to do.
    """

    step: str
    problem: str
    advice: str

    def __str__(self) -> str:
        return f"step {self.step!r}: {self.problem}; {self.advice}"


@attrs.define(eq=False)
class UnawaitedStepError(WorkflowError):
    """A step was made and never awaited (rule P8).

    Attributes:
        step_keys: the steps, in the order in which they were made.
    """

    step_keys: tuple[str, ...]

    def __str__(self) -> str:
        keys = ", ".join(map(repr, self.step_keys))
        return f"the workflow ended, but {keys} was made and never awaited; write 'await' before the step"


@attrs.define(eq=False)
class UnknownWorkflowError(WorkflowError):
    """This registry does not hold a workflow of that name (rule G10).

    Attributes:
        workflow_name: the name.
        known: the names that this registry holds.
    """

    workflow_name: str
    known: tuple[str, ...]

    def __str__(self) -> str:
        if self.workflow_name in self.known:
            return (
                f"this registry holds another workflow {self.workflow_name!r}, made by another @workflow or by one "
                "that ran twice; pass the one that is in Registry([...])"
            )
        known = ", ".join(map(repr, self.known)) or "none"
        return (
            f"no workflow {self.workflow_name!r} in this registry (it holds: {known}); add it to Registry([...]) here, "
            "or leave its instances to a process that has it: they are unchanged"
        )


@attrs.define(eq=False)
class SwallowedSuspensionError(WorkflowError):
    """A ``def`` workflow caught the unwinding of a wait and returned (rule D7).

    Attributes:
        step_key: the wait that was unwinding.
    """

    step_key: str

    def __str__(self) -> str:
        return (
            f"the workflow returned while it was suspended at {self.step_key!r}; it must not catch BaseException "
            "around a step: use 'except Exception', or re-raise"
        )
