"""Random programs: data that can be drawn, printed, sent to another process, edited, and run in both colours.

A name tells what a law has to know: a sleep of 5 s is named ``5s``, a wait with a deadline of 5 s ``5s``, too, and
``5s taking`` if a body decides whether it takes an event. A ``tag`` is added to names, for laws that need to tell all
statements apart.
"""

import re
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from itertools import accumulate, pairwise
from typing import Any, Literal, TypeAlias, assert_never

import attrs
from hypothesis import strategies as st

from tests.twins import Colour, Running, awaited
from wfcore.errors import EventTimeoutError, NonRetryableError, RetryAfterError, StepFailedError, StepInterruptedError
from wfcore.model import StepRecord
from wfcore.planner import Attempt, Raised, Returned
from wfcore.retry import Retry
from wfcore.workflow import EventType, Received, Workflow

Ending: TypeAlias = Literal["ok", "fail", "final", "later"]
Fact: TypeAlias = Literal["now", "uuid", "random"]
TYPES = {name: EventType(name, str) for name in ("a", "b", ',"payload":')}


@attrs.frozen
class Do:
    """A step whose n-th attempt ends like this (the last ending repeats)."""

    label: str
    endings: tuple[Ending, ...]
    retry: Retry
    at_most_once: int | None = None
    tag: str = ""

    @property
    def name(self) -> str:
        return f"{self.label}{self.tag}"

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
    tag: str = ""

    @property
    def name(self) -> str:
        return f"absolute{self.tag}" if self.absolute else f"{self.seconds}s{self.tag}"


@attrs.frozen
class Wait:
    """A wait for events; ``taking``: what becomes of it if a body decides whether the event is taken."""

    types: tuple[str, ...]
    timeout: int | None
    taking: Literal["ok", "fail"] | None = None
    tag: str = ""

    @property
    def name(self) -> str:
        taking = " taking" if self.taking else ""
        return f"{'for ever' if self.timeout is None else f'{self.timeout}s'}{taking}{self.tag}"

    def take(self, attempt: Attempt, received: Received[str]) -> None:
        attempt.write(("taken", received.id))
        attempt.on_terminal_error(("refused", received.id))
        if self.taking == "fail":
            raise ValueError(f"refuses {received.id}")


@attrs.frozen
class Tell:
    fact: Fact


@attrs.frozen
class Log:
    pass


@attrs.frozen
class Scope:
    label: str
    code: "Code"
    tag: str = ""

    @property
    def name(self) -> str:
        return f"{self.label}{self.tag}"


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


@attrs.frozen
class Patched:
    """Code behind a patch; there never was other code."""

    label: str
    code: "Code"
    tag: str = ""

    @property
    def name(self) -> str:
        return f"{self.label}{self.tag}"


@attrs.frozen
class Gather:
    label: str
    branches: tuple["Code", ...]
    named: bool
    tag: str = ""

    @property
    def name(self) -> str:
        return f"{self.label}{self.tag}"


@attrs.frozen
class Race:
    label: str
    branches: tuple["Code", ...]
    named: bool
    tag: str = ""

    @property
    def name(self) -> str:
        return f"{self.label}{self.tag}"


@attrs.frozen
class Map:
    label: str
    items: tuple[str, ...]
    code: "Code"
    keyed: bool
    max_concurrency: int
    on_error: Literal["raise", "collect"]
    tag: str = ""

    @property
    def name(self) -> str:
        return f"{self.label}{self.tag}"


Fan: TypeAlias = Gather | Race | Map
Statement: TypeAlias = Do | Sleep | Wait | Tell | Log | Scope | Try | Ensure | Loop | Patched | Fan
Code: TypeAlias = tuple[Statement, ...]
NAMED = (Do, Sleep, Wait, Scope, Patched, Gather, Race, Map)


