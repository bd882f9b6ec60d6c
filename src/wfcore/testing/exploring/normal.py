"""Which differences between rows mean nothing, so that states which differ in nothing else are one. No I/O.

* When something was made, taken or settled is history. Workflow code could ask for it (``step.now()``), and an
  invariant of the user's too: they are given instants that tell if they are looked at. Then nothing is left out.
* When a pending event came decides whether a wait takes it, so it counts as soon as any wait has wanted its type.
* Which number a version has means nothing if no plan is on its way that was made from an older one.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, TypeVar

import attrs

from wfcore.evolve import Rows
from wfcore.model import Event, Hook, Instance, StepRecord
from wfcore.testing.exploring.unread import PAST, UNREAD, Moment

NOBODY = "-"
Row = TypeVar("Row", Instance, StepRecord, Event, Hook)


class LearntError(BaseException):
    """Something has turned out to count: begin again."""


@attrs.define
class Knowledge:
    """What has turned out to count.

    Attributes:
        exact: every instant and every version does.
        counting: runs of bodies do.
        wanted: the types of events that any wait has wanted.
        reborn: versions do, because an instance may be deleted and come back.
        absolute: it does what the calendar says: code has named an instant, or an instant stands in a text.
    """

    exact: bool = False
    counting: bool = False
    wanted: set[str] = attrs.field(factory=set)
    reborn: bool = False
    absolute: bool = False

    @property
    def shifts(self) -> bool:
        """Whether only the distance of instants counts."""
        return not (self.exact or self.wanted or self.absolute)


class Normal:
    """Brings rows into the one form that stands for all that mean the same.

    Args:
        knowledge: what counts.
    """

    def __init__(self, knowledge: Knowledge) -> None:
        self.knowledge = knowledge

    def rows(self, rows: Rows, before: Rows) -> Rows:
        """The rows without what means nothing."""
        if self.knowledge.exact:
            return rows
        self._learn(rows, before)
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
        known = self.knowledge
        if (
            known.exact
            or known.reborn
            or instance is None
            or any(step.status == "started" for step in rows.steps.values())
        ):
            return rows
        first = attrs.evolve(instance, version=1, execution_id=f"{instance.created_by}:1")
        return attrs.evolve(rows, instance=first)

    def _learn(self, rows: Rows, before: Rows) -> None:
        if self.knowledge.shifts and any(
            step.status == "started" or (step.wake_at is not None and type(step.wake_at) is not Moment)
            for key, step in rows.steps.items()
            if key not in before.steps
        ):
            self.knowledge.absolute = True
            raise LearntError
        wanted = {type_ for step in rows.steps.values() for type_ in step.event_types}
        if not wanted <= self.knowledge.wanted:
            self.knowledge.wanted |= wanted
            raise LearntError

    def _event(self, event: Event) -> Event:
        if event.consumed_by is None and event.type in self.knowledge.wanted and event.actor == "user":
            return event
        return _with(event, created_at=PAST, delivered_at=event.delivered_at and PAST)


def shifted(rows: Rows, by: timedelta) -> Rows:
    """Normal rows when it is so much later: the same, seen from there."""
    steps = {}
    for key, step in rows.steps.items():
        if step.settled_at is not None:
            steps[key] = step
            continue
        created_at = step.created_at if step.created_at == PAST else step.created_at - by
        wake_at, next_retry_at = step.wake_at and step.wake_at - by, step.next_retry_at and step.next_retry_at - by
        steps[key] = _with(step, created_at=created_at, wake_at=wake_at, next_retry_at=next_retry_at)
    hooks = {
        key: hook if hook.due_at == PAST else _with(hook, due_at=hook.due_at - by) for key, hook in rows.hooks.items()
    }
    return attrs.evolve(rows, steps=steps, hooks=hooks)


def _plain(instant: datetime | None) -> datetime | None:
    """A moment as any other instant."""
    return instant if instant is None or type(instant) is datetime else PAST + (instant - PAST)


class Shown:
    """Normal rows, with instants of the past that tell if they are looked at."""

    def __init__(self) -> None:
        self._steps: dict[int, tuple[StepRecord, StepRecord]] = {}

    def rows(self, rows: Rows) -> Rows:
        """The rows as code may see them."""
        instance = rows.instance
        if instance is not None:
            instance = attrs.evolve(
                instance,
                created_at=UNREAD,
                updated_at=UNREAD,
                started_at=instance.started_at and UNREAD,
                completed_at=instance.completed_at and UNREAD,
            )
        return attrs.evolve(rows, instance=instance, steps={key: self._step(step) for key, step in rows.steps.items()})

    def _step(self, step: StepRecord) -> StepRecord:
        if step.settled_at is None:
            return step
        if id(step) not in self._steps:  # the step is kept, so that no other takes its id
            self._steps[id(step)] = step, attrs.evolve(step, created_at=UNREAD, settled_at=UNREAD)
        return self._steps[id(step)][1]


def _instance(row: Instance) -> Instance:
    return _with(
        row,
        created_at=PAST,
        updated_at=PAST,
        started_at=None if row.started_at is None else PAST,
        completed_at=None if row.completed_at is None else PAST,
    )


def _step(row: StepRecord) -> StepRecord:
    if row.settled_at is not None:
        wake_at = None if row.kind == "sleep" and row.status == "completed" else _plain(row.wake_at)
        return _with(row, created_at=PAST, settled_at=PAST, wake_at=wake_at, execution_id=NOBODY)
    if row.status == "started":
        return _with(row, created_at=_plain(row.created_at), wake_at=_plain(row.wake_at))
    if row.kind == "do":
        return _with(row, created_at=PAST, next_retry_at=_plain(row.next_retry_at), execution_id=NOBODY)
    created_at = row.created_at
    if row.kind == "sleep" and row.wake_at is not None and created_at <= row.wake_at:
        created_at = row.wake_at  # what is due is taken by the later of both
    return _with(row, created_at=_plain(created_at), wake_at=_plain(row.wake_at), execution_id=NOBODY)


def _hook(row: Hook) -> Hook:
    if row.id.endswith("#timer"):
        return _with(row, created_at=PAST, due_at=_plain(row.due_at))
    return _with(row, created_at=PAST, due_at=PAST)


def _with(row: Row, **values: Any) -> Row:
    """The row with these values; itself, if it has them."""
    for name, value in values.items():
        found = getattr(row, name)
        if found is not value and (type(found) is not type(value) or found != value):
            changed: Row = attrs.evolve(row, **values)
            return changed
    return row
