"""How long a dispatcher waits before it looks again for due hooks, when the store could not be asked (rules R3, T6)."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from types import TracebackType

import attrs
import pytest

from wfcore.errors import StoreUnavailableError
from wfcore.model import FiredHook
from wfcore.ports import DueQuery
from wfcore.runner.doors import at_once
from wfcore.runner.roster import Roster
from wfcore.runner.runtime import Runtime
from wfcore.runner.watch import Watch


@attrs.define
class Away:
    """A feed that is asked in vain, some times; then it has nothing."""

    failures: int
    looks: int = 0

    async def due(self, query: DueQuery) -> Sequence[FiredHook]:  # noqa: ARG002 - as the port has it
        self.looks += 1
        if self.looks <= self.failures:
            raise StoreUnavailableError("due", "it is away")
        return ()

    async def next_due_at(self, query: DueQuery) -> datetime | None:  # noqa: ARG002 - as above
        return None


@attrs.define
class Patient:
    """A signal that notes how long somebody would wait."""

    pauses: list[float] = attrs.field(factory=list)

    def __enter__(self) -> bool:
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def notify_all(self) -> None:
        pass

    async def wait_for(self, ready: Callable[[], bool], seconds: float | None = None) -> bool:
        if seconds is not None:
            self.pauses.append(seconds)
        return ready()


@pytest.mark.parametrize(
    ("poll_interval", "pauses"),
    [
        (timedelta(hours=1), [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 3600.0, 0.1]),
        (timedelta(seconds=1), [0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0, 1.0, 1.0, 0.1]),
    ],
    ids=str,
)
def test_r3_a_look_that_fails_is_repeated_after_a_tenth_of_a_second_doubling_to_five(
    poll_interval: timedelta, pauses: list[float]
) -> None:
    signal, feed = Patient(), Away(failures=8)
    roster = Roster(DueQuery(), 1, poll_interval, Runtime(), signal)
    for _ in range(9):
        at_once(roster._turn(feed, nothing, until_idle=False))
    feed.failures = 10  # again
    at_once(roster._turn(feed, nothing, until_idle=False))
    assert signal.pauses == pauses


def nothing(fired: FiredHook, watch: Watch) -> None:
    raise AssertionError("nothing is due")
