"""How a test fails: assertion errors with facts as fields; every one pickles."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime

import pytest

from wfcore import testing
from wfcore.testing import (
    ClockMismatchError,
    EndlessError,
    NeverFinishesError,
    PlanMismatchError,
    ReplayDiffersError,
    SimulationError,
    StubTypeError,
    UndeliverableError,
    UnexpectedBodyError,
    UnfitValueError,
    UnusedModifierError,
)

AT = datetime(2026, 1, 1, tzinfo=UTC)
TEXTS: list[tuple[AssertionError, str]] = [
    (
        NeverFinishesError("w#1", "waiting", AT, "w#1 waits"),
        "'w#1' does not finish: at 2026-01-01T00:00:00+00:00 it is waiting, and no time that passes ends it\nw#1 waits",
    ),
    (EndlessError(9, AT, ("w#1", "w#2")), "9 ticks, and still not done, at 2026-01-01T00:00:00+00:00; the last ones"),
    (UnusedModifierError(("stub('a')",), ("do:b",)), "not everything happened that the test asked for:\n  stub('a')"),
    (UnusedModifierError(("stub('a')",), ()), "The steps that there were: none"),
    (StubTypeError("do:a", "$.id", "str", "1"), "at $.id it must be str, not 1; return a value of the step's type"),
    (ReplayDiffersError("w#1", "it returns 2"), "'w#1' ends, and its replay does not end like that: it returns 2"),
    (UndeliverableError("w#1", "word", AT, "gone"), "deliver('w#1', 'word') at 2026-01-01T00:00:00+00:00: gone"),
    (ClockMismatchError("Store", AT, AT), "the clock of Store shows 2026-01-01T00:00:00+00:00"),
    (
        PlanMismatchError(("status: expected a, found b",), "Paused"),
        "status: expected a, found b\n\nplanned:\n  Paused",
    ),
    (
        UnexpectedBodyError("do:a", ("b",)),
        "expects 'b'; say what it does: .performing({'do:a': returns(...)})",
    ),
    (UnfitValueError("the result of 'do:a'", "$.id", "str", "1"), "does not fit: at $.id: expected str, found 1"),
]


@pytest.mark.parametrize(("error", "text"), TEXTS, ids=range(len(TEXTS)))
def test_the_text_says_what_happened_and_what_to_do(error: AssertionError, text: str) -> None:
    assert text in str(error)


@pytest.mark.parametrize(("error", "text"), TEXTS, ids=range(len(TEXTS)))
def test_every_error_pickles(error: AssertionError, text: str) -> None:
    assert str(error) == str(pickle.loads(pickle.dumps(error)))


def test_every_error_of_the_kit_fails_a_test() -> None:
    errors = [each for name, each in vars(testing).items() if name.endswith("Error") and name != "InjectedError"]
    assert [] == [each for each in errors if not issubclass(each, AssertionError)]
    assert {type(error) for error, _ in TEXTS} == set(errors) - {SimulationError}