@attrs.frozen
class Program:
    """What a workflow does.

    Attributes:
        code: its statements.
        checkpoint: when it commits.
        body_time: how long each body takes, in seconds.
        fails: whether it ends with an error of its own.
        timed: whether it may tell the time.
    """

    code: Code
    checkpoint: Literal["step", "tick"]
    body_time: int
    fails: bool
    timed: bool = True

    def twin(self, colour: Colour, sightings: list[list[str]]) -> Workflow[Any, Any]:
        """The program as a workflow; every run of its code adds what it saw to ``sightings``."""
        # Without deadlines, branches may come to the same in another order.
        ordered = self.timed or not any(isinstance(each, Fan) for each in statements(self.code))

        def run(step: Any) -> Running:
            seen: list[str] = []
            sightings.append(seen)
            yield from _execute(step, self.code, View(seen, self.timed))
            if self.fails:
                raise ValueError("the end")
            return seen if ordered else sorted(seen)

        return colour(run, checkpoint=self.checkpoint)


def statements(code: Code) -> Iterator[Statement]:
    """All statements, each before those in it."""
    for statement in code:
        yield statement
        for inner in blocks(statement):
            yield from statements(inner)


def blocks(statement: Statement) -> tuple[Code, ...]:
    """The pieces of code in a statement."""
    match statement:
        case Gather(branches=branches) | Race(branches=branches):
            return branches
        case Scope(code=code) | Loop(code=code) | Patched(code=code) | Map(code=code):
            return (code,)
        case Try(code, other) | Ensure(code, other):
            return (code, other)
        case Do() | Sleep() | Wait() | Tell() | Log():
            return ()
        case unreachable:
            assert_never(unreachable)


def seconds_of(name: str) -> int | None:
    """The duration that a name tells."""
    found = re.match(r"(\d+)s", name)
    return int(found[1]) if found else None


def settled_by_body(step: StepRecord) -> bool:
    """Whether a body has settled the step: no deadline, and no start that was left."""
    if step.failure and (step.failure.is_a(StepInterruptedError) or step.failure.is_a(EventTimeoutError)):
        return False
    return step.kind == "do" or "taking" in step.name


# -- running them


@attrs.frozen
class View:
    """What the code of all branches sees, in one list: also their order is seen."""

    seen: list[str]
    timed: bool
    where: str = ""

    def saw(self, step: Any, what: object) -> None:
        self.seen.append(f"{self.where}{what}" + (f" at {step.now()}" if self.timed else ""))

    def below(self, label: object) -> "View":
        return View(self.seen, self.timed, f"{self.where}{label}>")


def _execute(step: Any, code: Code, view: View) -> Running:
    for statement in code:
        match statement:
            case Do(retry=retry, at_most_once=most):
                at_most_once = None if most is None else timedelta(seconds=most)
                result = yield step.do(statement.name, statement.body, retry=retry, at_most_once=at_most_once)
                view.saw(step, result)
            case Sleep(seconds, absolute=True):
                result = yield step.sleep_until(statement.name, step.now() + timedelta(seconds=seconds))
                view.saw(step, result)
            case Sleep(seconds):
                result = yield step.sleep(statement.name, timedelta(seconds=seconds))
                view.saw(step, result)
            case Wait(types, timeout, taking):
                limit = None if timeout is None else timedelta(seconds=timeout)
                on_consume = statement.take if taking else None
                wanted = (TYPES[each] for each in types)
                got = yield step.wait_for_event(statement.name, *wanted, timeout=limit, on_consume=on_consume)
                # When it was sent depends on time; only a program with deadlines may tell.
                view.saw(step, got if view.timed else f"{got.type} {got.id} {got.payload}")
            case Tell(fact):
                view.saw(step, step.now() if fact == "now" else getattr(step, fact)("chance"))
            case Log():
                step.log(f"{len(view.seen)}")
                view.seen.append("log")
            case Scope(code=inner):
                yield from _execute(step.scope(statement.name), inner, view)
            case Try(inner, handler):
                try:
                    yield from _execute(step, inner, view)
                except (StepFailedError, EventTimeoutError) as error:
                    view.saw(step, described(error))
                    yield from _execute(step, handler, view)
            case Ensure(inner, cleanup):
                try:
                    yield from _execute(step, inner, view)
                finally:
                    yield from _execute(step, cleanup, view)
            case Loop(times, inner):
                for _ in range(times):
                    yield from _execute(step, inner, view)
            case Patched(code=inner):
                new = step.patched(statement.name)
                view.saw(step, f"patched {new}")
                yield from _execute(step, inner if new else (), view)
            case Gather() | Race() | Map():
                got = yield _fan(step, statement, view)
                view.saw(step, _result(got))
            case unreachable:
                assert_never(unreachable)


