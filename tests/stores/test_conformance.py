"""Our own stores keep the contract, clause by clause."""

from pathlib import Path

import pytest

from tests.stores import adapters
from wfcore.ports import Catalog, HookFeed, Listenable
from wfcore.testing.conformance import Adapter, AsyncStoreSuite, StoreSuite
from wfcore.testing.conformance.adapter import noon
from wfcore.testing.conformance.processes import cannot_be_opened

FEW = 5
"""Generated plans: tests/properties/test_store_laws.py tries more of them."""


class TestMemory(StoreSuite):
    examples = FEW

    @pytest.fixture
    def adapter(self) -> Adapter:
        return adapters.memory()


class TestSqlite(StoreSuite):
    examples = FEW

    @pytest.fixture
    def adapter(self, tmp_path: Path) -> Adapter:
        return adapters.sqlite(tmp_path / "workflows.db")


class TestSqliteForAsyncio(AsyncStoreSuite):
    examples = FEW

    @pytest.fixture
    def adapter(self, tmp_path: Path) -> Adapter:
        return adapters.sqlite_for_asyncio(tmp_path / "workflows.db")


def test_what_our_stores_can_do_is_declared_and_found_so_no_clause_is_skipped_by_mistake(tmp_path: Path) -> None:
    adapter = adapters.sqlite(tmp_path / "workflows.db")
    declared = adapter.written, adapter.within, adapter.faulty
    can_fail_at_commit = adapter.fails_at_commit is not None
    with adapter.open(noon) as store:
        found = [isinstance(store, port) for port in (HookFeed, Catalog, Listenable)]
    told = adapter.durable, can_fail_at_commit, cannot_be_opened(adapter.open) is None
    assert [True] * 9 == [*told, *map(callable, declared), *found]
