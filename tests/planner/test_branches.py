"""Groups of branches: what they give, how their steps are named, what is refused. Rules P1, P2, P8, K1 to K3."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.lab import MINUTE
from tests.planner.flights import Flights, body, doing, made
from wfcore.errors import (
    ForeignAwaitError,
    StepNameError,
    StepUsageError,
    UnawaitedStepError,
    WorkflowError,
)
from wfcore.planner import AsyncStep, Attempt, Raised, Returned

Code = Callable[[AsyncStep], Any]


def output(code: Code) -> Any:
    lab = made(code, checkpoint="tick")
    lab.run()
    assert lab.instance.status == "complete", lab.instance.failure
    return json.loads(lab.instance.output or "")


def refusal(code: Code, kind: type[WorkflowError] = StepUsageError) -> str:
    """The text of the author's error that the first tick meets; nothing has run or is written."""
    with pytest.raises(kind) as caught:
        made(code).plan(perform=lambda call: pytest.fail(f"{call.key} ran"))
    return str(caught.value)


def value(result: object) -> Callable[[AsyncStep], Any]:
    return lambda step: step.do("v", lambda attempt: result)


async def twice(step: AsyncStep, item: int) -> int:
    return await step.do("twice", lambda attempt: item * 2, returns=int)


# -- what a group gives


def test_p1_a_gather_gives_a_tuple_in_the_order_of_the_branches() -> None:
    seen: list[Any] = []

    async def code(step: AsyncStep) -> None:
        seen.append(await step.gather("g", value("a"), value(2), value(None)))

    output(code)
    assert [("a", 2, None)] == seen


def test_p1_a_gather_gives_the_order_of_the_branches_whatever_settles_first() -> None:
    async def code(step: AsyncStep) -> list[int]:
        return [*await step.gather("g", doing("a"), doing("b"))]

    lab = made(code)
    Flights(lab).lands("gather:g[1]>do:b", 2).lands("gather:g[0]>do:a", 1)
    assert "[1,2]" == lab.instance.output


def test_p1_a_gather_of_a_mapping_gives_its_keys_in_its_order() -> None:
    async def code(step: AsyncStep) -> Any:
        return [*(await step.gather("g", {"b": value(2), "a": value(1)})).items()]

    seen: list[Any] = []

    async def telling(step: AsyncStep) -> None:
        seen.extend(await code(step))

    output(telling)
    assert [("b", 2), ("a", 1)] == seen


def test_p1_a_map_gives_a_list_in_the_order_of_the_items() -> None:
    async def code(step: AsyncStep) -> Any:
        return await step.map("m", [3, 1, 2], twice)

    assert [6, 2, 4] == output(code)


def test_p1_a_map_reads_an_iterator_once() -> None:
    async def code(step: AsyncStep) -> Any:
        return await step.map("m", iter([3, 1, 2]), twice)

    assert [6, 2, 4] == output(code)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (None, {"map:m", "map:m[0]>do:twice", "map:m[1]>do:twice"}),
        (str, {"map:m[7]>do:twice", "map:m[9]>do:twice"}),
    ],
    ids=["by index, and the list is recorded", "by key, and it is not"],
)
def test_k3_a_map_records_its_list_unless_its_items_have_keys(key: Any, expected: set[str]) -> None:
    async def code(step: AsyncStep) -> None:
        await step.map("m", [7, 9], twice, key=key)

    lab = made(code)
    lab.run()
    assert expected == {*lab.steps()}


def test_k3_the_record_of_a_map_has_number_and_digest_and_no_place_in_the_order() -> None:
    async def code(step: AsyncStep) -> None:
        await step.map("m", [7, 9], twice)

    lab = made(code, checkpoint="tick")
    lab.tick()
    record = lab.steps()["map:m"]
    assert ("map", "completed", None, 2) == (
        record.kind,
        record.status,
        record.sequence,
        json.loads(record.result or "")["count"],
    )