def _fan(step: Any, fan: Fan, view: View) -> Any:
    if isinstance(fan, Map):
        return step.map(
            fan.name,
            fan.items,
            partial(_item, fan.code, view),
            key=str if fan.keyed else None,
            max_concurrency=fan.max_concurrency,
            on_error=fan.on_error,
        )
    functions = [partial(_branch, code, view.below(index)) for index, code in enumerate(fan.branches)]
    make = step.gather if isinstance(fan, Gather) else step.race
    if fan.named:
        return make(fan.name, {f"b{index}": function for index, function in enumerate(functions)})
    return make(fan.name, *functions)


async def _branch(code: Code, view: View, step: Any) -> str:
    await awaited(_execute(step, code, view))
    return f"end of {view.where}"


async def _item(code: Code, view: View, step: Any, item: str) -> str:
    return await _branch(code, view.below(item), step)


def _result(found: Any) -> Any:
    if isinstance(found, list):
        return [_result(each) for each in found]
    if isinstance(found, Raised):
        return described(found.error)
    return found.value if isinstance(found, Returned) else found


def described(error: Exception) -> str:
    fields = {
        name: getattr(error, name)
        for name in ("step_key", "failure", "event_types", "deadline")
        if hasattr(error, name)
    }
    return f"{type(error).__name__} {fields} cause={error.__cause__} {error}"


# -- drawing them


@attrs.define
class Chances:
    """Bytes that decide, one after the other; zeros once they are used up. Zero is the simplest choice.

    Drawing a tree by strategies takes ten times as long as running it; bytes cost nothing, and still shrink.
    """

    left: bytes

    def below(self, count: int) -> int:
        first, self.left = self.left[:1], self.left[1:]
        return first[0] % count if first else 0

    def pick(self, *options: Any) -> Any:
        return options[self.below(len(options))]


def chances(least: int, most: int, *others: int) -> st.SearchStrategy[tuple[bytes, ...]]:
    """Bytes for a program, of this many, and for other things, of up to these many.

    Drawn at once, and cut: of several strings Hypothesis often puts one in the place of another that is like it, and of
    a thousand examples few would have a program of their own.
    """
    ends = [*accumulate(others, initial=0)]

    def cut(drawn: bytes) -> tuple[bytes, ...]:
        parts = [drawn[ends[-1] :], *(drawn[begin:end] for begin, end in pairwise(ends))]
        return tuple(part.rstrip(b"\0") for part in parts)

    return st.binary(min_size=ends[-1] + least, max_size=ends[-1] + most).map(cut)


_ENDINGS: list[tuple[Ending, ...]] = [
    *(("ok",),) * 8,
    ("fail", "ok"),
    ("fail", "ok"),
    ("fail", "later", "ok"),
    ("later", "fail"),
    ("fail",),
    ("final",),
    ("fail", "final"),
]
_RETRIES = [
    Retry(max_attempts=attempts, delay=timedelta(seconds=delay), jitter=jitter)
    for attempts in (3, 2, 1)
    for delay in (0, 3)
    for jitter in (0.0, 0.5)
]
_LEAVES = "tell", "do", "do", "do", "log", "sleep", "sleep", "wait"
_BLOCKS = "scope", "try", "ensure", "loop", "patched"
_FANS = "gather", "race", "map"


