"""Awaitable bodies before a blocking driver: refused clearly in both colours (rules R5, S16)."""

from __future__ import annotations

import gc
import types
import warnings
from collections.abc import Callable, Generator
from typing import Any

import pytest

from tests.lab import Lab
from wfcore import AsyncStep, Attempt, Raised, Returned, Settled, Step, StepBodyError, call_body, workflow
from wfcore.outcome import Stuck


async def coroutine(attempt: Attempt) -> str:
    return "receipt"


class Awaitable:
    def __await__(self) -> Generator[Any, Any, str]:
        yield
        return "receipt"


@types.coroutine
def generator_coroutine(attempt: Attempt) -> Generator[Any, Any, str]:
    yield
    return "receipt"


BODIES: dict[str, tuple[Callable[[Attempt], Any], str]] = {
    "coroutine function": (coroutine, "coroutine"),
    "lambda of a coroutine": (lambda attempt: coroutine(attempt), "coroutine"),  # noqa: PLW0108 # that is the point
    "object with __await__": (lambda attempt: Awaitable(), "Awaitable"),
    "generator based coroutine": (generator_coroutine, "generator"),
}


def lab_of(colour: str, body: Callable[[Attempt], Any], before: bool = False) -> Lab:
    @workflow(name="w", checkpoint="tick")
    def w(step: Step) -> Any:
        if before:
            step.do("before", lambda attempt: 1)
        return step.do("charge", body)

    @workflow(name="w", checkpoint="tick")
    async def a(step: AsyncStep) -> Any:
        if before:
            await step.do("before", lambda attempt: 1)
        return await step.do("charge", body)

    lab = Lab.of(w) if colour == "def" else Lab.of(a)
    lab.create(lab.registry.get("w"))
    return lab


@pytest.mark.parametrize("colour", ["def", "async def"])
@pytest.mark.parametrize("body", BODIES)
def test_an_awaitable_body_is_refused(colour: str, body: str) -> None:
    """R5, S16."""
    function, kind = BODIES[body]
    with pytest.raises(StepBodyError) as refused:
        lab_of(colour, function).plan()
    assert ("do:charge", f"its body gave an awaitable ({kind}), and this runner cannot await") == (
        refused.value.step_key,
        refused.value.problem,
    )


@pytest.mark.parametrize("colour", ["def", "async def"])
@pytest.mark.parametrize("body", BODIES)
def test_a_refused_awaitable_leaves_no_warning_behind(colour: str, body: str) -> None:
    """R5: no "coroutine was never awaited"."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(StepBodyError):
            lab_of(colour, BODIES[body][0]).plan()
        gc.collect()
    assert [] == caught


@pytest.mark.parametrize("colour", ["def", "async def"])
def test_a_refused_awaitable_counts_as_no_attempt(colour: str) -> None:
    """S16."""
    lab = lab_of(colour, coroutine)
    with pytest.raises(StepBodyError):
        lab.tick()
    assert {} == lab.steps()


@pytest.mark.parametrize("colour", ["def", "async def"])
def test_work_before_a_refused_awaitable_is_kept(colour: str) -> None:
    """D9."""
    lab = lab_of(colour, coroutine, before=True)
    assert (True, ["do:before"]) == (isinstance(lab.tick().outcome, Stuck), list(lab.steps()))


@pytest.mark.parametrize("colour", ["def", "async def"])
def test_a_plain_body_is_taken(colour: str) -> None:
    """R5."""
    lab = lab_of(colour, lambda attempt: "receipt")
    lab.run()
    assert '"receipt"' == lab.instance.output


@pytest.mark.parametrize("colour", ["def", "async def"])
def test_the_returned_object_decides_and_not_the_function(colour: str) -> None:
    """R5: a body that awaits for itself, or gives an awaitable to somebody who can, is as good as any."""
    lab = lab_of(colour, coroutine)

    def perform(call: Any) -> Settled:
        given = call.body(call.attempt)
        with pytest.raises(StopIteration) as stop:
            given.send(None)
        return Settled(Returned(stop.value.value))

    plan = lab.plan(perform=perform)
    lab.apply(plan)
    assert '"receipt"' == lab.instance.output


def test_an_awaitable_is_no_failure_of_the_body() -> None:
    """R5: the planner refuses it, whoever performed it."""
    lab = lab_of("def", coroutine)
    settled: list[Settled] = []

    def perform(call: Any) -> Settled:
        settled.append(call_body(call))
        return settled[-1]

    with pytest.raises(StepBodyError):
        lab.plan(perform=perform)
    assert [False] == [isinstance(each.result, Raised) for each in settled]
