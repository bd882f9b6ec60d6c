"""Clocks an hour apart: nothing is lost; what it costs depends on who tells the time (the rules' "Now", G8, W1, W4)."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import psycopg
import pytest

from tests.operations.sites import Colour, on_postgres, on_sqlite
from tests.operations.trade import Trade, all_done, each_once
from wfadapters.sqlite import SqliteStore
from wfcore import Client, Dispatcher, EventType, Registry, Runtime, Step, workflow

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
EITHER = pytest.mark.parametrize("colour", ["threads", "asyncio"])


def shifted(by: timedelta) -> Callable[[], datetime]:
    """The clock of a machine that is wrong by so much."""
    return lambda: datetime.now(UTC) + by


# ---- PostgreSQL tells the time


@pytest.mark.postgres
@EITHER
def test_clocks_of_machines_that_share_postgres_do_not_matter(url: str, colour: Colour) -> None:
    """One dispatcher's is an hour ahead, the other's an hour behind; rows have the times of the server."""
    with on_postgres(url, colour) as site, psycopg.connect(url, autocommit=True) as own:
        trade = Trade(site.client)
        began = own.execute("SELECT clock_timestamp()").fetchone()
        with ExitStack() as running:
            for skew in (HOUR, -HOUR):
                running.enter_context(site.dispatching(runtime=Runtime(now=shifted(skew))))
            trade.begin(8)
            trade.approve()
            assert trade.outcome() == all_done(8)
        ended = own.execute("SELECT clock_timestamp()").fetchone()
        [times] = own.execute(
            "SELECT (SELECT min(created_at) FROM wfcore.wfcore_instances),"
            " (SELECT min(settled_at) FROM wfcore.wfcore_steps),"
            " (SELECT max(completed_at) FROM wfcore.wfcore_instances)"
        ).fetchall()
        assert site.rows() == each_once(8)
    assert began is not None
    assert ended is not None
    assert [began[0], *times, ended[0]] == sorted([began[0], *times, ended[0]])


# ---- each process of an SQLite file has its own clock: in earnest


@EITHER
def test_processes_of_a_file_whose_clocks_are_an_hour_apart_lose_nothing(tmp_path: Path, colour: Colour) -> None:
    path = tmp_path / "workflows.db"
    with (
        on_sqlite(path, colour) as right,
        on_sqlite(path, colour, clock=shifted(HOUR)) as ahead,
        right.dispatching(),
        ahead.dispatching(),
    ):
        one, other = Trade(right.client), Trade(ahead.client, begun=8, approved=8)
        one.begin(8)
        other.begin(8)
        one.approve()
        other.approve()
        assert other.outcome() == all_done(16)
        assert right.rows() == each_once(16)


# ---- and what that costs, in virtual time

Paid = EventType("paid", int)


@workflow(name="nap")
def nap(step: Step) -> str:
    step.sleep("a while", 10 * MINUTE)
    return "awake"


@workflow(name="bill")
def bill(step: Step) -> int:
    return step.wait_for_event("payment", Paid, timeout=30 * MINUTE).payload


@workflow(name="steps")
def steps(step: Step) -> str:
    step.do("first", lambda attempt: None)
    step.sleep("a moment", MINUTE)
    return "done"


REGISTRY = Registry([nap, bill, steps])


@attrs.define
class Machines:
    """Two machines on one file: the second one's clock is an hour ahead."""

    stores: tuple[SqliteStore, SqliteStore]
    noon: list[datetime]

    def wait(self, by: timedelta) -> None:
        self.noon[0] += by

    def clients(self) -> tuple[Client, Client]:
        return Client(self.stores[0], REGISTRY), Client(self.stores[1], REGISTRY)

    def run(self, machine: int) -> None:
        """Let the dispatcher of a machine do all that is due by its clock."""
        Dispatcher(self.stores[machine], REGISTRY).run_until_idle()


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    noon = [NOON]
    path = tmp_path / "workflows.db"
    with SqliteStore(path, clock=lambda: noon[0]) as right, SqliteStore(path, clock=lambda: noon[0] + HOUR) as ahead:
        yield Machines((right, ahead), noon)


RIGHT, AHEAD = 0, 1


def test_a_sleep_ends_at_its_deadline_by_the_clock_of_who_ends_it(machines: Machines) -> None:
    handle = machines.clients()[RIGHT].create(nap, id="1")
    machines.run(RIGHT)
    machines.run(AHEAD)
    assert handle.result() == "awake"
    assert handle.get().completed_at == NOON + HOUR


def test_what_the_one_ahead_has_written_waits_until_the_other_clock_gets_there(machines: Machines) -> None:
    """It is late by the difference, if the one ahead is not there to go on; it is not lost."""
    handle = machines.clients()[AHEAD].create(nap, id="1")
    machines.run(RIGHT)
    assert handle.status() == "active"
    machines.wait(HOUR)
    machines.run(RIGHT)
    assert handle.status() == "waiting"
    machines.wait(10 * MINUTE)
    machines.run(RIGHT)
    assert handle.result() == "awake"


def test_the_time_of_an_instance_does_not_go_back(machines: Machines) -> None:
    """The one ahead has taken a step; then an event lets the other go on, whose time is that of the row."""
    handle = machines.clients()[AHEAD].create(bill, id="1")
    machines.run(AHEAD)
    machines.clients()[RIGHT].handle(bill, "1").send_event(Paid, 450)
    machines.run(RIGHT)
    assert (handle.result(), handle.get().completed_at) == (450, NOON + HOUR)


def test_w4_an_event_that_the_one_ahead_sends_comes_too_late_for_a_shorter_time_out(machines: Machines) -> None:
    """It is created at one o'clock, by the sender's clock, and the wait ends at half past twelve: it is kept."""
    handle = machines.clients()[RIGHT].create(bill, id="1")
    machines.run(RIGHT)
    machines.clients()[AHEAD].handle(bill, "1").send_event(Paid, 450)
    machines.run(RIGHT)
    assert handle.status() == "waiting"
    machines.wait(30 * MINUTE)
    machines.run(RIGHT)
    assert handle.status() == "errored"
    assert [(event.payload, event.consumed_by) for event in handle.history().events] == [("450", None)]
