"""A stage on which somebody gives commands: while nobody is at work, and while bodies are in flight."""

from collections.abc import Callable
from datetime import datetime

import attrs
from hypothesis import note
from hypothesis import strategies as st

from tests.properties.programs import (
    Chances,
    Code,
    Do,
    Gather,
    Map,
    Program,
    Scope,
    Sleep,
    Statement,
    Try,
    Wait,
    blocks,
    chances,
)
from tests.properties.stage import Door, Drama, Result, Runner, Segment, Stage
from wfcore.errors import CommandError
from wfcore.evolve import evolve
from wfcore.keys import parse_ref
from wfcore.plan import Conflict, Plan
from wfcore.planner import (
    Known,
    Returned,
    StepCall,
    plan_delete,
    plan_pause,
    plan_restart,
    plan_restart_or_create,
    plan_resume,
    plan_retry,
    plan_terminate,
)
from wfcore.planner.commands import plan_create
from wfcore.retry import Retry

COMMANDS = 8
"""How many commands are given at most, so that there is an end."""


@attrs.define(eq=False)
class Commanded(Stage):
    """A stage with commands.

    Attributes:
        mended: keys of steps that succeed.
        given: how many commands were given.
        restless: whether commands are given meanwhile.
    """

    mended: set[str] = attrs.field(factory=set)
    given: int = 0
    restless: bool = True

    def perform(self, call: StepCall) -> Result:
        result = super().perform(call)
        return Returned(f"mended {call.key}") if call.key in self.mended else result

    def _wake(self, runner: Runner, due_at: datetime) -> Runner:
        self._command(of=4)
        hooks = self.lab.world[self.lab.ref].hooks
        return super()._wake(runner, due_at) if hooks else runner

    def later(self, seconds: float) -> None:
        super().later(seconds)
        self._command(of=12)

    def until(self, instant: datetime) -> None:
        super().until(instant)
        self._command(of=12)

    def _command(self, *, of: int) -> None:
        if not self.restless or self.given >= COMMANDS or self.chances.below(of) != of - 1:
            return
        self.given += 1
        name = self.chances.pick("pause", "resume", "restart", "retry", "terminate", "again", "delete")
        note(name)
        self.command(name)

    def command(self, name: str) -> Plan | None:
        """Give a command; ``None``: it was refused, and nothing is written."""
        lab, new_id = self.lab, self.lab.next_id(name)
        seen, ref = lab.snapshot(), lab.ref
        workflow = lab.registry.get(parse_ref(ref)[0])
        made: dict[str, Callable[[], Plan]] = {
            "pause": lambda: plan_pause(seen, ref, request_id=new_id, execution_id=new_id),
            "resume": lambda: plan_resume(seen, ref, execution_id=new_id),
            "restart": lambda: plan_restart(seen, ref, workflow, execution_id=new_id),
            "retry": lambda: plan_retry(seen, ref, execution_id=new_id),
            "terminate": lambda: plan_terminate(seen, ref, notify=False, execution_id=new_id),
            "delete": lambda: plan_delete(seen, ref, execution_id=new_id),
            "again": lambda: plan_restart_or_create(
                seen, workflow, instance_id="1", when={"errored", "complete"}, execution_id=new_id
            ),
        }
        try:
            plan = made[name]()
        except CommandError:
            return None
        if name == "delete":  # and created again at once, by somebody who knows nothing of it
            after = evolve(lab.world, plan)
            assert not isinstance(after, Conflict)
            lab.world = after
            plan = plan_create(lab.snapshot(), workflow, instance_id="1", execution_id=lab.next_id("create"))
        if not plan.is_empty:
            segment = Segment("by ticks", seen, lab.fired(), Known(), lab.now)
            assert self.apply(plan, segment, None)
        return plan


# -- programs that fail


def may_fail(drama: Drama) -> bool:
    """Whether its program may end with an error: else it need not be played to see that it does not."""
    return drama.program.fails or _fails(drama.program.code)


def _fails(code: Code) -> bool:
    return any(map(_may_raise, code))


def _may_raise(statement: Statement) -> bool:
    match statement:
        case Do(at_most_once=None):
            attempts = range(statement.retry.max_attempts)
            endings = [statement.endings[min(number, len(statement.endings) - 1)] for number in attempts]
            return "ok" not in endings or "final" in endings[: endings.index("ok")]
        case Do():
            return True
        case Wait():
            return statement.timeout is not None or statement.taking == "fail"
        case Try():
            return _fails(statement.code) and _fails(statement.handler)
        case Map(items=()) | Map(on_error="collect"):
            return False
        case _:
            return any(map(_fails, blocks(statement)))


# -- and of which no order changes the result


def failing_dramas() -> st.SearchStrategy[Drama]:
    """Calm dramas of programs with branches, which fail, and of which no order changes the result.

    No time is told, no event is waited for, no start is committed; and if a group fails, nobody catches that: which of
    its branches have come how far by then is chance.
    """
    return chances(40, 80, 40).map(_failing).filter(may_fail)


def _failing(drawn: tuple[bytes, ...]) -> Drama:
    chances, others = Chances(drawn[0]), Chances(drawn[1])
    door: Door = others.pick("concurrent", "concurrent", "continued", "by ticks")
    code = _code(chances, 3)
    program = Program(code, others.pick("step", "tick"), 0, fails=False, timed=False)
    return Drama(program, (), door, others.left, faults=False)


def _code(chances: Chances, nesting: int, *, groups: bool = True) -> Code:
    found = [_statement(chances, nesting, groups=groups)]
    while len(found) < 4 and chances.below(3):
        found.append(_statement(chances, nesting, groups=groups))
    return tuple(found)


def _statement(chances: Chances, nesting: int, *, groups: bool) -> Statement:
    pick = chances.pick
    kinds: tuple[str, ...] = ("do", "do", "sleep")
    if nesting:
        kinds += ("try", "scope", "gather", "map") if groups else ("try", "scope")
    match pick(*kinds):
        case "do":
            endings = pick(("ok",), ("ok",), ("fail",), ("fail", "ok"), ("final",))
            return Do(pick("a", "b", "c"), endings, Retry(max_attempts=pick(1, 2)))
        case "sleep":
            return Sleep(pick(0, 1, 5), absolute=False)
        case "gather":
            return Gather("g", tuple(_code(chances, nesting - 1) for _ in range(pick(1, 2, 3))), named=False)
        case "map":
            items, on_error = pick(("x", "y"), ("x", "y", "z"), ()), pick("raise", "raise", "collect")
            code = _code(chances, nesting - 1, groups=on_error == "raise")
            return Map("m", items, code, pick(False, True), pick(1, 2, 9), on_error)
        case "try":
            return Try(_code(chances, nesting - 1, groups=False), _code(chances, nesting - 1, groups=groups))
        case _:
            return Scope("s", _code(chances, nesting - 1, groups=groups))
