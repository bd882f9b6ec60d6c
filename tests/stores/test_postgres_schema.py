"""Who makes the tables in PostgreSQL, and what a store does that finds those of another version."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from tests.postgres.database import SCHEMA, Database
from tests.stores.build import NOW, REF, create, hook, instance, tick
from wfadapters.postgres import PostgresStore
from wfadapters.postgres.schema import SCHEMA_VERSION, _version_1
from wfcore.errors import CorruptRecordError, SchemaVersionError, StoreError
from wfcore.model import Snapshot
from wfcore.plan import Applied
from wfcore.ports import InstanceQuery

pytestmark = pytest.mark.postgres
NEW = f"{SCHEMA}_new"


@pytest.fixture
def new(database: Database) -> Iterator[Database]:
    """The database, without the schema ``NEW``."""
    drop = f"DROP SCHEMA IF EXISTS {NEW} CASCADE".encode()
    database.connection.execute(drop)
    yield database
    database.connection.execute(drop)


def open_new(url: str) -> PostgresStore:
    return PostgresStore(url, schema=NEW, clock=lambda: NOW, pool_size=1)


def set_version(database: Database, version: str) -> None:
    database.connection.execute(f"UPDATE {NEW}.wfcore_meta SET {version}".encode())


def test_stores_that_open_a_new_schema_at_once_make_it_once(new: Database) -> None:
    with ThreadPoolExecutor(4) as threads:
        stores = list(threads.map(open_new, [new.url] * 4))
    assert [isinstance(store.apply(create()), Applied) for store in stores] == [True, False, False, False]
    for store in stores:
        store.close()
    assert new.rows(f"SELECT * FROM {NEW}.wfcore_meta") == [("schema_version", SCHEMA_VERSION)]


def test_two_schemas_of_a_database_share_nothing(new: Database, postgres_store: PostgresStore) -> None:
    postgres_store.apply(create())
    with open_new(new.url) as other:
        assert other.retrieve(REF).instance is None


def test_the_tables_may_be_made_in_a_schema_that_is_there(new: Database) -> None:
    new.connection.execute(f"CREATE SCHEMA {NEW}".encode())
    with open_new(new.url) as store:
        assert isinstance(store.apply(create()), Applied)


def test_an_older_schema_is_migrated_and_keeps_its_rows(new: Database) -> None:
    """Made by the statements of that version, which never change."""
    made = Path(__file__).with_name("postgres_schema_1.sql").read_text().replace("{schema}", NEW)
    new.connection.execute(made.encode())
    with open_new(new.url) as store:
        assert store.retrieve(REF) == Snapshot(instance=instance(tags={"team": "red"}), hooks=(hook(),), now=NOW)
        assert store.list_instances(InstanceQuery(tags={"team": "red"})).items == (instance(tags={"team": "red"}),)
        assert isinstance(store.apply(tick(1)), Applied)
        assert store.retrieve(REF).instance == instance(version=2)
    assert new.rows(f"SELECT value FROM {NEW}.wfcore_meta") == [(SCHEMA_VERSION,)]


def test_each_version_before_is_as_it_was_released() -> None:
    made = Path(__file__).with_name("postgres_schema_1.sql").read_text()
    assert _version_1("{schema}") in made


def test_a_newer_schema_is_refused_and_left_as_it_is(new: Database) -> None:
    open_new(new.url).close()
    set_version(new, "value = 99")
    with pytest.raises(SchemaVersionError, match="install that version here") as caught:
        open_new(new.url)
    assert (caught.value.found, caught.value.supported) == (99, SCHEMA_VERSION)
    assert new.rows(f"SELECT value FROM {NEW}.wfcore_meta") == [(99,)]


def test_a_schema_without_a_version_is_corrupt(new: Database) -> None:
    open_new(new.url).close()
    set_version(new, "name = 'other'")
    with pytest.raises(CorruptRecordError, match="there is no such number"):
        open_new(new.url)


@pytest.fixture
def clerk(new: Database) -> Iterator[str]:
    """The URL of a role that may read and write, and make nothing."""
    role = f"clerk_of_{NEW}"
    new.connection.execute(f"CREATE ROLE {role} LOGIN".encode())
    yield psycopg.conninfo.make_conninfo(new.url, user=role)
    new.connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())


def test_a_role_that_may_make_nothing_uses_what_another_has_made(new: Database, clerk: str) -> None:
    with pytest.raises(StoreError, match="permission denied"):
        open_new(clerk)
    open_new(new.url).close()
    role = psycopg.conninfo.conninfo_to_dict(clerk)["user"]
    new.connection.execute(
        f"GRANT USAGE ON SCHEMA {NEW} TO {role};"
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {NEW} TO {role}".encode()
    )
    with open_new(clerk) as store:
        store.apply(create())
        assert store.retrieve(REF).instance == instance()
