"""What happens without a dispatcher: time passes, events arrive, commands are given. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from wfcore.errors import CommandError
from wfcore.model import Snapshot
from wfcore.plan import Conflict, Plan
from wfcore.planner import (
    plan_create,
    plan_delete,
    plan_pause,
    plan_restart,
    plan_resume,
    plan_retry,
    plan_send_event,
    plan_terminate,
)
from wfcore.ports import Codec
from wfcore.testing.exploring.checks import Broken
from wfcore.testing.exploring.space import Move, Space, reopened
from wfcore.testing.exploring.state import Action, State
from wfcore.testing.exploring.tables import MOMENT
from wfcore.workflow import EventType, Workflow

SentEvent: TypeAlias = tuple[EventType[Any] | str, object]
Command: TypeAlias = str


class Outside:
    """The moves of the world around the dispatchers.

    Args:
        space: the tables.
        address: ref, workflow, instance id and params of the instance that is explored.
        events: what may arrive, each once, in any order.
        commands: what may be asked for, each once, in any order.
        codec: how values become payloads.
    """

    def __init__(
        self,
        space: Space,
        address: tuple[str, Workflow[Any, Any], str, object],
        events: Sequence[SentEvent],
        commands: Sequence[Command],
        codec: Codec,
    ) -> None:
        self._space = space
        self._ref, self._workflow, self._id, self._params = address
        self._events = tuple(events)
        self._commands = tuple(commands)
        self._codec = codec
        self._instants: dict[int, tuple[datetime, ...]] = {}
        self._late: dict[int, tuple[datetime, ...]] = {}
        self._asked: dict[tuple[str, int, int, datetime], tuple[Plan, int] | Broken | None] = {}

    def of(self, state: State) -> Iterator[Move]:
        """All moves of the world around the dispatchers."""
        yield from self._time(state)
        if state.events:
            yield from self._given(state, "event", state.events, len(self._events))
        if state.commands:
            yield from self._given(state, "command", state.commands, len(self._commands))

    def created(self, world: Mapping[str, Any], now: datetime, count: int) -> Plan:
        """The plan that creates the instance."""
        snapshot = self._space.rows.snapshot(self._space.worlds.number(self._space.worlds.of(world), self._ref), now)
        return self._create(snapshot, f"create{count}")

    def _time(self, state: State) -> Iterator[Move]:
        """Time moves to the next stored deadline; also to right after that of a wait, if a message may still come."""
        instants = self._instants.get(state.world)
        if instants is None:
            numbers = self._space.worlds.refs(state.world).values()
            rows = self._space.rows
            instants = self._instants[state.world] = tuple(
                sorted({at for each in numbers for at in rows.deadlines(each)})
            )
            self._late[state.world] = tuple(sorted({at for each in numbers for at in rows.too_late(each)}))
        following = next((at for at in instants if at > state.now), None)
        if state.events or len(self._space.worlds.refs(state.world)) > 1:
            late = next((at for at in self._late[state.world] if at > state.now), None)
            following = min((at for at in (following, late) if at is not None), default=None)
        if following is not None:
            by = following - state.now
            action = Action("pass", choice=by // MOMENT)
            if self._space.normal.knowledge.shifts:
                world, workers = self._space.later(state.world, state.workers, by)
                yield Move(action, state._replace(world=world, workers=workers), "time")
            else:
                yield Move(action, state._replace(now=following), "time")

    def _given(self, state: State, kind: str, left: int, count: int) -> Iterator[Move]:
        for choice in range(count):
            bit = 1 << choice
            if not left & bit or (kind == "event" and self._has_equal_before(choice, left)):
                continue
            action = Action(kind, what=self._told(kind, choice), choice=choice)
            found = self._planned(state, kind, choice)
            if isinstance(found, Broken):
                yield Move(action, None, "", found)
            elif found is not None:
                plan, world = found
                workers = tuple(number and self._space.beaten(number, world) for number in state.workers)
                after = state._replace(
                    world=self._space.renumbered(world, workers),
                    workers=workers,
                    past=self._space.pasts.of(reopened(self._space.pasts[state.past], plan)),
                    events=left - bit if kind == "event" else state.events,
                    commands=left - bit if kind == "command" else state.commands,
                )
                yield Move(action, after, action.what if kind == "command" else "event")

    def _has_equal_before(self, choice: int, left: int) -> bool:
        """Whether an equal event is still to come: it does not matter which of them comes first."""
        return any(left & (1 << other) and self._events[other] == self._events[choice] for other in range(choice))

    def _told(self, kind: str, choice: int) -> str:
        if kind == "command":
            return self._commands[choice]
        type_ = self._events[choice][0]
        return type_ if isinstance(type_, str) else type_.name

    def _planned(self, state: State, kind: str, choice: int) -> tuple[Plan, int] | Broken | None:
        """The plan of an event or a command, and the world after it; ``None``: it is refused, or changes nothing."""
        key = kind, choice, state.world, state.now
        if key not in self._asked:
            self._asked[key] = self._plan(state, kind, choice)
        return self._asked[key]

    def _plan(self, state: State, kind: str, choice: int) -> tuple[Plan, int] | Broken | None:
        space = self._space
        snapshot = space.rows.snapshot(space.worlds.number(state.world, self._ref), state.now)
        try:
            plan = self._event(snapshot, choice) if kind == "event" else self._command(snapshot, choice)
        except CommandError:
            return None
        if plan.is_empty:
            return None
        after = space.applied(state.world, plan, None, state.now)
        if isinstance(after, Conflict):
            return None
        return after if isinstance(after, Broken) else (plan, after)

    def _event(self, snapshot: Snapshot, choice: int) -> Plan:
        type_, payload = self._events[choice]
        return plan_send_event(
            snapshot,
            self._ref,
            self._workflow,
            type_,
            payload,
            event_id=f"event-{choice + 1}",
            execution_id=f"send-{choice + 1}",
            codec=self._codec,
        )

    def _command(self, snapshot: Snapshot, choice: int) -> Plan:
        name = self._commands[choice]
        instance = snapshot.instance
        basis = "nobody" if instance is None else f"{instance.created_by}:{instance.version + 1}"
        return COMMANDS[name](self, snapshot, f"{basis}:{name}{choice or ''}")

    def _create(self, snapshot: Snapshot, execution_id: str) -> Plan:
        return plan_create(
            snapshot,
            self._workflow,
            self._params,
            instance_id=self._id,
            execution_id=execution_id,
            codec=self._codec,
        )

    def _pause(self, snapshot: Snapshot, execution_id: str) -> Plan:
        return plan_pause(snapshot, self._ref, request_id=execution_id.replace("#", "-"), execution_id=execution_id)

    def _resume(self, snapshot: Snapshot, execution_id: str) -> Plan:
        return plan_resume(snapshot, self._ref, execution_id=execution_id)

    def _retry(self, snapshot: Snapshot, execution_id: str) -> Plan:
        return plan_retry(snapshot, self._ref, execution_id=execution_id)

    def _terminate(self, snapshot: Snapshot, execution_id: str) -> Plan:
        return plan_terminate(snapshot, self._ref, notify=self._workflow.notify, execution_id=execution_id)

    def _restart(self, snapshot: Snapshot, execution_id: str) -> Plan:
        return plan_restart(snapshot, self._ref, self._workflow, execution_id=execution_id, codec=self._codec)

    def _delete(self, snapshot: Snapshot, execution_id: str) -> Plan:
        return plan_delete(snapshot, self._ref, execution_id=execution_id)


COMMANDS: Mapping[str, Callable[[Outside, Snapshot, str], Plan]] = {
    "create": Outside._create,  # noqa: SLF001 - a table of the class's own
    "delete": Outside._delete,  # noqa: SLF001
    "pause": Outside._pause,  # noqa: SLF001
    "restart": Outside._restart,  # noqa: SLF001
    "resume": Outside._resume,  # noqa: SLF001
    "retry": Outside._retry,  # noqa: SLF001
    "terminate": Outside._terminate,  # noqa: SLF001
}
"""The commands, by name."""
