"""Our own stores keep the contract, clause by clause."""

from pathlib import Path

import pytest

from tests.stores import adapters
from tests.stores.adapters import can_do
from wfcore.testing.conformance import Adapter, AsyncStoreSuite, StoreSuite

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
    assert [True] * 9 == can_do(adapters.sqlite(tmp_path / "workflows.db"))
