"""Failures as data: what of an exception is kept (design 3)."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from wfcore import Failure, NonRetryableError
from wfcore.failure import MESSAGE_LIMIT, TRACEBACK_LIMIT, class_name, failure_of, is_plain


class CardError(NonRetryableError):
    pass


class StolenCardError(CardError, LookupError):
    pass


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class DetailedError(Exception):
    def __init__(self, details: Any) -> None:
        self.details = details


class UnreadableError(Exception):
    @property
    def details(self) -> None:
        raise RuntimeError("no details")


class Mute:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


def deep(levels: int) -> Failure:
    def descend(left: int) -> None:
        if left:
            descend(left - 1)
        raise ValueError("deep")

    with pytest.raises(ValueError, match="deep") as caught:
        descend(levels)
    return failure_of(caught.value)


def test_a_failure_names_class_message_and_details() -> None:
    failure = failure_of(CardError("declined", details={"code": 51}))
    assert ("tests.test_failure.CardError", "declined", {"code": 51}) == (
        failure.type,
        failure.message,
        failure.details,
    )


def test_the_bases_reach_up_to_exception_nearest_first() -> None:
    assert (
        "tests.test_failure.CardError",
        "wfcore.errors.inside.NonRetryableError",
        "builtins.LookupError",
        "builtins.Exception",
    ) == failure_of(StolenCardError()).bases


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (StolenCardError, True),
        (CardError, True),
        (LookupError, True),
        (NonRetryableError, True),
        (Exception, True),
        (KeyError, False),
        (BaseException, False),
    ],
)
def test_is_a_compares_names_up_to_exception(error: type[BaseException], expected: bool) -> None:
    assert expected == failure_of(StolenCardError("x")).is_a(error)


def test_a_class_is_named_by_module_and_qualified_name() -> None:
    class LocalError(Exception):
        pass

    assert "tests.test_failure.test_a_class_is_named_by_module_and_qualified_name.<locals>.LocalError" == class_name(
        LocalError
    )


@pytest.mark.parametrize(
    ("details", "kept"),
    [
        (None, None),
        ({"a": [1, 2.5, True, None, "x"]}, {"a": [1, 2.5, True, None, "x"]}),
        ((1, 2), "(1, 2)"),
        ({1: "a"}, "{1: 'a'}"),
        (float("nan"), "nan"),
        ({"a": [float("inf")]}, "{'a': [inf]}"),
    ],
)
def test_details_are_plain_json_or_their_repr(details: Any, kept: Any) -> None:
    assert kept == failure_of(DetailedError(details)).details


def test_an_exception_without_details_has_none() -> None:
    assert failure_of(ValueError("x")).details is None


@pytest.mark.parametrize(
    ("error", "message", "details"),
    [
        (UnprintableError(), "<str() of the exception raised RuntimeError>", None),
        (UnreadableError("x"), "x", "<details of the exception raised RuntimeError>"),
        (DetailedError(Mute()), None, "<details of the exception raised RuntimeError>"),
    ],
    ids=lambda each: type(each).__name__,
)
def test_an_exception_that_cannot_be_described_is_recorded_all_the_same(
    error: Exception, message: str | None, details: str | None
) -> None:
    failure = failure_of(error)
    assert (message or failure.message, details) == (failure.message, failure.details)


def test_details_that_hold_themselves_are_recorded_all_the_same() -> None:
    loop: list[object] = []
    loop.append(loop)
    assert "<details of the exception raised RecursionError>" == failure_of(DetailedError(loop)).details


def test_the_traceback_lists_frames_outermost_first() -> None:
    lines = failure_of(raised(ValueError("x"))).traceback.splitlines()
    assert [True] == [line.startswith('File "') and line.endswith("in raised") for line in lines]


def test_an_exception_that_was_not_raised_has_no_traceback() -> None:
    assert "" == failure_of(ValueError("x")).traceback


def test_a_long_traceback_loses_its_oldest_frames() -> None:
    failure = deep(500)
    assert (TRACEBACK_LIMIT, True) == (len(failure.traceback), failure.traceback.endswith("descend"))


def test_the_traceback_is_never_compared() -> None:
    assert failure_of(ValueError("x")) == failure_of(raised(ValueError("x")))


def test_workflow_code_gets_no_traceback() -> None:
    assert "" == failure_of(raised(ValueError("x"))).without_traceback().traceback


def test_workflow_code_cannot_change_a_row_by_the_details_it_gets() -> None:
    failure = failure_of(DetailedError({"codes": [1]}))
    failure.without_traceback().details["codes"].append(2)
    assert {"codes": [1]} == failure.details


def test_a_copy_for_workflow_code_is_equal() -> None:
    failure = failure_of(raised(CardError("no", details={"a": 1})))
    assert failure == failure.without_traceback()


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (Failure(type="shop.errors.Declined", message="no money"), "Declined: no money"),
        (Failure(type="shop.errors.Declined", message=""), "Declined"),
        (Failure(type="Declined", message="no"), "Declined: no"),
    ],
)
def test_the_text_of_a_failure(failure: Failure, text: str) -> None:
    assert text == str(failure)


def test_a_failure_is_immutable() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        failure_of(ValueError()).message = "other"  # type: ignore[misc] # that is the point


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, True),
        (True, True),
        (7, True),
        (0.5, True),
        ("a", True),
        ([], True),
        ({}, True),
        ({"a": [{"b": None}]}, True),
        (float("nan"), False),
        (float("-inf"), False),
        ((), False),
        ({1: 2}, False),
        ({"a": ()}, False),
        ([set()], False),
        (b"a", False),
        (Text("a"), False),
        ({Text("a"): 1}, False),
        (object(), False),
    ],
    ids=repr,
)
def test_plain_json_is_exact(value: object, expected: bool) -> None:
    """S15."""
    assert expected == is_plain(value)


def test_details_are_a_copy() -> None:
    mine: dict[str, Any] = {"tries": [1]}
    failure = failure_of(NonRetryableError("no", details=mine))
    mine["tries"].append(2)
    assert {"tries": [1]} == failure.details


def test_details_that_no_store_could_write_become_text() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    found = [failure_of(NonRetryableError("no", details=details)).details for details in (deep, 10**5_000)]
    assert [str, str] == [type(details) for details in found]


def test_a_message_is_capped() -> None:
    assert "x" * MESSAGE_LIMIT == failure_of(ValueError("x" * 1_000_000)).message
