"""Replay: workflow code over its history, by one loop, live and on replay (rule P2). Pure: no clock, no asyncio.

The loop repeats: (1) advance every branch that can go on to its next request, or to its end; (2) choose *one*
settlement: a recorded one, in the recorded order; else, once history is used up (rule D1), a wait that is due, or a
body that may run; (3) give it the next sequence and resume exactly the branch that asked for it. No request is
answered outside this loop, so that live and on replay workflow code sees the same things in the same order.

The loop is a generator. It yields ``StepCall`` (answered with ``Settled``) and checkpoint ``Plan`` (answered with
``Continue`` or ``Stop``); who drives it may be blocking or not. An ``async def`` workflow is resumed by sending into
its coroutine; a ``def`` workflow by returning to its call, which is why it has one branch.
"""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeAlias, cast

from wfcore.errors import CodecError, CorruptRecordError, SwallowedSuspensionError, WorkflowError
from wfcore.model import StepKind, StepRecord
from wfcore.planner.calls import Raised, Returned, Settled, StepCall
from wfcore.planner.draft import Draft
from wfcore.planner.ends import Abort, Checkpoint, Continue, End, Fault, Loop, Manner, Parked, Stopped
from wfcore.planner.history import History
from wfcore.planner.interpret import Interpreter
from wfcore.planner.refusals import awaitable_refused, check_end, misplaced, not_a_step
from wfcore.planner.requests import Branch, Request, Scope, Spec, Unwind
from wfcore.planner.steps.decision import Raise
from wfcore.planner.steps.do import Do

Drive: TypeAlias = Callable[[Loop], None]
"""Runs the loop to its end, performing bodies and committing checkpoints."""
_FAULTS = (WorkflowError, CodecError, CorruptRecordError)


