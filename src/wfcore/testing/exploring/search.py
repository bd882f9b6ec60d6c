"""The search, breadth first, so that the first schedule to anything is a shortest one. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from wfcore.model import TERMINAL, Instance
from wfcore.testing.exploring.checks import EQUAL_RESULTS, GOES_ON, OWN, Broken
from wfcore.testing.exploring.moves import Moves
from wfcore.testing.exploring.normal import Shown
from wfcore.testing.exploring.space import Move, Space
from wfcore.testing.exploring.state import Action, State, text_of
from wfcore.testing.exploring.view import WorldView

Invariant = Callable[[WorldView], Any]
AND_THEN = text_of(Action("rest"))
_ENGINE = frozenset({"take", "run", "commit", "pass"})


@attrs.frozen
class Flaw:
    """An invariant that does not hold: after these states, and that move.

    Attributes:
        broken: the invariant.
        path: the states, in order.
        move: the move from the last of them that breaks it; ``None``: the state itself does.
        other: for equal results: states that lead to the other result.
    """

    broken: Broken
    path: list[State]
    move: Move | None = None
    other: list[State] = attrs.field(factory=list)


class Judge:
    """Judges single states.

    Args:
        space: the tables.
        ref: the instance that is explored.
        invariant: the user's.
    """

    def __init__(self, space: Space, ref: str, invariant: Invariant | None) -> None:
        self._space = space
        self._ref = ref
        self._invariant = invariant
        self._shown = Shown()
        self._judged: dict[tuple[object, ...], Broken | None] = {}
        self._ends: dict[int, Instance | None] = {}

    def broken(self, state: State) -> Broken | None:
        """Whether the user's invariant does not hold."""
        if self._invariant is None:
            return None
        key = state.world, state.now, state.past
        if key not in self._judged:
            self._judged[key] = self._ask(self._invariant, state)
        return self._judged[key]

    def end(self, world: int) -> Instance | None:
        """The instance, if it has ended."""
        if world not in self._ends:
            number = self._space.worlds.refs(world).get(self._ref)
            found = None if number is None else self._space.rows[number].instance
            self._ends[world] = found if found is not None and found.status in TERMINAL else None
        return self._ends[world]

    def done_by_bodies(self, world: int) -> tuple[object, ...]:
        """What bodies have done, as far as it is recorded; with it, results have to be equal."""
        rows = self._space.rows[self._space.worlds.refs(world)[self._ref]]
        done = (step for step in rows.steps.values() if step.kind == "do")
        return tuple(
            sorted((step.run_number, step.key, step.status, step.result or "", str(step.failure)) for step in done)
        )

    def is_at_rest(self, state: State) -> bool:
        """Whether nobody is at work, and no hook is stored."""
        rows = self._space.rows
        return not any(state.workers) and not any(map(rows.hooks, self._space.worlds.refs(state.world).values()))

    def _ask(self, invariant: Invariant, state: State) -> Broken | None:
        space = self._space
        past = space.pasts[state.past]
        writes = [space.writes[number] for number in past.writes]
        rows = space.worlds.world(state.world)
        if not space.normal.knowledge.exact:
            rows = {ref: self._shown.rows(each) for ref, each in rows.items()}
        world = WorldView(self._ref, rows, state.now, past, writes, space.normal.knowledge)
        try:
            holds = invariant(world)
        except AssertionError as error:
            return Broken(OWN, str(error) or "the invariant's assertion does not hold")
        return Broken(OWN, "the invariant returned False") if holds is False else None


