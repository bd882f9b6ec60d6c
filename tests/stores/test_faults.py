"""What a driver raises, by one class or by several."""

import sqlite3

import pytest

from wfadapters.writes import Faults, writes_of
from wfcore.errors import WriteFailedError
from wfcore.plan import Write
from wfcore.testing.conformance import Note
from wfcore.testing.conformance.build import tick

SEVERAL = Faults(
    (sqlite3.Error, OSError),
    at_commit=(sqlite3.IntegrityError, BlockingIOError),
    is_transient=lambda error: isinstance(error, OSError),
    describe=str,
)
PLAN = tick(1, Write(Note("a")))
[WRITE] = writes_of([PLAN])


@pytest.mark.parametrize(
    ("error", "raised"),
    [(sqlite3.ProgrammingError("closed"), WriteFailedError), (ConnectionError("lost"), ConnectionError)],
)
def test_t6_what_is_transient_is_told_by_each_class_of_a_drivers_errors(
    error: Exception, raised: type[Exception]
) -> None:
    with pytest.raises(raised), SEVERAL.of_writer(WRITE, {Note: print}):
        raise error


@pytest.mark.parametrize("error", [sqlite3.IntegrityError("a"), BlockingIOError("b")])
def test_a11_each_class_of_errors_at_commit_is_a_failed_write(error: Exception) -> None:
    with pytest.raises(WriteFailedError, match="at commit"), SEVERAL.of_commit([PLAN]):
        raise error
