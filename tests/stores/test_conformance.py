"""Our own stores keep the contract, clause by clause."""

from pathlib import Path

import pytest

from tests.stores import adapters
from wfcore.testing.conformance import Adapter, AsyncStoreSuite, StoreSuite

FEW = 10
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
