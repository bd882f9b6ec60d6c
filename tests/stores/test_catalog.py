"""The catalogs of our own stores; what every catalog has to do is tested by the conformance suite."""

from typing import Any

import pytest

from tests.stores.build import MINUTE, NOW, create, event, hook, message, step, tick
from tests.stores.conftest import AnyStore
from wfcore.plan import AddEvent, AddHook, DeleteHook, PutHook, PutStep
from wfcore.ports import Catalog


def test_every_store_here_is_a_catalog(store: AnyStore) -> None:
    assert isinstance(store, Catalog)


HEALTHY: dict[str, tuple[Any, ...]] = {
    "active": (),
    "waiting for a time": (
        PutStep(step("sleep:a", kind="sleep", status="waiting", wake_at=NOW + MINUTE)),
        PutStep(step("sleep:b", kind="sleep", status="waiting", wake_at=NOW + 2 * MINUTE)),
        PutStep(step("do:old", status="waiting", next_retry_at=NOW - MINUTE, run_number=2)),
        PutHook(hook(due_at=NOW + MINUTE)),
    ),
    "waiting for an attempt": (
        PutStep(step(status="waiting", next_retry_at=NOW + MINUTE)),
        PutHook(hook(due_at=NOW + MINUTE)),
    ),
    "waiting for the end of a start": (
        PutStep(step(status="started", wake_at=NOW + MINUTE)),
        PutHook(hook(due_at=NOW + MINUTE)),
    ),
    "waiting for an event": (
        PutStep(step("wait_for_event:a", kind="wait_for_event", status="waiting", event_types=("approved",))),
        DeleteHook(hook().id),
        AddEvent(event()),
        AddHook(message()),
    ),
    "paused": (DeleteHook(hook().id), PutStep(step(status="waiting"))),
    "complete": (DeleteHook(hook().id), PutStep(step())),
}


@pytest.mark.parametrize("case", HEALTHY)
def test_r7_a_healthy_instance_in_sqlite_is_none(sqlite_store: AnyStore, case: str) -> None:
    """So that an audit has nothing to retrieve."""
    status: Any = case.split(maxsplit=1)[0]
    sqlite_store.apply(create())
    sqlite_store.apply(tick(1, *HEALTHY[case], status=status))
    assert list(sqlite_store.suspects(10)) == []
