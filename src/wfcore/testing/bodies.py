"""How a simulation performs step bodies: the real ones, or what the test wants in their place."""

from __future__ import annotations

import asyncio
import inspect
import weakref
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, final

import attrs

from wfcore.errors import CodecError
from wfcore.keys import parse_ref
from wfcore.planner import Attempt, Raised, Returned, StepCall, call_body
from wfcore.ports import Codec, checked
from wfcore.runner.guard import Surroundings
from wfcore.testing.asked import Asked
from wfcore.testing.errors import SimulationError, StubTypeError
from wfcore.testing.outcomes import names_step
from wfcore.workflow import Registry

_NO_LOOP = Surroundings(None, None, None)


class Crash(BaseException):
    """Leaves a tick whose process dies; user code cannot swallow it for good, as its dispatcher remembers it."""


@final
class PrivateLoop:
    """An event loop for bodies that are awaited, made when it is first needed, closed at the latest with its owner."""

    def __init__(self) -> None:
        self._runner: asyncio.Runner | None = None
        self._closing: Callable[[], object] = _nothing

    def wait_for(self, awaitable: Awaitable[Any]) -> Any:
        """Await it here, even if the test itself runs in an event loop."""
        return _NO_LOOP.of(self._run)(awaitable)

    def result_of(self, awaitable: Awaitable[Any]) -> Returned[Any] | Raised:
        """Await it here; what it returns or raises."""
        try:
            return Returned(self.wait_for(awaitable))
        except Exception as error:
            return Raised(error)

    def _run(self, awaitable: Awaitable[Any]) -> Any:
        if self._runner is None:
            self._runner = asyncio.Runner()
            self._closing = weakref.finalize(self, _NO_LOOP.of(_close), self._runner)
        return self._runner.run(_awaited(awaitable))

    def close(self) -> None:
        """Close the loop; it is made anew if it is needed again."""
        self._closing()
        self._runner, self._closing = None, _nothing


@final
@attrs.define(eq=False)
class Stub:
    """A body in place of the real one, for every attempt."""

    step: str
    body: Callable[[Attempt], Any]
    asked: Asked


@final
@attrs.define(eq=False)
class Failing:
    """Attempts that fail before the body runs."""

    step: str
    error: Exception
    asked: Asked


@final
@attrs.define(eq=False)
class Interrupt:
    """Processes that die after a body has run, before its result is committed."""

    step: str
    asked: Asked


@final
@attrs.define(eq=False)
class Bodies:
    """What runs when a step's body is to run, and how often it did.

    Attributes:
        registry: for the local names of workflows.
        codec: how values become payloads.
        runs: how often a body has run, by ref and step key.
        fault: what the test is to fail with, if a stub was wrong.
    """

    registry: Registry
    codec: Codec
    loop: PrivateLoop = attrs.field(factory=PrivateLoop)
    runs: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    stubs: list[Stub] = attrs.field(factory=list)
    failing: list[Failing] = attrs.field(factory=list)
    interrupts: list[Interrupt] = attrs.field(factory=list)
    fault: SimulationError | None = None

    @property
    def asked(self) -> list[Asked]:
        """What has to happen."""
        asking: tuple[Stub | Failing | Interrupt, ...] = (*self.stubs, *self.failing, *self.interrupts)
        return [each.asked for each in asking]

    def count(self, step: str, ref: str | None) -> int:
        """How often bodies of a step have run, of all instances or of one."""
        return sum(
            count for (instance, key), count in self.runs.items() if ref in (None, instance) and names_step(step, key)
        )

    def perform(self, ref: str, call: StepCall) -> Returned[Any] | Raised:
        """What comes of a body.

        Raises:
            Crash: the process dies.
        """
        self.runs[ref, call.key] += 1
        result = self._failure(call) or self._performed(ref, call)
        interrupts = (each for each in self.interrupts if names_step(each.step, call.key))
        if any(each.asked.takes_place() for each in interrupts):
            raise Crash
        return result

    def _failure(self, call: StepCall) -> Raised | None:
        for each in self.failing:
            if names_step(each.step, call.key) and each.asked.takes_place():
                return Raised(each.error)
        return None

    def _performed(self, ref: str, call: StepCall) -> Returned[Any] | Raised:
        # The last stub counts, so that a test may replace what a fixture has set up.
        stub = next((each for each in reversed(self.stubs) if names_step(each.step, call.key)), None)
        if stub is None:
            return self._settled(ref, call)
        for each in self.stubs:  # those that it replaces are no mistake
            each.asked.happened += names_step(each.step, call.key)
        result = self._settled(ref, attrs.evolve(call, body=stub.body))
        if isinstance(result, Returned):
            self._check(ref, call, result.value)
        return result

    def _settled(self, ref: str, call: StepCall) -> Returned[Any] | Raised:
        result = call_body(call).result
        is_async = self.registry.get(parse_ref(ref)[0]).is_async
        if isinstance(result, Raised) or not is_async or not inspect.isawaitable(result.value):
            return result
        return self.loop.result_of(result.value)

    def _check(self, ref: str, call: StepCall, value: object) -> None:
        """Fail the test, not the step, if a stub's value is none of the step's."""
        codec = self.registry.get(parse_ref(ref)[0]).local_codec(self.codec)
        try:
            checked(codec, value, call.returns, "a stub")
        except CodecError as error:
            self.fault = StubTypeError(call.key, error.path, error.expected, error.found)
            raise Crash from None


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def _close(runner: asyncio.Runner) -> None:
    runner.close()


def _nothing() -> None:
    pass