class Search:
    """One search from one state.

    Args:
        moves: the moves.
        judge: judges states.
        max_states: how many states may be seen.
        confluent: whether results have to be equal if bodies have done the same.

    Attributes:
        flaw: what was found first.
        complete: whether every state was seen.
        ends: first state of each result.
        happened: what came of moves, and how often.
        is_playing: whether a schedule is played.
    """

    def __init__(self, moves: Moves, judge: Judge, *, max_states: int, confluent: bool) -> None:
        self.flaw: Flaw | None = None
        self.complete = False
        self.states: list[State] = []
        self.transitions = 0
        self.ends: dict[tuple[str, str | None, str], int] = {}
        self.happened: Counter[str] = Counter()
        self.is_playing = False
        self._moves = moves
        self._judge = judge
        self._max_states = max_states
        self._confluent = confluent
        self._numbers: dict[State, int] = {}
        self._parents: list[int] = []
        self._following: list[list[int]] = []
        self._agreed: dict[tuple[object, ...], tuple[tuple[str, str | None, str], int]] = {}

    def run(self, start: State) -> None:
        """Search until everything was seen, something is broken, or there are too many states."""
        self._see(start.canonical(), -1)
        at = 0
        while at < len(self.states) and self.flaw is None:
            if len(self.states) > self._max_states:
                return
            self._expand(at)
            at += 1
        if self.flaw is None:
            self.complete = True
            self._require_rest()

    def play(self, start: State, schedule: Sequence[str]) -> bool:
        """Play a schedule as far as it can be; whether that was to its end."""
        self.is_playing = True
        state = start
        number = self._see(start, -1)
        for text in schedule:
            if self.flaw is not None:
                return False
            if text == AND_THEN:
                rest = Search(self._moves, self._judge, max_states=self._max_states, confluent=False)
                rest.run(state)
                if rest.flaw is not None and rest.flaw.broken.invariant == GOES_ON:
                    self.flaw = Flaw(
                        rest.flaw.broken, self.path(number), Move(Action("rest"), None, "", rest.flaw.broken)
                    )
                return rest.complete
            move = next((each for each in self._moves.of(state) if text_of(each.action) == text), None)
            if move is None:
                return False
            self.transitions += 1
            self.happened[move.happened] += bool(move.happened)
            if move.state is None:
                assert move.broken is not None
                self.flaw = Flaw(move.broken, self.path(number), move)
                return False
            state = move.state
            number = self._see(state, number)
        return True

    def path(self, number: int) -> list[State]:
        """The states on a shortest way to a state."""
        found = []
        while number >= 0:
            found.append(self.states[number].canonical())
            number = self._parents[number]
        return found[::-1]

    def _expand(self, at: int) -> None:
        following: list[int] = []
        numbers = self._numbers
        for move in self._moves.of(self.states[at]):
            self.transitions += 1
            if move.happened:
                self.happened[move.happened] += 1
            if move.state is None:
                assert move.broken is not None
                self.flaw = Flaw(move.broken, self.path(at), move)
                return
            state = move.state.canonical()
            number = numbers.get(state)
            if number is None:
                number = self._see(state, at)
                if self.flaw is not None:
                    return
            if move.action.kind in _ENGINE:
                following.append(number)
        self._following.append(following)

    def _see(self, state: State, parent: int) -> int:
        number = self._numbers[state] = len(self.states)
        self.states.append(state)
        self._parents.append(parent)
        broken = self._judge.broken(state)
        if broken is not None:
            self.flaw = Flaw(broken, self.path(number))
        elif (instance := self._judge.end(state.world)) is not None:
            self._ended(instance, state, number)
        return number

    def _ended(self, instance: Instance, state: State, number: int) -> None:
        end = instance.status, instance.output, str(instance.failure)
        self.ends.setdefault(end, number)
        if not self._confluent:
            return
        agreed = self._agreed.setdefault(self._judge.done_by_bodies(state.world), (end, number))
        if agreed[0] != end:
            text = f"bodies did the same, and it ended {_told(end)}, and otherwise {_told(agreed[0])}"
            self.flaw = Flaw(Broken(EQUAL_RESULTS, text), self.path(number), other=self.path(agreed[1]))

    def _require_rest(self) -> None:
        """From every state, without further faults or messages, the instances must be able to come to rest."""
        states = self.states
        resting = [self._judge.is_at_rest(state) for state in states]
        changed = True
        while changed:
            changed = False
            for number in range(len(states) - 1, -1, -1):
                if not resting[number] and any(resting[each] for each in self._following[number]):
                    resting[number] = changed = True
        if False in resting:
            number = resting.index(False)
            text = "from here on, without further faults, the instances never come to rest"
            broken = Broken(GOES_ON, text)
            self.flaw = Flaw(broken, self.path(number), Move(Action("rest"), None, "", broken))


def _told(end: tuple[str, str | None, str]) -> str:
    status, output, failure = end
    return f"{status} with {output if status == 'complete' else failure}"
