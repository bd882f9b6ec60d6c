"""The catalog port: instances page by page, for operators. Protocols and their records only, no I/O.

An optional capability of a store: nothing that an instance needs to go on depends on it. A catalog reads what is
committed; each answer is one consistent cut. What a query means is :meth:`InstanceQuery.admits`, written once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Generic, Protocol, TypeVar, get_args, runtime_checkable

import attrs

from wfcore.errors import RunNotFoundError
from wfcore.model import Event, Instance, InstanceStatus, StepRecord
from wfcore.ports.cursor import Position, decode, encode, microseconds

T_co = TypeVar("T_co", covariant=True)
STATUSES: tuple[InstanceStatus, ...] = get_args(InstanceStatus)
"""All statuses."""
MAX_LIMIT = 1000
"""The most instances that a page may hold."""


def _names(given: str | Iterable[str] | None) -> frozenset[str] | None:
    return None if given is None else frozenset([given] if isinstance(given, str) else given)


def _statuses(given: InstanceStatus | Iterable[InstanceStatus] | None) -> frozenset[InstanceStatus] | None:
    return None if given is None else frozenset([given] if isinstance(given, str) else given)


def _labels(given: Mapping[str, str]) -> dict[str, str]:
    return dict(given)


def _instant(_query: object, field: attrs.Attribute[datetime | None], value: object) -> None:
    if value is not None and (not isinstance(value, datetime) or value.tzinfo is None):
        raise ValueError(f"{field.name}={value!r}: must be a datetime with a time zone")


@attrs.frozen(kw_only=True)
class InstanceQuery:
    """Which instances are wanted, newest first (rule M9): those that pass every filter that is given.

    Attributes:
        workflow_names: only instances of these workflows; a ``str`` is one name. ``None``: of all.
        statuses: only instances in one of these statuses; a ``str`` is one status. ``None``: in any.
        created_since: only those created at this instant or later.
        created_before: only those created before it; so ranges that meet share no instance.
        tags: only those that have all of these labels; they may have more.
        limit: how many a page holds at most, 1 to 1,000.
        cursor: ``next_cursor`` of the page before, from a query with the same filters; ``None``: the first page.

    Raises:
        ValueError: a value is out of its range.
        CursorError: no page has given the cursor, or one of a query with other filters.
    """

    workflow_names: frozenset[str] | None = attrs.field(default=None, converter=_names)
    statuses: frozenset[InstanceStatus] | None = attrs.field(default=None, converter=_statuses)
    created_since: datetime | None = attrs.field(default=None, validator=_instant)
    created_before: datetime | None = attrs.field(default=None, validator=_instant)
    tags: Mapping[str, str] = attrs.field(factory=dict, converter=_labels)
    limit: int = 100
    cursor: str | None = None

    def __attrs_post_init__(self) -> None:
        if type(self.limit) is not int or not 1 <= self.limit <= MAX_LIMIT:
            raise ValueError(f"limit={self.limit!r}: must be 1 to {MAX_LIMIT}; what comes after is the next page")
        unknown = sorted(map(repr, (self.statuses or frozenset()) - {*STATUSES}))
        if unknown:
            raise ValueError(f"statuses: {', '.join(unknown)}: must be of {', '.join(STATUSES)}")
        if not all(isinstance(text, str) for tag in self.tags.items() for text in tag):
            raise ValueError(f"tags={self.tags!r}: names and values must be str")
        self.position()

    def position(self) -> Position | None:
        """``(created_at, ref)`` of the instance after which the page begins; ``None``: the page is the first."""
        return None if self.cursor is None else decode(self.cursor, self._filters())

    def admits(self, instance: Instance) -> bool:
        """Whether an instance passes the filters; limit and cursor do not count."""
        return (
            (self.workflow_names is None or instance.workflow_name in self.workflow_names)
            and (self.statuses is None or instance.status in self.statuses)
            and (self.created_since is None or self.created_since <= instance.created_at)
            and (self.created_before is None or instance.created_at < self.created_before)
            and self.tags.items() <= instance.tags.items()
        )

    def page(self, found: Sequence[Instance]) -> Page[Instance]:
        """The page of this query, for a catalog to return.

        Args:
            found: the first instances after :meth:`position`, in order: ``limit`` of them, and one more if there is.
        """
        items = tuple(found[: self.limit])
        more = len(found) > self.limit
        return Page(items=items, next_cursor=encode(place(items[-1]), self._filters()) if more else None)

    def after(self, page: Page[Instance]) -> InstanceQuery | None:
        """The query for the page that follows one of this query's; ``None``: that was the last."""
        return None if page.next_cursor is None else attrs.evolve(self, cursor=page.next_cursor)

    def _filters(self) -> str:
        instants = (None if at is None else microseconds(at) for at in (self.created_since, self.created_before))
        sets = (None if names is None else sorted(names) for names in (self.workflow_names, self.statuses))
        return json.dumps([*sets, *instants, sorted(self.tags.items())])


