"""C1, C2, C3: lists, pages and counts of instances (rule M9)."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import attrs
import pytest

from wfcore.model import Instance
from wfcore.ports import Catalog, InstanceQuery
from wfcore.testing.conformance.build import MINUTE, NOW, REF, create, delete, instance, tick
from wfcore.testing.conformance.rig import StoreAndCatalog

SECOND = timedelta(seconds=1)
MANY_PAGES = 1_000
TAGS = [
    "",
    "\0",
    "x",
    "X",
    "x\0",
    "x\0y",
    "x\\0y",
    "x\\u0000y",
    "\\",
    "\\\\",
    "\\\0",
    "\\\\u0000",
    '"',
    "'",
    "✓",
    "\n",
    "%",
]


def refs(catalog: Catalog, **query: Any) -> list[str]:
    return [each.ref for each in catalog.list_instances(InstanceQuery(**query)).items]


def pages(catalog: Catalog, **query: Any) -> Iterator[list[str]]:
    asked: InstanceQuery | None = InstanceQuery(**query)
    for _ in range(MANY_PAGES):
        if asked is None:
            return
        page = catalog.list_instances(asked)
        yield [each.ref for each in page.items]
        asked = asked.after(page)
    raise AssertionError("there is no last page")


def put(catalog: StoreAndCatalog, ref: str, **fields: Any) -> Instance:
    catalog.apply(create(ref, **fields))
    return instance(ref, **fields)


class Shelf:
    """Instances to look for."""

    @pytest.fixture
    def some(self, catalog: StoreAndCatalog) -> StoreAndCatalog:
        """Six instances; the last was created first."""
        put(catalog, "a#1", created_at=NOW, status="waiting", tags={"team": "red", "region": "eu"})
        put(catalog, "b#1", created_at=NOW, status="complete", tags={"team": "red"})
        put(catalog, "a#2", created_at=NOW - SECOND, status="waiting", tags={"region": "eu"})
        put(catalog, "b#2", created_at=NOW - SECOND, status="errored", tags={"team": "blue", "region": "eu"})
        put(catalog, "ab#3", created_at=NOW - SECOND, status="paused")
        put(catalog, "a#3", created_at=NOW - MINUTE, status="terminated", tags={"team": "red", "region": "eu"})
        return catalog


class Lists(Shelf):
    """Whole rows that pass every filter, the newest first."""

    def test_c1_the_newest_comes_first_and_of_those_the_last_by_ref(self, some: StoreAndCatalog) -> None:
        assert refs(some) == ["b#1", "a#1", "b#2", "ab#3", "a#2", "a#3"]

    def test_c1_a_list_holds_whole_rows(self, catalog: StoreAndCatalog) -> None:
        row = put(catalog, REF, tags={"team": "red"}, params='{"cents": 100}')
        for query in (InstanceQuery(), InstanceQuery(workflow_names="checkout"), InstanceQuery(tags={"team": "red"})):
            assert catalog.list_instances(query).items == (row,)

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ({"workflow_names": "a"}, ["a#1", "a#2", "a#3"]),
            ({"workflow_names": ["ab", "b", "unknown"]}, ["b#1", "b#2", "ab#3"]),
            ({"workflow_names": []}, []),
            ({"statuses": "waiting"}, ["a#1", "a#2"]),
            ({"statuses": ["errored", "complete"]}, ["b#1", "b#2"]),
            ({"statuses": []}, []),
            ({"created_since": NOW}, ["b#1", "a#1"]),
            ({"created_since": NOW + SECOND.resolution}, []),
            ({"created_before": NOW}, ["b#2", "ab#3", "a#2", "a#3"]),
            ({"created_since": NOW - SECOND, "created_before": NOW}, ["b#2", "ab#3", "a#2"]),
            ({"tags": {"region": "eu"}}, ["a#1", "b#2", "a#2", "a#3"]),
            ({"tags": {"region": "eu", "team": "red"}}, ["a#1", "a#3"]),
            ({"tags": {"region": "eu", "team": "green"}}, []),
            ({"tags": {"region": "eu"}, "workflow_names": ["a", "ab"], "statuses": "waiting"}, ["a#1", "a#2"]),
            ({"tags": {"team": "red", "region": "eu"}, "workflow_names": "a", "created_before": NOW}, ["a#3"]),
            ({"workflow_names": "a", "statuses": "waiting", "created_before": NOW}, ["a#2"]),
        ],
    )
    def test_c1_a_list_holds_what_passes_every_filter(
        self, some: StoreAndCatalog, query: dict[str, Any], expected: list[str]
    ) -> None:
        """Rule M9."""
        assert refs(some, **query) == expected
        assert [ref for page in pages(some, **query, limit=1) for ref in page] == expected
        assert sum(some.count_by_status(InstanceQuery(**query)).values()) == len(expected)

    def test_c1_a_list_follows_what_is_put_and_deleted(self, catalog: StoreAndCatalog) -> None:
        """Rule M9."""
        put(catalog, REF, tags={"team": "red"})
        catalog.apply(tick(1, status="waiting", tags={"team": "red"}))
        assert (refs(catalog, statuses="active"), refs(catalog, statuses="waiting")) == ([], [REF])
        assert refs(catalog, tags={"team": "red"}, statuses="waiting") == [REF]
        catalog.apply(tick(2, status="waiting", tags={"team": "blue"}))
        assert (refs(catalog, tags={"team": "red"}), refs(catalog, tags={"team": "blue"})) == ([], [REF])
        catalog.apply(tick(3, status="complete"))
        assert (refs(catalog, tags={"team": "blue"}), refs(catalog)) == ([], [REF])
        catalog.apply(delete(4))
        assert (refs(catalog), sum(catalog.count_by_status(InstanceQuery()).values())) == ([], 0)

    def test_c1_tags_are_told_apart_whatever_is_in_them(self, catalog: StoreAndCatalog) -> None:
        for place, tag in enumerate(TAGS):
            put(catalog, f"value#{place}", tags={"name": tag})
            put(catalog, f"name#{place}", tags={tag: "value"})
        for place, tag in enumerate(TAGS):
            assert refs(catalog, tags={"name": tag}) == [f"value#{place}"]
            assert refs(catalog, tags={tag: "value"}) == [f"name#{place}"]
            assert catalog.count_by_status(InstanceQuery(tags={tag: "value"}))["active"] == 1

    def test_c1_instants_are_compared_to_the_microsecond(self, catalog: StoreAndCatalog) -> None:
        tiny = NOW.resolution
        for place in range(3):
            put(catalog, f"w#{place}", created_at=NOW + place * tiny)
        assert refs(catalog, created_since=NOW + tiny, created_before=NOW + 2 * tiny) == ["w#1"]
        assert list(pages(catalog, limit=1)) == [["w#2"], ["w#1"], ["w#0"]]


class Pages(Shelf):
    """Pages skip nothing and show nothing twice."""

    def test_c2_pages_are_of_the_size_that_was_asked_for(self, some: StoreAndCatalog) -> None:
        assert list(pages(some, limit=2)) == [["b#1", "a#1"], ["b#2", "ab#3"], ["a#2", "a#3"]]
        assert list(pages(some, limit=4)) == [["b#1", "a#1", "b#2", "ab#3"], ["a#2", "a#3"]]
        assert list(pages(some, limit=1000)) == [refs(some)]

    def test_c2_a_page_of_nothing_is_the_last(self, catalog: StoreAndCatalog) -> None:
        assert list(pages(catalog)) == [[]]

    def test_c2_pages_may_change_their_size(self, some: StoreAndCatalog) -> None:
        first = InstanceQuery(limit=1)
        then = first.after(some.list_instances(first))
        assert then is not None
        assert [each.ref for each in some.list_instances(attrs.evolve(then, limit=3)).items] == ["a#1", "b#2", "ab#3"]

    def test_c2_no_row_is_skipped_or_doubled_when_others_come_and_go_at_the_same_instant(
        self, catalog: StoreAndCatalog
    ) -> None:
        """Rule M9: the last row of a page may be gone when the next is asked for, and rows may come beside it."""
        for name in ("b", "d", "f"):
            put(catalog, f"w#{name}")
        seen = pages(catalog, limit=1)
        assert next(seen) == ["w#f"]
        catalog.apply(delete(1, "w#f"))
        for name in ("a", "c", "e", "g", "h"):
            put(catalog, f"w#{name}")
        assert list(seen) == [["w#e"], ["w#d"], ["w#c"], ["w#b"], ["w#a"]]

    def test_c2_pages_hold_what_was_there_all_the_time_while_threads_write(self, catalog: StoreAndCatalog) -> None:
        old = [f"old#{number:03}" for number in range(40)]
        for ref in old:
            put(catalog, ref)

        def write(worker: int) -> None:
            for number in range(25):
                ref = f"new#{worker}-{number}"
                catalog.apply(create(ref, tags={"worker": str(worker)}))
                catalog.apply(tick(1, ref=ref, status="waiting", tags={"worker": str(worker)}))
                if number % 2:
                    catalog.apply(delete(2, ref))

        def read(_reader: int) -> list[str]:
            return [ref for page in pages(catalog, limit=7) for ref in page]

        with ThreadPoolExecutor(4) as pool:
            writers = [pool.submit(write, worker) for worker in range(2)]
            seen = list(pool.map(read, range(8)))
            for writer in writers:
                writer.result()
        for each in seen:
            assert [ref for ref in each if ref.startswith("old")] == sorted(old, reverse=True)
            assert len(each) == len(set(each))
        assert catalog.count_by_status(InstanceQuery(tags={"worker": "0"}))["waiting"] == 13


class Counts(Shelf):
    """Counts by status."""

    def test_c3_counts_have_every_status(self, some: StoreAndCatalog) -> None:
        expected = {"active": 0, "waiting": 2, "paused": 1, "complete": 1, "errored": 1, "terminated": 1}
        assert some.count_by_status(InstanceQuery()) == expected
        assert some.count_by_status(InstanceQuery(statuses="paused")) == {**dict.fromkeys(expected, 0), "paused": 1}

    def test_c3_limit_and_cursor_do_not_count(self, some: StoreAndCatalog) -> None:
        """Rule M9."""
        query = InstanceQuery(limit=1)
        then = query.after(some.list_instances(query))
        assert then is not None
        assert some.count_by_status(then) == some.count_by_status(InstanceQuery())
