"""Which differences between rows mean nothing, so that states which differ in nothing else are one. No I/O.

* When something was made, taken or settled is history. Workflow code could ask for it (``step.now()``), and an
  invariant of the user's too: they are given instants that tell if they are looked at. Then nothing is left out.
* When a pending event came decides whether a wait takes it, so it counts as soon as any wait has wanted its type.
* Which number a version has means nothing if no plan is on its way that was made from an older one.
"""

from __future__ import annotations

from typing import Any

import attrs

from wfcore.evolve import Rows
from wfcore.model import Event, Hook, Instance, StepRecord
from wfcore.testing.exploring.unread import START, UNREAD

NOBODY = "-"


class TypeWantedError(BaseException):
    """A wait wants a type of event for the first time: begin again."""


@attrs.define
class Knowledge:
    """What has turned out to count.

    Attributes:
        exact: every instant and every version does.
        counting: runs of bodies do.
        wanted: the types of events that any wait has wanted.
    """

    exact: bool = False
    counting: bool = False
    wanted: set[str] = attrs.field(factory=set)


class Normal:
    """Brings rows into the one form that stands for all that mean the same.

    Args:
        knowledge: what counts.
    """

    def __init__(self, knowledge: Knowledge) -> None:
        self.knowledge = knowledge

    def rows(self, rows: Rows) -> Rows:
        """The rows without what means nothing."""
        if self.knowledge.exact:
            return rows
        self._learn(rows)
        steps = {key: _step(step) for key, step in rows.steps.items()}
        return Rows(
            instance=rows.instance and _instance(rows.instance),
            steps=steps,
            events={key: self._event(event) for key, event in rows.events.items()},
            hooks={key: _hook(hook) for key, hook in rows.hooks.items()},
        )

    def renumbered(self, rows: Rows) -> Rows:
        """The rows with the first version again; nobody else may be at work on them."""
        instance = rows.instance
        if self.knowledge.exact or instance is None or any(step.status == "started" for step in rows.steps.values()):
            return rows
        first = attrs.evolve(instance, version=1, execution_id=f"{instance.created_by}:1")
        return attrs.evolve(rows, instance=first)

    def _learn(self, rows: Rows) -> None:
        wanted = {type_ for step in rows.steps.values() for type_ in step.event_types}
        if not wanted <= self.knowledge.wanted:
            self.knowledge.wanted |= wanted
            raise TypeWantedError

    def _event(self, event: Event) -> Event:
        if event.consumed_by is None and event.type in self.knowledge.wanted and event.actor == "user":
            return event
        return _with(event, created_at=START, delivered_at=event.delivered_at and START)


def shown(rows: Rows) -> Rows:
    """Normal rows, with instants of the past that tell if they are looked at."""
    instance = rows.instance
    if instance is not None:
        instance = attrs.evolve(
            instance,
            created_at=UNREAD,
            updated_at=UNREAD,
            started_at=instance.started_at and UNREAD,
            completed_at=instance.completed_at and UNREAD,
        )
    steps = {key: attrs.evolve(step, created_at=UNREAD, settled_at=UNREAD) if step.settled_at else step
             for key, step in rows.steps.items()}
    return attrs.evolve(rows, instance=instance, steps=steps)


def _instance(row: Instance) -> Instance:
    return _with(
        row,
        created_at=START,
        updated_at=START,
        started_at=None if row.started_at is None else START,
        completed_at=None if row.completed_at is None else START,
    )


def _step(row: StepRecord) -> StepRecord:
    if row.settled_at is not None:
        wake_at = None if row.kind == "sleep" and row.status == "completed" else row.wake_at
        return _with(row, created_at=START, settled_at=START, wake_at=wake_at, execution_id=NOBODY)
    if row.status == "started":
        return row
    if row.kind == "do":
        return _with(row, created_at=START, execution_id=NOBODY)
    return _with(row, execution_id=NOBODY)


def _hook(row: Hook) -> Hook:
    if row.id.endswith("#timer"):
        return _with(row, created_at=START)
    return _with(row, created_at=START, due_at=START)


def _with(row: Any, **values: Any) -> Any:
    """The row with these values; itself, if it has them."""
    for name, value in values.items():
        found = getattr(row, name)
        if found is not value and (type(found) is not type(value) or found != value):
            return attrs.evolve(row, **values)
    return row
