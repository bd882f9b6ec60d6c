"""Explores without thinking: no two states are one unless they are equal, nothing is left out. For comparison."""

from collections import deque
from collections.abc import Iterator
from functools import partial
from typing import Any

from tests.explore.canonical import Case
from wfcore import Conflict, FiredHook, Raised, Registry, Returned, Settled, StepCall, Stop, plan_create, plan_tick
from wfcore.evolve import NOTHING, Rows, evolve
from wfcore.testing import Fails, PerAttempt, Returns
from wfcore.testing.clock import START


class Asked(BaseException):
    pass


class Naive:
    """A state is ``(rows, now, dispatchers, crashes)``; a dispatcher at work ``(rows, at, hook, mine, answers)``."""

    def __init__(self, case: Case, dispatchers: int, crashes: int) -> None:
        self.case, self.registry, self.ref = case, Registry([case.workflow]), f"{case.name}#1"
        created = evolve({}, plan_create(NOTHING.snapshot(START), case.workflow, instance_id="1", execution_id="0"))
        assert not isinstance(created, Conflict)
        self.start: Any = (created[self.ref], START, (None,) * dispatchers, crashes)
        self.ids = 0

    def results(self) -> set[str]:
        found, seen, left = set(), {repr(self.start)}, deque([self.start])
        while left:
            state = left.popleft()
            instance = state[0].instance
            if instance.status in ("complete", "errored"):
                found.add(f"{instance.status}: {instance.output or instance.failure}")
            for following in self.moves(*state):
                if (text := repr(following)) not in seen:
                    seen.add(text)
                    left.append(following)
        return found

    def moves(self, rows: Rows, now: Any, workers: Any, crashes: int) -> Iterator[Any]:
        hooks = sorted(rows.hooks.values(), key=lambda hook: hook.due_at)
        for hook in hooks:
            if hook.due_at > now:
                yield rows, hook.due_at, workers, crashes
                break
        for who, worker in enumerate(workers):
            put = partial(_put, workers, who)
            if worker is None:
                if hooks and hooks[0].due_at <= now:
                    yield rows, now, put((rows, now, hooks[0], frozenset(), ())), crashes
                continue
            if crashes:
                yield rows, now, put(None), crashes - 1
            asked, plan, more = self.plan(who, *worker)
            for choice in range(asked):
                yield rows, now, put((*worker[:4], (*worker[4], (choice, now - worker[1])))), crashes
            if plan is None:
                continue
            after = {self.ref: rows} if plan.is_empty else evolve({self.ref: rows}, plan)
            if isinstance(after, Conflict):
                yield rows, now, put((rows, now, *worker[2:4], ())), crashes
            elif more:
                left = after[self.ref]
                yield (
                    left,
                    now,
                    put((left, plan.mutations[0].instance.updated_at, worker[2], worker[3] | {plan.execution_id}, ())),
                    crashes,
                )
            else:
                yield after[self.ref], now, put(None), crashes

    def plan(self, who: int, rows: Rows, at: Any, hook: Any, mine: Any, answers: Any) -> Any:
        given, committed, asked = list(answers), [], []

        def perform(call: StepCall) -> Settled:
            bodies = self.case.bodies[call.name]
            outcomes = (
                bodies
                if not isinstance(bodies, PerAttempt)
                else bodies.attempts[min(call.attempt.number, len(bodies.attempts)) - 1]
            )
            if not given:
                asked.append(len(outcomes))
                raise Asked
            choice, elapsed = given.pop(0)
            outcome = outcomes[choice]
            assert isinstance(outcome, Returns | Fails)
            return Settled(Returned(outcome.value) if isinstance(outcome, Returns) else Raised(outcome.error), elapsed)

        def commit(plan: Any) -> Stop:
            committed.append(plan)
            return Stop()

        instance = rows.instance
        assert instance is not None
        name = f"{who}:{instance.version + 1}"
        try:
            plan = plan_tick(
                rows.snapshot(at),
                FiredHook(hook=hook, timestamp=at),
                self.registry,
                execution_id=name,
                mine=mine,
                perform=perform,
                commit=commit,
            )
        except Asked:
            return asked[0], None, False
        return (0, committed[0], True) if committed else (0, plan, False)


def _put(workers: Any, who: int, each: Any) -> Any:
    return (*workers[:who], each, *workers[who + 1 :])