@pytest.mark.parametrize(
    ("ask", "expected"),
    [
        (lambda step: step.gather("g"), ()),
        (lambda step: step.gather("g", {}), {}),
        (lambda step: step.map("m", [], twice), []),
        (lambda step: step.map("m", [], twice, key=str), []),
        (lambda step: step.map("m", [], twice, on_error="collect"), []),
    ],
    ids=["gather", "gather of a mapping", "map", "map by key", "map that collects"],
)
def test_p1_an_empty_group_gives_nothing_at_once(ask: Code, expected: object) -> None:
    seen: list[Any] = []

    async def code(step: AsyncStep) -> None:
        seen.append(await ask(step))

    output(code)
    assert [expected] == seen


def test_p1_groups_nest_to_any_depth() -> None:
    async def deep(step: AsyncStep, depth: int) -> int:
        if not depth:
            return await step.do("leaf", lambda attempt: 1, returns=int)
        (below,) = await step.gather("g", partial(deep, depth=depth - 1))
        return below + 1

    async def code(step: AsyncStep) -> int:
        return await deep(step, 400)

    assert 401 == output(code)


def test_p1_groups_that_nest_deeper_than_the_stack_can_be_let_go() -> None:
    async def deep(step: AsyncStep, depth: int) -> None:
        await (step.gather("g", partial(deep, depth=depth - 1)) if depth else step.sleep("nap", MINUTE))

    async def code(step: AsyncStep) -> None:
        await step.race("r", partial(deep, depth=1_500), lambda s: s.do("a", lambda attempt: 1))

    lab = made(code)
    lab.run()
    assert "complete" == lab.instance.status


# -- what a branch may be


async def _plain(step: AsyncStep) -> int:
    return await step.do("v", lambda attempt: 1, returns=int)


class _Object:
    async def __call__(self, step: AsyncStep) -> int:
        return await _plain(step)

    async def method(self, step: AsyncStep) -> int:
        return await _plain(step)


class _Awaitable:
    def __init__(self, step: AsyncStep) -> None:
        self._step = step

    def __await__(self) -> Any:
        return _plain(self._step).__await__()


async def _with(offset: int, step: AsyncStep) -> int:
    return await _plain(step) + offset - offset


async def _immediately(_step: AsyncStep) -> int:
    return 1


@pytest.mark.parametrize(
    "branch",
    [
        _plain,
        _Object(),
        _Object().method,
        partial(_with, 5),
        lambda step: _with(5, step),
        lambda step: step.do("v", lambda attempt: 1),
        lambda step: step.scope("s").do("v", lambda attempt: 1),
        _Awaitable,
        _immediately,
    ],
    ids=[
        "async def",
        "object",
        "method",
        "partial",
        "lambda of a coroutine",
        "lambda of a step",
        "lambda of a step in a scope",
        "awaitable",
        "no step at all",
    ],
)
def test_p1_a_branch_is_any_function_that_gives_something_to_await(branch: Any) -> None:
    async def code(step: AsyncStep) -> Any:
        return [*await step.gather("g", branch)]

    assert [1] == output(code)


def test_p1_a_branch_may_be_a_group_itself() -> None:
    async def code(step: AsyncStep) -> Any:
        return [*await step.race("r", lambda s: s.map("m", [1, 2], twice))]

    assert [0, [2, 4]] == output(code)


@pytest.mark.parametrize(
    ("ask", "caught"),
    [
        (lambda step, bad: step.gather("g", bad), "ValueError"),
        (lambda step, bad: step.race("g", bad), "ValueError"),
        (lambda step, bad: step.map("g", [1], lambda s, item: bad(s)), "ValueError"),
    ],
    ids=["gather", "race", "map"],
)
def test_p1_a_branch_that_raises_at_once_fails_like_any_other(ask: Any, caught: str) -> None:
    def bad(_step: AsyncStep) -> Any:
        raise ValueError("no")

    async def code(step: AsyncStep) -> str:
        try:
            await ask(step, bad)
        except Exception as error:
            return type(error).__name__
        return "nothing"

    assert caught == output(code)


