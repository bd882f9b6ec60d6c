"""Replay: workflow code over its history, by one loop, live and on replay (rule P2). Pure: no clock, no asyncio.

The loop repeats: (1) advance every branch that can go on to its next request, or to its end; (2) choose *one*
settlement: a recorded one, in the recorded order; else, once history is used up (rule D1), what ``live.py`` settles:
a wait that is due, or a body; (3) give it the next sequence and resume exactly the branch that asked for it. No request
is answered outside this loop, so that live and on replay workflow code sees the same things in the same order.

The loop is a generator. It yields ``Bodies`` and checkpoint ``Plan`` (``ends.py``); who drives it may be blocking or
not. An ``async def`` workflow, and each of its branches, is resumed by sending into its coroutine; a ``def`` workflow
by returning to its call, which is why it has one branch.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, TypeAlias

from wfcore.errors import CodecError, CorruptRecordError, SwallowedSuspensionError, WorkflowError
from wfcore.keys import SegmentKind
from wfcore.model import StepRecord
from wfcore.planner.agenda import Agenda
from wfcore.planner.branches import Branches
from wfcore.planner.calls import Raised, Returned
from wfcore.planner.ends import Abort, End, Fault, Loop, Parked
from wfcore.planner.groups import Fan
from wfcore.planner.history import History
from wfcore.planner.interpret import Interpreter
from wfcore.planner.live import Live
from wfcore.planner.refusals import as_coroutine, check_end, check_next_run, misplaced, not_a_step
from wfcore.planner.requests import Branch, ContinueWith, Patch, Request, Scope, Spec, Unwind, close_all
from wfcore.planner.steps.decision import Raise

Drive: TypeAlias = Callable[[Loop], None]
"""Runs the loop to its end, performing bodies and committing checkpoints."""
_FAULTS = (WorkflowError, CodecError, CorruptRecordError)


class Replay:
    """One tick of one instance's workflow code.

    Args:
        history: what has settled before.
        interpreter: knows the step kinds.
        agenda: takes what is asked for.
        live: settles what history has not.
        drive: runs the loop for a ``def`` workflow, from inside its step calls.
        began_at: when the run began.
    """

    def __init__(
        self,
        history: History,
        interpreter: Interpreter,
        agenda: Agenda,
        live: Live,
        drive: Drive | None,
        began_at: datetime,
    ) -> None:
        self.end: End | None = None
        self.root = Branch(began_at)
        self.interpreter = interpreter
        self._history = history
        self._agenda = agenda
        self._live = live
        self._intake = live.intake
        live.is_over = self._has_ended
        self._drive = drive
        self._over = False
        self._current: Branch | None = None
        self._branches = Branches(history, agenda, live.intake)
        self._runnable = self._branches.runnable
        self._unawaited: dict[str, Request] = {}  # made and not awaited yet, by key (rule P8)
        self._patches: dict[str, bool] = {}
        self._next_run: ContinueWith | None = None

    # -- what the handles of workflow code call

    def require_current(self, branch: Branch, what: str) -> None:
        """Refuse a step that is used outside of the workflow code it was given to (rule K2)."""
        if (branch.closed and self._current is None) or (self.end is not None and not self._over):
            raise Unwind
        if self._over or self._current is not branch:
            error = misplaced(what)
            raise error if self._over else self.fault(error)

    def key(self, branch: Branch, scope: Scope, kind: str, name: str) -> str:
        """The next key of that kind and name, counted where it is asked for, in program order (rule K1)."""
        if self._current is not branch or self.end is not None:
            self.require_current(branch, name)
        try:
            return scope.key(kind, name)
        except WorkflowError as error:
            raise self.fault(error) from None

    def request(self, branch: Branch, scope: Scope, kind: SegmentKind, name: str, spec: Spec) -> Request:
        """A new request; awaiting it hands it to the loop."""
        request = Request(branch, scope, kind, name, self.key(branch, scope, kind, name), spec)
        if branch.coroutine is not None or branch.begin is not None:
            self._unawaited[request.key] = request
        return request

    def call(self, request: Request) -> Any:
        """Answer a request of a ``def`` workflow: run the loop until its turn comes again."""
        branch = request.branch
        self._current = None
        self._ask(branch, request)
        try:
            if self._go_on() and self._drive is not None:
                self._drive(self.loop())
        except Unwind as unwind:
            self.unwound(unwind)
        except BaseException as error:
            self.end = Abort(error)
        if self.end is not None:
            raise Unwind
        self._current = branch
        if isinstance(branch.answer, Raise):
            raise branch.answer.error
        return branch.answer.value

    def patched(self, branch: Branch, scope: Scope, patch_id: str) -> bool:
        """Whether the run goes by the code behind a patch; decided once in a run (rule D4)."""
        self.require_current(branch, patch_id)
        known = self._patches.get(patch_id)
        if known is None:
            root = Scope()
            try:
                mark = Request(branch, root, "patch", patch_id, root.key("patch", patch_id), Patch())
            except WorkflowError as error:
                raise self.fault(error) from None
            recorded = self._history.has_patch(patch_id)
            known = recorded or not self._history.has_unasked(scope.path)
            self._patches[patch_id] = known
            if known and not recorded:
                self._intake.mark(mark, None)
        return known

    def continue_with(self, params: Any) -> ContinueWith:
        """What ends the run if the workflow returns it (rule O8)."""
        self._next_run = ContinueWith(params)
        return self._next_run

    def _has_ended(self) -> bool:
        return self.end is not None

    def fault(self, error: WorkflowError) -> Unwind:
        """Note an error of the author; it ends the tick even if workflow code swallows what is raised for it."""
        self.end = self.end or Fault(error)
        return Unwind()

    # -- running workflow code

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Make a workflow's coroutine the root branch."""
        self.root.coroutine = coroutine
        self._runnable.append(self.root)

    def unwound(self, unwind: Unwind) -> None:
        """Workflow code or a body was unwound; the loop knows why, or it is told so now."""
        if self.end is None:
            self.end = Fault(unwind.error or misplaced("?"))

    def run_function(self, function: Callable[[], Any]) -> None:
        """Run a ``def`` workflow to the end of its tick (rule D7)."""
        self._current = self.root
        try:
            value = function()
        except Unwind as unwind:
            self.unwound(unwind)
        except Exception as error:
            self._ended(self.root, Raised(error))
        else:
            if isinstance(self.end, Parked):
                self.end = Fault(SwallowedSuspensionError(next(iter(self._agenda.open))))
            self._ended(self.root, Returned(value))

    def loop(self) -> Loop:
        """The loop. Ends when the tick has ended, or when it is a ``def`` workflow's turn."""
        while self._go_on():
            yield from self._settle(self._live.settle)
        while (self._agenda.flying or self._intake.results) and isinstance(self.end, Returned | Raised | Fault):
            yield from self._settle(self._live.drain)

    def _go_on(self) -> bool:
        """The loop as far as history reaches. False: the tick has ended, or it is a ``def`` workflow's turn."""
        agenda = self._agenda
        try:
            while self.end is None:
                if self._runnable:
                    branch = self._runnable.popleft()
                    if branch.coroutine is None and branch.begin is None:
                        return False
                    if not branch.closed:
                        self._advance(branch)
                elif (record := self._history.next_settled(agenda.open, agenda.late)) is not None:
                    self._deliver(record)
                else:
                    return True
        except _FAULTS as error:
            self.end = Fault(error)
        return False

    def _settle(self, settle: Callable[[], Any]) -> Loop:
        try:
            came = yield from settle()
            if isinstance(came, StepRecord):
                self._deliver(came)
            elif came is not None:
                self.end = came
        except _FAULTS as error:
            self.end = self.end or Fault(error)

    def close(self) -> None:
        """Let go of code that has not ended; its ``finally`` blocks can schedule nothing (rule D7)."""
        close_all(self.root)
        self._over = True

    def _advance(self, branch: Branch) -> None:
        self._current = branch
        try:
            if branch.coroutine is None and branch.begin is not None:
                branch.coroutine = as_coroutine(branch, branch.begin(branch))
            if isinstance(branch.answer, Raise):
                asked = branch.coroutine.throw(branch.answer.error)  # type: ignore[union-attr] # it has begun
            else:
                asked = branch.coroutine.send(branch.answer.value)  # type: ignore[union-attr] # it has begun
        except StopIteration as stop:
            self._ended(branch, Returned(stop.value))
        except Unwind as unwind:
            self.unwound(unwind)
        except Exception as error:
            self._ended(branch, Raised(error))
        else:
            if self.end is None:
                self._ask(branch, asked)
        finally:
            self._current = None

    def _ended(self, branch: Branch, result: Returned[Any] | Raised) -> None:
        self._current = None
        if self.end is not None:
            return
        try:
            check_end(result, tuple(key for key, each in self._unawaited.items() if each.branch is branch))
            if branch.group is not None:
                self._branches.ended(branch, branch.group, result)
                return
            self._history.require_used_up(self._agenda.late)
            check_next_run(result, self._next_run)
            self._intake.write()
            self.end = result
        except WorkflowError as error:
            self.end = Fault(error)

    # -- requests and settlements

    def _ask(self, branch: Branch, asked: Any) -> None:
        own = type(asked) is Request and asked.branch is branch
        if not own or (branch.coroutine is not None and self._unawaited.pop(asked.key, None) is None):
            self.end = Fault(not_a_step(branch, asked))
            return
        branch.asked = asked
        if type(asked.spec) is Fan:
            try:
                self._branches.open(branch, asked, asked.spec)
            except WorkflowError as error:
                self.end = Fault(error)
            return
        asked.record = record = self._history.ask(asked.key)
        if record is None:
            asked.logs = tuple(branch.logs)
        if record is None or record.sequence is None:
            self._agenda.asked.append(asked)
        branch.logs.clear()
        self._agenda.open[asked.key] = asked

    def _deliver(self, record: StepRecord) -> None:
        request = self._agenda.open.pop(record.key, None)
        if request is None:
            self._branches.came_late(self._agenda.late.pop(record.key))
            return
        branch = request.branch
        branch.answer = self.interpreter.answer(request, record)
        branch.clock = record.settled_at or branch.clock
        if record.kind == "do":
            branch.mark_begun()
        self._runnable.append(branch)
