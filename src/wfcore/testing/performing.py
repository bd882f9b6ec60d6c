"""What performs step bodies while a test plans a tick: those of the test, or the real ones. It runs user code."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from typing import Any, TypeAlias

import attrs

from wfcore.errors import CodecError
from wfcore.planner import Attempt, Raised, Returned, Settled, StepCall, call_body
from wfcore.ports import Codec, checked
from wfcore.testing.bodies import PrivateLoop
from wfcore.testing.failures import UnexpectedBodyError
from wfcore.testing.outcomes import Fails, Returns, names_step
from wfcore.testing.values import unfit

Body: TypeAlias = Returns | Fails | Callable[[Attempt], Any]
"""What a test lets a body do: return a value, raise an error, or this function in place of it."""


class Refused(BaseException):
    """On its way out of the planner: the test is wrong, and no step has failed because of it."""

    def __init__(self, error: AssertionError) -> None:
        self.error = error


@attrs.frozen
class Performer:
    """Performs bodies, and remembers what it was asked for.

    Attributes:
        bodies: those of the test by step; ``None``: the real ones.
        codec: with which the values of the test are checked.
        awaits: whether the workflow's bodies may be awaitable.
        types: types of the results, by key of the steps that were performed.
    """

    bodies: Mapping[str, Body] | None
    codec: Codec
    awaits: bool
    types: dict[str, Any] = attrs.field(factory=dict)

    def __call__(self, call: StepCall) -> Settled:
        """Perform a body. Raises ``Refused``."""
        self.types[call.key] = call.returns
        result = self._result(call)
        if self.bodies is not None and isinstance(result, Returned) and call.event is None:
            try:
                checked(self.codec, result.value, call.returns, call.key)
            except CodecError as error:
                raise Refused(unfit(f"the result of {call.key!r}", error)) from None
        return Settled(result)

    def _result(self, call: StepCall) -> Returned[Any] | Raised:
        body = call.body if self.bodies is None else self._body(call, self.bodies)
        result = result_of(body, call)
        awaits = self.awaits and not isinstance(body, Returns)
        if awaits and isinstance(result, Returned) and inspect.isawaitable(result.value):
            with closing(PrivateLoop()) as loop:
                return loop.result_of(result.value)
        return result

    def _body(self, call: StepCall, bodies: Mapping[str, Body]) -> Body:
        pattern = pattern_for(bodies, call)
        if pattern is None:
            raise Refused(UnexpectedBodyError(call.key, tuple(bodies)))
        return bodies[pattern]


def pattern_for(patterns: Iterable[str], call: StepCall) -> str | None:
    """The pattern that means the step of a call: its whole key goes before its bare name; ``None``: there is none."""
    kind = "do" if call.event is None else "wait_for_event"
    found = [each for each in patterns if names_step(each, call.key, kind)]
    return min(found, key=lambda each: each != call.key, default=None)


def result_of(body: Body, call: StepCall) -> Returned[Any] | Raised:
    """What comes of this body in place of the call's own."""
    if isinstance(body, Returns):
        return Returned(body.value)
    if isinstance(body, Fails):
        return Raised(body.error)
    return call_body(attrs.evolve(call, body=body)).result
