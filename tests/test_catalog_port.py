"""What a query means, what a cursor is, what a history is made of: without any store (M9)."""

import base64
import json
from datetime import datetime, timedelta, timezone
from typing import Any

import attrs
import pytest

from tests.stores.build import MINUTE, NOW, event, instance, step
from wfcore.errors import CursorError, RunNotFoundError
from wfcore.ports import History, InstanceQuery

ROW = instance(status="waiting", tags={"team": "red", "region": "eu"})
OLDER = instance("checkout#order-0", created_at=NOW - MINUTE)


@pytest.mark.parametrize(
    ("fields", "admitted"),
    [
        ({}, True),
        ({"workflow_names": "checkout"}, True),
        ({"workflow_names": {"refund", "checkout"}}, True),
        ({"workflow_names": "check"}, False),
        ({"workflow_names": ()}, False),
        ({"statuses": ["waiting", "paused"]}, True),
        ({"statuses": "paused"}, False),
        ({"statuses": ()}, False),
        ({"created_since": NOW}, True),
        ({"created_since": NOW + NOW.resolution}, False),
        ({"created_before": NOW}, False),
        ({"created_before": NOW + NOW.resolution}, True),
        ({"tags": {"team": "red"}}, True),
        ({"tags": {"team": "red", "region": "us"}}, False),
        ({"tags": {"customer": "7"}}, False),
    ],
)
def test_m9_a_query_admits_what_passes_every_filter(fields: dict[str, Any], admitted: bool) -> None:
    assert InstanceQuery(**fields).admits(ROW) == admitted


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"limit": 0}, r"limit=0: must be 1 to 1000; what comes after is the next page"),
        ({"limit": 1001}, "limit=1001"),
        ({"limit": True}, "limit=True"),
        ({"limit": "10"}, "limit='10'"),
        ({"statuses": "done"}, "statuses: 'done': must be of active, waiting, paused, complete, errored, terminated"),
        ({"statuses": ["active", "gone", "done"]}, "statuses: 'done', 'gone'"),
        ({"created_since": datetime(2026, 1, 1)}, "created_since=.*: must be a datetime with a time zone"),
        ({"created_before": "2026-01-01"}, "created_before='2026-01-01'"),
        ({"tags": {"team": 1}}, "tags={'team': 1}: names and values must be str"),
        ({"tags": {1: "team"}}, "tags="),
    ],
)
def test_m9_a_query_out_of_range_is_refused(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        InstanceQuery(**fields)


def test_a_query_keeps_its_tags_to_itself() -> None:
    tags = {"team": "red"}
    query = InstanceQuery(tags=tags)
    tags.clear()
    assert query.tags == {"team": "red"}


# ---- cursors


def cursor_of(query: InstanceQuery) -> str:
    """Of a first page that holds one instance."""
    cursor = attrs.evolve(query, limit=1).page([ROW, OLDER]).next_cursor
    assert cursor is not None
    return cursor


def test_m9_a_cursor_is_the_place_of_the_last_row() -> None:
    query = InstanceQuery(cursor=cursor_of(InstanceQuery()))
    assert query.position() == (ROW.created_at, ROW.ref)
    assert InstanceQuery().position() is None


def test_m9_the_last_page_has_no_cursor() -> None:
    query = InstanceQuery(limit=2)
    page = query.page([ROW, OLDER])
    assert (page.items, page.next_cursor, query.after(page)) == ((ROW, OLDER), None, None)


def test_m9_the_query_after_a_page_keeps_filters_and_limit() -> None:
    query = InstanceQuery(statuses="waiting", limit=1)
    page = query.page([ROW, OLDER])
    assert query.after(page) == attrs.evolve(query, cursor=page.next_cursor)


def test_m9_a_cursor_can_stand_in_an_address() -> None:
    names = [chr(number) * 3 for number in range(0x21, 0x2FF) if chr(number) != "#"]
    for name in names:
        row = attrs.evolve(ROW, ref=f"w#{name}")
        cursor = InstanceQuery(limit=1).page([row, OLDER]).next_cursor
        assert cursor is not None
        assert cursor.replace("-", "").replace("_", "").isalnum()
        assert InstanceQuery(cursor=cursor).position() == (row.created_at, row.ref)


def test_m9_a_cursor_holds_nothing_of_the_filters_but_a_digest() -> None:
    cursor = cursor_of(InstanceQuery(tags={"customer": "secret"}))
    held = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    assert set(held) == {"at", "ref", "of"}
    assert (held["ref"], held["at"], len(held["of"])) == (ROW.ref, 1_772_366_400_000_000, 16)


EXACT = InstanceQuery(
    workflow_names=["checkout", "refund"],
    statuses=["waiting", "paused"],
    created_since=NOW - MINUTE,
    created_before=NOW + MINUTE,
    tags={"team": "red", "region": "eu"},
)


def test_m9_a_cursor_goes_on_with_the_same_filters_however_they_are_said() -> None:
    same = InstanceQuery(
        workflow_names=("refund", "checkout", "refund"),
        statuses={"paused", "waiting"},
        created_since=(NOW - MINUTE).astimezone(timezone(timedelta(hours=2))),
        created_before=NOW + MINUTE,
        tags={"region": "eu", "team": "red"},
        limit=7,
        cursor=cursor_of(EXACT),
    )
    assert same.position() == (ROW.created_at, ROW.ref)


@pytest.mark.parametrize(
    "changes",
    [
        {"workflow_names": None},
        {"workflow_names": ()},
        {"workflow_names": "checkout"},
        {"statuses": None},
        {"statuses": "paused"},
        {"created_since": None},
        {"created_since": NOW - MINUTE + NOW.resolution},
        {"created_before": None},
        {"created_since": None, "created_before": NOW - MINUTE},
        {"tags": {}},
        {"tags": {"team": "red"}},
        {"tags": {"team": "eu", "region": "red"}},
    ],
)
def test_m9_a_cursor_of_other_filters_is_refused(changes: dict[str, Any]) -> None:
    cursor = cursor_of(EXACT)
    with pytest.raises(CursorError, match="it belongs to a list with other filters") as caught:
        attrs.evolve(EXACT, cursor=cursor, **changes)
    assert caught.value.cursor == cursor


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "page 2",
        "✓",
        7,
        cursor_of(InstanceQuery())[:-3],
        cursor_of(InstanceQuery())[1:],
        encoded(None),
        encoded([]),
        encoded({"at": 1, "ref": "w#1"}),
        encoded({"at": 1, "ref": "w#1", "of": "x", "more": 1}),
        encoded({"at": "1", "ref": "w#1", "of": "x"}),
        encoded({"at": True, "ref": "w#1", "of": "x"}),
        encoded({"at": 1, "ref": 1, "of": "x"}),
        encoded({"at": 10**18, "ref": "w#1", "of": "x"}),
        encoded({"at": 10**40, "ref": "w#1", "of": "x"}),
        base64.urlsafe_b64encode(b"[" * 100_000).decode(),
        base64.urlsafe_b64encode(b"\xff").decode(),
    ],
)
def test_m9_what_no_page_has_given_is_no_cursor(cursor: Any) -> None:
    with pytest.raises(CursorError, match="no page has given it, or a part of it is missing") as caught:
        InstanceQuery(cursor=cursor)
    assert caught.value.cursor == cursor