@attrs.frozen
class Kinds:
    """What a program may be made of.

    Attributes:
        timed: whether there may be races on time.
        waits: whether events are waited for.
        fans: whether there are branches.
    """

    timed: bool = True
    waits: bool = True
    fans: bool = False

    def of(self, nesting: int) -> tuple[str, ...]:
        found: tuple[str, ...] = _LEAVES if self.waits else _LEAVES[:-1]
        if nesting > 0:
            found += _BLOCKS
            if self.fans:
                found += _FANS * 3
        return found


def _draw(chances: Chances, kinds: Kinds, nesting: int, most: int) -> Code:
    found = [_statement(chances, kinds, nesting)]
    while len(found) < most and chances.below(3):
        found.append(_statement(chances, kinds, nesting))
    return tuple(found)


def _statement(chances: Chances, kinds: Kinds, nesting: int) -> Statement:
    pick = chances.pick

    def code(most: int = 2, inner: Kinds = kinds) -> Code:
        return _draw(chances, inner, nesting - 1, most)

    match pick(*kinds.of(nesting)):
        case "tell":
            return Tell(pick("uuid", "random", "now" if kinds.timed else "uuid"))
        case "log":
            return Log()
        case "do":
            limit = pick(None, None, None, None, 5, 20) if kinds.timed else None
            return Do(pick("a", "b"), pick(*_ENDINGS), pick(*_RETRIES), limit)
        case "sleep":
            return Sleep(pick(0, 1, 5, 60), pick(False, True))
        case "wait":
            types = pick(("a",), ("b",), ("a", "b"), (',"payload":', "a"))
            return Wait(types, pick(None, None, 0, 1, 5, 60) if kinds.timed else None, pick(None, None, "ok", "fail"))
        case "scope":
            return Scope(pick("a", "b"), code())
        case "try":
            return Try(code(), code())
        case "ensure":
            return Ensure(code(), code())
        case "loop":
            return Loop(pick(2, 3), code())
        case "patched":
            return Patched(pick("a", "b"), code())
        case fan:
            return _fan_of(chances, kinds, nesting, fan)


def _fan_of(chances: Chances, kinds: Kinds, nesting: int, fan: str) -> Fan:
    """A group; of a program without races on time one whose results no order can change.

    There, no branch fails, and none takes an event from another.
    """
    pick = chances.pick

    def branch() -> Code:
        if kinds.timed:
            return _draw(chances, kinds, nesting - 1, 3)
        return (Try(_draw(chances, attrs.evolve(kinds, waits=False), nesting - 1, 3), (Tell("uuid"),)),)

    if fan == "map":
        items, keyed, places = pick(("x", "y"), ("x", "y", "z"), ("x",), ()), pick(False, True), pick(1, 2, 3)
        return Map(pick("a", "b"), items, branch(), keyed, places, pick("raise", "collect"))
    make = Race if fan == "race" and kinds.timed else Gather
    return make(pick("a", "b"), tuple(branch() for _ in range(pick(1, 2, 2, 3))), pick(False, True))


def program_of(drawn: bytes, kinds: Kinds) -> Program:
    """The program that these bytes stand for."""
    chances = Chances(drawn)
    options = chances.pick("step", "tick"), chances.pick(0, 2), chances.pick(False, False, False, True)
    lives_on = chances.pick(True, True, False)
    code = _draw(chances, kinds, 3, 5)
    if lives_on:  # else most programs end early
        code = tuple(each if isinstance(each, (Tell, Log, Sleep)) else Try((each,), ()) for each in code)
    return Program(code, *options, kinds.timed)


def programs(*, timed: bool = True, branches: bool = False) -> st.SearchStrategy[Program]:
    """Programs.

    Args:
        timed: whether there are races on time; if not, there are no deadlines, and nothing tells the time.
        branches: whether there are branches, which only ``async def`` workflows have.
    """
    kinds = Kinds(timed=timed, fans=branches)
    return chances(56, 90).map(lambda drawn: program_of(drawn[0], kinds))
