"""Customers of the shop of ``tests.crash``: they give commands, remember what was acknowledged, and look afterwards."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import TypeAlias, TypeVar

import attrs

from tests.crash.shop import CHECKOUT, EVENT_ID, Approved, expected
from wfcore import Client, Handle, StoreUnavailableError

T = TypeVar("T")
Row: TypeAlias = tuple[int, str]
PATIENCE = timedelta(seconds=60)
"""How long an instance may take: never reached."""


@attrs.define
class Trade:
    """Who gives commands. One that fails for the store's sake is given again, as anybody would.

    Attributes:
        client: by whom they are given.
        begun: how many instances there are: numbers from 0.
        approved: how many of them were sent their event.
        failures: what the store's failures said to the customers.
    """

    client: Client
    begun: int = 0
    approved: int = 0
    failures: list[StoreUnavailableError] = attrs.field(factory=list)

    def begin(self, count: int) -> None:
        """Create so many instances."""
        for _ in range(count):
            self.insist(partial(self._create, self.begun))
            self.begun += 1

    def _create(self, number: int) -> None:
        self.client.create(CHECKOUT, number, id=str(number), on_conflict="return_existing")

    def approve(self) -> None:
        """Send every instance that has not got it the event that it waits for, or is going to."""
        for number in range(self.approved, self.begun):
            self.insist(partial(self._send, number))
            self.approved += 1

    def _send(self, number: int) -> None:
        self.handle(number).send_event(Approved, f"approval {number}", id=EVENT_ID)

    def insist(self, command: Callable[[], T]) -> T:
        """Give a command until it is acknowledged. A store that is away takes its time to say so."""
        while True:
            try:
                return command()
            except StoreUnavailableError as error:
                self.failures.append(error)

    def handle(self, number: int) -> Handle[str]:
        return self.client.handle(CHECKOUT, str(number))

    def outcome(self) -> "Outcome":
        """Wait until every instance has ended, and tell."""
        ends = [partial(self.handle(number).result, timeout=PATIENCE) for number in range(self.begun)]
        results = {number: self.insist(end) for number, end in enumerate(ends)}
        return Outcome(results, [each.problem for each in self.client.audit()])


@attrs.frozen
class Outcome:
    """What there is in the end.

    Attributes:
        results: of each instance.
        findings: of an audit.
    """

    results: dict[int, str]
    findings: list[object]


def all_done(count: int) -> Outcome:
    """The outcome that is wanted."""
    return Outcome({number: expected(number) for number in range(count)}, [])


def each_once(count: int) -> list[Row]:
    """The users' rows that are wanted."""
    return [(number, step) for number in range(count) for step in ("charge", "ship")]
