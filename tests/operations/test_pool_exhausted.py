"""The application holds every connection while workflows run: it is told so, and they go on once it lets go (T6)."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta

import psycopg
import pytest

from tests.crash.shop import CHECKOUT
from tests.operations.said import Said
from tests.operations.sites import Colour, Site, on_postgres
from tests.operations.trade import Trade, all_done, each_once
from tests.postgres.blocking import BlockingStore
from tests.postgres.server import Server
from wfcore import StoreUnavailableError

pytestmark = pytest.mark.postgres
EITHER = pytest.mark.parametrize("colour", ["threads", "asyncio"])
SHORT = timedelta(milliseconds=400)


@contextmanager
def all_of_the_pool(site: Site, size: int) -> Iterator[None]:
    """Hold the store's own connections."""
    with ExitStack() as held:
        for _ in range(size):
            if isinstance(site.store, BlockingStore):
                pool = site.store.native._pool
                held.callback(give_back, site.store, site.store._run(pool.getconn()))
            else:
                held.enter_context(site.store._pool.connection())
        yield


def give_back(store: BlockingStore, lent: object) -> None:
    store._run(store.native._pool.putconn(lent))


@EITHER
def test_t6_work_goes_on_once_the_application_lets_go_of_the_pool(url: str, colour: Colour, said: Said) -> None:
    with on_postgres(url, colour, pool_size=2, timeout=SHORT) as site:
        trade = Trade(site.client)
        trade.begin(3)
        with site.dispatching():
            with all_of_the_pool(site, 2):
                said.wait_for("no connection was free")
                with pytest.raises(StoreUnavailableError, match="if it does, raise pool_size"):
                    site.client.create(CHECKOUT, 3, id="3")
            trade.begin(2)
            trade.approve()
            assert trade.outcome() == all_done(5)
        assert site.rows() == each_once(5)


OTHERS = b"""
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND application_name <> 'own'
"""


@contextmanager
def all_of_the_server(url: str) -> Iterator[None]:
    """Hold every connection that the server has: others lose theirs, until they get none any more."""
    with ExitStack() as held:
        own = held.enter_context(psycopg.connect(url, autocommit=True, application_name="own"))
        while own.execute(OTHERS).fetchall():
            with suppress(psycopg.OperationalError):  # too many clients
                while True:
                    held.enter_context(psycopg.connect(url, application_name="own"))
        yield


@EITHER
def test_t6_work_goes_on_once_the_application_lets_go_of_the_server(
    narrow_server: Server, colour: Colour, said: Said
) -> None:
    url = narrow_server.url
    with on_postgres(url, colour, timeout=SHORT) as site:
        trade = Trade(site.client)
        trade.begin(3)
        with site.dispatching():
            with all_of_the_server(url):
                said.wait_for("no connection was free")
            trade.begin(2)
            trade.approve()
            assert trade.outcome() == all_done(5)
        assert site.rows() == each_once(5)


@EITHER
def test_a12_a_store_that_gets_no_connection_for_its_pool_is_unavailable_and_can_be_opened_later(
    server: Server, colour: Colour
) -> None:
    """Its tables were made; then its role was locked out, and is let in again."""
    role = f"latecomer_{colour}"
    url = psycopg.conninfo.make_conninfo(server.url, user=role)
    with psycopg.connect(server.url, autocommit=True) as own:
        own.execute(f"CREATE ROLE {role} LOGIN SUPERUSER".encode())

        def lock_out(_connection: object) -> None:
            own.execute(f"ALTER ROLE {role} NOLOGIN".encode())

        async def lock_out_too(connection: object) -> None:
            lock_out(connection)

        on_connect = lock_out if colour == "threads" else lock_out_too
        with (
            pytest.raises(StoreUnavailableError, match="no connection was free") as caught,
            on_postgres(url, colour, direct=server.url, timeout=SHORT, on_connect=on_connect),
        ):
            pass
        assert caught.value.operation == "open"
        own.execute(f"ALTER ROLE {role} LOGIN".encode())
        with on_postgres(url, colour, direct=server.url) as site:
            assert site.client.create(CHECKOUT, 0, id="0").status() == "active"
