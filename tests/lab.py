"""A laboratory for the planner: one world of rows, a time that the test moves, plans applied by ``evolve``.

Not a simulation of a runner: one tick at a time, every plan is kept, nothing is hidden.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

from wfcore.codec import JSON
from wfcore.evolve import NOTHING, Rows, World, evolve
from wfcore.keys import build_ref, is_terminal_notice, parse_ref, timer_id
from wfcore.model import Event, FiredHook, Hook, Instance, Snapshot, StepRecord
from wfcore.plan import Conflict, Plan
from wfcore.planner import Commit, Done, Perform, call_body, plan_create, plan_send_event, plan_tick
from wfcore.ports import Codec
from wfcore.workflow import EventType, Registry, Workflow

T0 = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


@attrs.define
class Lab:
    """Rows, a clock and a registry.

    ``ref`` is the instance that the methods are about; ``create`` sets it.
    """

    registry: Registry
    world: World = attrs.field(factory=dict)
    now: datetime = T0
    ref: str = ""
    plans: list[Plan] = attrs.field(factory=list)
    codec: Codec = JSON
    _ids: int = 0

    @classmethod
    def of(cls, *workflows: Workflow[Any, Any]) -> Lab:
        return cls(Registry(workflows))

    def next_id(self, prefix: str) -> str:
        self._ids += 1
        return f"{prefix}{self._ids}"

    # -- reading

    def snapshot(self) -> Snapshot:
        return self.world.get(self.ref, NOTHING).snapshot(self.now)

    @property
    def instance(self) -> Instance:
        found = self.world[self.ref].instance
        assert found is not None
        return found

    def steps(self) -> dict[str, StepRecord]:
        return {step.key: step for step in self.snapshot().steps}

    def events(self) -> dict[str, Event]:
        """All events, the consumed ones too."""
        return dict(self.world[self.ref].events)

    def hooks(self) -> dict[str, Hook]:
        """By the id's part after the ref: ``timer``, ``msg:e1``."""
        return {hook.id.removeprefix(f"{self.ref}#"): hook for hook in self.snapshot().hooks}

    def _wake_ups(self) -> list[Hook]:
        """The hooks that are for ticks (rule O7)."""
        return [hook for hook in self.snapshot().hooks if not is_terminal_notice(hook.id)]

    # -- changing

    def apply(self, plan: Plan) -> Plan:
        """Apply a plan that must not conflict."""
        self.plans.append(plan)
        after = evolve(self.world, plan)
        assert not isinstance(after, Conflict), after
        self.world = after
        return plan

    def put(self, snapshot: Snapshot) -> None:
        """Take these rows in place of the instance's own."""
        rows = Rows(
            instance=snapshot.instance,
            steps={(step.run_number, step.key): step for step in snapshot.steps},
            events={event.id: event for event in snapshot.events},
            hooks={hook.id: hook for hook in snapshot.hooks},
        )
        self.world = {**self.world, self.ref: rows}

    def create(self, workflow: Workflow[Any, Any], params: object = None, *, id: str = "1") -> Plan:
        self.ref = build_ref(workflow.name, id)
        execution_id = self.next_id("create")
        return self.apply(
            plan_create(self.snapshot(), workflow, params, instance_id=id, execution_id=execution_id, codec=self.codec)
        )

    def send(self, event: EventType[Any] | str, payload: object = None, *, id: str | None = None) -> Plan:
        workflow = self.registry.get(parse_ref(self.ref)[0])
        event_id = id or self.next_id("event")
        execution_id = self.next_id("send")
        return self.apply(
            plan_send_event(
                self.snapshot(),
                self.ref,
                workflow,
                event,
                payload,
                event_id=event_id,
                execution_id=execution_id,
                codec=self.codec,
            )
        )

    def fired(self, hook: Hook | None = None) -> FiredHook:
        """The instance's first hook, or a made-up timer if it has none, fired now."""
        if hook is None:
            stored = sorted(self._wake_ups(), key=lambda each: (each.due_at, each.id))
            hook = stored[0] if stored else self._made_up()
        return FiredHook(hook=hook, timestamp=self.now)

    def _made_up(self) -> Hook:
        workflow_name, instance_id = parse_ref(self.ref)
        return Hook(
            id=timer_id(self.ref),
            instance_ref=self.ref,
            run_number=None,
            workflow_name=workflow_name,
            instance_id=instance_id,
            reason="wake",
            due_at=self.now,
            created_at=self.now,
        )

    def plan(
        self,
        *,
        fired: FiredHook | None = None,
        perform: Perform = call_body,
        commit: Commit | None = None,
        mine: frozenset[str] = frozenset(),
        held: tuple[Done, ...] = (),
        absent: frozenset[str] = frozenset(),
    ) -> Plan:
        """Plan a tick of the instance as it is now; nothing is applied."""
        return plan_tick(
            self.snapshot(),
            fired or self.fired(),
            self.registry,
            execution_id=self.next_id("tick"),
            mine=mine,
            held=held,
            absent=absent,
            perform=perform,
            commit=commit,
            codec=self.codec,
        )

    def tick(self, *, at: datetime | None = None, perform: Perform = call_body) -> Plan:
        """Plan a tick at ``at`` (default: now) and apply it."""
        self.now = self.now if at is None else at
        return self.apply(self.plan(perform=perform))

    def run(self, *, until: datetime | None = None) -> Plan:
        """Handle hooks at their times until none is due (by ``until``), one checkpoint a tick."""
        plan = None
        for _ in range(1_000):
            due = [hook for hook in self._wake_ups() if hook.due_at <= (until or self.now)]
            if not due:
                break
            self.now = max(self.now, min(hook.due_at for hook in due))
            plan = self.tick()
        else:
            raise AssertionError(f"{self.ref} is still busy after 1,000 ticks: {self.instance}")
        assert plan is not None, "no hook was due"
        return plan
