"""Our own stores keep the contract, clause by clause."""

from pathlib import Path

import pytest

from tests.stores import adapters
from wfcore.testing.conformance import Adapter, AsyncStoreSuite, StoreSuite


class TestMemory(StoreSuite):
    @pytest.fixture
    def adapter(self) -> Adapter:
        return adapters.memory()


class TestSqlite(StoreSuite):
    @pytest.fixture
    def adapter(self, tmp_path: Path) -> Adapter:
        return adapters.sqlite(tmp_path / "workflows.db")


class TestSqliteForAsyncio(AsyncStoreSuite):
    @pytest.fixture
    def adapter(self, tmp_path: Path) -> Adapter:
        return adapters.sqlite_for_asyncio(tmp_path / "workflows.db")
