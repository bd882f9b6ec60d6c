"""The stores in PostgreSQL keep the contract, clause by clause."""

from typing import ClassVar

import pytest

from tests.postgres import adapters
from tests.stores.adapters import can_do
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


@pytest.mark.postgres
def test_what_our_store_can_do_is_declared_and_found_so_no_clause_is_skipped_by_mistake() -> None:
    assert [True] * 9 == can_do(adapters.blocking())
