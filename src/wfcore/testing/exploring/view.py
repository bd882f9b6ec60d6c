"""A world as an invariant of the user's sees it: read only. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, final

from wfcore.evolve import NOTHING, Rows
from wfcore.keys import build_ref
from wfcore.model import Event, Hook, Instance, InstanceStatus, StepRecord
from wfcore.testing.exploring.normal import Knowledge
from wfcore.testing.exploring.state import Past
from wfcore.testing.exploring.unread import InstantReadError
from wfcore.testing.outcomes import names_step
from wfcore.workflow import Workflow


class RunsWantedError(BaseException):
    """An invariant asks how often bodies have run, and this was not counted: begin again."""


@final
class WorldView:
    """The rows of one instance in one state of the search; nothing that is done to it has an effect.

    Attributes:
        writes: what has been written by ``attempt.write``, of all instances, in the order of the commits.
    """

    def __init__(
        self,
        ref: str,
        rows: Mapping[str, Rows],
        now: datetime,
        past: Past,
        writes: Sequence[object],
        knowledge: Knowledge,
    ) -> None:
        self._now = now
        self.writes = tuple(writes)
        self._ref = ref
        self._all = rows
        self._rows = rows.get(ref, NOTHING)
        self._past = past
        self._knowledge = knowledge

    @property
    def now(self) -> datetime:
        """The time."""
        if not self._knowledge.exact:
            raise InstantReadError
        return self._now

    @property
    def instance(self) -> Instance | None:
        """The row of the instance."""
        return self._rows.instance

    @property
    def status(self) -> InstanceStatus | None:
        """The status of the instance; ``None``: there is no such instance."""
        return None if self._rows.instance is None else self._rows.instance.status

    @property
    def steps(self) -> Mapping[str, StepRecord]:
        """The records of the current run, by key."""
        run = self._rows.instance and self._rows.instance.run_number
        return MappingProxyType({key: step for (number, key), step in self._rows.steps.items() if number == run})

    @property
    def events(self) -> tuple[Event, ...]:
        """The mailbox, with what was taken from it."""
        return tuple(self._rows.events.values())

    @property
    def hooks(self) -> tuple[Hook, ...]:
        """The hooks that are stored."""
        return tuple(self._rows.hooks.values())

    def body_runs(self, step: str) -> int:
        """How often bodies of a step have run; by key, or by the bare name of a ``do``. Counting makes more states."""
        if not self._knowledge.counting:
            raise RunsWantedError
        return sum(count for ref, key, count in self._past.runs if ref == self._ref and names_step(step, key))

    def other(self, workflow: Workflow[Any, Any], id: str) -> WorldView:
        """Another instance in the same state."""
        ref = build_ref(workflow.name, id)
        return WorldView(ref, self._all, self._now, self._past, self.writes, self._knowledge)
