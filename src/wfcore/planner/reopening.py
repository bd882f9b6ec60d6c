"""Which records a retry opens again: the failures that nothing stands on (rule M7). Pure: no I/O, no clock.

What a step has settled to is what the code after it has built on. So a failed step can only be opened again if nothing
was asked for after it that is to be kept. Whether one record was asked for after another is read from their keys and
the order of settlement:

* The code of a run is a tree of **lines**: that of the workflow, and one for each branch of a group. A line is written
  from top to bottom, and its items are steps and groups. Branches of one group know nothing of each other.
* In a line a step stands where it has settled, and one that has not settled last: the line has waited for it. A group
  stands where its first record has settled; what settles in it later belongs to it wherever its number stands.
* A record comes after another if it stands lower in the line that the two have in common.

From each line's end upwards, failed steps are opened, until something is met that stays: a result, or a wait that was
cancelled. Of failures that were caught, each before the next, the first is opened; the others were only asked for
because of it, and are taken away: the code may not come to them again. So it is with what a race has decided: what the
code did after a race was decided stands on the decision, and no branch of it is opened.

A step whose write the store has refused (rule T5) stands alone: nothing else of its tick was kept, so the code may have
more to do before it comes to it. It is taken away, and made anew.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TypeAlias

import attrs

from wfcore.errors import EventTimeoutError, StepFailedError, StepNameError, WriteFailedError
from wfcore.failure import MESSAGE_LIMIT, Failure, class_name
from wfcore.keys import Segment, StepKey
from wfcore.model import StepRecord

_OF_STEPS = frozenset(map(class_name, (EventTimeoutError, WriteFailedError)))
"""Failures that an instance has in common with the step that has ended it."""


@attrs.frozen(kw_only=True)
class Reopening:
    """What a retry does to the records of a run.

    Attributes:
        reopened: failed steps that are opened again.
        removed: records that are taken away, because the code may not come to them again.
        held_by: if a step has ended the instance that cannot be opened: the first record that stands after it. Nothing
            is opened then, as the code would come to the same end again.
    """

    reopened: tuple[StepRecord, ...]
    removed: tuple[StepRecord, ...]
    held_by: StepRecord | None = None


def reopening(steps: tuple[StepRecord, ...], failure: Failure | None) -> Reopening:
    """What to open again.

    Args:
        steps: all records of the run of an instance that is ``errored``.
        failure: the instance's.
    """
    settled = sorted((step for step in steps if step.sequence is not None), key=lambda step: step.sequence or 0)
    last = settled[-1] if settled else None
    refused = last if last is not None and _was_refused(last, failure) else None
    workflow = _Line()
    for step in sorted(steps, key=lambda each: each.key):  # a store gives them in any order
        if step.kind != "patch" and step is not refused:
            workflow.add(step, _path(step))
    workflow.place(settled, [step.settled_at or step.created_at for step in settled])
    opened = workflow.opened()
    removed = opened.removed if refused is None else (refused, *opened.removed)
    failed = failed_step(failure, settled)
    if failed is None or failed in (*opened.reopened, *removed):
        return Reopening(reopened=opened.reopened, removed=removed)
    first = min(workflow.after(failed, _path(failed)), key=_place, default=failed)
    return Reopening(reopened=(), removed=(), held_by=first)


def failed_step(failure: Failure | None, settled: Sequence[StepRecord]) -> StepRecord | None:
    """The step that ended the instance: of which workflow code raised the error, or whose write was refused (T5).

    Args:
        failure: the instance's.
        settled: the records that have settled, in their order.
    """
    for step in reversed(settled):
        if failure is None or step.status != "errored" or step.failure is None:
            continue
        raised = str(StepFailedError(step.key, step.failure))[:MESSAGE_LIMIT]
        by_itself = failure.type in _OF_STEPS and step.failure == failure
        if by_itself or (failure.is_a(StepFailedError) and raised == failure.message):
            return step
    return None


def _was_refused(step: StepRecord, failure: Failure | None) -> bool:
    """Whether the step ended the instance because a write of it failed (rule T5): both have that failure."""
    return step.failure is not None and step.failure.is_a(WriteFailedError) and step.failure == failure


def _path(step: StepRecord) -> tuple[Segment, ...]:
    try:
        return StepKey.parse(step.key).path
    except StepNameError:  # a bare name (rule K5): it tells of no scope or branch around it
        return ()


def _place(step: StepRecord) -> tuple[float, datetime]:
    return math.inf if step.sequence is None else step.sequence, step.created_at


@attrs.frozen
class _Opened:
    reopened: tuple[StepRecord, ...] = ()
    removed: tuple[StepRecord, ...] = ()
    whole: bool = True  # nothing stays


@attrs.define(eq=False)
class _Step:
    record: StepRecord
    at: float

    def records(self) -> Iterator[StepRecord]:
        yield self.record

    def opened(self) -> _Opened:
        return _Opened((self.record,)) if self.record.status == "errored" else _Opened(whole=False)


@attrs.define(eq=False)
class _Group:
    races: bool
    lines: dict[str, _Line] = attrs.field(factory=dict)
    list_record: StepRecord | None = None  # of a map
    at: float = 0.0

    def records(self) -> Iterator[StepRecord]:
        if self.list_record is not None:
            yield self.list_record
        for line in self.lines.values():
            yield from line.records()

    def place(self, settled: list[StepRecord], instants: list[datetime]) -> None:
        for line in self.lines.values():
            line.place(settled, instants)
        numbers = [record.sequence for record in self.records() if record.sequence is not None]
        if numbers:
            self.at = min(numbers)
            return
        place = bisect_right(instants, min(record.created_at for record in self.records()))
        self.at = (settled[place - 1].sequence or 0) + 0.5 if place else 0.5

    def opened(self) -> _Opened:
        found = [line.opened() for line in self.lines.values()]
        return _Opened(
            tuple(step for each in found for step in each.reopened),
            tuple(step for each in found for step in each.removed),
            all(each.whole for each in found),
        )


_Item: TypeAlias = _Step | _Group


@attrs.define(eq=False)
class _Line:
    """What one branch has asked for, or the workflow itself; by the path in the line."""

    items: dict[str, _Item] = attrs.field(factory=dict)

    def add(self, record: StepRecord, path: tuple[Segment, ...]) -> None:
        name, segment, below = _in_line(record, path)
        if segment is None:
            self.items[name] = _Step(record, math.inf if record.sequence is None else record.sequence)
            return
        group = self.items.setdefault(name, _Group(segment.kind == "race"))
        assert isinstance(group, _Group)  # noqa: S101 - no step has the name of a group
        if segment.branch is None:
            group.list_record = record
        else:
            group.lines.setdefault(segment.branch, _Line()).add(record, below)

    def place(self, settled: list[StepRecord], instants: list[datetime]) -> None:
        for item in self.items.values():
            if isinstance(item, _Group):
                item.place(settled, instants)

    def records(self) -> Iterator[StepRecord]:
        for item in self.items.values():
            yield from item.records()

    def opened(self) -> _Opened:
        """From the end upwards, until something stays."""
        found = _Opened()
        below: list[StepRecord] = []
        for item in sorted(self.items.values(), key=lambda each: each.at, reverse=True):
            decided = isinstance(item, _Group) and item.races and bool(below)
            own = _Opened(whole=False) if decided else item.opened()
            if own.reopened:
                found = _Opened(own.reopened, (*below, *own.removed))
            if not own.whole:
                return attrs.evolve(found, whole=False)
            below.extend(item.records())
        return found

    def after(self, record: StepRecord, path: tuple[Segment, ...]) -> Iterator[StepRecord]:
        """What comes after a record, in this line and in those below that it is in."""
        name, segment, below = _in_line(record, path)
        own = self.items[name]
        for item in self.items.values():
            if item.at > own.at:
                yield from item.records()
        if isinstance(own, _Group) and segment is not None and segment.branch is not None:
            yield from own.lines[segment.branch].after(record, below)


def _in_line(record: StepRecord, path: tuple[Segment, ...]) -> tuple[str, Segment | None, tuple[Segment, ...]]:
    """A record's item in a line: its path there, the segment of the group if it is one, and the path below that."""
    names = []
    for place, segment in enumerate(path):
        names.append(str(attrs.evolve(segment, branch=None)))
        if segment.branch is not None or segment.kind == "map":
            return ">".join(names), segment, path[place + 1 :]
    return record.key, None, ()
