"""Takes in what workflow code asks for: nothing settles here. Pure: no I/O, no clock.

Requests are noted while history is replayed, and written and sorted when it is used up (rule D1).
"""

from __future__ import annotations

from typing import Any

from wfcore.model import Event, Payload, StepRecord
from wfcore.plan import LogLine, Mutation
from wfcore.planner.agenda import Agenda
from wfcore.planner.carried import Carried
from wfcore.planner.draft import Draft, cancelled
from wfcore.planner.ends import Done
from wfcore.planner.interpret import Interpreter
from wfcore.planner.requests import Request
from wfcore.planner.steps.decision import is_waiting
from wfcore.planner.steps.do import Do
from wfcore.planner.steps.wait import is_unset
from wfcore.workflow import Received


class Intake:
    """Takes requests in.

    Args:
        draft: takes the records.
        agenda: the open requests.
        interpreter: knows the step kinds.
        carried: what the runner knows.

    Attributes:
        results: held results that are still to be recorded (rule S13).
        taking: by key, the event that a body is taking, and as what it was received (rule W9).
    """

    def __init__(self, draft: Draft, agenda: Agenda, interpreter: Interpreter, carried: Carried) -> None:
        self._draft = draft
        self._agenda = agenda
        self._interpreter = interpreter
        self._carried = carried
        self.results: list[tuple[Request, Done]] = []
        self.taking: dict[str, tuple[Event, Received[Any]]] = {}
        self._closed: list[tuple[Request, StepRecord]] = []
        self._marks: list[tuple[Request, Payload | None, tuple[LogLine, ...]]] = []

    def mark(self, request: Request, result: Payload | None, logs: tuple[LogLine, ...] = ()) -> None:
        """A request whose record is complete when it is first reached: of a patch, of a map (rules K3, D4).

        ``logs``: lines to emit with it. A patch takes none: its record stands in no branch, and tells of none.
        """
        self._marks.append((request, result, logs))

    def is_flying(self, request: Request) -> bool:
        """Whether the request's body is in flight; it may be so since before the snapshot (rule O6)."""
        if request.key in self._agenda.flying:
            return True
        call = self._carried.flight(request)
        if call is None:
            return False
        self._agenda.flies_on(request)
        if call.event is not None:
            self._draft.mailbox.reserve(call.event)
            self._agenda.holds_for(request, self._draft.now)
        return True

    def close(self, request: Request, *, unwanted: bool) -> bool:
        """Its branch is closed. Whether it settles all the same: recorded, held or in flight; else it is cancelled."""
        record = request.record
        settles = self.is_flying(request) or self._is_held(request)
        settles = settles or (record is not None and record.sequence is not None)
        self._agenda.drop(request, settles=settles, unwanted=unwanted)
        if not settles and request.key in self.taking:  # by a body that is not started any more
            self._draft.mailbox.release(self.taking.pop(request.key)[0])
        if not settles and record is not None and is_waiting(record):
            self._closed.append((request, record))
        return settles

    def _is_held(self, request: Request) -> bool:
        """Whether the runner holds its result (rule S13), which is recorded as if it came now."""
        if (done := self._carried.result(request)) is not None:
            self.results.append((request, done))
        return any(each is request for each, _done in self.results)

    def next_result(self) -> tuple[Request, Done] | None:
        """A held result that may be recorded now (rules S13, P4)."""
        draining = self._agenda.draining
        found = (each for each in self.results if not draining or each[0].key in draining)
        if (first := next(found, None)) is not None:
            self.results.remove(first)
        return first

    def put(self, request: Request, record: StepRecord, effects: tuple[Mutation, ...] = ()) -> None:
        """Put the request's record, with what commits with it."""
        request.record = record
        self._draft.put(record, effects=effects, logs=request.take_logs())

    def write(self) -> None:
        """Write what was noted meanwhile, and sort what was asked for."""
        stamp = self._draft.stamp()
        asked, self._agenda.asked = self._agenda.asked, []
        for request in asked:  # before anything is written: the code may not fit what it opens again
            if request.record is not None and not request.branch.closed:
                self._interpreter.check(request, self._interpreter.waiting(request.record, stamp))
        for request, result, logs in self._marks:
            self._draft.put(self._interpreter.mark(request, result, stamp), logs=logs)
        for request, record in self._closed:
            request.record = cancelled(record, stamp.now, stamp.execution_id)
            self._draft.put(request.record)
        self._marks, self._closed = [], []
        for request in asked:
            if not request.branch.closed and not self.is_flying(request):
                self._sort(request)

    def _sort(self, request: Request) -> None:
        record = request.record
        if record is not None and not is_waiting(record):  # its branch is open again (rule M7)
            record = self._interpreter.waiting(record, self._draft.stamp())
            self.put(request, record)
        if not isinstance(request.spec, Do):
            if record is None or is_unset(record):
                self.put(request, self._interpreter.open(request, self._draft.stamp()))
            self._agenda.waits.add(request)
        elif record is None or record.status != "started":
            self._agenda.may_run_at(request, record.next_retry_at if record else None, self._draft.now)
        elif self._is_held(request):
            return
        elif self._carried.is_mine(request):
            self._agenda.may_run(request)
        else:
            self._agenda.waits.add(request)
