"""Patches (rule D4): workflow code that changes while runs of it are alive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.lab import MINUTE, T0, Lab
from tests.planner.rows import record, written_steps
from tests.twins import Colour, Running, begin, both_colours, deploy
from wfcore.define import workflow
from wfcore.errors import NonDeterminismError, StepNameError, StepUsageError
from wfcore.outcome import Completed
from wfcore.planner import AsyncStep
from wfcore.workflow import Registry

Program = Callable[[Any], Running]


def nothing(attempt: Any) -> None:
    pass


def old(step: Any) -> Running:
    """a, nap, b, nap#1"""
    for name in "ab":
        yield step.do(name, nothing)
        yield step.sleep("nap", MINUTE)
    return "old"


def patched_at(place: int) -> Program:
    """The old code, with a step more in its ``place``; the result says which way it went."""

    def new(step: Any) -> Running:
        way = None
        for number, name in enumerate("ab"):
            if number == place:
                way = step.patched("two parcels")
                if way:
                    yield step.do("new", nothing)
            yield step.do(name, nothing)
            yield step.sleep("nap", MINUTE)
        if place == 2:
            way = step.patched("two parcels")
        return way

    return new


def kept(lab: Lab) -> list[str]:
    return [key for key, step in lab.steps().items() if step.kind == "patch"]


# ---- the decision


@both_colours
@pytest.mark.parametrize("place", [0, 1, 2])
def test_d4_a_run_that_begins_with_the_new_code_goes_by_it(colour: Colour, place: int) -> None:
    lab = begin(colour, patched_at(place))
    lab.run(until=T0 + 2 * MINUTE)
    assert ("true", ["patch:two parcels"]) == (lab.instance.output, kept(lab))


@both_colours
@pytest.mark.parametrize(
    ("minutes", "place", "goes_by_new"),
    [
        (0, 0, False),
        (0, 1, True),
        (0, 2, True),
        (1, 0, False),
        (1, 1, False),
        (1, 2, True),
    ],
)
def test_d4_a_run_goes_by_new_code_if_nothing_is_recorded_behind_the_patch(
    colour: Colour, minutes: int, place: int, goes_by_new: bool
) -> None:
    """``minutes``: how far the old code has come when the new code is deployed."""
    lab = begin(colour, old)
    lab.run(until=T0 + minutes * MINUTE)
    deploy(lab, colour, patched_at(place))
    lab.run(until=T0 + 2 * MINUTE)
    assert (str(goes_by_new).lower(), ["patch:two parcels"] * goes_by_new) == (lab.instance.output, kept(lab))


@both_colours
def test_k3_a_patch_is_a_record_that_is_complete_at_once_and_takes_no_sequence(colour: Colour) -> None:
    plan = begin(colour, patched_at(0)).tick()
    expected = record(
        "patch:two parcels",
        status="completed",
        settled_at=T0,
        execution_id=plan.execution_id,
    )
    assert expected == written_steps(plan)["patch:two parcels"]


@both_colours
def test_d4_it_is_recorded_with_what_is_made_behind_it(colour: Colour) -> None:
    assert ["patch:two parcels", "do:new"] == [*written_steps(begin(colour, patched_at(0)).tick())]


@both_colours
def test_d4_the_refusal_leaves_no_record(colour: Colour) -> None:
    lab = begin(colour, old)
    lab.run()
    deploy(lab, colour, patched_at(0))
    lab.run(until=T0 + 2 * MINUTE)
    assert [] == kept(lab)


@both_colours
def test_d4_it_is_decided_once_in_a_run_also_in_a_loop(colour: Colour) -> None:
    """A run that is in its second round keeps to the old code in all that follow."""

    def rounds(*, new: bool) -> Program:
        def program(step: Any) -> Running:
            ways = []
            for _ in range(3):
                ways.append(new and step.patched("p"))
                if ways[-1]:
                    yield step.do("new", nothing)
                yield step.sleep("nap", MINUTE)
            return ways

        return program

    lab = begin(colour, rounds(new=False))
    lab.run(until=T0 + MINUTE)
    deploy(lab, colour, rounds(new=True))
    lab.run(until=T0 + 3 * MINUTE)
    assert "[false,false,false]" == lab.instance.output


