"""The server is restarted, or away for a while, under dispatchers and clients that go on (rules A4, T6)."""

from datetime import timedelta
from time import monotonic

import psycopg
import pytest

from tests.operations.said import Said
from tests.operations.sites import Colour, on_postgres
from tests.operations.trade import PATIENCE, Trade, all_done, each_once
from tests.postgres.server import Server
from wfcore import Client, Registry, Step, workflow

pytestmark = pytest.mark.postgres
EITHER = pytest.mark.parametrize("colour", ["threads", "asyncio"])


@EITHER
def test_a4_a_server_that_is_restarted_in_the_middle_costs_nothing_but_time(server: Server, colour: Colour) -> None:
    with on_postgres(server.url, colour) as site:
        trade = Trade(site.client)
        with site.dispatching(), site.dispatching():
            for mode in ("immediate", "fast"):
                trade.begin(4)
                server.restart(mode)
                trade.begin(2)
                trade.approve()
            assert trade.outcome() == all_done(trade.begun)
        assert site.rows() == each_once(trade.begun)


@EITHER
def test_t6_a_server_that_is_away_is_asked_again_with_pauses_and_without_a_flood_of_logs(
    server: Server, colour: Colour, said: Said
) -> None:
    with on_postgres(server.url, colour, timeout=timedelta(milliseconds=500)) as site:
        trade = Trade(site.client)
        with site.dispatching(), site.dispatching():
            trade.begin(4)
            server.kill()
            said.clear()
            went = monotonic()
            said.wait_for("cannot look for due hooks, trying again: store unavailable during due", 4)
            lines, seconds = said.lines(), monotonic() - went
            server.start()
            trade.approve()
            assert trade.outcome() == all_done(trade.begun)
        assert site.rows() == each_once(trade.begun)
    # Each dispatcher looks once a second, the listener tries once a second; each instance had a tick in flight.
    assert len(lines) <= 10 + 4 * seconds, lines


@workflow(name="greeting")
def greeting(step: Step) -> str:
    return "hello"


@EITHER
def test_r3_a_dispatcher_that_seldom_looks_by_itself_looks_again_after_a_restart(
    server: Server, colour: Colour
) -> None:
    """It hears of the work; when it looks for it, it finds that its connections are lost."""
    registry = Registry([greeting])
    with on_postgres(server.url, colour) as far, on_postgres(server.url) as near:
        client = Client(near.store, registry)
        with far.dispatching(registry, poll_interval=timedelta(hours=1)):
            assert client.create(greeting).result(timeout=PATIENCE) == "hello"
            server.restart("immediate")
            wait_until_listening(server, 1)
            handle = Trade(client).insist(lambda: client.create(greeting, id="1"))
            assert handle.result(timeout=PATIENCE) == "hello"


def wait_until_listening(server: Server, count: int) -> None:
    """Return as soon as so many connections listen."""
    listening = b"SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN %'"
    with psycopg.connect(server.url, autocommit=True) as connection:
        while connection.execute(listening).fetchall() < [(count,)]:
            connection.execute("SELECT pg_sleep(0.01)")
