"""What the guide's fences would do in a store, beyond what the page shows."""

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from wfcore import StoreUnavailableError
from wfcore.plan import Applied
from wfcore.testing.conformance.clauses.trouble import Strike

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "write-an-adapter.md"


@attrs.define
class Faulty:
    """A connection that fails when it is told to, and leaves its transaction open, as a file that is busy does."""

    connection: sqlite3.Connection
    strikes: Strike

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        if self.strikes():
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorname = "SQLITE_BUSY"
            raise error
        return self.connection.execute(*arguments)

    def close(self) -> None:
        self.connection.close()

    @property
    def in_transaction(self) -> bool:
        return self.connection.in_transaction


@pytest.fixture
def page() -> Iterator[dict[str, Any]]:
    """The names of the page, up to the end of its apply."""
    fences = re.findall("^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    last = next(place for place, fence in enumerate(fences) if "def apply_many" in fence)
    namespace: dict[str, Any] = {"__name__": __name__}
    for fence in fences[: last + 1]:
        exec(compile(fence, str(PAGE), "exec"), namespace)
    yield namespace
    if namespace["db"] is not None:
        namespace["db"].close()
    namespace["folder"].cleanup()


@pytest.mark.parametrize("lasting", [False, True])
def test_apply_in_sql_survives_a_database_that_fails_once_or_stays_away(page: dict[str, Any], lasting: bool) -> None:
    strike, connect = Strike(), page["connect"]
    page["db"].close()
    page.update(db=None, connect=lambda: Faulty(connect(), strike))

    def create(name: str) -> Any:
        plan = page["plan_create"](page["nothing"], page["hello"], "Ada", instance_id=name, execution_id=name)
        return page["apply"](plan, {})

    tried = strike.everywhere(lambda place: create(f"{place}"), lasting=lasting)
    for place, answer in enumerate(tried):
        assert isinstance(answer, StoreUnavailableError | Applied), answer
        assert isinstance(create(f"after {place}"), Applied)
