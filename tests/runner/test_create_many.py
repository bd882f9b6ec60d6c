"""``create_many``: many plans in one go, each instance exactly once, whatever becomes of an answer (rules M1, M12)."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.runner.doubles import Machine, Watched, unavailable
from tests.runner.loops import in_loop
from wfadapters.memory import MemoryStore
from wfadapters.sqlite import SqliteStore
from wfcore.codec import JsonCodec
from wfcore.define import workflow
from wfcore.errors import CodecError, StepNameError, StoreUnavailableError
from wfcore.plan import Applied, Conflict, Plan
from wfcore.planner import AsyncStep
from wfcore.runner import AsyncClient, Client, to_async
from wfcore.runner.bulk import AT_ONCE
from wfcore.workflow import Registry


@workflow(name="w")
async def w(step: AsyncStep, number: int) -> None: ...


REGISTRY = Registry([w])
THREE = [("a", 1), ("b", 2), ("c", 3)]


@attrs.define
class InBatches(Watched):
    """Takes many plans at once; it may lose an answer, after some of the plans were committed."""

    batches: list[list[str]] = attrs.field(factory=list)
    committed: list[int] = attrs.field(factory=list)

    def apply_many(self, plans: Sequence[Plan]) -> Sequence[Applied | Conflict]:
        self.batches.append([plan.ref for plan in plans])
        if self.committed:
            self.inner.apply_many(plans[: self.committed.pop()])
            unavailable()
        return self.inner.apply_many(plans)


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def store(machine: Machine) -> InBatches:
    return InBatches(MemoryStore(machine.clock))


@pytest.fixture
def client(store: InBatches, machine: Machine) -> Client:
    return Client(store, REGISTRY, runtime=machine.runtime)


def stored(store: Watched, ids: str) -> list[str | None]:
    """The parameters of instances, as they are in the store."""
    rows = [store.inner.retrieve(f"w#{each}").instance for each in ids]
    return [None if row is None else row.params for row in rows]


def test_m1_many_instances_are_created_by_one_call_of_the_store(client: Client, store: InBatches) -> None:
    created = client.create_many(w, THREE)
    assert [handle.id for handle in created] == ["a", "b", "c"]
    assert (store.batches, store.calls) == ([["w#a", "w#b", "w#c"]], ["retrieve"] * 3)


def test_m1_what_is_too_much_for_one_call_takes_several(client: Client, store: InBatches) -> None:
    created = client.create_many(w, ((f"{number:03}", number) for number in range(2 * AT_ONCE + 1)))
    assert [handle.id for handle in created] == [f"{number:03}" for number in range(2 * AT_ONCE + 1)]
    assert [len(batch) for batch in store.batches] == [AT_ONCE, AT_ONCE, 1]


def test_m1_of_no_instances_the_store_hears_nothing(client: Client, store: InBatches) -> None:
    assert (client.create_many(w, []), store.batches) == ([], [])


def test_m1_a_store_that_takes_one_plan_at_a_time_is_given_one_at_a_time(machine: Machine) -> None:
    store = Watched(MemoryStore(machine.clock))
    created = Client(store, REGISTRY, runtime=machine.runtime).create_many(w, THREE)
    assert ([handle.id for handle in created], stored(store, "abc")) == (["a", "b", "c"], ["1", "2", "3"])
    assert store.calls.count("apply") == 3


def test_m1_an_asyncio_store_is_given_many_at_once_and_others_one_at_a_time(store: InBatches) -> None:
    async def create(adapted: Any) -> list[str]:
        return [handle.id for handle in await AsyncClient(adapted, REGISTRY).create_many(w, THREE)]

    assert in_loop(create(to_async(store))) == ["a", "b", "c"]
    assert store.batches == [["w#a", "w#b", "w#c"]]
    one_by_one = Watched(MemoryStore())
    assert in_loop(create(to_async(one_by_one))) == ["a", "b", "c"]
    assert one_by_one.calls.count("apply") == 3


def test_m1_an_id_that_comes_twice_is_created_once_by_its_first_parameters(client: Client, store: InBatches) -> None:
    created = client.create_many(w, [("a", 1), ("b", 2), ("a", 3)])
    assert ([handle.id for handle in created], stored(store, "ab")) == (["a", "b"], ["1", "2"])


def test_m1_what_somebody_else_creates_meanwhile_is_skipped(client: Client, store: InBatches) -> None:
    rival = Client(store.inner, REGISTRY)
    store.when("after", "retrieve", 3, lambda: rival.create(w, 20, id="b"))
    created = client.create_many(w, THREE)
    assert ([handle.id for handle in created], stored(store, "abc")) == (["a", "c"], ["1", "20", "3"])


@pytest.mark.parametrize(
    ("last", "error"), [(("c", "x"), CodecError), (("#", 3), StepNameError)], ids=["its parameters", "its id"]
)
def test_m1_what_comes_before_one_that_is_refused_is_created(
    client: Client, store: InBatches, last: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        client.create_many(w, [("a", 1), ("b", 2), last, ("d", 4)])
    assert stored(store, "abcd") == ["1", "2", None, None]


@pytest.mark.parametrize("committed", [0, 1, 2, 3])
def test_m12_when_the_answer_is_lost_each_is_created_exactly_once(
    client: Client, store: InBatches, committed: int
) -> None:
    store.committed = [committed]
    created = client.create_many(w, [*THREE, ("a", 4)])
    assert ([handle.id for handle in created], stored(store, "abc")) == (["a", "b", "c"], ["1", "2", "3"])
    assert [handle.get().version for handle in created] == [1, 1, 1]
    assert store.calls.count("apply") == 3 - committed


def test_m12_when_the_store_stays_away_the_caller_is_told(client: Client, store: InBatches) -> None:
    store.committed = [1]
    store.always["before", "apply"] = unavailable
    with pytest.raises(StoreUnavailableError):
        client.create_many(w, THREE)
    assert stored(store, "abc") == ["1", None, None]


def test_parameters_near_the_limit_are_warned_of(store: InBatches, caplog: pytest.LogCaptureFixture) -> None:
    client = Client(store, REGISTRY, codec=JsonCodec(max_payload_bytes=10))
    client.create_many(w, [("a", 123456789)])
    assert [record.message for record in caplog.records if "that a payload may have" in record.message]


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(tmp_path / "workflows.db", isolation_level=None)) as connection:
        yield connection


def test_in_the_callers_transaction_they_are_created_with_the_callers_rows_or_not_at_all(
    tmp_path: Path, connection: sqlite3.Connection
) -> None:
    with SqliteStore(tmp_path / "workflows.db", synchronous="OFF") as store:
        bound = Client(store.within(connection), REGISTRY)
        for end, expected in (("ROLLBACK", None), ("COMMIT", "1")):
            connection.execute("BEGIN IMMEDIATE")
            assert len(bound.create_many(w, THREE)) == 3
            connection.execute(end)
            found = store.retrieve("w#a").instance
            assert (None if found is None else found.params) == expected
