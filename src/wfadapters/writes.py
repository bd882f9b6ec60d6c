"""The user's own writes of a plan: who writes them, and what their failures are (rules A11, T6, T7). No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

import attrs

from wfcore.errors import StoreUnavailableError, WriteFailedError
from wfcore.failure import class_name
from wfcore.plan import Plan, Write

E = TypeVar("E", bound=Exception)
W = TypeVar("W")


@attrs.frozen
class OneWrite:
    """One ``Write`` of several plans.

    Attributes:
        place: the index of its plan among the plans.
        index: its index in ``plan.mutations``.
        value: what is written.
    """

    place: int
    index: int
    value: object

    def writer(self, writers: Mapping[type, W]) -> W:
        """The writer of the value's class, else of its nearest base; raises :class:`WriteFailedError` without one."""
        for cls in type(self.value).__mro__:
            if cls in writers:
                return writers[cls]
        advice = f"pass writers={{{type(self.value).__name__}: ...}} to the store"
        raise self.failed("the store has no writer for it", advice)

    def failed(self, reason: str, *advice: str) -> WriteFailedError:
        """The error that says so."""
        return WriteFailedError(self.index, class_name(type(self.value)), reason, *advice)


def writes_of(plans: Sequence[Plan]) -> list[OneWrite]:
    """The writes of plans, in order."""
    return [
        OneWrite(place, index, each.value)
        for place, plan in enumerate(plans)
        for index, each in enumerate(plan.mutations)
        if isinstance(each, Write)
    ]


@attrs.frozen
class Faults(Generic[E]):
    """What a database's driver raises.

    Attributes:
        error: the class of all its errors, or several.
        at_commit: the class of those for a broken constraint, or several; a commit may raise them because of a user's
            ``Write``.
        is_transient: whether an error says nothing about the statement: the same may succeed later.
        describe: the words for one.
    """

    error: type[E] | tuple[type[E], ...]
    at_commit: type[E] | tuple[type[E], ...]
    is_transient: Callable[[E], bool]
    describe: Callable[[E], str]

    @contextmanager
    def of_writer(self, write: OneWrite, writers: Mapping[type, W]) -> Iterator[W]:
        """Lend the writer of a value, and turn what it raises into :class:`WriteFailedError`.

        What is transient is not the writer's fault, and is raised as it is.
        """
        writer = write.writer(writers)
        try:
            yield writer
        except StoreUnavailableError:
            raise
        except self.error as error:
            if self.is_transient(error):
                raise
            raise write.failed(self.describe(error)) from error
        except Exception as error:
            raise write.failed(f"{type(error).__name__}: {error}") from error

    @contextmanager
    def of_commit(self, plans: Sequence[Plan]) -> Iterator[None]:
        """A constraint that is only checked at the commit was broken by a user's ``Write``: the last is named.

        If several plans are committed at once, it may be the write of any of them that is to blame. Roll back all of
        them and apply them one by one, as :func:`wfadapters.batches.together` does.
        """
        try:
            yield
        except self.at_commit as error:
            writes = writes_of(plans)
            if not writes:
                raise
            raise writes[-1].failed(f"at commit: {self.describe(error)}") from error
