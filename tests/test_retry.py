"""Retry policies and their arithmetic (rule S8)."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wfcore import Retry
from wfcore.retry import DEFERRAL, ONE_ATTEMPT, Backoff

SECOND = timedelta(seconds=1)
MICROSECOND = timedelta(microseconds=1)
LONGEST = timedelta(days=36_500)

delays = st.timedeltas(min_value=timedelta(0), max_value=timedelta.max)
attempts = st.integers(min_value=1, max_value=10_000)
seeds = st.lists(st.text(), max_size=3)


@pytest.mark.parametrize(
    ("backoff", "expected"),
    [
        ("constant", [3, 3, 3, 3, 3]),
        ("linear", [3, 6, 9, 12, 15]),
        ("exponential", [3, 6, 12, 24, 48]),
    ],
)
def test_the_delay_after_each_attempt(backoff: Backoff, expected: list[int]) -> None:
    """S8: d, d*n, d*2^(n-1)."""
    retry = Retry(max_attempts=9, delay=3 * SECOND, backoff=backoff)
    assert [each * SECOND for each in expected] == [retry.delay_after(number) for number in range(1, 6)]


@pytest.mark.parametrize(
    ("backoff", "expected"),
    [("constant", [3, 3, 3, 3]), ("linear", [3, 6, 7, 7]), ("exponential", [3, 6, 7, 7])],
)
def test_no_delay_is_longer_than_its_cap(backoff: Backoff, expected: list[int]) -> None:
    """S8."""
    retry = Retry(max_attempts=9, delay=3 * SECOND, backoff=backoff, max_delay=7 * SECOND)
    assert [each * SECOND for each in expected] == [retry.delay_after(number) for number in range(1, 5)]


def test_a_cap_below_the_delay_counts_from_the_first_attempt() -> None:
    """S8."""
    assert SECOND == Retry(max_attempts=2, delay=3 * SECOND, max_delay=SECOND).delay_after(1)


@pytest.mark.parametrize(("number", "factor"), [(1, 1), (2, 2), (11, 2**10), (41, 2**40)])
def test_a_delay_is_exact_to_the_microsecond(number: int, factor: int) -> None:
    """S8: floats would be off by the 41st attempt."""
    delay = timedelta(seconds=1, microseconds=1) if number < 41 else MICROSECOND
    assert delay * factor == Retry(max_attempts=99, delay=delay).delay_after(number)


@pytest.mark.parametrize("number", [64, 65, 66, 1_000, 10**9])
@pytest.mark.parametrize("backoff", ["linear", "exponential"])
def test_a_delay_never_overflows(backoff: Backoff, number: int) -> None:
    """S8: at most 36,500 days."""
    assert Retry(max_attempts=1, delay=timedelta.max, backoff=backoff).delay_after(number) == LONGEST


def test_a_cap_beyond_the_longest_delay_is_the_longest_delay() -> None:
    """S8."""
    assert LONGEST == Retry(max_attempts=1, delay=timedelta.max, max_delay=timedelta.max).delay_after(1)


def test_no_delay_stays_none() -> None:
    """S8."""
    assert timedelta(0) == Retry(max_attempts=9, delay=timedelta(0), jitter=1.0).delay_after(500, "a")


@given(delays, attempts, st.floats(min_value=0, max_value=1), seeds)
def test_jitter_takes_off_at_most_its_fraction(delay: timedelta, number: int, jitter: float, seed: list[str]) -> None:
    """S8."""
    full = Retry(max_attempts=1, delay=delay).delay_after(number, *seed)
    found = Retry(max_attempts=1, delay=delay, jitter=jitter).delay_after(number, *seed)
    least = (full // MICROSECOND) * (1 - Fraction(jitter)) - 1
    assert least <= found // MICROSECOND <= full // MICROSECOND


def test_jitter_is_derived_and_not_rolled() -> None:
    """S8: the same on every machine, so that a plan is a function."""
    retry = Retry(max_attempts=9, delay=100 * SECOND, backoff="constant", jitter=0.5)
    assert retry.delay_after(1, "w#1", "1", "do:a") == timedelta(seconds=76, microseconds=636336)


@pytest.mark.parametrize(
    ("number", "seed"),
    [(2, ("w#1", "1", "do:a")), (1, ("w#2", "1", "do:a")), (1, ("w#1", "2", "do:a")), (1, ("w#1", "1", "do:b"))],
    ids=["attempt", "instance", "run", "step"],
)
def test_jitter_differs_between(number: int, seed: tuple[str, ...]) -> None:
    """S8."""
    retry = Retry(max_attempts=9, delay=100 * SECOND, backoff="constant", jitter=0.5)
    assert retry.delay_after(number, *seed) != retry.delay_after(1, "w#1", "1", "do:a")


def test_full_jitter_spreads_over_the_whole_delay() -> None:
    """S8."""
    retry = Retry(max_attempts=9, delay=10 * SECOND, backoff="constant", jitter=1)
    assert set(range(10)) == {retry.delay_after(1, str(each)) // SECOND for each in range(200)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_attempts": 0}, "Retry(max_attempts=0): must be an int from 1 to 2147483647"),
        ({"max_attempts": True}, "Retry(max_attempts=True): must be an int from 1 to 2147483647"),
        ({"max_attempts": 2.0}, "Retry(max_attempts=2.0): must be an int from 1 to 2147483647"),
        ({"delay": 5}, "Retry(delay=5): must be a timedelta that is not negative"),
        ({"delay": None}, "Retry(delay=None): must be a timedelta that is not negative"),
        ({"delay": -SECOND}, f"Retry(delay={-SECOND!r}): must be a timedelta that is not negative"),
        ({"max_delay": -SECOND}, f"Retry(max_delay={-SECOND!r}): must be a timedelta that is not negative"),
        ({"backoff": "quadratic"}, "Retry(backoff='quadratic'): must be 'constant', 'linear' or 'exponential'"),
        ({"jitter": 1.1}, "Retry(jitter=1.1): must be a number from 0 to 1"),
        ({"jitter": -0.1}, "Retry(jitter=-0.1): must be a number from 0 to 1"),
        ({"jitter": float("nan")}, "Retry(jitter=nan): must be a number from 0 to 1"),
        ({"jitter": "half"}, "Retry(jitter='half'): must be a number from 0 to 1"),
        ({"give_up_on": ValueError}, f"Retry(give_up_on={ValueError!r}): must be a tuple of Exception classes"),
        ({"give_up_on": (1,)}, "Retry(give_up_on=(1,)): must be a tuple of Exception classes"),
        (
            {"give_up_on": (KeyboardInterrupt,)},
            f"Retry(give_up_on=({KeyboardInterrupt!r},)): must be a tuple of Exception classes",
        ),
    ],
)
def test_an_argument_out_of_its_range_is_refused(arguments: dict[str, Any], message: str) -> None:
    """S8."""
    with pytest.raises(ValueError, match=r"^Retry\(") as refused:
        Retry(**{"max_attempts": 3, **arguments})
    assert message == str(refused.value)


def test_what_is_not_said() -> None:
    """S8."""
    expected = Retry(max_attempts=3, delay=SECOND, backoff="exponential", max_delay=None, jitter=0.0, give_up_on=())
    assert expected == Retry(max_attempts=3)


def test_no_policy_is_one_attempt() -> None:
    """S8."""
    assert 1 == ONE_ATTEMPT.max_attempts


def test_hooks_are_deferred_for_five_minutes_at_most() -> None:
    """R1, T6: with back-off, without limit."""
    assert [1, 2, 4, 8, 300] == [DEFERRAL.delay_after(number) // SECOND for number in (1, 2, 3, 4, 1_000)]
