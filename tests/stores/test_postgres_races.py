"""Transactions of PostgreSQL that meet: who waits for whom, what the second finds (A2, A3, A10; see function.py)."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta

import psycopg
import pytest

from tests.postgres.database import Database
from tests.stores.build import MINUTE, NOW, OTHER, REF, create, delete, event, hook, instance, plan, refused, send, tick
from tests.stores.conftest import OpenPostgres
from wfadapters.postgres import BoundStore, PostgresStore
from wfcore.errors import StoreError, StoreUnavailableError
from wfcore.model import Snapshot
from wfcore.plan import AddEvent, AddInstance, Applied, AtVersion, Conflict, Exists, Plan, PutHook, PutInstance

pytestmark = pytest.mark.postgres
Apply = Callable[[Plan], Future[Applied | Conflict]]


@pytest.fixture
def first(database: Database) -> Iterator[psycopg.Connection[object]]:
    """The connection of the transaction that came first."""
    with psycopg.connect(database.url) as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def bound(postgres_store: PostgresStore, first: psycopg.Connection[object]) -> BoundStore:
    return postgres_store.within(first)


@pytest.fixture
def second(postgres_store: PostgresStore, database: Database) -> Iterator[Apply]:
    """Applies a plan in another transaction, and returns once that waits for the first."""
    with ThreadPoolExecutor(1) as thread:

        def apply(plan: Plan) -> Future[Applied | Conflict]:
            applying = thread.submit(postgres_store.apply, plan)
            database.wait_until_blocked()
            return applying

        yield apply


CREATES = {
    "absent": create(execution_id="first"),
    "as a step starts it": plan(AddInstance(instance(execution_id="first"))),
}


@pytest.mark.parametrize("first_plan", CREATES.values(), ids=CREATES)
def test_a2_of_two_that_create_an_instance_the_second_finds_the_first(
    bound: BoundStore, second: Apply, first: psycopg.Connection[object], first_plan: Plan
) -> None:
    bound.apply(first_plan)
    applying = second(create())
    first.commit()
    assert applying.result() == Conflict(REF, 1, "first")


def test_a2_if_the_first_rolls_back_the_second_creates(
    bound: BoundStore, second: Apply, first: psycopg.Connection[object]
) -> None:
    bound.apply(create(execution_id="first"))
    applying = second(create())
    first.rollback()
    assert applying.result() == Applied(frozenset({hook().id}))


def test_a3_who_waits_for_a_version_finds_the_next(
    postgres_store: PostgresStore, bound: BoundStore, second: Apply, first: psycopg.Connection[object]
) -> None:
    postgres_store.apply(create())
    bound.apply(tick(1))
    applying = second(tick(1))
    first.commit()
    assert applying.result() == Conflict(REF, 2, "e2")


def test_a3_who_waits_for_a_deleted_instance_finds_none(
    postgres_store: PostgresStore, bound: BoundStore, second: Apply, first: psycopg.Connection[object]
) -> None:
    postgres_store.apply(create())
    bound.apply(delete(1))
    applying = second(tick(1))
    first.commit()
    assert applying.result() == Conflict(REF, None, None)


def test_a10_an_append_does_not_wait_for_a_tick(postgres_store: PostgresStore, bound: BoundStore) -> None:
    postgres_store.apply(create())
    bound.apply(tick(1, PutHook(hook(due_at=NOW + MINUTE))))
    assert isinstance(postgres_store.apply(send()), Applied)


def test_a10_a_tick_does_not_wait_for_an_append(postgres_store: PostgresStore, bound: BoundStore) -> None:
    postgres_store.apply(create())
    bound.apply(send())
    assert isinstance(postgres_store.apply(tick(1)), Applied)


def test_a9_no_event_appears_before_one_that_was_read(
    postgres_store: PostgresStore, bound: BoundStore, second: Apply, first: psycopg.Connection[object]
) -> None:
    """Its number would be lower: it was given before. So the second waits, and nobody reads it yet."""
    postgres_store.apply(create())
    bound.apply(send("m1"))
    applying = second(send("m2"))
    assert postgres_store.retrieve(REF).events == ()
    first.commit()
    applying.result()
    assert [each.id for each in postgres_store.retrieve(REF).events] == ["m1", "m2"]


def test_appends_to_two_instances_do_not_wait_for_each_other(postgres_store: PostgresStore, bound: BoundStore) -> None:
    postgres_store.apply(create())
    postgres_store.apply(create(OTHER))
    bound.apply(send())
    assert isinstance(postgres_store.apply(send(ref=OTHER)), Applied)


def test_a6_a_delete_takes_the_event_that_it_waited_for(
    postgres_store: PostgresStore, bound: BoundStore, second: Apply, first: psycopg.Connection[object]
) -> None:
    postgres_store.apply(create())
    bound.apply(send())
    applying = second(delete(1))
    first.commit()
    assert isinstance(applying.result(), Applied)
    postgres_store.apply(create())
    assert postgres_store.retrieve(REF) == Snapshot(instance=instance(), hooks=(hook(),), now=NOW)


@pytest.mark.parametrize("given", [(Exists(REF),), ()])
def test_a2_an_event_that_waited_for_a_delete_leaves_no_trace(
    postgres_store: PostgresStore,
    bound: BoundStore,
    second: Apply,
    first: psycopg.Connection[object],
    given: tuple[Exists, ...],
) -> None:
    postgres_store.apply(create())
    bound.apply(delete(1))
    adding = AddEvent(event())
    applying = second(plan(adding, given=given))
    first.commit()
    assert applying.result() == (Conflict(REF, None, None) if given else Applied(undelivered=(adding,)))
    assert postgres_store.retrieve(REF) == Snapshot(instance=None, now=NOW)


def test_a12_a_lock_that_is_not_given_in_time_is_unavailable(
    open_postgres: OpenPostgres, bound: BoundStore, postgres_store: PostgresStore
) -> None:
    postgres_store.apply(create())
    bound.apply(tick(1))
    error = refused(open_postgres(timeout=timedelta(milliseconds=20)), tick(1))
    assert isinstance(error, StoreUnavailableError)
    assert "another transaction holds the instance" in error.advice


def test_a12_a_deadlock_of_callers_is_unavailable(
    postgres_store: PostgresStore, bound: BoundStore, database: Database
) -> None:
    for ref in (REF, OTHER):
        postgres_store.apply(create(ref))
    with psycopg.connect(database.url) as other, ThreadPoolExecutor(1) as thread:
        bound.apply(tick(1))
        theirs = postgres_store.within(other)
        theirs.apply(tick(1, ref=OTHER))
        applying = thread.submit(_outcome, theirs, tick(1))
        database.wait_until_blocked()
        outcomes = {_outcome(bound, tick(1, ref=OTHER))}
        bound.connection.rollback()
        outcomes.add(applying.result())
        other.rollback()
    assert outcomes == {"StoreUnavailableError", "Applied"}


def _outcome(store: BoundStore, plan: Plan) -> str:
    try:
        return type(store.apply(plan)).__name__
    except StoreError as error:
        return type(error).__name__


def test_plans_that_touch_the_same_instances_do_not_deadlock(postgres_store: PostgresStore) -> None:
    """They lock in the order of refs, whatever the order in which a plan names them."""
    for ref in (REF, OTHER):
        postgres_store.apply(create(ref))

    def both(refs: tuple[str, str]) -> None:
        for _ in range(40):
            found = [postgres_store.retrieve(ref).instance for ref in refs]
            given = tuple(AtVersion(each.ref, each.version, each.execution_id) for each in found if each)
            puts = [PutInstance(instance(each.ref, each.version + 1)) for each in found if each]
            postgres_store.apply(plan(*puts, given=given))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(both, [(REF, OTHER), (OTHER, REF)] * 2))
    found = [postgres_store.retrieve(ref).instance for ref in (REF, OTHER)]
    assert [each.version for each in found if each] == [found[0].version if found[0] else 0] * 2


@pytest.mark.parametrize("level", [psycopg.IsolationLevel.REPEATABLE_READ, psycopg.IsolationLevel.SERIALIZABLE])
@pytest.mark.parametrize("late", [create(), tick(1), send()], ids=["create", "tick", "send"])
def test_a12_a_stricter_transaction_that_reads_old_rows_is_unavailable(
    postgres_store: PostgresStore, database: Database, level: psycopg.IsolationLevel, late: Plan
) -> None:
    if late != create():
        postgres_store.apply(create())
    with psycopg.connect(database.url) as connection:
        connection.isolation_level = level
        bound = postgres_store.within(connection)
        bound.retrieve(REF)
        postgres_store.apply(create() if late == create() else delete(1))
        assert isinstance(refused(bound, late), StoreUnavailableError)
        connection.rollback()


def test_b2_plans_that_are_applied_at_once_lock_in_the_order_of_refs_whatever_theirs_is(
    postgres_store: PostgresStore, bound: BoundStore, first: psycopg.Connection[object], database: Database
) -> None:
    """So two who apply several do not wait for each other: nothing behind the lock that is waited for is locked."""
    for ref in (REF, OTHER):
        postgres_store.apply(create(ref))
    bound.apply(tick(1))
    with ThreadPoolExecutor(1) as thread:
        applying = thread.submit(postgres_store.apply_many, [tick(1, ref=OTHER), tick(1)])
        database.wait_until_blocked()
        assert isinstance(bound.apply(tick(1, ref=OTHER)), Applied)
        first.rollback()
        assert [Applied, Applied] == [type(each) for each in applying.result()]
