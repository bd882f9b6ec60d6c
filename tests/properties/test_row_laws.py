"""Rows as columns and back: whatever a record holds comes back, by way of a real database."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC
from typing import Any, get_args

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wfadapters import rows
from wfadapters.columns import Table, failure_column, instant_column, read_instant, tag_texts
from wfadapters.sqlite import schema
from wfcore.failure import Failure
from wfcore.model import (
    Actor,
    Event,
    Hook,
    HookReason,
    Instance,
    InstanceStatus,
    StepKind,
    StepRecord,
    StepStatus,
)

TEXT = st.text(st.characters(codec="utf-8"))
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=20)  # surrogates too
INSTANTS = st.datetimes(timezones=st.just(UTC))
INTEGERS = st.integers(0, 2**63 - 1)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=5,
)
FAILURES = st.builds(
    Failure,
    type=ANY_TEXT,
    message=ANY_TEXT,
    details=PLAIN,
    bases=st.lists(ANY_TEXT, max_size=2).map(tuple),
    traceback=ANY_TEXT,
)
INSTANCES = st.builds(
    Instance,
    ref=TEXT,
    workflow_name=TEXT,
    instance_id=TEXT,
    run_number=INTEGERS,
    key_run=INTEGERS,
    status=st.sampled_from(get_args(InstanceStatus)),
    params=TEXT,
    output=st.none() | TEXT,
    failure=st.none() | FAILURES,
    tags=st.dictionaries(ANY_TEXT, ANY_TEXT, max_size=2),
    created_at=INSTANTS,
    updated_at=INSTANTS,
    started_at=st.none() | INSTANTS,
    completed_at=st.none() | INSTANTS,
    version=INTEGERS,
    execution_id=TEXT,
    created_by=TEXT,
)
STEPS = st.builds(
    StepRecord,
    instance_ref=TEXT,
    run_number=INTEGERS,
    key=TEXT,
    kind=st.sampled_from(get_args(StepKind)),
    name=TEXT,
    parent_key=st.none() | TEXT,
    depth=INTEGERS,
    status=st.sampled_from(get_args(StepStatus)),
    attempts=INTEGERS,
    max_attempts=st.none() | INTEGERS,
    next_retry_at=st.none() | INSTANTS,
    wake_at=st.none() | INSTANTS,
    event_types=st.lists(ANY_TEXT, max_size=2).map(tuple),
    event_id=st.none() | TEXT,
    result=st.none() | TEXT,
    failure=st.none() | FAILURES,
    sequence=st.none() | INTEGERS,
    created_at=INSTANTS,
    settled_at=st.none() | INSTANTS,
    execution_id=TEXT,
)
EVENTS = st.builds(
    Event,
    instance_ref=TEXT,
    id=TEXT,
    type=TEXT,
    payload=TEXT,
    actor=st.sampled_from(get_args(Actor)),
    created_at=INSTANTS,
    consumed_by=st.none() | TEXT,
    consumed_run=st.none() | INTEGERS,
    delivered_at=st.none() | INSTANTS,
)
HOOKS = st.builds(
    Hook,
    id=TEXT,
    instance_ref=TEXT,
    run_number=st.none() | INTEGERS,
    workflow_name=TEXT,
    instance_id=TEXT,
    reason=st.sampled_from(get_args(HookReason)),
    due_at=INSTANTS,
    created_at=INSTANTS,
    attempts=INTEGERS,
    last_error=st.none() | ANY_TEXT,
)
KINDS = [
    pytest.param(rows.INSTANCES, INSTANCES, rows.instance_row, rows.read_instance, id="instances"),
    pytest.param(rows.STEPS, STEPS, rows.step_row, rows.read_step, id="steps"),
    pytest.param(rows.EVENTS, EVENTS, rows.event_row, rows.read_event, id="events"),
    pytest.param(rows.HOOKS, HOOKS, rows.hook_row, rows.read_hook, id="hooks"),
]


@pytest.fixture(scope="module")
def database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for statement in schema.statements(strict=True):
            connection.execute(statement)
        yield connection


@pytest.mark.parametrize(("table", "records", "to_row", "read"), KINDS)
@given(data=st.data())
def test_a7_what_a_database_gives_back_is_the_record(
    database: sqlite3.Connection,
    table: Table,
    records: st.SearchStrategy[Any],
    to_row: Callable[[Any], tuple[Any, ...]],
    read: Callable[[tuple[Any, ...]], Any],
    data: st.DataObject,
) -> None:
    record = data.draw(records)
    columns = ", ".join(table.columns)
    database.execute(f"DELETE FROM {table.name}")
    values = ", ".join("?" for _ in table.columns)
    database.execute(f"INSERT INTO {table.name} ({columns}) VALUES ({values})", to_row(record))
    (found,) = database.execute(f"SELECT {columns} FROM {table.name}").fetchall()
    assert attrs.asdict(read(found)) == attrs.asdict(record)  # with the traceback, which is no part of equality
    assert read(found) == record


@given(INSTANTS, INSTANTS)
def test_a7_columns_of_instants_sort_as_instants(first: Any, second: Any) -> None:
    assert (first < second) == (instant_column(first) < instant_column(second))
    assert read_instant(instant_column(first)) == first


TAGS = st.text('a":, {}\\\x00\ud800', max_size=4)


@given(st.builds(attrs.evolve, INSTANCES, tags=st.dictionaries(TAGS, TAGS, max_size=3)), TAGS, TAGS)
def test_c1_a_column_of_tags_holds_one_of_two_texts_if_it_has_the_label(row: Instance, name: str, value: str) -> None:
    column = rows.instance_row(row)[list(rows.INSTANCES.columns).index("tags")]
    for label in [(name, value), *row.tags.items()]:
        assert any(text in column for text in tag_texts(*label)) == (label in row.tags.items())


@given(FAILURES)
def test_json_in_columns_is_ascii(failure: Failure) -> None:
    column = failure_column(failure)
    assert column is not None
    assert column.isascii()
    assert json.loads(column)["message"] == failure.message
