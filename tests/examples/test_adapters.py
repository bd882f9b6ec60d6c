"""The store of examples/adapters keeps every clause on both databases, and needs no more than the guide says."""

import ast
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from examples.adapters.sqlalchemy_store import SqlAlchemyStore, metadata

from tests.examples.adapters import NOTES, adapter, opened, postgres_url, written
from wfcore import Client, Dispatcher, Registry, Step, StoreUnavailableError, WriteFailedError, workflow
from wfcore.plan import Write
from wfcore.testing.conformance import Adapter, Note, StoreSuite
from wfcore.testing.conformance.build import REF, create, instance, tick

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "adapters" / "sqlalchemy_store.py"
GUIDE = ROOT / "docs" / "howto" / "write-an-adapter.md"
pytestmark = pytest.mark.unmeasured
DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/store.sqlite" if request.param == "sqlite" else postgres_url()
    adapter(url)
    return url


@pytest.fixture
def store(url: str) -> Iterator[SqlAlchemyStore]:
    with opened(url) as store:
        yield store


class Suite(StoreSuite):
    __test__ = False
    examples = 5  # SQLAlchemy takes thrice as long as the other stores


class TestSqlite(Suite):
    __test__ = True

    @pytest.fixture
    def adapter(self, tmp_path: Path) -> Adapter:
        return adapter(f"sqlite:///{tmp_path}/store.sqlite")


@pytest.mark.postgres
class TestPostgres(Suite):
    __test__ = True

    @pytest.fixture
    def adapter(self) -> Adapter:
        return adapter(postgres_url())


@workflow(name="hello")
def hello(step: Step, name: str) -> str:
    return step.do("greet", lambda attempt: f"hello {name}", returns=str)


@pytest.mark.parametrize("url", DATABASES, indirect=True)
def test_workflows_run_by_the_databases_clock(store: SqlAlchemyStore) -> None:
    handle = Client(store, Registry([hello])).create(hello, "Ada")
    Dispatcher(store, Registry([hello])).run_until_idle()
    assert handle.result() == "hello Ada"
    now = store.retrieve(REF).now
    assert (now.tzinfo, abs(now - datetime.now(UTC)) < timedelta(minutes=1)) == (UTC, True)


def test_a6_texts_are_compared_to_the_letter_whatever_postgresql_compares_by() -> None:
    """The suite cannot see it: the server of the tests has no other collation."""
    dialect = sa.make_url("postgresql+psycopg://").get_dialect()()
    tables = [str(sa.schema.CreateTable(table).compile(dialect=dialect)) for table in metadata.sorted_tables]
    texts = [column for table in tables for column in re.findall(r"^\s*(\S+ TEXT.*?),?\s*$", table, re.MULTILINE)]
    assert len(texts) > 30
    assert [] == [column for column in texts if 'TEXT COLLATE "C"' not in column]


@pytest.mark.parametrize("url", DATABASES, indirect=True)
def test_a12_a_pool_without_connections_is_unavailable(url: str) -> None:
    with (
        opened(url, pool_size=1, max_overflow=0, pool_timeout=0.01) as store,
        store.engine.connect(),
        pytest.raises(StoreUnavailableError, match="retrieve: QueuePool limit"),
    ):
        store.retrieve(REF)


@pytest.mark.parametrize("url", DATABASES, indirect=True)
def test_a12_a_table_that_is_missing_is_no_transient_failure(url: str, store: SqlAlchemyStore) -> None:
    with store.engine.begin() as connection:
        metadata.tables["wfcore_steps"].drop(connection)
    with pytest.raises(sa.exc.DBAPIError, match="wfcore_steps"):
        store.retrieve(REF)
    adapter(url)


@pytest.mark.parametrize("url", DATABASES, indirect=True)
def test_b1_a_transaction_that_sees_less_than_there_is_cannot_apply(store: SqlAlchemyStore) -> None:
    """Whoever begins one without the lock of SQLite, or one at REPEATABLE READ, is told to try again."""
    store.apply(create())
    stale = {"begin": "BEGIN"} if store.engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
    with store.engine.connect().execution_options(**stale) as connection, connection.begin():
        connection.execute(sa.select(NOTES)).all()
        store.apply(tick(1))
        with pytest.raises(StoreUnavailableError):
            store.within(connection).apply(tick(1))


@pytest.mark.parametrize("url", DATABASES, indirect=True)
def test_a11_a_writer_that_commits_is_told_and_commits_no_row_of_the_plan(store: SqlAlchemyStore) -> None:
    def commit(connection: sa.Connection, _note: Note) -> None:
        connection.commit()

    store.apply(create())
    with pytest.raises(WriteFailedError, match="its writer ended the transaction"):
        SqlAlchemyStore(store.engine, writers={Note: commit}).apply(tick(1, Write(Note("a"))))
    assert store.retrieve(REF).instance == instance()


@pytest.mark.parametrize("url", DATABASES, indirect=True)
def test_t6_a_failing_database_is_not_the_writers_fault(url: str) -> None:
    def wait_for_another(connection: sa.Connection, _note: Note) -> None:
        connection.engine.connect()

    with opened(url, pool_size=1, max_overflow=0, pool_timeout=0.01) as small:
        store = SqlAlchemyStore(small.engine, writers={Note: wait_for_another})
        store.apply(create())
        with pytest.raises(StoreUnavailableError, match="QueuePool limit"):
            store.apply(tick(1, Write(Note("a"))))
        assert store.retrieve(REF).instance == instance()


@pytest.mark.parametrize("url", DATABASES, indirect=True)
def test_t7_the_writer_of_a_base_class_writes(store: SqlAlchemyStore) -> None:
    class Remark(Note):
        pass

    store.apply(create())
    store.apply(tick(1, Write(Remark("a"))))
    assert written(store) == ["a"]


# ---- the guide is enough


def test_the_example_uses_only_names_of_wfcore_that_the_guide_mentions() -> None:
    mentioned = set(re.findall(r"\w+", GUIDE.read_text(encoding="utf-8")))
    assert [] == sorted(names_used(ast.parse(EXAMPLE.read_text(encoding="utf-8"))) - mentioned)


def test_the_example_is_short() -> None:
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) < 300


def names_used(tree: ast.Module) -> set[str]:
    """What is imported from wfcore and wfadapters; of modules, also what is asked of them."""
    imports = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    ours = [each for each in imports if (each.module or "").partition(".")[0] in ("wfcore", "wfadapters")]
    names = {alias.asname or alias.name: alias.name for each in ours for alias in each.names}
    dotted = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name))
    return {*names.values(), *(node.attr for node in dotted if ast.unparse(node.value) in names)}
