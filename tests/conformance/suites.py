"""A suite for every known-bad store; of each only the tests of the clause that it breaks are run.

No part of the test-suite: ``test_known_bad`` runs it in a process of its own, because everything here has to fail.
"""

from pathlib import Path
from typing import Any

import pytest

from tests.conformance import stores
from tests.conformance.bad import BAD, Bad
from tests.conformance.tasks import TaskStore, of_tasks
from wfcore.testing.conformance import Adapter, AsyncStoreSuite, StoreSuite
from wfcore.testing.conformance.contents import clause_of

GOOD = ("TestNothing", "TestNothingForAsyncio")


def suite(bad: Bad) -> type[StoreSuite]:
    def adapter(self: object, tmp_path: Path) -> Adapter:
        return bad.make(tmp_path)

    base = AsyncStoreSuite if bad.is_asynchronous else StoreSuite
    body: dict[str, Any] = {"adapter": pytest.fixture(adapter), "shrink": False, "patience": 0.5}
    body |= {name: None for name in dir(base) if name.startswith("test_") and clause_of(name) != bad.clause}
    return type(bad.suite, (base,), body)


class TestNothing(StoreSuite):
    """Nothing is wrong with this one: so what is found in the others is what was done to them."""

    examples = 5

    @pytest.fixture
    def adapter(self) -> Adapter:
        return stores.striking(stores.Good)(Path())


class TestNothingForAsyncio(AsyncStoreSuite):
    """The same for asyncio; its bound store is wrong."""

    examples = 5

    @pytest.fixture
    def adapter(self) -> Adapter:
        return of_tasks(TaskStore, within=None)(Path())


globals().update({bad.suite: suite(bad) for bad in BAD})
