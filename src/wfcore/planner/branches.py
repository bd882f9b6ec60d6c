"""Branches under way: groups are opened, decided and closed (rules P1, P4, P5, D5). Pure: no I/O, no clock."""

from __future__ import annotations

from collections import deque
from typing import Any

from wfcore.planner.agenda import Agenda
from wfcore.planner.calls import Raised, Returned
from wfcore.planner.groups import Fan, check_items, decide_group, join
from wfcore.planner.history import History
from wfcore.planner.intake import Intake
from wfcore.planner.requests import Branch, Group, Request, close_code, with_those_below
from wfcore.planner.steps.decision import Raise, Return


class Branches:
    """The branches of one tick.

    Args:
        history: knows the recorded lists of maps.
        agenda: the open requests.
        intake: takes what is made or cancelled.

    Attributes:
        runnable: branches that can be advanced, oldest first.
    """

    def __init__(self, history: History, agenda: Agenda, intake: Intake) -> None:
        self._history = history
        self._agenda = agenda
        self._intake = intake
        self.runnable: deque[Branch] = deque()
        self._failing: Group | None = None

    def open(self, branch: Branch, request: Request, fan: Fan) -> None:
        """Begin the branches of a group.

        Raises:
            NonDeterminismError: a map's list is not the one that is recorded.
        """
        group = branch.inner = Group(request, fan)
        if fan.items is not None:
            request.record = self._history.ask(request.key)
            if request.record is None:
                request.logs = tuple(branch.logs)
                self._intake.mark(request, fan.items, request.take_logs())
            else:
                check_items(fan, request.record)
        elif branch.logs and not self._history.has_group(request.key):
            group.logs = branch.logs[:]
        branch.logs.clear()
        for index, begin in enumerate(fan.begin):
            child = Branch(branch.clock, group, (*branch.order, index), begin)
            group.branches.append(child)
            self.runnable.append(child)
        if not fan.begin:
            self._finish(group, join(fan, {}))

    def ended(self, branch: Branch, group: Group, result: Returned[Any] | Raised) -> None:
        """A branch has ended: its group may be decided, and the branches that are left closed."""
        index = branch.order[-1]
        group.ended[index] = result
        branch.coroutine = branch.asked = None  # so that a group of thousands does not hold on to all their code
        group.request.branch.logs.extend(branch.logs)
        branch.logs = []
        group.decision = decision = decide_group(group.fan, group.ended, index)
        alone = group.fan.races or isinstance(decision, Raise)  # else the clock is that of all branches (rule D5)
        group.clock = branch.clock if alone else max(group.clock, branch.clock)
        if decision is None:
            return
        for number, each in enumerate(group.branches):
            if number not in group.ended:
                self._close(each, group)
        if self._agenda.draining:
            self._failing = group
        else:
            self._finish(group, decision)

    def came_late(self, request: Request) -> None:
        """What nobody waits for has settled; a group that has failed may have waited for that (rule P4).

        Until then nothing else settles: so what resumes the group's branch is found in history, whatever a crash has
        kept of those bodies.
        """
        draining = self._agenda.draining
        draining.discard(request.key)
        failing = self._failing
        if failing is not None and failing.decision is not None and not draining:
            self._failing = None
            self._finish(failing, failing.decision)

    def _finish(self, group: Group, decision: Return | Raise) -> None:
        parent = group.request.branch
        parent.inner = None
        parent.answer = decision
        parent.clock = group.clock
        parent.logs[:0] = group.logs
        group.logs = []
        self.runnable.append(parent)

    def _close(self, branch: Branch, decided: Group) -> None:
        """Let go of a branch whose group was decided without it (rules P4, P5), and of those below it."""
        closing = [each for each in with_those_below(branch) if not each.closed]
        for each in closing:
            each.closed = True
        settles = False
        for each in closing:
            request = each.asked
            if request is not None and request.key in self._agenda.open:
                if not self._intake.close(request, unwanted=decided.fan.races):  # no record of it will ever be made
                    request.leave_logs()
                else:
                    settles = True
                    if not decided.fan.races:
                        self._agenda.draining.add(request.key)
            close_code(each)
        around = decided.request.branch
        for each in closing:
            around.logs.extend(each.logs)
            if each.inner is not None and not settles:  # else the record to come takes them
                around.logs.extend(each.inner.logs)