@both_colours
def test_d4_two_patches_are_decided_on_their_own(colour: Colour) -> None:
    def new(step: Any) -> Running:
        first = step.patched("first")
        yield step.do("a", nothing)
        yield step.sleep("nap", MINUTE)
        second = step.patched("second")
        yield step.do("b", nothing)
        yield step.sleep("nap", MINUTE)
        return [first, second]

    lab = begin(colour, old)
    lab.run()
    deploy(lab, colour, new)
    lab.run(until=T0 + 2 * MINUTE)
    assert ("[false,true]", ["patch:second"]) == (lab.instance.output, kept(lab))


@both_colours
def test_d4_it_holds_for_the_run_only(colour: Colour) -> None:
    """O8: the next run has no records."""

    def looping(step: Any) -> Running:
        patched = step.patched("p")
        yield step.do("a", nothing)
        if step.now() > T0:
            return patched
        yield step.sleep("nap", MINUTE)
        return step.continue_with()

    def before(step: Any) -> Running:
        yield step.do("a", nothing)
        yield step.sleep("nap", MINUTE)
        return step.continue_with()

    lab = begin(colour, before)
    lab.run()
    deploy(lab, colour, looping)
    lab.run(until=T0 + MINUTE)
    assert ("true", 2) == (lab.instance.output, lab.instance.run_number)


# ---- scopes


@both_colours
@pytest.mark.parametrize(
    ("recorded", "scope", "expected"),
    [
        ("do:a", None, False),
        ("scope:s>do:a", None, False),
        ("scope:s>scope:t>do:a", None, False),
        ("do:a", "s", True),
        ("scope:s>do:a", "s", False),
        ("scope:s>scope:t>do:a", "s", False),
        ("scope:s#1>do:a", "s", True),
        ("scope:st>do:a", "s", True),
    ],
)
def test_d4_what_counts_is_the_scope_in_which_it_is_asked_and_those_below(
    colour: Colour, recorded: str, scope: str | None, expected: bool
) -> None:
    seen: list[bool] = []

    def program(step: Any) -> Running:
        asked = step if scope is None else step.scope(scope)
        seen.append(asked.patched("p"))
        yield step.sleep("other", MINUTE)

    lab = begin(colour, program)
    lab.tick()
    snapshot = lab.snapshot()
    kept = [step for step in snapshot.steps if step.kind != "patch"]
    lab.put(
        type(snapshot)(
            instance=snapshot.instance,
            steps=(*kept, record(recorded, status="cancelled")),
            events=(),
            hooks=snapshot.hooks,
            now=T0,
        )
    )
    seen.clear()
    lab.now += MINUTE
    with pytest.raises(NonDeterminismError):  # nobody asks for that record: only the answer matters here
        lab.plan()
    assert [expected] == seen


@both_colours
def test_d4_what_was_asked_for_since_another_patch_of_the_scope_does_not_count(colour: Colour) -> None:
    def code(*, new: bool) -> Program:
        def program(step: Any) -> Running:
            inner, ways = step.scope("s"), []
            ways.append(new and inner.patched("before"))
            yield inner.do("a", nothing)
            ways.append(new and inner.patched("after"))
            yield step.sleep("nap", MINUTE)
            return ways

        return program

    lab = begin(colour, code(new=False))
    lab.run()
    deploy(lab, colour, code(new=True))
    lab.run(until=T0 + MINUTE)
    assert "[false,true]" == lab.instance.output


@both_colours
def test_d4_its_name_is_one_for_the_whole_run_whatever_the_scope(colour: Colour) -> None:
    def program(step: Any) -> Running:
        ways = [step.patched("p"), step.scope("s").patched("p")]
        yield step.sleep("nap", MINUTE)
        return ways

    lab = begin(colour, program)
    lab.run(until=T0 + MINUTE)
    assert ("[true,true]", ["patch:p"]) == (lab.instance.output, kept(lab))


# ---- branches


def fanned(*, new: bool) -> Any:
    @workflow(name="w")
    async def w(step: AsyncStep) -> Any:
        async def branch(inner: AsyncStep, name: str) -> Any:
            way = new and inner.patched(f"patch {name}")
            if way:
                await inner.do("new", nothing)
            if name == "busy":
                await inner.do("a", nothing)
            await inner.sleep("nap", MINUTE)
            return way

        return await step.map("all", ["busy", "other"], branch, key=str)

    return w


def test_d4_a_branch_is_a_scope() -> None:
    """Both branches have recorded something, and keep to the old code."""
    lab = Lab.of(fanned(new=False))
    lab.create(fanned(new=False))
    lab.run()
    lab.registry = Registry([fanned(new=True)])
    lab.run(until=T0 + MINUTE)
    assert "[false,false]" == lab.instance.output


