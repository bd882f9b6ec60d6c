"""Notifications between processes: hints, by LISTEN and NOTIFY, for those who have something to do."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from queue import Queue

import psycopg
import pytest

from tests.postgres.blocking import BlockingStore
from tests.postgres.database import SCHEMA, Database
from tests.stores.build import MINUTE, NOW, OTHER, REF, create, delete, hook, instance, plan, send, tick
from tests.stores.conftest import OpenPostgres
from wfadapters.postgres import AsyncPostgresStore, PostgresStore
from wfadapters.postgres.statements import told
from wfcore import Client, Dispatcher, Registry, Step, workflow
from wfcore.plan import AddHook, AddInstance, AtVersion, DeleteHook, Plan, PutHook

pytestmark = pytest.mark.postgres
SOON = 20.0  # seconds: never reached


@pytest.fixture
def heard(open_postgres: OpenPostgres) -> Queue[str]:
    """What the listener of another store hears: it stands for another process."""
    heard: Queue[str] = Queue()
    open_postgres().listen(heard.put)
    return heard


def test_another_store_hears(postgres_store: PostgresStore, heard: Queue[str]) -> None:
    postgres_store.apply(create())
    assert heard.get(timeout=SOON) == REF


def test_a_bound_store_tells_when_its_transaction_commits(
    postgres_store: PostgresStore, heard: Queue[str], database: Database
) -> None:
    own: Queue[str] = Queue()
    postgres_store.listen(own.put)
    with psycopg.connect(database.url) as connection:
        postgres_store.within(connection).apply(create())
        connection.rollback()
        postgres_store.within(connection).apply(create(OTHER))
        connection.commit()
    assert (own.get(timeout=SOON), heard.get(timeout=SOON)) == (OTHER, OTHER)


def test_a_listener_whose_connection_was_lost_is_told_that_it_may_have_missed_something(
    postgres_store: PostgresStore, heard: Queue[str], database: Database
) -> None:
    database.end_connections(f"LISTEN {SCHEMA}")
    assert heard.get(timeout=SOON) == ""
    postgres_store.apply(create())
    assert heard.get(timeout=SOON) == REF


def test_an_async_listener_is_told_so_whenever_it_begins_to_hear(
    postgres_store: PostgresStore, async_store: BlockingStore, database: Database
) -> None:
    heard: Queue[str] = Queue()
    async_store.listen(heard.put)
    assert heard.get(timeout=SOON) == ""
    database.end_connections(f"LISTEN {SCHEMA}")
    assert heard.get(timeout=SOON) == ""
    postgres_store.apply(create())
    assert heard.get(timeout=SOON) == REF


def test_a_listener_in_another_schema_hears_nothing(
    postgres_store: PostgresStore, open_postgres: OpenPostgres, database: Database
) -> None:
    elsewhere: Queue[str] = Queue()
    other = open_postgres(schema=f"{SCHEMA}_b")
    other.listen(elsewhere.put)
    postgres_store.apply(create())
    other.apply(create(OTHER))
    assert elsewhere.get(timeout=SOON) == OTHER
    database.connection.execute(f"DROP SCHEMA {SCHEMA}_b CASCADE".encode())


def test_an_async_store_hears_and_tells(postgres_store: PostgresStore, heard: Queue[str], database: Database) -> None:
    async def listen() -> list[str]:
        said: asyncio.Queue[str] = asyncio.Queue()
        async with AsyncPostgresStore(database.url, schema=SCHEMA) as store:
            await store.apply(create())
            store.listen(said.put_nowait)
            begun = await said.get()
            await asyncio.to_thread(postgres_store.apply, send("m"))
            return [begun, await said.get()]

    assert asyncio.run(listen()) == ["", REF]
    assert heard.get(timeout=SOON) == REF


@workflow(name="checkout")
def checkout(step: Step) -> str:
    return "done"


def test_r3_an_idle_dispatcher_reacts_to_another_process(open_postgres: OpenPostgres) -> None:
    registry = Registry([checkout])
    far, near = open_postgres(clock=None), open_postgres(clock=None)
    dispatcher = Dispatcher(far, registry, poll_interval=timedelta(hours=1))
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(dispatcher.run)
        handle = Client(near, registry).create(checkout, id="1")
        assert handle.result(timeout=timedelta(seconds=SOON)) == "done"
        dispatcher.stop()
        running.result()


RUNNING = AtVersion(REF, 1, "e1")
TOLD: dict[str, tuple[Plan, set[str]]] = {
    "a create": (create(), {REF}),
    "a message": (send(), {REF}),
    "an instance that a step starts": (tick(1, AddInstance(instance(OTHER)), AddHook(hook(OTHER))), {OTHER}),
    "an instance that is due at once": (tick(1, PutHook(hook())), {REF}),
    "an instance that parks": (tick(1, PutHook(hook(due_at=NOW + MINUTE)), status="waiting"), {REF}),
    "the end": (tick(1, DeleteHook(hook().id), status="complete"), {REF}),
    "a delete": (delete(1), {REF}),
    "a checkpoint of who goes on": (tick(1, PutHook(hook(due_at=NOW + MINUTE))), set()),
    "a hook that is put off": (plan(PutHook(hook(due_at=NOW + MINUTE)), given=(RUNNING,)), set()),
}


@pytest.mark.parametrize(("applied", "refs"), TOLD.values(), ids=TOLD)
def test_others_are_told_of_what_gives_them_something_to_do(applied: Plan, refs: set[str]) -> None:
    assert told(applied) == refs
