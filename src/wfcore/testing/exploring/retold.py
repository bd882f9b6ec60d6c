"""Schedules as people read them, and play them again. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from wfcore.testing.exploring.exploration import Played, Schedule
from wfcore.testing.exploring.moves import Moves
from wfcore.testing.exploring.options import told
from wfcore.testing.exploring.planning import Body
from wfcore.testing.exploring.space import Move, Space
from wfcore.testing.exploring.state import State, text_of
from wfcore.testing.exploring.tables import MOMENT


class Retold:
    """Tells paths of states as schedules, in which every dispatcher has a name of its own.

    Args:
        space: the tables.
        moves: the moves.
    """

    def __init__(self, space: Space, moves: Moves) -> None:
        self._space = space
        self._moves = moves
        self._elapsed = timedelta(0)

    def path(self, path: Iterable[State], last: Move | None = None) -> Schedule:
        """The schedule that leads along these states, and then by the last move."""
        first, *rest = path
        state, played, self._elapsed = first, [], timedelta(0)
        for following in rest:
            move = next(
                each for each in self._moves.of(state) if each.state is not None and each.state.canonical() == following
            )
            played.append(self.played(state, move))
            assert move.state is not None
            state = move.state
        if last is not None:
            move = next((each for each in self._moves.of(state) if each.broken == last.broken), last)
            played.append(self.played(state, move))
        return tuple(played)

    def played(self, state: State, move: Move) -> Played:
        """One move, told."""
        if move.action.kind == "pass":
            self._elapsed += move.action.choice * MOMENT
        return Played(text_of(move.action), f"+{self._elapsed}", self._note(state, move))

    def _note(self, state: State, move: Move) -> str:
        action = move.action
        if move.broken is not None:
            return f"BROKEN: {move.broken.invariant}"
        if action.kind == "run":
            boundary = self._space.boundary(state.workers[action.who])
            assert isinstance(boundary, Body)
            return told(self._space.planning.options.of(boundary.call)[action.choice])
        return move.happened if action.kind != "pass" else ""