def test_p1_a_branch_that_raises_stop_iteration_has_not_returned() -> None:
    async def code(step: AsyncStep) -> str:
        try:
            await step.gather("g", lambda s: next(iter(())))
        except RuntimeError as error:
            return str(error)
        return "nothing"

    assert "the function of branch 'gather:g[0]' raised StopIteration" == output(code)


def test_p1_the_items_of_a_map_are_plain_json_if_its_function_does_not_say() -> None:
    async def code(step: AsyncStep) -> Any:
        return await step.map("m", [[1], "a"], lambda *both: both[0].do("v", lambda attempt: both[1]))

    assert [[1], "a"] == output(code)


# -- on_error="collect"


def test_p4_collect_waits_for_all_and_gives_each_end() -> None:
    seen: list[Any] = []

    async def code(step: AsyncStep) -> None:
        seen.extend(await step.map("m", [0, 1], divide, on_error="collect"))

    async def divide(step: AsyncStep, item: int) -> int:
        return await step.do("d", lambda attempt: 1 // item, returns=int)

    output(code)
    assert (Raised, Returned(1), "builtins.ZeroDivisionError") == (
        type(seen[0]),
        seen[1],
        seen[0].error.failure.type,
    )


def test_p4_collect_takes_what_the_code_of_a_branch_raises_too() -> None:
    async def bad(_step: AsyncStep, item: int) -> None:
        raise ValueError(item)

    async def code(step: AsyncStep) -> list[str]:
        return [str(each.error) for each in await step.map("m", [1, 2], bad, on_error="collect")]  # type: ignore[union-attr]

    assert ["1", "2"] == output(code)


# -- names


def test_k2_steps_of_one_name_in_two_branches_have_keys_of_their_own() -> None:
    async def code(step: AsyncStep) -> None:
        await step.gather("g", value(1), value(2))

    lab = made(code, checkpoint="tick")
    lab.tick()
    assert {"gather:g[0]>do:v": "1", "gather:g[1]>do:v": "2"} == {
        key: record.result for key, record in lab.steps().items()
    }


@pytest.mark.parametrize("first", [0, 1])
def test_k2_results_of_steps_of_one_name_are_not_swapped_on_a_resume(first: int) -> None:
    """Whoever ended first before the crash, each branch gets its own."""

    async def code(step: AsyncStep) -> list[str]:
        return [*await step.gather("g", doing("v"), doing("v"))]

    lab = made(code)
    flights = Flights(lab, stop_at=1)
    flights.lands(f"gather:g[{first}]>do:v", f"of {first}")
    lab.now += MINUTE
    Flights(lab).lands(f"gather:g[{1 - first}]>do:v", f"of {1 - first}")
    assert '["of 0","of 1"]' == lab.instance.output


def test_k1_repeats_are_counted_in_each_branch_on_its_own() -> None:
    async def branch(step: AsyncStep) -> None:
        await step.do("v", lambda attempt: 1)
        await step.do("v", lambda attempt: 2)

    async def code(step: AsyncStep) -> None:
        await step.do("v", lambda attempt: 0)
        await step.gather("g", branch, branch)
        await step.gather("g", branch)

    lab = made(code, checkpoint="tick")
    lab.tick()
    assert {
        "do:v",
        "gather:g[0]>do:v",
        "gather:g[0]>do:v#1",
        "gather:g[1]>do:v",
        "gather:g[1]>do:v#1",
        "gather:g#1[0]>do:v",
        "gather:g#1[0]>do:v#1",
    } == {*lab.steps()}


def test_k2_scopes_and_groups_prefix_each_other() -> None:
    async def inner(step: AsyncStep) -> None:
        await step.scope("s").race("r", {"x": value(1)})

    async def code(step: AsyncStep) -> None:
        await step.scope("t").map("m", ["one"], lambda s, item: inner(s), key=str)

    lab = made(code, checkpoint="tick")
    lab.tick()
    (record,) = lab.steps().values()
    assert ("scope:t>map:m[one]>scope:s>race:r[x]>do:v", "scope:t>map:m[one]>scope:s>race:r[x]", 4) == (
        record.key,
        record.parent_key,
        record.depth,
    )


# -- mistakes of the author


def _own(step: AsyncStep) -> Any:
    return step.do("v", body)


@pytest.mark.parametrize(
    ("ask", "text"),
    [
        (
            lambda step: step.gather("g", 5),
            "step 'g': branch 5 cannot be used; pass a function that takes a step of its own: 'async def branch(step)'",
        ),
        (
            lambda step: step.gather("g", {"a": _own}, _own),
            "pass a function that takes a step of its own: 'async def branch(step)'",
        ),
        (
            lambda step: step.gather("g", lambda: 1),
            ", which takes (), cannot be used; a branch is called with (step): bind other arguments with",
        ),
        (
            lambda step: step.race("r", lambda s, more: 1),
            ", which takes (s, more), cannot be used; a branch is called with (step): bind other arguments",
        ),
        (
            lambda step: step.race("r"),
            "step 'r': a race without branches cannot be used; give it one branch at least",
        ),
        (
            lambda step: step.race("r", {}),
            "step 'r': a race without branches cannot be used; give it one branch at least",
        ),
        (
            lambda step: step.gather("g", {1: _own}),
            "step 'g': key 1 of a branch cannot be used; name each branch by a str",
        ),
        (
            lambda step: step.map("m", 5, twice),
            "step 'm': items=5 cannot be used; pass a list, or something else that can be iterated over",
        ),
        (
            lambda step: step.map("m", [1], None),
            (
                "step 'm': branch None cannot be used; pass a function that takes a step of its own: "
                "'async def branch(step, item)'"
            ),
        ),
        (
            lambda step: step.map("m", [1], _own),
            "cannot be used; a branch is called with (step, item): bind other arguments with functools.partial",
        ),
        (
            lambda step: step.map("m", [1], twice, key=3),
            "step 'm': key=3 cannot be used; pass a function that names an item",
        ),
        (
            lambda step: step.map("m", [1], twice, key=lambda item: item),
            "step 'm': key 1 of a branch cannot be used; name each branch by a str",
        ),
        (
            lambda step: step.map("m", [1, 2, 1], twice, key=str),
            "step 'm': key '1' of two branches cannot be used; give each branch a key of its own",
        ),
        (
            lambda step: step.map("m", [1], twice, max_concurrency=0),
            "step 'm': max_concurrency=0 cannot be used; pass an int of at least 1",
        ),
        (
            lambda step: step.map("m", [1], twice, max_concurrency=2.5),
            "step 'm': max_concurrency=2.5 cannot be used; pass an int of at least 1",
        ),
        (
            lambda step: step.map("m", [1], twice, on_error="ignore"),
            "step 'm': on_error='ignore' cannot be used; use 'raise' or 'collect'",
        ),
        (
            lambda step: step.map("m", [object()], lambda s, item: s.do("v", body)),
            "annotate the item's parameter of the function with a type that can be encoded, or pass key=",
        ),
        (
            lambda step: step.gather("g", lambda s: 5),
            (
                "step 'gather:g[0]': the function of the branch gave int, which cannot be awaited; "
                "use an 'async def' that takes the branch's step, or return one of its steps"
            ),
        ),
        (
            lambda step: step.gather("g", type),
            "step 'gather:g[0]': the function of the branch gave type, which cannot be awaited",
        ),
        (
            lambda step: step.map("m", ["x"], lambda s, item: None, key=str),
            "step 'map:m[x]': the function of the branch gave NoneType, which cannot be awaited",
        ),
    ],
    ids=[
        "no function",
        "a mapping among functions",
        "too few parameters",
        "too many parameters",
        "a race of none",
        "a race of an empty mapping",
        "a key that is no str",
        "items that are none",
        "no function to map",
        "a function that takes no item",
        "a key= that is no function",
        "a key= that gives no str",
        "the same key twice",
        "no place",
        "a broken place",
        "another on_error",
        "items that cannot be encoded",
        "a function that gives a value",
        "a builtin without a signature",
        "a function that gives nothing",
    ],
)
def test_p1_a_wrong_argument_is_refused_by_name_with_advice(ask: Code, text: str) -> None:
    async def code(step: AsyncStep) -> None:
        await ask(step)

    assert text in refusal(code)


@pytest.mark.parametrize("name", ["", "a[0]", "a>b", "x" * 129])
def test_k4_the_name_of_a_branch_is_a_name(name: str) -> None:
    async def code(step: AsyncStep) -> None:
        await step.gather("g", {name: value(1)})

    assert f"branch name {name!r} cannot be used" in refusal(code, StepNameError)


def test_k2_the_step_around_a_branch_is_refused_in_it() -> None:
    async def code(step: AsyncStep) -> None:
        await step.gather("g", lambda inner: step.do("v", body))

    assert "call steps in workflow code only, each branch its own" in refusal(code)


def test_k2_the_step_of_another_branch_is_refused() -> None:
    async def code(step: AsyncStep) -> None:
        steps: list[AsyncStep] = []

        async def leaks(inner: AsyncStep) -> None:
            steps.append(inner)
            await inner.do("v", body)

        async def takes(inner: AsyncStep) -> None:
            await steps[0].do("w", body)

        await step.gather("g", leaks, takes)

    assert "step 'w': it is used outside of the workflow code it was given to" in refusal(code)


@pytest.mark.parametrize("call", ["now", "log", "uuid", "random", "patched"])
def test_k2_plain_calls_of_the_step_around_a_branch_are_refused_in_it(call: str) -> None:
    async def code(step: AsyncStep) -> None:
        async def branch(inner: AsyncStep) -> None:
            getattr(step, call)(*(() if call == "now" else ("x",)))

        await step.gather("g", branch)

    assert "each branch its own" in refusal(code)


def test_k2_a_step_that_was_made_outside_is_not_awaited_in_a_branch() -> None:
    async def code(step: AsyncStep) -> None:
        outside = step.do("v", body)

        async def branch(_inner: AsyncStep) -> None:
            await outside

        await step.gather("g", branch)

    assert (
        "step 'do:v': it is awaited twice, or in a branch that is not its own; await each step once, where it was made"
        == refusal(code)
    )


def test_k2_a_step_of_a_branch_is_not_awaited_after_it() -> None:
    async def code(step: AsyncStep) -> None:
        made_inside: list[Any] = []

        async def branch(inner: AsyncStep) -> None:
            made_inside.append(inner.do("v", body))
            await inner.sleep("nap", MINUTE)

        async def other(_inner: AsyncStep) -> None:
            return

        await step.race("g", branch, other)
        await made_inside[0]

    assert "it is awaited twice, or in a branch that is not its own" in refusal(code)


def test_p8_a_step_that_a_branch_never_awaits_is_named() -> None:
    async def forgets(step: AsyncStep) -> None:
        step.do("v", body)  # type: ignore[unused-coroutine] # the mistake

    async def code(step: AsyncStep) -> None:
        await step.gather("g", value(1), forgets)

    assert "'gather:g[1]>do:v' was made and never awaited" in refusal(code, UnawaitedStepError)


def test_p8_a_group_that_is_never_awaited_is_named() -> None:
    async def code(step: AsyncStep) -> None:
        step.gather("g", value(1))  # type: ignore[unused-coroutine] # the mistake

    assert "'gather:g' was made and never awaited" in refusal(code, UnawaitedStepError)


def test_p8_what_a_losing_branch_has_made_and_not_awaited_is_no_mistake() -> None:
    async def slow(step: AsyncStep) -> None:
        later = step.do("v", body)
        await step.sleep("nap", MINUTE)
        await later

    async def code(step: AsyncStep) -> Any:
        return (await step.race("r", slow, value(1)))[0]

    assert 1 == output(code)


def test_p1_a_group_takes_no_place_before_it_is_awaited() -> None:
    async def code(step: AsyncStep) -> Any:
        later = step.gather("g", value(1))
        await step.do("first", lambda attempt: 0)
        return [*await later]

    lab = made(code)
    lab.tick()
    assert {"do:first"} == {*lab.steps()}


def test_d6_a_branch_may_await_nothing_but_steps() -> None:
    class Bare:
        def __await__(self) -> Any:
            yield

    async def branch(_step: AsyncStep) -> None:
        await Bare()

    async def code(step: AsyncStep) -> None:
        await step.gather("g", branch)

    assert "not a bare suspension" in refusal(code, ForeignAwaitError)


def test_d6_a_branch_that_gives_something_foreign_to_await_is_refused_too() -> None:
    class Bare:
        def __init__(self, step: AsyncStep) -> None:
            pass

        def __await__(self) -> Any:
            yield

    async def code(step: AsyncStep) -> None:
        await step.gather("g", Bare)

    assert refusal(code, ForeignAwaitError).startswith("workflow code may await steps")


def test_s16_the_bodies_of_branches_are_checked_like_any_other() -> None:
    async def code(step: AsyncStep) -> None:
        await step.gather("g", lambda s: s.do("v", lambda: 1))  # type: ignore[arg-type,misc] # the mistake

    assert "a body is called with exactly one argument" in refusal(code, WorkflowError)


# -- the loop


def test_p2_branches_are_advanced_oldest_first() -> None:
    story: list[str] = []

    def branch(name: str) -> Code:
        async def code(step: AsyncStep) -> None:
            for number in range(2):
                story.append(f"{name}{number}")
                await step.do("v", lambda attempt: 1)

        return code

    async def code(step: AsyncStep) -> None:
        await step.gather("g", branch("a"), branch("b"))

    output(code)
    assert ["a0", "b0", "a1", "b1"] == story


def test_p2_in_turns_bodies_run_first_asked_first() -> None:
    story: list[str] = []

    def say(attempt: Attempt, what: str) -> None:
        story.append(what)

    def branch(name: str) -> Code:
        async def code(step: AsyncStep) -> None:
            for number in range(2):
                await step.do("v", partial(say, what=f"{name}{number}"))

        return code

    async def code(step: AsyncStep) -> None:
        await step.gather("g", branch("a"), branch("b"))

    output(code)
    assert ["a0", "b0", "a1", "b1"] == story


def test_p2_all_bodies_that_may_run_are_started_together() -> None:
    async def code(step: AsyncStep) -> None:
        await step.gather("g", doing("a"), doing("b"), lambda s: s.gather("h", doing("c")))

    flights = Flights(made(code))
    assert ["gather:g[0]>do:a", "gather:g[1]>do:b", "gather:g[2]>gather:h[0]>do:c"] == flights.flying


def test_p2_a_settlement_resumes_its_branch_while_other_bodies_are_in_flight() -> None:
    async def two(step: AsyncStep) -> None:
        await step.do("a", body)
        await step.do("b", body)

    async def code(step: AsyncStep) -> None:
        await step.gather("g", two, doing("slow"))

    flights = Flights(made(code)).lands("gather:g[0]>do:a", 1)
    assert ["gather:g[1]>do:slow", "gather:g[0]>do:b"] == flights.flying


def test_p2_sequences_are_given_in_the_order_of_settlement() -> None:
    async def code(step: AsyncStep) -> None:
        await step.gather("g", doing("a"), doing("b"), doing("c"))

    lab = made(code)
    flights = Flights(lab)
    for key in ("gather:g[1]>do:b", "gather:g[2]>do:c", "gather:g[0]>do:a"):
        flights.lands(key, 0)
    assert {"gather:g[0]>do:a": 3, "gather:g[1]>do:b": 1, "gather:g[2]>do:c": 2} == {
        key: record.sequence for key, record in lab.steps().items()
    }


def test_p2_a_def_workflow_is_not_planned_as_a_conversation() -> None:
    def code(step: Any) -> None:
        step.do("v", body)

    code.__annotations__ = {}
    with pytest.raises(TypeError, match="'w' is a 'def' workflow, whose steps are calls: use plan_tick"):
        Flights(made(code))


def test_p2_an_answer_that_is_none_is_a_mistake_of_the_driver() -> None:
    async def code(step: AsyncStep) -> None:
        await step.do("v", body)

    flights = Flights(made(code))
    with pytest.raises(TypeError, match="bodies in flight were answered with None"):
        flights.loop.send(None)
