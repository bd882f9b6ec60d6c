"""``explore``: every interleaving of a workflow, exhausted. Calls workflow code, no bodies; no I/O, no clock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import attrs

from wfcore.codec import JSON
from wfcore.keys import build_ref
from wfcore.plan import Conflict
from wfcore.ports import Codec
from wfcore.testing.clock import START
from wfcore.testing.exploring.checks import BODIES, Broken
from wfcore.testing.exploring.engine import Engine
from wfcore.testing.exploring.exploration import Counterexample, Exploration, Result
from wfcore.testing.exploring.moves import Moves
from wfcore.testing.exploring.normal import Knowledge, LearntError, Normal
from wfcore.testing.exploring.options import Bodies, Options
from wfcore.testing.exploring.outside import COMMANDS, Outside, SentEvent
from wfcore.testing.exploring.planning import Planning
from wfcore.testing.exploring.retold import Retold
from wfcore.testing.exploring.search import Flaw, Invariant, Judge, Search
from wfcore.testing.exploring.space import Space
from wfcore.testing.exploring.state import IDLE, State
from wfcore.testing.exploring.tables import RowsTable
from wfcore.testing.exploring.unread import InstantReadError
from wfcore.testing.exploring.view import RunsWantedError
from wfcore.workflow import Registry, Workflow

P = TypeVar("P")
R = TypeVar("R")


@attrs.frozen(kw_only=True)
class Bounds:
    """How much may happen; see :func:`explore`."""

    dispatchers: int = 2
    crashes: int = 1
    duplicates: int = 1
    early_hooks: int = 0


def explore(  # noqa: PLR0913 - what may happen, each by keyword
    workflow: Workflow[P, R],
    params: P = None,  # type: ignore[assignment] # of a workflow without
    *,
    bodies: Bodies,
    events: Sequence[SentEvent] = (),
    commands: Sequence[str] = (),
    dispatchers: int = 2,
    crashes: int = 1,
    duplicates: int = 1,
    early_hooks: int = 0,
    max_states: int = 1_000_000,
    invariant: Invariant | None = None,
    confluent: bool = True,
    workflows: Sequence[Workflow[Any, Any]] = (),
    exact: bool = False,
    schedule: Sequence[str] | None = None,
    id: str = "1",
    codec: Codec = JSON,
    engine: Engine = Engine(),  # noqa: B008 - it is frozen
) -> Exploration:
    """Try every interleaving of dispatchers, crashes, repeated hooks, events and commands, breadth first.

    Plans are made by the real planner from immutable worlds; no body runs. A dispatcher retrieves, its bodies settle
    one by one, it commits or conflicts; between any two of these anything else may happen: another dispatcher works
    on the same instance, a process dies, an event arrives, time moves to the next stored deadline. Every state is
    checked against the invariants of the rules (one commit per version, O5, no early wake-up, no lost event, live
    equals replay, ...), and against yours.

    States that differ in nothing that anybody looks at are one: who of the dispatchers does what, when something that
    is over took place. If workflow code or your invariant does look (``step.now()``, ``world.now``), the search begins
    again and keeps these apart. Versions are counted anew from time to time.

    Args:
        workflow: the workflow.
        params: of the instance.
        bodies: what each ``do`` may do, ``{"charge": [returns(Payment("p")), fails(CardDeclined())]}``: each outcome is
            a branch of the search. By bare name, or by key. :func:`per_attempt` gives outcomes by attempt. A function
            of the attempt may queue writes, starts and messages. The body of ``on_consume`` is named by the wait's key.
        events: ``(type, payload)`` of events that may arrive, each once, at any moment, in any order.
        commands: ``"pause"``, ``"resume"``, ``"retry"``, ``"terminate"``, ``"restart"``, ``"delete"``, ``"create"``:
            likewise.
        dispatchers: how many there are.
        crashes: how often a dispatcher may forget everything.
        duplicates: how often a hook that has fired may fire once more.
        early_hooks: how often a hook may fire before it is due.
        max_states: where to give up.
        invariant: called with the :class:`WorldView` of each state; an ``AssertionError``, or ``False``, breaks it.
        confluent: whether the instance has to end in the same way whenever its bodies have done the same; pass
            ``False`` if that depends on when an event arrives.
        workflows: of instances that bodies start; their bodies are named in ``bodies`` too.
        exact: keep all states apart that differ in any instant or version. For planners that look at them.
        schedule: play this schedule, and nothing else; an action that is not possible any more ends it. See
            :meth:`Counterexample.as_test`.
        id: of the instance.
        codec: how values become payloads.
        engine: for planners and stores of your own.

    Returns:
        What was found. ``exploration.check()``, or ``assert exploration.ok, exploration``.

    Raises:
        ValueError: a step has no outcomes, or a command is unknown.
    """
    given = _Given(workflow, params, bodies, tuple(events), tuple(commands), tuple(workflows), id, codec, engine)
    bounds = Bounds(dispatchers=dispatchers, crashes=crashes, duplicates=duplicates, early_hooks=early_hooks)
    knowledge = Knowledge(exact=exact, reborn="create" in commands and not engine.tells_incarnations_apart)
    while True:
        explorer = _Explorer(given, bounds, invariant, knowledge)
        try:
            if schedule is not None:
                return explorer.played(schedule, max_states)
            return explorer.explored(max_states, confluent=confluent)
        except LearntError:
            continue
        except RunsWantedError:
            knowledge.counting = True
        except InstantReadError:
            knowledge.exact = True


@attrs.frozen
class _Given:
    workflow: Workflow[Any, Any]
    params: object
    bodies: Bodies
    events: tuple[SentEvent, ...]
    commands: tuple[str, ...]
    workflows: tuple[Workflow[Any, Any], ...]
    id: str
    codec: Codec
    engine: Engine


class _Explorer:
    def __init__(self, given: _Given, bounds: Bounds, invariant: Invariant | None, knowledge: Knowledge) -> None:
        unknown = [each for each in given.commands if each not in COMMANDS]
        if unknown:
            raise ValueError(f"unknown command {unknown[0]!r}; known are {', '.join(COMMANDS)}")
        self.given = given
        self.ref = build_ref(given.workflow.name, given.id)
        self.options = Options(given.bodies)
        registry = Registry((given.workflow, *given.workflows))
        rows = RowsTable()
        planning = Planning(given.engine, registry, self.options, rows, given.codec, exact=knowledge.exact)
        self.space = Space(given.engine, planning, rows, Normal(knowledge))
        address = self.ref, given.workflow, given.id, given.params
        self.outside = Outside(self.space, address, given.events, given.commands, given.codec)
        self.moves = Moves(self.space, self.outside)
        self.judge = Judge(self.space, self.ref, invariant)
        self.retold = Retold(self.space, self.moves)
        self.start = self._start(bounds)

    def _start(self, bounds: Bounds) -> State:
        after = self.given.engine.evolve({}, self.outside.created({}, START, 1))
        assert not isinstance(after, Conflict)
        return State(
            world=self.space.worlds.of(after),
            now=START,
            workers=(IDLE,) * bounds.dispatchers,
            crashes=bounds.crashes,
            duplicates=bounds.duplicates,
            early=bounds.early_hooks,
            events=(1 << len(self.given.events)) - 1,
            commands=(1 << len(self.given.commands)) - 1,
            fired=0,
            past=0,
        )

    def explored(self, max_states: int, *, confluent: bool) -> Exploration:
        """Search."""
        search = Search(self.moves, self.judge, max_states=max_states, confluent=confluent)
        search.run(self.start)
        flaw = search.flaw
        if flaw is None and search.complete and (unused := self.options.unused):
            flaw = Flaw(
                Broken(BODIES, f"bodies= names {unused[0]!r}, and no step of that name is ever run"), [self.start]
            )
        return self._exploration(search, flaw, complete=search.complete)

    def played(self, schedule: Sequence[str], max_states: int) -> Exploration:
        """Play a schedule."""
        search = Search(self.moves, self.judge, max_states=max_states, confluent=False)
        complete = search.play(self.start, schedule)
        return self._exploration(search, search.flaw, complete=complete)

    def _exploration(self, search: Search, flaw: Flaw | None, *, complete: bool) -> Exploration:
        return Exploration(
            ok=flaw is None and (complete or search.is_playing),
            complete=complete,
            states=len(search.states),
            transitions=search.transitions,
            results=tuple(self._result(search, number) for number in search.ends.values()),
            witnessed=dict(search.happened),
            counterexample=None if flaw is None else self._counterexample(flaw),
        )

    def _result(self, search: Search, number: int) -> Result:
        instance = self.judge.end(search.states[number].world)
        assert instance is not None
        output = None
        if instance.output is not None:
            codec = self.given.workflow.local_codec(self.given.codec)
            output = codec.decode(instance.output, self.given.workflow.result_type)
        return Result(instance.status, output, instance.failure, self.retold.path(search.path(number)))

    def _counterexample(self, flaw: Flaw) -> Counterexample:
        schedule = self.retold.path(flaw.path, flaw.move)
        other = self.retold.path(flaw.other) if flaw.other else ()
        return Counterexample(flaw.broken.invariant, flaw.broken.message, schedule, other)
