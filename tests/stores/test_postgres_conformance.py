"""The stores in PostgreSQL keep the contract, clause by clause."""

from typing import ClassVar

import pytest

from tests.postgres import adapters
from wfcore.ports import Catalog, HookFeed, Listenable
from wfcore.testing.conformance import Adapter, AsyncStoreSuite, StoreSuite
from wfcore.testing.conformance.adapter import noon
from wfcore.testing.conformance.processes import cannot_be_opened


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
    adapter = adapters.blocking()
    declared = adapter.written, adapter.within, adapter.faulty
    can_fail_at_commit = adapter.fails_at_commit is not None
    with adapter.open(noon) as store:
        found = [isinstance(store, port) for port in (HookFeed, Catalog, Listenable)]
    told = adapter.durable, can_fail_at_commit, cannot_be_opened(adapter.open) is None
    assert [True] * 9 == [*told, *map(callable, declared), *found]
