"""What the suite has to know of a store: :class:`Adapter`, the one thing that its author fills in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import attrs
import pytest

from wfcore.testing.conformance.build import NOW
from wfcore.testing.conformance.contents import CLAUSES

# The tests are imported after this: so a failed assertion shows both sides, as in a test of your own.
pytest.register_assert_rewrite("wfcore.testing.conformance.clauses")


@attrs.frozen
class Note:
    """The value that the suite writes with ``Write``: a writer keeps the text, and refuses a text that is empty.

    Attributes:
        text: what to keep, with the order of all texts.
    """

    text: str


@attrs.define
class Clock:
    """The clock that stores are opened with; the suite moves it by hand.

    Attributes:
        now: what it shows.
    """

    now: datetime = NOW

    def __call__(self) -> datetime:
        """The time."""
        return self.now

    def advance(self, by: timedelta) -> None:
        """Let time pass."""
        self.now += by


def noon() -> datetime:
    """A clock that stands still, for stores in other processes."""
    return NOW


def _reasons(_adapter: object, _field: object, skips: Mapping[str, str]) -> None:
    for what, reason in skips.items():
        if what not in CLAUSES and not what.startswith("test_"):
            raise ValueError(f"skips[{what!r}]: is no clause ({', '.join(CLAUSES)}) and no test")
        if not str(reason or "").strip():
            raise ValueError(f"skips[{what!r}]: say why")


@attrs.frozen(kw_only=True)
class Adapter:
    """A new, empty place for data, and how to reach it. The suite makes one for every test.

    Whatever is left out is a capability that the store does not have; its tests are skipped with a reason. The rest
    (feed, catalog, ``listen``, ``apply_many``) is found by looking at the store. For an ``AsyncStoreSuite`` the stores
    are asyncio's; functions may then be ``async def`` and context managers asynchronous.

    Attributes:
        open: ``open(clock)`` gives a store on the data of this adapter, or a context manager of one; called again, it
            gives another store on the same data. ``clock`` is a function without arguments. A store with a ``close``
            method is closed at the end of the test.
        durable: whether a store that is opened again finds what was applied (A4). Its ``open`` is called by several
            processes too (A3), if it can be pickled.
        written: ``written(store)`` gives the texts of all committed :class:`Note`, in order (A11).
        fails_at_commit: a value of yours for ``Write``, whose writer breaks a constraint that the database looks at
            only when it commits: a deferred foreign key (A11, B2). Without such constraints: ``None``.
        within: ``within(store)`` gives a context manager: a transaction of the caller, and in it the store bound to
            it; the transaction is committed at its end, and rolled back if it is left by an exception (B1).
        faulty: ``faulty(clock, strikes)`` gives a store whose database asks ``strikes()`` as often as it can, at least
            before each statement, commit and rollback, and fails transiently whenever that is true (A1, A12); after
            each commit, too: so the answer of one that was committed is lost (A5).
        skips: clauses and tests to leave out, each with the reason why.

    Raises:
        ValueError: of ``skips``, what is no clause and no test, or has no reason.
    """

    open: Callable[[Callable[[], datetime]], Any]
    durable: bool = True
    written: Callable[[Any], Any] | None = None
    fails_at_commit: object = None
    within: Callable[[Any], Any] | None = None
    faulty: Callable[[Callable[[], datetime], Callable[[], bool]], Any] | None = None
    skips: Mapping[str, str] = attrs.field(factory=dict, validator=_reasons)
