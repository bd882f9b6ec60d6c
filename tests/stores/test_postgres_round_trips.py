"""How often a store waits for PostgreSQL: counted in the protocol, by the server's "ready for query"."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.stores.build import MINUTE, NOW, OTHER, REF, Paid, create, event, hook, message, step, tick
from tests.stores.conftest import OpenPostgres
from wfadapters.postgres import PostgresStore
from wfcore.plan import AddEvent, AddHook, PutHook, PutStep, Write
from wfcore.ports import DueQuery, InstanceQuery

pytestmark = pytest.mark.postgres
BUSY = tick(1, PutStep(step()), PutHook(hook(due_at=NOW + MINUTE)), AddEvent(event()), AddHook(message()))
WRITING = tick(1, PutStep(step()), Write(Paid("order-1", 1)))
ASKED: dict[str, tuple[Callable[[PostgresStore], object], int]] = {
    "retrieve": (lambda store: store.retrieve(REF), 1),
    "apply": (lambda store: store.apply(BUSY), 1),
    "a conflict": (lambda store: store.apply(create()), 1),
    "apply with a write: begin, plan, write, commit": (lambda store: store.apply(WRITING), 4),
    "due": (lambda store: store.due(DueQuery()), 1),
    "next_due_at": (lambda store: store.next_due_at(DueQuery()), 1),
    "list_instances": (lambda store: store.list_instances(InstanceQuery(tags={"a": "b"})), 1),
    "history": (lambda store: store.history(REF), 1),
}


@pytest.mark.parametrize(("ask", "expected"), ASKED.values(), ids=ASKED)
def test_a_question_is_one_round_trip(
    open_postgres: OpenPostgres, tmp_path: Path, ask: Callable[[PostgresStore], object], expected: int
) -> None:
    with (tmp_path / "protocol").open("w+") as protocol:
        store = open_postgres(pool_size=1)
        store.apply(create())
        store.apply(create(OTHER))
        with store._pool.connection() as connection:
            connection.pgconn.trace(protocol.fileno())
        ask(store)
        with store._pool.connection() as connection:
            connection.pgconn.untrace()
        protocol.seek(0)
        assert protocol.read().count("ReadyForQuery") == expected
