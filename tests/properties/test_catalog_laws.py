"""Pages are a plain sorted list, however they are cut and whatever comes and goes between them (M9)."""

from collections import Counter
from contextlib import closing
from datetime import timedelta
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.properties.stores import NOW, PostgresUnderTest, SqliteUnderTest, Subject
from tests.stores.build import create, delete, instance, tick
from wfadapters.memory import MemoryStore
from wfcore.model import Instance, InstanceStatus
from wfcore.ports import Catalog, InstanceQuery
from wfcore.ports.catalog import STATUSES, place

WORKFLOWS = ["a", "ab", "b"]
NAMES = [f"{workflow}#{number}" for workflow in WORKFLOWS for number in range(5)]
LABELS = st.dictionaries(st.sampled_from(["team", "region"]), st.sampled_from(["red", "eu"]), max_size=2)
INSTANTS = st.integers(-2, 2).map(lambda seconds: NOW + timedelta(seconds=seconds))
QUERIES = st.builds(
    InstanceQuery,
    workflow_names=st.none() | st.sets(st.sampled_from([*WORKFLOWS, "c"]), max_size=3),
    statuses=st.none() | st.sets(st.sampled_from(STATUSES), max_size=4),
    created_since=st.none() | INSTANTS,
    created_before=st.none() | INSTANTS,
    tags=st.just({}) | LABELS,
    limit=st.integers(1, 4),
)


@st.composite
def rows(draw: st.DrawFn) -> Instance:
    status: InstanceStatus = draw(st.sampled_from(STATUSES))
    ref = draw(st.sampled_from(NAMES))
    return instance(ref, created_at=draw(INSTANTS), status=status, tags=draw(LABELS))


FEWER = settings(max_examples=max(settings().max_examples // 5, 5))  # each opens a file
FEW = settings(max_examples=min(FEWER.max_examples, 25))  # each empties a database
CHANGES = st.lists(rows(), max_size=6)


class Shelf:
    """The memory store and another, and the rows that they hold."""

    def __init__(self, subject: Subject) -> None:
        self.stores: dict[str, Any] = {"memory": MemoryStore(lambda: NOW), "tested": subject.store}
        self.rows: dict[str, Instance] = {}
        self.ever: Counter[str] = Counter()

    def change(self, row: Instance) -> None:
        """Create what is not there; of what is, change the status, and delete it the next time."""
        found = self.rows.pop(row.ref, None)
        fields: dict[str, Any] = {"status": row.status, "tags": row.tags}
        if found is None:
            plan = create(row.ref, created_at=row.created_at, **fields)
            self.rows[row.ref] = row
            self.ever[row.ref] += 1
        elif found.version == 1:
            plan = tick(1, ref=row.ref, created_at=found.created_at, **fields)
            self.rows[row.ref] = attrs.evolve(found, version=2, execution_id="e2", **fields)
        else:
            plan = delete(2, row.ref)
        for store in self.stores.values():
            store.apply(plan)

    def expected(self, query: InstanceQuery) -> list[Instance]:
        """The plain list."""
        return sorted(filter(query.admits, self.rows.values()), key=place, reverse=True)


@given(CHANGES, QUERIES)
@FEWER
def test_m9_pages_put_together_are_the_sorted_list(changes: list[Instance], query: InstanceQuery) -> None:
    pages_put_together_are_the_sorted_list(SqliteUnderTest(), changes, query)


@pytest.mark.postgres
@given(CHANGES, QUERIES)
@FEW
def test_m9_pages_of_postgres_put_together_are_the_sorted_list(changes: list[Instance], query: InstanceQuery) -> None:
    pages_put_together_are_the_sorted_list(PostgresUnderTest(), changes, query)


def pages_put_together_are_the_sorted_list(subject: Subject, changes: list[Instance], query: InstanceQuery) -> None:
    with closing(subject):
        shelf = Shelf(subject)
        for row in changes:
            shelf.change(row)
        expected = shelf.expected(query)
        counts = Counter(row.status for row in expected)
        for name, store in shelf.stores.items():
            assert all_of(store, query) == expected, name
            assert store.count_by_status(query) == {status: counts[status] for status in STATUSES}, name


def all_of(catalog: Catalog, query: InstanceQuery) -> list[Instance]:
    """Every row of every page."""
    found: list[Instance] = []
    asked: InstanceQuery | None = query
    while asked is not None:
        page = catalog.list_instances(asked)
        assert len(page.items) == query.limit or page.next_cursor is None
        found.extend(page.items)
        asked = asked.after(page)
    return found


@given(CHANGES, QUERIES, st.lists(CHANGES, max_size=8))
@FEWER
def test_m9_a_page_is_what_is_left_of_the_list_when_it_is_read(
    changes: list[Instance], query: InstanceQuery, meanwhile: list[list[Instance]]
) -> None:
    a_page_is_what_is_left_of_the_list(SqliteUnderTest(), changes, query, meanwhile)


@pytest.mark.postgres
@given(CHANGES, QUERIES, st.lists(CHANGES, max_size=8))
@FEW
def test_m9_a_page_of_postgres_is_what_is_left_of_the_list_when_it_is_read(
    changes: list[Instance], query: InstanceQuery, meanwhile: list[list[Instance]]
) -> None:
    a_page_is_what_is_left_of_the_list(PostgresUnderTest(), changes, query, meanwhile)


def a_page_is_what_is_left_of_the_list(
    subject: Subject, changes: list[Instance], query: InstanceQuery, meanwhile: list[list[Instance]]
) -> None:
    """So nothing that is there all the time is skipped, and nothing is shown twice that was not created twice."""
    with closing(subject):
        shelf = Shelf(subject)
        for row in changes:
            shelf.change(row)
        kept = {row.ref for row in shelf.expected(query)}
        shown: list[str] = []
        asked: InstanceQuery | None = query
        more = iter(meanwhile)
        while asked is not None:
            position = asked.position()
            left = [row for row in shelf.expected(query) if position is None or place(row) < position]
            pages = [store.list_instances(asked) for store in shelf.stores.values()]
            assert pages[0] == pages[1]
            assert list(pages[0].items) == left[: query.limit]
            shown.extend(row.ref for row in pages[0].items)
            asked = asked.after(pages[0])
            for row in next(more, []):
                shelf.change(row)
            kept &= {row.ref for row in shelf.expected(query)}
        changed = {row.ref for rows_of in meanwhile for row in rows_of}
        assert kept - changed <= {*shown}
        assert all(count <= shelf.ever[ref] for ref, count in Counter(shown).items())
