"""A worker that ticks as a runner does: it commits checkpoints, and remembers what it started and what came of it."""

from __future__ import annotations

from typing import Any

import attrs

from tests.lab import Lab
from wfcore.plan import Plan, PutStep
from wfcore.planner import Continue, Done, Settled, StepCall, Stop, call_body, plan_tick


@attrs.define
class Worker:
    """Works on one instance.

    Attributes:
        mine: execution ids of the plans that it tried to commit.
        held: results of at-most-once bodies, by key; never forgotten.
        trace: what it did: the statuses of the records that it committed, and the bodies that it ran.
        loses: whether all its plans conflict.
    """

    lab: Lab
    mine: set[str] = attrs.field(factory=set)
    held: dict[str, Done] = attrs.field(factory=dict)
    trace: list[str] = attrs.field(factory=list)
    loses: bool = False

    def plan(self, **how: Any) -> Plan:
        """Plan a tick, with its checkpoints committed."""
        given: dict[str, Any] = {
            "mine": frozenset(self.mine),
            "held": tuple(self.held.values()),
            "perform": self.perform,
            "commit": self.commit,
            **how,
        }
        lab = self.lab
        plan = plan_tick(lab.snapshot(), lab.fired(), lab.registry, execution_id=lab.next_id("tick"), **given)
        self.mine.add(plan.execution_id)
        return plan

    def tick(self, **how: Any) -> Plan:
        """Plan a tick, and apply it unless it is empty or lost."""
        plan = self.plan(**how)
        if not plan.is_empty and not self.loses:
            self._note(plan)
            self.lab.apply(plan)
        return plan

    def perform(self, call: StepCall) -> Settled:
        self.trace.append(f"run {call.key}")
        settled = call_body(call)
        if call.started_by is not None:
            self.held[call.key] = Done(call, settled)
        return settled

    def commit(self, plan: Plan) -> Continue | Stop:
        self.mine.add(plan.execution_id)
        if self.loses:
            return Stop()
        self._note(plan)
        self.lab.apply(plan)
        return Continue(self.lab.next_id("tick"))

    def _note(self, plan: Plan) -> None:
        self.trace += [f"{each.step.status} {each.step.key}" for each in plan.mutations if isinstance(each, PutStep)]