def place(instance: Instance) -> Position:
    """What a list is ordered by, the greatest first: the newest, and of those the last by ref."""
    return instance.created_at, instance.ref


@attrs.frozen(kw_only=True)
class Page(Generic[T_co]):
    """A part of a list.

    Attributes:
        items: in order.
        next_cursor: for the next page; ``None``: this is the last.
    """

    items: tuple[T_co, ...]
    next_cursor: str | None


@attrs.frozen(kw_only=True)
class History:
    """What is recorded of one run.

    Attributes:
        instance: the instance as it is now, whichever run it is in.
        run_number: the run.
        steps: its records: those that have settled in the order in which they did, then the others.
        events: those that were taken in this run (``consumed_by`` says by what), and, if it is the current one, those
            that nobody has taken; in the order of arrival. A store without a catalog tells of the latter only.
    """

    instance: Instance
    run_number: int
    steps: tuple[StepRecord, ...]
    events: tuple[Event, ...]

    @classmethod
    def of(
        cls, instance: Instance, run_number: int | None, steps: Iterable[StepRecord], events: Iterable[Event]
    ) -> History:
        """The history of a run, made of rows among which its own are.

        Args:
            instance: the instance.
            run_number: the run; ``None``: the current one.
            steps: records of the instance, in any order.
            events: its events, in the order of arrival.

        Raises:
            RunNotFoundError: there is no such run.
        """
        current = instance.run_number
        run = current if run_number is None else run_number
        if not 1 <= run <= current:
            raise RunNotFoundError(instance.ref, run, current)
        return cls(
            instance=instance,
            run_number=run,
            steps=tuple(sorted((step for step in steps if step.run_number == run), key=_by_settlement)),
            events=tuple(event for event in events if (event.consumed_run if event.consumed_by else current) == run),
        )


def _by_settlement(step: StepRecord) -> tuple[bool, int, datetime, str]:
    return step.sequence is None, step.sequence or 0, step.created_at, step.key


@runtime_checkable
class Catalog(Protocol):
    """What an operator asks. A store may implement it too."""

    def list_instances(self, query: InstanceQuery) -> Page[Instance]:
        """One page of the instances that the query admits: by ``(created_at, ref)``, the greatest first.

        A page holds the next ``limit`` instances after :meth:`InstanceQuery.position` that are there when it is read.
        So whatever is created or deleted between two pages, and however many were created at one instant: no instance
        that is there all the time is skipped, and none is shown twice (unless it is deleted and created again).

        Raises:
            StoreUnavailableError: transient failure.
            CorruptRecordError: a row cannot be read.
        """

    def count_by_status(self, query: InstanceQuery) -> Mapping[InstanceStatus, int]:
        """How many instances the query admits, for each status, zeros included; limit and cursor do not count.

        Raises:
            StoreUnavailableError: transient failure.
        """

    def history(self, ref: str, run_number: int | None = None) -> History:
        """What is recorded of a run, consumed events included (:meth:`History.of`); ``None``: of the current one.

        Raises:
            InstanceNotFoundError: there is no such instance.
            RunNotFoundError: it has no such run.
            StoreUnavailableError: transient failure.
            CorruptRecordError: a row cannot be read.
        """

    def suspects(self, limit: int, after: str | None = None) -> Sequence[Instance]:
        """Candidates for an audit (rule R7): every instance that breaks rule O5 is among them; others may be.

        All instances would do; the fewer there are on a healthy store, the faster is an audit, which retrieves each
        of them to judge it.

        Args:
            limit: at most so many.
            after: those whose ref is greater only.

        Returns:
            In the order of their refs.

        Raises:
            StoreUnavailableError: transient failure.
            CorruptRecordError: a row cannot be read.
        """


@runtime_checkable
class AsyncCatalog(Protocol):
    """A :class:`Catalog` for asyncio; each call may be cancelled, see :class:`wfcore.ports.AsyncStore`."""

    async def list_instances(self, query: InstanceQuery) -> Page[Instance]:
        """As :meth:`Catalog.list_instances`."""

    async def count_by_status(self, query: InstanceQuery) -> Mapping[InstanceStatus, int]:
        """As :meth:`Catalog.count_by_status`."""

    async def history(self, ref: str, run_number: int | None = None) -> History:
        """As :meth:`Catalog.history`."""

    async def suspects(self, limit: int, after: str | None = None) -> Sequence[Instance]:
        """As :meth:`Catalog.suspects`."""
