"""Whatever breaks rule O5 is a candidate of every catalog, so that an audit finds it (R7)."""

from contextlib import closing
from datetime import timedelta

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.properties.stores import NOW, PostgresUnderTest, SqliteUnderTest, Subject
from tests.stores.build import REF, create, event, hook, message, step, tick
from wfadapters.memory import MemoryStore
from wfcore.keys import message_id, start_id
from wfcore.model import PAUSE_REQUEST, Event, Hook, InstanceStatus, StepRecord
from wfcore.plan import AddEvent, DeleteHook, Mutation, PutHook, PutStep
from wfcore.planner.progress import breaks_o5
from wfcore.ports.catalog import STATUSES
from wfcore.runner import Client
from wfcore.workflow import Registry

INSTANTS = st.integers(0, 2).map(lambda minutes: NOW + timedelta(minutes=minutes))
FEWER = settings(max_examples=max(settings().max_examples // 5, 20))  # each opens a file
FEW = settings(max_examples=min(FEWER.max_examples, 50))  # each empties a database


@st.composite
def records(draw: st.DrawFn, number: int) -> StepRecord:
    kind = draw(st.sampled_from(["do", "sleep", "wait_for_event"]))
    return step(
        f"{kind}:{number}",
        kind=kind,
        run_number=draw(st.sampled_from([1, 2, 2, 2])),
        status=draw(st.sampled_from(["waiting", "waiting", "started", "completed", "cancelled"])),
        next_retry_at=draw(INSTANTS) if kind == "do" else None,
        wake_at=draw(INSTANTS | st.none()),
        event_types=("approved",) if kind == "wait_for_event" else (),
    )


TIMERS = st.builds(
    lambda due_at, run_number, attempts: hook(due_at=due_at, run_number=run_number, attempts=attempts),
    INSTANTS,
    st.sampled_from([1, 2, 2, 2, None]),
    st.sampled_from([0, 0, 0, 1]),
)
STARTS = st.just(hook(id=start_id(REF), run_number=None))
USERS = st.builds(lambda consumed_by: event("m1", consumed_by=consumed_by), st.sampled_from([None, "do:a"]))
REQUESTS = st.just(event("#pause:1", type=PAUSE_REQUEST, actor="system"))
MESSAGES = st.sampled_from([message("m1"), attrs.evolve(message("m1"), id=message_id(REF, "#pause:1"))])


CASES = given(
    st.sampled_from(STATUSES),
    st.tuples(*(records(number) for number in range(3))).flatmap(
        lambda made: st.integers(0, 3).map(lambda count: made[:count])
    ),
    st.lists(TIMERS | STARTS | MESSAGES, max_size=3),
    st.lists(USERS | REQUESTS, max_size=2),
)


@CASES
@FEWER
def test_r7_what_breaks_o5_is_found_and_nothing_else(
    status: InstanceStatus, steps: tuple[StepRecord, ...], hooks: list[Hook], events: list[Event]
) -> None:
    what_breaks_o5_is_found(SqliteUnderTest(), status, steps, hooks, events)


@pytest.mark.postgres
@CASES
@FEW
def test_r7_what_breaks_o5_is_found_in_postgres_and_nothing_else(
    status: InstanceStatus, steps: tuple[StepRecord, ...], hooks: list[Hook], events: list[Event]
) -> None:
    what_breaks_o5_is_found(PostgresUnderTest(), status, steps, hooks, events)


def what_breaks_o5_is_found(
    subject: Subject, status: InstanceStatus, steps: tuple[StepRecord, ...], hooks: list[Hook], events: list[Event]
) -> None:
    changes: list[Mutation] = [
        DeleteHook(hook().id),
        *map(PutHook, hooks),
        *map(PutStep, steps),
        *map(AddEvent, events),
    ]
    with closing(subject):
        for store in (MemoryStore(lambda: NOW), subject.store):
            store.apply(create())
            store.apply(tick(1, *changes, status=status, run_number=2))
            problem = breaks_o5(store.retrieve(REF))
            found = [each.problem for each in Client(store, Registry([])).audit()]
            assert found == ([] if problem is None else [problem])