class Replay:
    """One tick of one instance's workflow code.

    Args:
        draft: takes what settles.
        history: what has settled before.
        interpreter: knows the step kinds.
        manner: when to checkpoint.
        drive: runs the loop for a ``def`` workflow, from inside its step calls.
    """

    def __init__(self, draft: Draft, history: History, interpreter: Interpreter, manner: Manner, drive: Drive) -> None:
        self.draft = draft
        self.end: End | None = None
        self.root = Branch(draft.instance.started_at or draft.now)
        self._history = history
        self.interpreter = interpreter
        self._manner = manner
        self.drive = drive
        self._over = False
        self._current: Branch | None = None
        self._runnable: deque[Branch] = deque()
        self._open: dict[str, Request] = {}
        self._fresh: list[Request] = []
        self._unawaited: dict[str, Request] = {}

    # -- what the handles of workflow code call

    def require_current(self, branch: Branch, what: str) -> None:
        """Refuse a step that is used outside of the workflow code it was given to (rule K2)."""
        if self.end is not None and not self._over:
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

    def request(self, branch: Branch, scope: Scope, kind: StepKind, name: str, spec: Spec) -> Request:
        """A new request; awaiting it hands it to the loop."""
        request = Request(branch, scope, kind, name, self.key(branch, scope, kind, name), spec)
        if branch.coroutine is not None:
            self._unawaited[request.key] = request
        return request

    def call(self, request: Request) -> Any:
        """Answer a request of a ``def`` workflow: run the loop until its turn comes again."""
        branch = request.branch
        self._current = None
        self._ask(branch, request)
        try:
            if self._go_on():
                self.drive(self.loop())
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
            self._ended(Raised(error))
        else:
            if isinstance(self.end, Parked):
                self.end = Fault(SwallowedSuspensionError(next(iter(self._open))))
            self._ended(Returned(value))

    def loop(self) -> Loop:
        """The loop. Ends when the tick has ended, or when it is a ``def`` workflow's turn."""
        while self._go_on():
            yield from self._settle()

    def _go_on(self) -> bool:
        """The loop as far as history reaches. False: the tick has ended, or it is a ``def`` workflow's turn."""
        try:
            while self.end is None:
                if self._runnable:
                    branch = self._runnable.popleft()
                    if branch.coroutine is None:
                        return False
                    self._advance(branch, branch.coroutine)
                elif (record := self._history.next_settled(self._open)) is not None:
                    self._deliver(record)
                else:
                    return True
        except _FAULTS as error:
            self.end = Fault(error)
        return False

    def close(self) -> None:
        """Let go of a coroutine that has not ended; its ``finally`` blocks can schedule nothing (rule D7)."""
        self.end = self.end or Stopped()
        coroutine = self.root.coroutine
        for _ in range(100):
            if coroutine is None or inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED:
                break
            try:
                coroutine.close()
            except (Exception, Unwind):  # noqa: S112 - a finally block failed, or awaits: the tick is over either way
                continue
        self._over = True

    def _advance(self, branch: Branch, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._current = branch
        try:
            if isinstance(branch.answer, Raise):
                asked = coroutine.throw(branch.answer.error)
            else:
                asked = coroutine.send(branch.answer.value)
        except StopIteration as stop:
            self._ended(Returned(stop.value))
        except Unwind as unwind:
            self.unwound(unwind)
        except Exception as error:
            self._ended(Raised(error))
        else:
            if self.end is None:
                self._ask(branch, asked)
        finally:
            self._current = None

    def _ended(self, result: Returned[Any] | Raised) -> None:
        if self.end is not None:
            return
        try:
            self._history.require_used_up()
            check_end(result, tuple(self._unawaited))
            self.end = result
        except WorkflowError as error:
            self.end = Fault(error)

    # -- requests and settlements

    def _ask(self, branch: Branch, asked: Any) -> None:
        own = type(asked) is Request and asked.branch is branch
        if not own or (branch.coroutine is not None and self._unawaited.pop(asked.key, None) is None):
            self.end = Fault(not_a_step(branch, asked))
            return
        asked.record = record = self._history.ask(asked.key)
        if record is None:
            asked.logs = tuple(branch.logs)
            self._fresh.append(asked)
        elif record.sequence is None:
            try:
                self.interpreter.check(asked, record)
            except WorkflowError as error:
                self.end = Fault(error)
        branch.logs.clear()
        self._open[asked.key] = asked

    def _settle(self) -> Loop:
        try:
            if not self._settle_due():
                yield from self._run_body()
        except _FAULTS as error:
            self.end = self.end or Fault(error)

    def _deliver(self, record: StepRecord) -> None:
        request = self._open.pop(record.key)
        branch = request.branch
        branch.answer = self.interpreter.answer(request, record)
        branch.clock = record.settled_at or branch.clock
        self._runnable.append(branch)

    def _settle_due(self) -> bool:
        """Settle the wait that became due first (rule W10); False: none is due."""
        for request in self._fresh:
            opened = self.interpreter.open(request, self.draft.stamp())
            if opened is not None:
                request.record = opened
                self.draft.put(opened, logs=request.logs)
        self._fresh.clear()
        due = self.interpreter.first_due(self._open.values(), self.draft.events, self.draft.now)
        if due is None:
            return False
        request, record, event = due
        settled = self.interpreter.settle_due(request, record, event, self.draft.stamp())
        self.draft.put(settled)
        if event is not None:
            self.draft.consume(event, request.key)
        self._deliver(settled)
        return True

    def _run_body(self) -> Loop:
        """Run the body that was asked for first and may run; none may: the tick ends."""
        ready = self.interpreter.first_ready(self._open.values(), self.draft.now)
        if ready is None:
            self.end = Parked()
            return
        request, do, attempt = ready
        if self.draft.has_body_result and self._manner.each_step:
            yield from self._checkpoint()
            if self.end is not None:
                return
        call = self.interpreter.call(request, do, attempt)
        settled = cast(Settled, (yield call))
        if self.end is not None:
            return  # the body used a step
        self.draft.advance(settled.elapsed)
        self._settle_body(request, do, call, settled.result)

    def _settle_body(self, request: Request, do: Do, call: StepCall, result: Returned[Any] | Raised) -> None:
        if isinstance(result, Returned) and inspect.isawaitable(result.value):
            raise awaitable_refused(request.key, result.value)
        record = self.interpreter.settle_body(request, do, result, self.draft.stamp())
        ended = record.sequence is not None
        writes = call.attempt.queued(succeeded=record.status == "completed") if ended else ()
        self.draft.put(record, writes=writes, logs=() if request.record else request.logs)
        self.draft.has_body_result = True
        request.record = record
        if ended:
            self._deliver(record)

    def _checkpoint(self) -> Loop:
        plan = self.draft.checkpoint(self._manner.recover_after if self._manner.continues else timedelta(0))
        if not self._manner.continues:
            self.end = Checkpoint(plan)
            return
        answer = yield plan
        if isinstance(answer, Continue):
            self.draft.committed(plan, answer.execution_id)
        else:
            self.end = Stopped()
