"""O6: when another runner may take over, however far away that is."""

from datetime import timedelta

from tests.lab import Lab
from wfcore.define import workflow
from wfcore.model import Hook
from wfcore.plan import Plan, PutHook
from wfcore.planner import Continue, Step, plan_tick
from wfcore.planner.steps.decision import LATEST


@workflow(name="w")
def two(step: Step) -> None:
    step.do("a", lambda attempt: 1)
    step.do("b", lambda attempt: 2)


def test_o6_recovery_that_is_put_off_for_ever_is_due_at_the_end_of_the_calendar() -> None:
    lab = Lab.of(two)
    lab.create(two)
    timers: list[Hook] = []

    def commit(plan: Plan) -> Continue:
        timers.extend(each.hook for each in plan.mutations if isinstance(each, PutHook))
        return Continue("next")

    plan_tick(lab.snapshot(), lab.fired(), lab.registry, execution_id="e", commit=commit, recover_after=timedelta.max)
    assert [LATEST] == [timer.due_at for timer in timers]
