"""Branches over their history: nothing new before it is used up, nothing left over. Rules P6, D1, D2, K2, M7."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from itertools import permutations
from typing import Any

import attrs
import pytest

from tests.lab import MINUTE, T0, Lab
from tests.planner.flights import Flights, body, doing, made
from wfcore.define import workflow
from wfcore.errors import NonDeterminismError
from wfcore.planner import AsyncStep, StepCall, plan_tick
from wfcore.workflow import Registry

Code = Callable[[AsyncStep], Any]
HOUR = timedelta(hours=1)


def deploy(lab: Lab, code: Code, **options: Any) -> None:
    lab.registry = Registry([workflow(name="w", **options)(code)])


def refused(lab: Lab) -> NonDeterminismError:
    """What the next tick is refused with; no body runs."""

    def perform(call: StepCall) -> Any:
        pytest.fail(f"{call.key} ran")

    with pytest.raises(NonDeterminismError) as caught:
        lab.plan(perform=perform)
    return caught.value


def do(name: str, value: object = 1) -> Code:
    return lambda step: step.do(name, lambda attempt: value)


async def _then_sleeps(branch: Code, step: AsyncStep) -> None:
    await branch(step)
    await step.sleep("nap", HOUR)


def grouped(*branches: Code) -> Code:
    """A gather of these, each with a long sleep at its end."""

    async def code(step: AsyncStep) -> None:
        await step.gather("g", *[partial(_then_sleeps, branch) for branch in branches])

    return code


# -- first run and replay


@pytest.mark.parametrize("landing", [*permutations("abc")], ids="".join)
def test_p6_branches_resume_in_the_recorded_order(landing: tuple[str, ...]) -> None:
    story: list[str] = []

    async def branch(name: str, step: AsyncStep) -> None:
        await step.do(name, body)
        story.append(name)
        await step.sleep("nap", HOUR)
        story.append(f"{name} again")

    async def code(step: AsyncStep) -> None:
        await step.gather("g", *[partial(branch, name) for name in "abc"])

    lab = made(code)
    flights = Flights(lab)
    for name in landing:
        flights.lands(f"gather:g[{'abc'.index(name)}]>do:{name}", name)
    live = [*story]
    story.clear()
    lab.tick(at=T0 + 2 * HOUR)
    assert ([*landing], [*landing]) == (live, story[:3])


def test_p6_no_body_starts_before_history_is_used_up() -> None:
    """The second branch has a body to run that the first asked for later, in history."""

    async def first(step: AsyncStep) -> None:
        for name in "ab":
            await step.do(name, body)
        await step.do("new", body)

    async def code(step: AsyncStep) -> None:
        await step.gather("g", first, doing("slow"))

    lab = made(code)
    Flights(lab).lands("gather:g[0]>do:a", 1).lands("gather:g[0]>do:b", 1).crashes()
    lab.now += HOUR
    assert ["gather:g[1]>do:slow", "gather:g[0]>do:new"] == Flights(lab).started


def test_p6_the_order_of_rows_means_nothing() -> None:
    lab = made(grouped(do("a"), do("b")), checkpoint="tick")
    lab.tick()
    lab.now += HOUR
    snapshot, fired = lab.snapshot(), lab.fired()
    plans = [
        plan_tick(attrs.evolve(snapshot, steps=steps), fired, lab.registry, execution_id="same")
        for steps in permutations(snapshot.steps)
    ]
    assert [plans[0]] * 24 == plans


def test_p6_a_map_that_was_mapped_is_replayed() -> None:
    async def item(step: AsyncStep, number: int) -> int:
        return await step.do("double", lambda attempt: number * 2, returns=int)

    async def code(step: AsyncStep) -> Any:
        doubled = await step.map("m", [1, 2], item)
        await step.sleep("nap", HOUR)
        return doubled

    lab = made(code)
    lab.run(until=T0 + 2 * HOUR)
    assert "[2,4]" == lab.instance.output


# -- changed code

_RECORDED = grouped(do("a"), do("b"))


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (grouped(do("a")), "gather:g[1]>do:b"),
        (grouped(do("b"), do("a")), "gather:g[0]>do:a"),
        (grouped(do("a"), do("c")), "gather:g[1]>do:b"),
        (grouped(do("a"), lambda step: step.sleep("b", MINUTE)), "gather:g[1]>do:b"),
        (lambda step: step.race("g", partial(_then_sleeps, do("a")), partial(_then_sleeps, do("b"))), None),
        (lambda step: step.gather("h", partial(_then_sleeps, do("a")), partial(_then_sleeps, do("b"))), None),
        (lambda step: step.gather("g", {"a": partial(_then_sleeps, do("a"))}), "gather:g[0]>do:a"),
        (lambda step: step.gather("g"), "gather:g[0]>do:a"),
        (lambda step: step.gather("g", do("a"), partial(_then_sleeps, do("b"))), "gather:g[0]>sleep:nap"),
    ],
    ids=[
        "a branch is gone",
        "branches have changed places",
        "a step has another name",
        "a step is of another kind",
        "a race in place of the gather",
        "the group has another name",
        "branches have names now",
        "no branches",
        "an open wait is gone",
    ],
)
def test_d1_another_group_than_the_recorded_one_is_a_mismatch(code: Code, problem: str | None) -> None:
    lab = made(_RECORDED, checkpoint="tick")
    lab.tick()

    async def changed(step: AsyncStep) -> None:
        await code(step)

    deploy(lab, changed, checkpoint="tick")
    lab.now += 2 * HOUR
    assert (problem or "gather:g[0]>do:a") == refused(lab).expected


def test_d1_a_branch_more_is_no_mismatch() -> None:
    lab = made(_RECORDED, checkpoint="tick")
    lab.tick()
    deploy(lab, grouped(do("a"), do("b"), do("c")), checkpoint="tick")
    lab.tick(at=T0 + 2 * HOUR)
    assert "gather:g[2]>do:c" in lab.steps()


@pytest.mark.parametrize(
    "items", [[1, 2, 3, 4], [1, 2], [1, 3, 2], [1, 2, 4]], ids=["longer", "shorter", "reordered", "changed"]
)
def test_d1_another_list_under_a_map_is_a_mismatch(items: list[int]) -> None:
    """P1: what the record of the map is for."""

    def mapped(numbers: list[int]) -> Code:
        async def code(step: AsyncStep) -> None:
            await step.map("m", numbers, lambda s, item: s.do("a", body))

        return code

    lab = made(mapped([1, 2, 3]))
    Flights(lab).lands("map:m[0]>do:a", 1).crashes()
    lab.now += HOUR
    deploy(lab, mapped(items))
    error = refused(lab)
    assert ("map:m", True) == (error.expected, error.problem.startswith("the list under a map has changed: recorded"))


def test_p1_with_keys_a_list_may_change_its_order_and_grow() -> None:
    def mapped(names: str) -> Code:
        async def code(step: AsyncStep) -> Any:
            return await step.map("m", names, lambda s, item: s.do("a", body), key=str)

        return code

    lab = made(mapped("xy"))
    Flights(lab).lands("map:m[x]>do:a", "of x").crashes()
    lab.now += HOUR
    deploy(lab, mapped("zyx"))
    Flights(lab).lands("map:m[z]>do:a", "of z").lands("map:m[y]>do:a", "of y")
    assert '["of z","of y","of x"]' == lab.instance.output


def test_d1_a_map_that_is_gone_is_a_mismatch_although_nothing_is_recorded_in_it() -> None:
    async def mapped(step: AsyncStep) -> None:
        await step.gather("g", lambda s: s.map("m", [1], doing_item), lambda s: s.do("b", lambda attempt: 1))

    async def doing_item(step: AsyncStep, _item: int) -> None:
        await step.do("a", body)

    lab = made(mapped)
    Flights(lab).lands("gather:g[1]>do:b", 1).crashes()
    lab.now += HOUR

    async def gone(step: AsyncStep) -> None:
        await step.gather("g", lambda s: s.do("new", body), lambda s: s.do("b", lambda attempt: 1))

    deploy(lab, gone)
    assert "gather:g[0]>map:m" == refused(lab).expected


def test_d2_a_mismatch_in_a_branch_says_what_was_asked_for_in_which_scope() -> None:
    lab = made(_RECORDED, checkpoint="tick")
    lab.tick()
    deploy(lab, grouped(do("a"), do("c")), checkpoint="tick")
    lab.now += 2 * HOUR
    error = refused(lab)
    assert ("gather:g[1]>do:b", 2, ("gather:g[1]>do:c", "gather:g[0]>sleep:nap"), "gather:g[1]") == (
        error.expected,
        error.sequence,
        error.asked,
        error.scope,
    )


def test_d2_code_cannot_catch_a_mismatch_in_a_branch() -> None:
    lab = made(_RECORDED, checkpoint="tick")
    lab.tick()

    async def catches(step: AsyncStep) -> None:
        try:
            await step.gather("g", do("c"))
        except Exception:
            await step.do("fallback", body)

    deploy(lab, catches)
    lab.now += 2 * HOUR
    assert "gather:g[0]>do:a" == refused(lab).expected


# -- losers


async def _recorded_race(step: AsyncStep) -> None:
    await step.race("r", doing("fast"), doing("slow"))
    await step.sleep("nap", HOUR)


def _raced() -> Lab:
    lab = made(_recorded_race)
    Flights(lab).lands("race:r[0]>do:fast", 1).lands("race:r[1]>do:slow", 2)
    lab.now += 2 * HOUR
    return lab


def test_d1_what_losers_have_asked_for_counts() -> None:
    lab = _raced()
    lab.tick()
    assert "complete" == lab.instance.status


def test_d1_a_late_record_that_the_code_does_not_ask_for_any_more_is_a_mismatch() -> None:
    async def changed(step: AsyncStep) -> None:
        await step.race("r", doing("fast"), lambda s: s.sleep("slow", HOUR))
        await step.sleep("nap", HOUR)

    lab = _raced()
    deploy(lab, changed)
    assert "race:r[1]>do:slow" == refused(lab).expected


def test_d1_a_cancelled_record_that_the_code_does_not_ask_for_any_more_is_a_mismatch() -> None:
    def raced(*branches: Code) -> Code:
        async def code(step: AsyncStep) -> None:
            await step.race("r", *branches)
            await step.sleep("nap", HOUR)

        return code

    lab = made(raced(doing("fast"), lambda s: s.sleep("late", HOUR)))
    Flights(lab).lands("race:r[0]>do:fast", 1)
    deploy(lab, raced(doing("fast")))
    lab.now += 2 * HOUR
    assert "race:r[1]>sleep:late" == refused(lab).expected


def test_p5_a_race_that_would_be_decided_otherwise_now_stays_as_it_is() -> None:
    """Both sleeps are over by now; the one that was settled decides."""

    async def code(step: AsyncStep) -> Any:
        index, _ = await step.race("r", lambda s: s.sleep("a", 2 * MINUTE), lambda s: s.sleep("b", MINUTE))
        await step.sleep("nap", HOUR)
        return index

    lab = made(code)
    lab.tick()
    lab.tick(at=T0 + MINUTE)
    lab.tick(at=T0 + 9 * HOUR)
    assert "1" == lab.instance.output


def test_m7_a_cancelled_record_waits_again_if_its_branch_is_open_again() -> None:
    """What a command that tries again does to the rows: the failure is undone, cancelled records are not touched."""

    async def code(step: AsyncStep) -> None:
        await step.gather("g", doing("bad"), lambda s: s.sleep("nap", HOUR))

    lab = made(code)
    Flights(lab).lands("gather:g[0]>do:bad", ValueError("no"))
    snapshot = lab.snapshot()
    steps = tuple(
        attrs.evolve(step, status="waiting", sequence=None, settled_at=None, attempts=0, failure=None)
        if step.status == "errored"
        else step
        for step in snapshot.steps
    )
    assert snapshot.instance is not None
    row = attrs.evolve(snapshot.instance, status="active", failure=None, completed_at=None)
    lab.put(attrs.evolve(snapshot, instance=row, steps=steps))
    lab.now += MINUTE
    Flights(lab).lands("gather:g[0]>do:bad", 1)
    record = lab.steps()["gather:g[1]>sleep:nap"]
    assert ("waiting", T0 + HOUR, None) == (record.status, record.wake_at, record.settled_at)
