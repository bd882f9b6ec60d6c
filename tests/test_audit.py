"""A tick raises no audit event: no file, socket, process, clock or import, whatever happens in it.

Run in a process of its own: an audit hook cannot be removed again.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.lab import MINUTE, T0, Lab
from tests.twins import Colour, Program, Running, as_async_def, as_def, begin, deploy
from wfcore.errors import EventTimeoutError, StepFailedError, WorkflowError
from wfcore.planner import Attempt, Continue
from wfcore.retry import Retry
from wfcore.workflow import EventType

ALLOWED = {
    "object.__getattr__": "fields of frames, code and coroutines are read: for a traceback, an arity, a line",
    "builtins.id": "copy.deepcopy of a failure's details keeps account of what it has copied",
}
COLOURS = {"def": as_def, "async def": as_async_def}


@attrs.frozen
class Order:
    id: str
    lines: list[str]


Approved = EventType("approved", Order)


def fails(attempt: Attempt) -> Order:
    raise ValueError("no", attempt.number)


def orders(attempt: Attempt) -> Order:
    attempt.write(Order("1", []))
    return Order("1", ["a"])


def story(step: Any) -> Running:
    step.log("start", odd=object())
    order = yield step.do("order", orders)
    try:
        yield step.do("fail", fails, retry=Retry(max_attempts=2, jitter=0.5))
    except StepFailedError as error:
        step.log(str(error))
    yield step.scope("s").sleep("nap", MINUTE)
    try:
        yield step.wait_for_event("approval", Approved, timeout=MINUTE)
    except EventTimeoutError:
        step.log(str(step.uuid("x")), chance=step.random("x"), now=step.now())
    yield step.wait_for_event("approval", Approved)
    return [order.id]


def renamed(step: Any) -> Running:
    yield step.do("another", orders)


def raises(step: Any) -> Running:
    yield step.do("order", orders)
    raise ValueError("the end")


def misuses(step: Any) -> Running:
    yield step.do("order", orders)
    yield step.sleep("nap", -MINUTE)


class Foreign:
    def __await__(self) -> Generator[None]:
        yield


def awaits_another(step: Any) -> Running:
    """In a ``def`` workflow nothing is awaited, and this is a value like any other."""
    yield Foreign()


def looks_around(step: Any) -> Running:
    yield step.do("look", lambda attempt: len(Path(__file__).read_text()))


def after(ticks: int, program: Program = story, *, edited: Program | None = None, event: bool = False) -> Any:
    def scene(colour: Colour) -> Lab:
        lab = begin(colour, program, checkpoint="tick")
        for _ in range(ticks):
            lab.tick(at=min(hook.due_at for hook in lab.hooks().values()))
        if event:
            lab.send(Approved, Order("2", []))
        lab.now = max([T0, *(hook.due_at for hook in lab.hooks().values())])
        if edited is not None:
            deploy(lab, colour, edited)
        return lab

    return scene


SCENES: dict[str, Callable[[Colour], Lab]] = {
    "the first tick, with a body that fails": after(0),
    "the last attempt fails": after(1),
    "a sleep is over": after(2),
    "a wait times out": after(3),
    "an event answers": after(3, event=True),
    "an event ends it": after(4, event=True),
    "a mismatch": after(2, edited=renamed),
    "the code fails": after(0, raises),
    "the code is stuck": after(0, misuses),
    "the code awaits what is no step": after(0, awaits_another),
}


CONTROL = "a body that has an effect"


@cache
def events() -> dict[str, list[str]]:
    """The names of the audit events of each scene's tick."""
    done = subprocess.run(
        [sys.executable, "-c", "from tests.test_audit import report; report()"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        check=True,
        text=True,
    )
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


def report() -> None:
    """Plan every scene, and print the names of the events that its plan raised."""
    recording = False
    raised: set[str] = set()

    def hook(event: str, _arguments: tuple[Any, ...]) -> None:
        if recording:
            raised.add(event)

    sys.addaudithook(hook)
    found: dict[str, list[str]] = {}
    for scene, make in {**SCENES, CONTROL: after(0, looks_around)}.items():
        for colour, twin in COLOURS.items():
            lab = make(twin)
            raised.clear()
            recording = True
            with suppress(WorkflowError):
                lab.plan(commit=lambda plan: Continue("continued"))
            recording = False
            found[f"{scene}, {colour}"] = sorted(raised)
    sys.stdout.write(json.dumps(found))


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("scene", SCENES)
def test_a_tick_raises_no_audit_event(scene: str, colour: str) -> None:
    assert [] == [event for event in events()[f"{scene}, {colour}"] if event not in ALLOWED]


@pytest.mark.parametrize("colour", COLOURS)
def test_an_effect_of_a_body_is_seen(colour: str) -> None:
    assert "open" in events()[f"{CONTROL}, {colour}"]


def test_every_exception_to_the_rule_is_needed() -> None:
    assert {*ALLOWED} <= {event for scene in events().values() for event in scene}
