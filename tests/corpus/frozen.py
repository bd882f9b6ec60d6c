"""A frozen tick as data, how it is recorded, and how it is planned again."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from datetime import timedelta
from itertools import repeat
from pathlib import Path
from typing import Any, Literal

import attrs

from tests.corpus import workflows
from wfcore import planner
from wfcore.codec import JsonCodec
from wfcore.errors import CodecError, WfcoreError, WorkflowError
from wfcore.evolve import Rows, evolve
from wfcore.model import FiredHook, Snapshot
from wfcore.plan import Conflict, Plan
from wfcore.planner import Continue, Settled, StepCall, Stop, call_body, plan_tick
from wfcore.planner.carried import Known
from wfcore.planner.ends import Done, Dropped, Elapsed
from wfcore.planner.tick import tick_loop
from wfcore.workflow import Registry

FOLDER = Path(__file__).parent / "ticks"
FORMAT_VERSION = 1
"""Of the files: the one of ``wfcore.export`` for the rows and plans in them."""
_PARTS = ("ticks", "commands")
_CODEC = JsonCodec(max_payload_bytes=2**40)


@attrs.frozen
class Body:
    """A body that the planner asked for, and when its result was known.

    Attributes:
        key: the step's key.
        attempt: number of the attempt.
        idempotency_key: as the body got it.
        elapsed: time since the retrieve.
    """

    key: str
    attempt: int
    idempotency_key: str
    elapsed: timedelta


@attrs.frozen(kw_only=True)
class Reply:
    """What came first of the bodies in flight, where several may be (``tick_loop``).

    Attributes:
        what: ``done`` or ``dropped``, of the body of ``key``; ``elapsed``: a deadline passed.
        key: the step's key.
        elapsed: time since the retrieve.
    """

    what: Literal["done", "dropped", "elapsed"]
    key: str = ""
    elapsed: timedelta = timedelta(0)


@attrs.frozen(kw_only=True)
class Tick:
    """One call of ``plan_tick``.

    Attributes:
        workflows: names in ``tests/corpus/workflows.py``.
        snapshot, fired, execution_id, mine, absent, recover_after: the arguments.
        held, flights: keys of bodies that earlier ticks of the file have run, or left in flight.
        commits: execution ids that the commits of checkpoints answered with, ``None``: stop. ``commits is None``:
            nobody commits.
        bodies: what the planner asked for.
        replies: what it was told of bodies in flight; ``None``: there is one at a time.
        plans: what went to ``commit``, and the plan that was returned.
        error: name of the error's class if one was raised in place of that.
        after: the rows once the plans are applied.
    """

    workflows: tuple[str, ...]
    snapshot: Snapshot
    fired: FiredHook
    execution_id: str
    mine: frozenset[str]
    absent: frozenset[str] = frozenset()
    held: tuple[str, ...] = ()
    flights: tuple[str, ...] = ()
    recover_after: timedelta
    commits: tuple[str | None, ...] | None
    bodies: tuple[Body, ...] = ()
    replies: tuple[Reply, ...] | None = None
    plans: tuple[Plan, ...] = ()
    error: str | None = None
    after: Snapshot


@attrs.frozen(kw_only=True)
class Command:
    """One call of another ``plan_*``.

    Attributes:
        name: the function is ``plan_<name>``.
        workflow: name in ``tests/corpus/workflows.py``, ``None``: it takes no workflow.
        snapshot, execution_id: arguments.
        more: the other arguments, by name.
        plan: what was returned.
        error: name of the error's class if one was raised in place of that.
        after: the rows once the plan is applied.
    """

    name: str
    workflow: str | None = None
    snapshot: Snapshot
    execution_id: str
    more: dict[str, Any]
    plan: Plan | None = None
    error: str | None = None
    after: Snapshot


@attrs.frozen
class File:
    """What stands in one file: the ticks of one instance's life, and the commands between them."""

    format_version: int
    ticks: tuple[Tick, ...] = ()
    commands: tuple[Command, ...] = ()


@attrs.define
class Earlier:
    """What earlier ticks of a file have left to the runner: results, and bodies in flight."""

    held: dict[str, Done] = attrs.field(factory=dict)
    flights: dict[str, StepCall] = attrs.field(factory=dict)


@attrs.define
class _Run:
    """Plans a tick and notes what it asks for."""

    elapsed: Iterator[timedelta]
    commits: list[str | None]
    earlier: Earlier
    bodies: list[Body] = attrs.field(factory=list)
    plans: list[Plan] = attrs.field(factory=list)

    def perform(self, call: StepCall) -> Settled:
        elapsed = next(self.elapsed)
        self.bodies.append(Body(call.key, call.attempt.number, call.attempt.idempotency_key, elapsed))
        settled = attrs.evolve(call_body(call), elapsed=elapsed)
        self.earlier.held[call.key] = Done(call, settled)
        return settled

    def talk(self, tick: Tick, loop: Generator[Any, Any, Plan]) -> Plan:
        """Hold the conversation of a tick whose bodies are in flight together."""
        replies = list(tick.replies or ())
        flying = self.earlier.flights
        answer: Any = None
        try:
            while True:
                asked = loop.send(answer)
                if isinstance(asked, Plan):
                    answer = self.commit(asked)
                    continue
                flying.update({call.key: call for call in asked.start})
                answer = self._reply(replies.pop(0), flying)
        except StopIteration as stop:
            last: Plan = stop.value
            return last

    def _reply(self, reply: Reply, flying: dict[str, StepCall]) -> Done | Dropped | Elapsed:
        if reply.what == "elapsed":
            return Elapsed(reply.elapsed)
        call = flying.pop(reply.key)
        if reply.what == "dropped":
            return Dropped(call)
        self.elapsed = repeat(reply.elapsed)
        return Done(call, self.perform(call))

    def commit(self, plan: Plan) -> Continue | Stop:
        self.plans.append(plan)
        execution_id = self.commits.pop(0) if self.commits else None
        return Stop() if execution_id is None else Continue(execution_id)