# ---- histories


def test_m9_a_history_takes_the_rows_of_its_run() -> None:
    now = instance(run_number=2)
    steps = [step("do:b", run_number=2, sequence=2), step("do:old"), step("do:a", run_number=2, sequence=1)]
    events = [
        event("old", consumed_by="do:old", consumed_run=1),
        event("pending"),
        event("taken", consumed_by="do:a", consumed_run=2),
    ]
    found = History.of(now, None, steps, events)
    assert [each.key for each in found.steps] == ["do:a", "do:b"]
    assert [each.id for each in found.events] == ["pending", "taken"]
    assert [each.id for each in History.of(now, 1, steps, events).events] == ["old"]


def test_m9_what_has_not_settled_comes_last_in_the_order_of_its_first_visit() -> None:
    steps = [
        step("do:c", status="waiting", created_at=NOW),
        step("do:b", status="cancelled", created_at=NOW),
        step("do:d", status="waiting", created_at=NOW - MINUTE),
        step("do:a", sequence=9, created_at=NOW + MINUTE),
    ]
    assert [each.key for each in History.of(instance(), 1, steps, []).steps] == ["do:a", "do:d", "do:b", "do:c"]


@pytest.mark.parametrize("run", [-1, 0, 3])
def test_m9_there_is_no_history_of_a_run_that_never_was(run: int) -> None:
    with pytest.raises(RunNotFoundError, match=f"has no run {run}; its runs are 1 to 2"):
        History.of(instance(run_number=2), run, [], [])
