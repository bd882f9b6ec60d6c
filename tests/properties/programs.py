"""Random branch-free programs: data that can be drawn, printed, sent to another process, and run in both colours.

A name tells what a law has to know: a sleep of 5 s is named ``5s``, a wait with a deadline of 5 s ``5s``, too.
"""

from datetime import timedelta
from typing import Any, Literal, TypeAlias, assert_never

import attrs
from hypothesis import strategies as st

from tests.twins import Colour, Running
from wfcore.errors import EventTimeoutError, NonRetryableError, RetryAfterError, StepFailedError
from wfcore.planner import Attempt
from wfcore.retry import Retry
from wfcore.workflow import EventType, Workflow

Ending: TypeAlias = Literal["ok", "fail", "final", "later"]
Fact: TypeAlias = Literal["now", "uuid", "random"]
TYPES = {name: EventType(name, str) for name in ("a", "b", ',"payload":')}


@attrs.frozen
class Do:
    """A step whose n-th attempt ends like this (the last ending repeats)."""

    name: str
    endings: tuple[Ending, ...]
    retry: Retry

    def body(self, attempt: Attempt) -> str:
        attempt.write(("write", attempt.number, attempt.idempotency_key))
        attempt.on_terminal_error(("terminal", attempt.number))
        match self.endings[min(attempt.number, len(self.endings)) - 1]:
            case "ok":
                return f"{self.name} {attempt.number} {attempt.last_failure}"
            case "fail":
                raise ValueError(f"{self.name} {attempt.number}")
            case "final":
                raise NonRetryableError("final", details={"attempt": attempt.number})
            case "later":
                raise RetryAfterError(timedelta(seconds=7), "later")


@attrs.frozen
class Sleep:
    seconds: int
    absolute: bool


@attrs.frozen
class Wait:
    types: tuple[str, ...]
    timeout: int | None


@attrs.frozen
class Tell:
    fact: Fact


@attrs.frozen
class Log:
    pass


@attrs.frozen
class Scope:
    name: str
    code: "Code"


@attrs.frozen
class Try:
    code: "Code"
    handler: "Code"


@attrs.frozen
class Ensure:
    code: "Code"
    cleanup: "Code"


@attrs.frozen
class Loop:
    times: int
    code: "Code"


Statement: TypeAlias = Do | Sleep | Wait | Tell | Log | Scope | Try | Ensure | Loop
Code: TypeAlias = tuple[Statement, ...]


@attrs.frozen
class Program:
    """What a workflow does.

    Attributes:
        code: its statements.
        checkpoint: when it commits.
        body_time: how long each body takes, in seconds.
        fails: whether it ends with an error of its own.
    """

    code: Code
    checkpoint: Literal["step", "tick"]
    body_time: int
    fails: bool

    def twin(self, colour: Colour, sightings: list[list[str]]) -> Workflow[Any, Any]:
        """The program as a workflow; every run of its code adds what it saw to ``sightings``."""

        def run(step: Any) -> Running:
            seen: list[str] = []
            sightings.append(seen)
            yield from _execute(step, self.code, seen)
            if self.fails:
                raise ValueError("the end")
            return seen

        return colour(run, checkpoint=self.checkpoint)


def _execute(step: Any, code: Code, seen: list[str]) -> Running:
    for statement in code:
        match statement:
            case Do(name, _, retry):
                seen.append((yield step.do(name, statement.body, retry=retry)))
            case Sleep(seconds, absolute=True):
                seen.append(f"{(yield step.sleep_until('absolute', step.now() + timedelta(seconds=seconds)))}")
            case Sleep(seconds):
                seen.append(f"{(yield step.sleep(f'{seconds}s', timedelta(seconds=seconds)))}")
            case Wait(types, timeout):
                name, limit = ("for ever", None) if timeout is None else (f"{timeout}s", timedelta(seconds=timeout))
                got = yield step.wait_for_event(name, *(TYPES[each] for each in types), timeout=limit)
                # When it was sent depends on time; only a program with deadlines may tell.
                seen.append(f"{got.type} {got.id} {got.payload}" if timeout is None else str(got))
            case Tell(fact):
                seen.append(f"{step.now() if fact == 'now' else getattr(step, fact)('chance')}")
            case Log():
                step.log(f"{len(seen)}")
                seen.append("log")
            case Scope(name, inner):
                yield from _execute(step.scope(name), inner, seen)
            case Try(inner, handler):
                try:
                    yield from _execute(step, inner, seen)
                except (StepFailedError, EventTimeoutError) as error:
                    seen.append(_described(error))
                    yield from _execute(step, handler, seen)
            case Ensure(inner, cleanup):
                try:
                    yield from _execute(step, inner, seen)
                finally:
                    yield from _execute(step, cleanup, seen)
            case Loop(times, inner):
                for _ in range(times):
                    yield from _execute(step, inner, seen)
            case unreachable:
                assert_never(unreachable)


def _described(error: StepFailedError | EventTimeoutError) -> str:
    fields = {field.name: getattr(error, field.name) for field in attrs.fields(type(error))}
    return f"{type(error).__name__} {fields} cause={error.__cause__} {error}"


# -- strategies

_SECONDS = st.sampled_from([0, 1, 5, 60])
_NAMES = st.sampled_from(["a", "b"])
_ENDINGS: st.SearchStrategy[tuple[Ending, ...]] = st.sampled_from(
    [
        ("ok",),
        ("ok",),
        ("ok",),
        ("fail", "ok"),
        ("fail", "ok"),
        ("fail", "later", "ok"),
        ("later", "fail"),
        ("fail",),
        ("final",),
        ("fail", "final"),
    ]
)
_RETRIES = st.builds(
    Retry,
    max_attempts=st.integers(1, 3),
    delay=st.sampled_from([timedelta(0), timedelta(seconds=3)]),
    jitter=st.sampled_from([0.0, 0.5]),
)
_TYPES = st.lists(st.sampled_from([*TYPES]), min_size=1, max_size=3, unique=True).map(tuple)


def _code(statements: st.SearchStrategy[Statement], most: int) -> st.SearchStrategy[Code]:
    return st.lists(statements, min_size=1, max_size=most).map(tuple)


def programs(*, timed: bool = True) -> st.SearchStrategy[Program]:
    """Programs; without races on time if ``timed`` is false: no deadlines, and nothing tells the time."""
    facts: st.SearchStrategy[Fact] = st.sampled_from(["now", "uuid", "random"] if timed else ["uuid", "random"])
    leaves: st.SearchStrategy[Statement] = st.one_of(
        st.builds(Do, _NAMES, _ENDINGS, _RETRIES),
        st.builds(Sleep, _SECONDS, st.booleans()),
        st.builds(Wait, _TYPES, st.none() | _SECONDS if timed else st.none()),
        st.builds(Tell, facts),
        st.builds(Log),
    )

    def nested(inner: st.SearchStrategy[Statement]) -> st.SearchStrategy[Statement]:
        code = _code(inner, 2)
        return st.one_of(
            st.builds(Scope, _NAMES, code),
            st.builds(Try, code, code),
            st.builds(Ensure, code, code),
            st.builds(Loop, st.integers(2, 3), code),
        )

    return st.builds(
        Program,
        _code(st.recursive(leaves, nested, max_leaves=6), 5),
        st.sampled_from(["step", "tick"]),
        st.sampled_from([0, 2]),
        st.sampled_from([False, False, False, True]),
    )