def planned(tick: Tick, elapsed: Iterator[timedelta], earlier: Earlier) -> Tick:
    """The tick, planned by this version; ``elapsed`` tells when the results of bodies are known.

    ``earlier``: as the ticks before it have left it; this one goes on with it.
    """
    run = _Run(elapsed, list(tick.commits or ()), earlier)
    error = None
    given = (tick.snapshot, tick.fired, Registry([getattr(workflows, name) for name in tick.workflows]))
    options: dict[str, Any] = {"execution_id": tick.execution_id, "recover_after": tick.recover_after}
    held = tuple(earlier.held[key] for key in tick.held)
    earlier.flights = {key: earlier.flights[key] for key in tick.flights}
    try:
        if tick.replies is not None:
            flights = tuple(earlier.flights.values())
            known = Known(mine=tick.mine, held=held, flights=flights, absent=tick.absent)
            last = run.talk(tick, tick_loop(*given, known=known, **options))
        else:
            commit = None if tick.commits is None else run.commit
            options |= {"mine": tick.mine, "held": held, "absent": tick.absent}
            last = plan_tick(*given, perform=run.perform, commit=commit, **options)
        run.plans.append(last)
    except (WorkflowError, CodecError) as raised:
        error = type(raised).__name__
    plans = tuple(run.plans)
    after = applied(tick.snapshot, tick.fired.hook.instance_ref, plans)
    return attrs.evolve(tick, bodies=tuple(run.bodies), plans=plans, error=error, after=after)


def commanded(command: Command) -> Command:
    """The command, planned by this version."""
    instance = command.snapshot.instance
    assert instance is not None
    given: list[Any] = [command.snapshot, instance.ref]
    if command.workflow is not None:
        given.append(getattr(workflows, command.workflow))
    plan, error = None, None
    try:
        plan = getattr(planner, f"plan_{command.name}")(*given, execution_id=command.execution_id, **command.more)
    except WfcoreError as raised:
        error = type(raised).__name__
    after = applied(command.snapshot, instance.ref, (plan,) if plan else ())
    return attrs.evolve(command, plan=plan, error=error, after=after)


def applied(seen: Snapshot, ref: str, plans: tuple[Plan, ...]) -> Snapshot:
    """The rows of a snapshot after these plans; one that conflicts, as others are not there, changes nothing."""
    rows = Rows(
        instance=seen.instance,
        steps={(step.run_number, step.key): step for step in seen.steps},
        events={event.id: event for event in seen.events},
        hooks={hook.id: hook for hook in seen.hooks},
    )
    world = {ref: rows}
    for plan in plans:
        after = evolve(world, plan)
        assert not isinstance(after, Conflict) or after.ref != ref, after
        world = world if isinstance(after, Conflict) else dict(after)
    return world[ref].snapshot(seen.now)


def file_name(scenario: str) -> str:
    """Where the ticks of a scenario are kept."""
    return f"{scenario.replace(', ', '-').replace(' ', '_')}.json"


def read(path: Path) -> File:
    """What stands in a file.

    Raises:
        ValueError: its format version is not known.
    """
    text = path.read_text(encoding="utf-8")
    version = json.loads(text)["format_version"]
    if version != FORMAT_VERSION:
        raise ValueError(f"{path.name}: format version {version}")
    file: File = _CODEC.decode(text, File)
    return file


def text_of(file: File) -> str:
    """The text of a file; a line for each tick and command. Tracebacks are left out: they name files of one machine."""
    parts = "".join(f', "{name}": [\n{_lines(each)}\n]' for name in _PARTS if (each := getattr(file, name)))
    return f'{{"format_version": {file.format_version}{parts}}}\n'


def _lines(parts: tuple[Tick | Command, ...]) -> str:
    return ",\n".join(json.dumps(_blank(tree(part), {"traceback": ""}), ensure_ascii=False) for part in parts)


def essence(part: Tick | Command) -> Any:
    """What has to stay as it is: everything but texts that only people read, and where a failure was raised."""
    return _blank(tree(part), {"traceback": "", "last_error": None, "why": ""})


def tree(part: Tick | Command) -> Any:
    """A tick or a command as JSON."""
    return json.loads(_CODEC.encode(part, type(part)))


def _blank(part: Any, blanks: dict[str, Any]) -> Any:
    if isinstance(part, list):
        return [_blank(each, blanks) for each in part]
    if not isinstance(part, dict):
        return part
    own = "type" in part and str(part["type"]).startswith("wfcore.") and "bases" in part  # a failure
    names = {**blanks, "message": ""} if own and "why" in blanks else blanks
    return {key: names[key] if key in names else _blank(each, blanks) for key, each in part.items()}
