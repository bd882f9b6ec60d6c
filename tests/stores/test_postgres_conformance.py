"""The stores in PostgreSQL keep the contract, clause by clause."""

from typing import ClassVar

import pytest

from tests.postgres import adapters
from wfcore.testing.conformance import Adapter, AsyncStoreSuite, StoreSuite


@pytest.mark.postgres
class TestPostgres(StoreSuite):
    examples: ClassVar[int] = 5

    @pytest.fixture
    def adapter(self) -> Adapter:
        return adapters.blocking()


@pytest.mark.postgres
class TestPostgresForAsyncio(AsyncStoreSuite):
    examples: ClassVar[int] = 5

    @pytest.fixture
    def adapter(self) -> Adapter:
        return adapters.asynchronous()
