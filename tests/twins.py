"""One program, both colours: a generator that yields its steps becomes a ``def`` and an ``async def`` workflow.

``value = yield step.do(...)`` is a call in the one and an ``await`` in the other; all else is the same code.
"""

from collections.abc import Callable, Generator
from typing import Any, TypeAlias

import pytest

from tests.lab import Lab
from wfcore.define import workflow
from wfcore.planner import AsyncStep, Step
from wfcore.workflow import Registry, Workflow

Running: TypeAlias = Generator[Any, Any, Any]
Program: TypeAlias = Callable[[Any], Running]
Colour: TypeAlias = Callable[..., Workflow[Any, Any]]


def as_def(program: Program, *, name: str = "w", **options: Any) -> Workflow[Any, Any]:
    @workflow(name=name, **options)
    def twin(step: Step) -> Any:
        running, value = program(step), None
        while True:
            try:
                value = running.send(value)
            except StopIteration as stop:
                return stop.value

    return twin


def as_async_def(program: Program, *, name: str = "w", **options: Any) -> Workflow[Any, Any]:
    @workflow(name=name, **options)
    async def twin(step: AsyncStep) -> Any:
        return await awaited(program(step))

    return twin


async def awaited(running: Running) -> Any:
    """Run a generator that yields steps, awaiting each."""
    resume, value = running.send, None
    while True:
        try:
            asked = resume(value)
        except StopIteration as stop:
            return stop.value
        try:
            resume, value = running.send, await asked
        except BaseException as error:
            resume, value = running.throw, error


BOTH = [pytest.param(as_def, id="def"), pytest.param(as_async_def, id="async def")]
both_colours = pytest.mark.parametrize("colour", BOTH)


def begin(colour: Colour, program: Program, **options: Any) -> Lab:
    """A laboratory with one instance of the program, created and not yet ticked."""
    twin = colour(program, **options)
    lab = Lab.of(twin)
    lab.create(twin)
    return lab


def deploy(lab: Lab, colour: Colour, program: Program, **options: Any) -> None:
    """Other code for the instances that are there."""
    lab.registry = Registry([colour(program, **options)])