def test_d4_branches_that_have_recorded_nothing_may_go_by_new_code() -> None:
    def code(*, new: bool) -> Any:
        @workflow(name="w")
        async def w(step: AsyncStep) -> Any:
            async def branch(inner: AsyncStep, name: str) -> Any:
                way = new and inner.patched(f"patch {name}")
                await inner.do("b" if way else "a", nothing if name == "first" else refuse_once)
                return way

            return await step.map("all", ["first", "second"], branch, key=str, max_concurrency=1)

        return w

    def refuse_once(attempt: Any) -> None:
        if not refused:
            refused.append(True)
            raise KeyboardInterrupt

    refused: list[bool] = []
    lab = Lab.of(code(new=False))
    lab.create(code(new=False))
    lab.tick()
    with pytest.raises(KeyboardInterrupt):
        lab.tick()
    lab.registry = Registry([code(new=True)])
    lab.run()
    assert "[false,true]" == lab.instance.output


def test_d4_one_patch_of_several_branches_is_decided_by_the_first_that_asks() -> None:
    """It is one decision of the run. If another branch has recorded steps behind it, that is found, as any mismatch."""

    def code(*, new: bool) -> Any:
        @workflow(name="w")
        async def w(step: AsyncStep) -> Any:
            async def first(inner: AsyncStep) -> Any:
                return new and inner.patched("p")

            async def second(inner: AsyncStep) -> Any:
                if new and inner.patched("p"):
                    await inner.do("new", nothing)
                await inner.sleep("nap", MINUTE)

            return await step.gather("both", first, second)

        return w

    lab = Lab.of(code(new=False))
    lab.create(code(new=False))
    lab.run()
    lab.registry = Registry([code(new=True)])
    lab.now += MINUTE
    with pytest.raises(NonDeterminismError):
        lab.plan()


# ---- across deploys


@both_colours
def test_d4_what_was_decided_holds_in_every_later_tick(colour: Colour) -> None:
    seen: list[bool] = []

    def new(step: Any) -> Running:
        yield step.do("a", nothing)
        yield step.sleep("nap", MINUTE)
        seen.append(step.patched("p"))
        for name in "bcd":
            yield step.do(name, nothing)
            yield step.sleep("nap", MINUTE)

    lab = begin(colour, old)
    lab.run()
    deploy(lab, colour, new)
    lab.run(until=T0 + 4 * MINUTE)
    assert {True} == {*seen}


@both_colours
def test_d4_a_patch_may_be_removed_once_every_run_goes_by_the_new_code(colour: Colour) -> None:
    def final(step: Any) -> Running:
        yield step.do("new", nothing)
        yield from old(step)
        return "final"

    lab = begin(colour, patched_at(0))
    lab.run()
    deploy(lab, colour, final)
    lab.run(until=T0 + 2 * MINUTE)
    assert '"final"' == lab.instance.output


@both_colours
def test_d1_the_old_code_does_not_fit_a_run_that_has_gone_by_the_new_one(colour: Colour) -> None:
    lab = begin(colour, patched_at(0))
    lab.run()
    deploy(lab, colour, old)
    lab.now += MINUTE
    with pytest.raises(NonDeterminismError, match="do:new"):
        lab.plan()


@both_colours
def test_d9_a_patch_that_was_decided_and_not_committed_is_decided_again(colour: Colour) -> None:
    lab = begin(colour, patched_at(0))
    lab.plan()
    assert {} == lab.steps()


# ---- mistakes


@both_colours
def test_k4_a_name_that_cannot_be_used_is_refused(colour: Colour) -> None:
    def program(step: Any) -> Running:
        step.patched("a>b")
        yield step.do("a", nothing)

    with pytest.raises(StepNameError, match="'>'"):
        begin(colour, program).plan()


@both_colours
def test_k2_it_may_be_asked_in_workflow_code_only(colour: Colour) -> None:
    def program(step: Any) -> Running:
        yield step.do("a", lambda attempt: step.patched("p"))

    lab = begin(colour, program)
    with pytest.raises(StepUsageError, match="outside of the workflow code"):
        lab.plan()


@both_colours
def test_d4_a_workflow_of_nothing_but_a_patch_records_it(colour: Colour) -> None:
    def program(step: Any) -> Running:
        return step.patched("p")
        yield

    lab = begin(colour, program)
    assert (Completed("true"), ["patch:p"]) == (lab.tick().outcome, kept(lab))
