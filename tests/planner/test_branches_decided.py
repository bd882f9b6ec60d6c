"""What ends a group before all its branches have ended, and what becomes of the others. Rules P3, P4, P5, D1."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from tests.lab import MINUTE, SECOND, T0, Lab
from tests.planner.flights import Flights, body, doing, made
from wfcore.errors import StepFailedError
from wfcore.outcome import Completed, Errored, Ignored, Stuck, Suspended
from wfcore.plan import Plan, PutStep, Write
from wfcore.planner import AsyncStep, Attempt, Known, Unwind
from wfcore.retry import Retry

FAST, SLOW = "race:r[0]>do:fast", "race:r[1]>do:slow"
BAD, GOOD = "gather:g[0]>do:bad", "gather:g[1]>do:good"
AGAIN = Retry(max_attempts=2, delay=MINUTE)


async def racing(step: AsyncStep) -> Any:
    index, value = await step.race("r", doing("fast"), doing("slow"))
    return [index, value, await step.do("then", body)]


async def gathering(step: AsyncStep) -> Any:
    try:
        await step.gather("g", doing("bad"), doing("good"), lambda s: s.sleep("nap", MINUTE))
    except StepFailedError as error:
        return [error.step_key, await step.do("then", body)]


def statuses(lab: Lab) -> dict[str, tuple[str, int | None]]:
    return {key: (record.status, record.sequence) for key, record in lab.steps().items()}


def replayed(lab: Lab) -> Lab:
    """A laboratory with the rows of this one, replayed from the start by another process after a crash."""
    lab.now += timedelta(hours=1)
    return lab


# -- races


@pytest.mark.parametrize(("first", "other"), [(FAST, SLOW), (SLOW, FAST)])
def test_p5_the_first_branch_to_end_decides(first: str, other: str) -> None:
    lab = made(racing)
    flights = Flights(lab).lands(first, "won").lands("do:then", 0)
    flights.drops(other)
    assert f'[{0 if first == FAST else 1},"won",0]' == lab.instance.output


def test_p5_a_race_of_a_mapping_gives_the_key() -> None:
    async def code(step: AsyncStep) -> Any:
        return [*await step.race("r", {"a": doing("v"), "b": doing("v")})]

    lab = made(code)
    Flights(lab).lands("race:r[b]>do:v", 1).drops("race:r[a]>do:v")
    assert '["b",1]' == lab.instance.output


def test_p5_a_first_branch_that_raises_makes_the_race_raise() -> None:
    async def code(step: AsyncStep) -> Any:
        try:
            await step.race("r", doing("fast"), doing("slow"))
        except StepFailedError as error:
            return error.step_key

    lab = made(code)
    Flights(lab).lands(SLOW, ValueError("no")).drops(FAST)
    assert f'"{SLOW}"' == lab.instance.output


def test_p5_a_decision_does_not_wait_for_the_bodies_of_losers() -> None:
    flights = Flights(made(racing)).lands(FAST, 1)
    assert [SLOW, "do:then"] == flights.flying


def test_p3_bodies_of_losers_may_be_cancelled() -> None:
    flights = Flights(made(racing)).lands(FAST, 1)
    assert flights.asked is not None
    assert {SLOW} == flights.asked.unwanted


def test_p3_a_body_that_was_cancelled_leaves_no_record() -> None:
    lab = made(racing)
    Flights(lab).lands(FAST, 1).drops(SLOW).lands("do:then", 2)
    assert {FAST: ("completed", 1), "do:then": ("completed", 2)} == statuses(lab)


def test_p3_a_second_attempt_that_was_cancelled_leaves_its_record_cancelled() -> None:
    async def code(step: AsyncStep) -> None:
        await step.race(
            "r", doing("fast"), lambda s: s.do("slow", body, retry=Retry(max_attempts=2, delay=timedelta(0)))
        )

    lab = made(code)
    Flights(lab).lands(SLOW, ValueError("no")).lands(FAST, 1).drops(SLOW)
    assert {FAST: ("completed", 1), SLOW: ("cancelled", None)} == statuses(lab)


def test_p5_a_late_result_is_recorded_and_delivered_to_nobody() -> None:
    lab = made(racing)
    Flights(lab).lands(FAST, 1).lands(SLOW, "late").lands("do:then", 2)
    assert ({FAST: ("completed", 1), SLOW: ("completed", 2), "do:then": ("completed", 3)}, "[0,1,2]") == (
        statuses(lab),
        lab.instance.output,
    )


def test_p5_what_a_late_body_writes_commits_with_its_record() -> None:
    def writes(attempt: Attempt) -> None:
        attempt.write("late")

    async def code(step: AsyncStep) -> None:
        await step.race("r", doing("fast"), lambda s: s.do("slow", writes))

    lab = made(code)
    Flights(lab).lands(FAST, 1).lands(SLOW)
    assert Write("late") in lab.plans[-1].mutations


@pytest.mark.parametrize(
    ("retry", "expected"),
    [(AGAIN, "cancelled"), (Retry(max_attempts=1), "errored")],
    ids=["attempts are left", "none is left"],
)
def test_p5_a_late_failure_is_not_tried_again(retry: Retry, expected: str) -> None:
    async def code(step: AsyncStep) -> None:
        await step.race("r", doing("fast"), lambda s: s.do("slow", body, retry=retry))
        await step.sleep("nap", MINUTE)

    lab = made(code)
    flights = Flights(lab).lands(FAST, 1).lands(SLOW, ValueError("no"))
    assert (expected, 1, Suspended(T0 + MINUTE, ("sleep:nap",))) == (
        lab.steps()[SLOW].status,
        lab.steps()[SLOW].attempts,
        flights.outcome,
    )


def test_p3_a_plan_that_parks_waits_for_bodies_of_losers() -> None:
    async def code(step: AsyncStep) -> None:
        await step.race("r", doing("fast"), doing("slow"))
        await step.sleep("nap", MINUTE)

    flights = Flights(made(code)).lands(FAST, 1)
    assert (None, [SLOW]) == (flights.plan, flights.flying)


def test_p3_a_plan_that_ends_the_run_waits_for_bodies_of_losers() -> None:
    async def code(step: AsyncStep) -> None:
        await step.race("r", doing("fast"), doing("slow"))

    flights = Flights(made(code)).lands(FAST, 1)
    assert (None, Completed("null")) == (flights.plan, flights.lands(SLOW, 2).outcome)


def test_p5_a_body_that_was_asked_for_and_not_started_is_not_started_any_more() -> None:
    async def ends(_step: AsyncStep) -> str:
        return "at once"

    async def code(step: AsyncStep) -> Any:
        return [*await step.race("r", doing("v"), ends)]

    lab = made(code)
    flights = Flights(lab)
    assert ([], '[1,"at once"]', {}) == (flights.started, lab.instance.output, lab.steps())


def test_p5_a_branch_that_has_not_begun_when_the_race_is_decided_never_begins() -> None:
    async def ends(_step: AsyncStep) -> str:
        return "at once"

    async def code(step: AsyncStep) -> Any:
        return [*await step.race("r", ends, lambda s: pytest.fail("it has begun"))]

    lab = made(code)
    lab.tick()
    assert '[0,"at once"]' == lab.instance.output


def test_p5_in_turns_the_bodies_of_losers_are_not_started() -> None:
    async def code(step: AsyncStep) -> Any:
        return [*await step.race("r", lambda s: s.do("fast", lambda attempt: 1), doing("slow"))]

    lab = made(code)
    lab.run()
    assert ("[0,1]", {FAST}) == (lab.instance.output, {*lab.steps()})


def test_p5_waiting_records_of_losers_are_cancelled_at_any_depth() -> None:
    async def loser(step: AsyncStep) -> None:
        await step.gather(
            "g",
            lambda s: s.sleep("nap", MINUTE),
            lambda s: s.race("q", lambda t: t.wait_for_event("e", "e"), lambda t: t.sleep("late", MINUTE)),
            lambda s: s.do("again", body, retry=AGAIN),
        )

    async def code(step: AsyncStep) -> None:
        await step.race("r", doing("fast"), loser)
        await step.sleep("long", timedelta(hours=1))

    lab = made(code)
    flights = Flights(lab).lands("race:r[1]>gather:g[2]>do:again", ValueError("no")).lands(FAST, 1)
    assert (
        {
            FAST: ("completed", 1),
            "race:r[1]>gather:g[0]>sleep:nap": ("cancelled", None),
            "race:r[1]>gather:g[1]>race:q[0]>wait_for_event:e": ("cancelled", None),
            "race:r[1]>gather:g[1]>race:q[1]>sleep:late": ("cancelled", None),
            "race:r[1]>gather:g[2]>do:again": ("cancelled", None),
            "sleep:long": ("waiting", None),
        },
        Suspended(T0 + timedelta(hours=1), ("sleep:long",)),
    ) == (statuses(lab), flights.outcome)


def test_p5_a_race_that_is_decided_never_changes() -> None:
    """The loser's deadline passes while the code goes on."""

    async def code(step: AsyncStep) -> Any:
        decided = await step.race("r", lambda s: s.wait_for_event("e", "e"), lambda s: s.sleep("late", MINUTE))
        await step.sleep("long", timedelta(hours=1))
        return decided[0]

    lab = made(code)
    lab.tick()
    lab.send("e")
    lab.tick(at=T0 + SECOND)
    lab.run(until=T0 + timedelta(hours=2))
    assert "0" == lab.instance.output


def test_p5_a_race_that_is_decided_and_not_committed_is_decided_anew() -> None:
    lab = made(racing)
    Flights(lab).crashes()
    flights = Flights(lab).lands(SLOW, 2).drops(FAST).lands("do:then", 0)
    assert ("[1,2,0]", Completed("[1,2,0]")) == (lab.instance.output, flights.outcome)


def test_p5_a_loser_is_resumed_by_nothing() -> None:
    story: list[str] = []

    async def loser(step: AsyncStep) -> None:
        await step.do("slow", body)
        story.append("resumed")

    async def code(step: AsyncStep) -> None:
        await step.race("r", doing("fast"), loser)

    Flights(made(code)).lands(FAST, 1).lands(SLOW, 2)
    assert [] == story


def test_p5_a_race_inside_a_gather_inside_a_map() -> None:
    async def item(step: AsyncStep, number: int) -> Any:
        (index, _), other = await step.gather(
            "g", lambda s: s.race("r", doing("x"), doing("y")), lambda s: s.do("z", body)
        )
        return [number, index, other]

    async def code(step: AsyncStep) -> Any:
        return await step.map("m", [0, 1], item)

    lab = made(code)
    flights = Flights(lab)
    key = "map:m[{}]>gather:g[{}]>{}".format
    for landed in (
        key(1, 0, "race:r[1]>do:y"),
        key(0, 1, "do:z"),
        key(0, 0, "race:r[0]>do:x"),
        key(1, 1, "do:z"),
        key(0, 0, "race:r[1]>do:y"),
        key(1, 0, "race:r[0]>do:x"),
    ):
        flights.lands(landed, landed[-1])
    assert '[[0,0,"z"],[1,1,"z"]]' == lab.instance.output


def test_p5_an_outer_race_closes_a_gather_that_is_failing() -> None:
    """Its body in flight is recorded, and its failure raised to nobody."""

    async def code(step: AsyncStep) -> Any:
        return (await step.race("r", lambda s: s.gather("g", doing("bad"), doing("good")), doing("fast")))[0]

    lab = made(code)
    inside = "race:r[0]>gather:g[{}]>do:{}".format
    flights = Flights(lab).lands("race:r[1]>do:fast", 1)
    flights.lands(inside(0, "bad"), ValueError("no")).drops(inside(1, "good"))
    assert "1" == lab.instance.output


# -- finally blocks


@pytest.mark.parametrize(
    "last",
    [
        lambda step: step.do("clean", body),
        lambda step: step.sleep("clean", MINUTE),
        lambda step: step.wait_for_event("clean", "e"),
        lambda step: step.gather("clean", doing("v")),
        lambda step: step.now(),
        lambda step: step.log("clean"),
    ],
    ids=["do", "sleep", "wait_for_event", "gather", "now", "log"],
)
def test_d7_the_finally_block_of_a_loser_schedules_nothing(last: Any) -> None:
    entered: list[str] = []

    async def loser(step: AsyncStep) -> None:
        try:
            await step.sleep("nap", MINUTE)
        finally:
            entered.append("finally")
            await last(step)
            entered.append("went on")

    async def code(step: AsyncStep) -> None:
        await step.race("r", doing("fast"), loser)
        await step.sleep("long", MINUTE)

    lab = made(code)
    Flights(lab).lands(FAST, 1)
    assert (["finally"], {FAST, "race:r[1]>sleep:nap", "sleep:long"}, ()) == (
        entered,
        {*lab.steps()},
        tuple(line for plan in lab.plans for line in plan.logs),
    )


def test_d7_the_finally_block_of_a_loser_may_fail() -> None:
    async def loser(step: AsyncStep) -> None:
        try:
            await step.sleep("nap", MINUTE)
        finally:
            raise ValueError("no")

    async def code(step: AsyncStep) -> Any:
        return (await step.race("r", doing("fast"), loser))[0]

    lab = made(code)
    Flights(lab).lands(FAST, 1)
    assert "0" == lab.instance.output


def test_d7_a_loser_that_catches_everything_is_let_go_all_the_same() -> None:
    async def loser(step: AsyncStep) -> None:
        for number in range(5):
            try:
                await step.sleep(f"nap {number}", MINUTE)
            except BaseException:
                continue

    async def code(step: AsyncStep) -> Any:
        return (await step.race("r", doing("fast"), loser))[0]

    lab = made(code)
    Flights(lab).lands(FAST, 1)
    assert ("0", {FAST, "race:r[1]>sleep:nap 0"}) == (lab.instance.output, {*lab.steps()})


def test_d7_a_loser_that_uses_the_step_around_it_last_schedules_nothing() -> None:
    async def code(step: AsyncStep) -> Any:
        async def outer(inner: AsyncStep) -> None:
            async def loser(innermost: AsyncStep) -> None:
                try:
                    await innermost.sleep("nap", MINUTE)
                finally:
                    await inner.sleep("clean", MINUTE)

            await inner.gather("g", loser)

        return (await step.race("r", doing("fast"), outer))[0]

    lab = made(code)
    Flights(lab).lands(FAST, 1)
    assert ("0", {FAST, "race:r[1]>gather:g[0]>sleep:nap"}) == (lab.instance.output, {*lab.steps()})


def test_d7_finally_blocks_of_branches_schedule_nothing_at_the_end_of_a_tick() -> None:
    entered: list[int] = []

    async def branch(step: AsyncStep, number: int) -> None:
        try:
            await step.sleep("nap", MINUTE)
        finally:
            entered.append(number)
            await step.do("clean", body)

    async def code(step: AsyncStep) -> None:
        try:
            await step.map("m", [0, 1], branch, key=str)
        finally:
            entered.append(2)
            await step.do("clean", body)

    lab = made(code)
    lab.tick()
    assert ([0, 1, 2], {"map:m[0]>sleep:nap", "map:m[1]>sleep:nap"}) == (entered, {*lab.steps()})


# -- failing groups


def test_p4_the_first_failure_fails_the_gather() -> None:
    lab = made(gathering)
    Flights(lab).lands(BAD, ValueError("no")).lands(GOOD, 1).lands("do:then", 2)
    assert f'["{BAD}",2]' == lab.instance.output


def test_p4_a_failure_is_raised_when_bodies_in_flight_have_been_recorded() -> None:
    lab = made(gathering)
    flights = Flights(lab).lands(BAD, ValueError("no"))
    before = flights.flying
    flights.lands(GOOD, 1)
    assert ([GOOD], ["do:then"], ("completed", 2)) == (before, flights.flying, statuses(lab)[GOOD])


def test_p4_bodies_of_a_failing_gather_are_not_cancelled() -> None:
    flights = Flights(made(gathering)).lands(BAD, ValueError("no"))
    assert flights.asked is not None
    assert (frozenset(), frozenset([GOOD])) == (flights.asked.unwanted, flights.asked.only)


def test_p4_waiting_records_of_siblings_are_cancelled() -> None:
    lab = made(gathering)
    Flights(lab).lands(BAD, ValueError("no")).lands(GOOD, 1)
    assert ("cancelled", None) == statuses(lab)["gather:g[2]>sleep:nap"]


def test_p4_no_sibling_is_resumed_after_the_failure() -> None:
    story: list[str] = []

    async def sibling(step: AsyncStep) -> None:
        await step.do("good", body)
        story.append("resumed")

    async def code(step: AsyncStep) -> None:
        await step.gather("g", doing("bad"), sibling)

    Flights(made(code)).lands(BAD, ValueError("no")).lands(GOOD, 1)
    assert [] == story


def test_p4_of_two_failures_the_first_recorded_is_raised() -> None:
    lab = made(gathering)
    Flights(lab).lands(GOOD, ValueError("first")).lands(BAD, ValueError("second")).lands("do:then", 0)
    assert f'["{GOOD}",0]' == lab.instance.output


def test_p4_a_sibling_that_waits_for_its_next_attempt_is_cancelled() -> None:
    async def code(step: AsyncStep) -> None:
        await step.gather("g", doing("bad"), lambda s: s.do("good", body, retry=AGAIN))

    lab = made(code)
    flights = Flights(lab).lands(GOOD, ValueError("once")).lands(BAD, ValueError("no"))
    assert (("cancelled", None), "errored") == (statuses(lab)[GOOD], lab.instance.status)
    assert isinstance(flights.outcome, Errored)


def test_p4_collect_lets_the_others_go_on() -> None:
    async def item(step: AsyncStep, number: int) -> int:
        await step.do("a", body)
        return number

    async def code(step: AsyncStep) -> Any:
        return [type(each).__name__ for each in await step.map("m", [0, 1], item, key=str, on_error="collect")]

    lab = made(code)
    Flights(lab).lands("map:m[0]>do:a", ValueError("no")).lands("map:m[1]>do:a", 1)
    assert '["Raised","Returned"]' == lab.instance.output


def test_p4_a_failing_gather_while_an_outer_race_waits() -> None:
    """The gather's failure decides the race once its bodies are recorded; the other branch of the race stays open."""

    async def code(step: AsyncStep) -> Any:
        try:
            await step.race(
                "r", lambda s: s.gather("g", doing("bad"), doing("good")), lambda s: s.sleep("late", MINUTE)
            )
        except StepFailedError as error:
            return error.step_key

    lab = made(code)
    flights = Flights(lab).lands("race:r[0]>gather:g[0]>do:bad", ValueError("no"))
    assert flights.asked is not None
    until = flights.asked.until
    flights.lands("race:r[0]>gather:g[1]>do:good", 1, after=2 * MINUTE)
    assert (None, '"race:r[0]>gather:g[0]>do:bad"') == (until, lab.instance.output)


def test_p4_nested_failures_travel_outwards() -> None:
    async def code(step: AsyncStep) -> Any:
        try:
            await step.gather("a", lambda s: s.gather("b", lambda t: t.map("c", [1], lambda u, i: u.do("v", body))))
        except StepFailedError as error:
            return error.step_key

    lab = made(code)
    key = "gather:a[0]>gather:b[0]>map:c[0]>do:v"
    Flights(lab).lands(key, ValueError("no"))
    assert f'"{key}"' == lab.instance.output


def test_p4_an_error_that_travels_outwards_is_the_same_object_and_has_no_context() -> None:
    seen: list[BaseException] = []

    async def raises(step: AsyncStep) -> None:
        await step.do("v", lambda attempt: 1)
        error = ValueError("no")
        seen.append(error)
        raise error

    async def code(step: AsyncStep) -> None:
        try:
            await step.gather("a", lambda s: s.gather("b", raises))
        except ValueError as error:
            seen.append(error)

    made(code, checkpoint="tick").tick()
    assert (True, None, None) == (seen[0] is seen[1], seen[1].__context__, seen[1].__cause__)


# -- crashes between a decision and what comes late


@pytest.mark.parametrize("late", [True, False], ids=["recorded", "lost"])
def test_p6_a_race_stays_decided_whether_the_late_result_was_recorded_or_lost(late: bool) -> None:
    lab = made(racing)
    flights = Flights(lab).lands(FAST, 1)
    if late:
        flights.lands(SLOW, 2)
    flights.crashes()
    again = Flights(replayed(lab))
    before = again.flying
    again.lands("do:then", 3)
    assert (["do:then"], "[0,1,3]") == (before, lab.instance.output)


@pytest.mark.parametrize("late", [True, False], ids=["recorded", "lost"])
def test_p6_a_gather_fails_on_replay_as_it_did_whether_the_late_result_was_recorded_or_lost(late: bool) -> None:
    lab = made(gathering)
    flights = Flights(lab).lands(BAD, ValueError("no"))
    if late:
        flights.lands(GOOD, 1)
    flights.crashes()
    again = Flights(replayed(lab))
    before = again.flying
    again.lands("do:then", 2)
    assert (["do:then"], f'["{BAD}",2]') == (before, lab.instance.output)


def test_d1_a_late_record_counts_as_asked_for_when_the_workflow_ends_before_it() -> None:
    """The instance is made active again by hand, as a command may do."""

    async def code(step: AsyncStep) -> None:
        await step.race("r", doing("fast"), doing("slow"))
        raise ValueError("no")

    lab = made(code)
    Flights(lab).lands(FAST, 1).lands(SLOW, 2)
    assert ("errored", ("completed", 2)) == (lab.instance.status, statuses(lab)[SLOW])


def test_o6_bodies_of_losers_are_carried_over_to_another_retrieve() -> None:
    lab = made(racing)
    flights = Flights(lab, stop_at=1).lands(FAST, 1)
    assert flights.plan is not None
    known = Known(flights=tuple(flights.calls.values()), mine=frozenset([lab.instance.execution_id]))
    again = Flights(lab, known=known)
    again.lands(SLOW, 2).lands("do:then", 3)
    assert ([SLOW], [SLOW, "do:then"], ("completed", 2)) == (
        flights.flying,
        [SLOW, *again.started],
        statuses(lab)[SLOW],
    )


# -- checkpoints while bodies are in flight


def test_o6_what_has_settled_is_committed_while_others_are_in_flight() -> None:
    async def code(step: AsyncStep) -> None:
        await step.gather("g", doing("a"), doing("b"))

    lab = made(code)
    flights = Flights(lab).lands("gather:g[1]>do:b", 1)
    assert (1, {"gather:g[1]>do:b": ("completed", 1)}, "active") == (
        len(flights.checkpoints),
        statuses(lab),
        lab.instance.status,
    )


def test_o6_a_checkpoint_holds_what_was_made_meanwhile() -> None:
    async def two(step: AsyncStep) -> None:
        await step.do("a", body)
        await step.sleep("nap", MINUTE)

    async def code(step: AsyncStep) -> None:
        await step.gather("g", two, doing("b"))

    lab = made(code)
    Flights(lab).lands("gather:g[0]>do:a", 1)
    assert {"gather:g[0]>do:a": ("completed", 1), "gather:g[0]>sleep:nap": ("waiting", None)} == statuses(lab)


def test_o6_with_one_commit_a_tick_nothing_is_committed_while_bodies_are_in_flight() -> None:
    async def code(step: AsyncStep) -> None:
        await step.gather("g", doing("a"), doing("b"))

    lab = made(code, checkpoint="tick")
    flights = Flights(lab).lands("gather:g[1]>do:b", 1)
    assert ([], {}) == (flights.checkpoints, statuses(lab))


def test_o6_bodies_in_flight_go_on_after_a_retrieve() -> None:
    async def code(step: AsyncStep) -> Any:
        return [*await step.gather("g", doing("a"), doing("b"))]

    lab = made(code)
    flights = Flights(lab, stop_at=1).lands("gather:g[1]>do:b", 1)
    known = Known(flights=tuple(flights.calls.values()), mine=frozenset([lab.instance.execution_id]))
    again = Flights(lab, known=known).lands("gather:g[0]>do:a", 2)
    assert ([], "[2,1]") == (again.started, lab.instance.output)


def test_o6_a_body_that_takes_an_event_goes_on_after_a_retrieve_and_the_event_is_its_own() -> None:
    def take(_attempt: Attempt, _received: object) -> None:
        return

    async def code(step: AsyncStep) -> Any:
        taken, _, late = await step.gather(
            "g",
            lambda s: s.wait_for_event("e", "e", on_consume=take),
            doing("a"),
            lambda s: s.wait_for_event("f", "e", timeout=MINUTE),
        )
        return [taken.id, late.id]

    lab = made(code)
    lab.send("e", id="first")
    flights = Flights(lab, stop_at=1).lands("gather:g[1]>do:a", 1)
    known = Known(flights=tuple(flights.calls.values()), mine=frozenset([lab.instance.execution_id]))
    lab.send("e", id="second")
    again = Flights(lab, known=known)
    again.lands("gather:g[0]>wait_for_event:e")
    assert ([], '["first","second"]') == (again.started, lab.instance.output)


def test_g3_a_conversation_about_an_instance_that_has_ended_is_over_at_once() -> None:
    async def code(_step: AsyncStep) -> None:
        return

    lab = made(code)
    Flights(lab)
    assert isinstance(Flights(lab).outcome, Ignored)


# -- mistakes of the author in one branch while bodies of others are in flight


async def _misuses(step: AsyncStep) -> None:
    await step.do("a", body)
    await step.sleep("nap", -MINUTE)


def _stuck(others: int) -> tuple[Lab, Flights]:
    async def code(step: AsyncStep) -> None:
        await step.gather("g", _misuses, *[doing("b")] * others)

    lab = made(code)
    return lab, Flights(lab).lands("gather:g[0]>do:a", 1)


def test_d9_an_error_of_the_author_waits_for_the_bodies_in_flight() -> None:
    _, flights = _stuck(1)
    assert (None, ["gather:g[1]>do:b"]) == (flights.plan, flights.flying)


def test_d9_while_they_land_nothing_else_is_started() -> None:
    _, flights = _stuck(2)
    flights.lands("gather:g[1]>do:b", 1)
    assert (["gather:g[2]>do:b"], None) == (flights.flying, flights.asked and flights.asked.until)


def test_d9_then_what_has_settled_is_kept_and_the_instance_is_stuck() -> None:
    lab, flights = _stuck(1)
    flights.lands("gather:g[1]>do:b", 1)
    assert isinstance(flights.outcome, Stuck)
    assert {"gather:g[0]>do:a": ("completed", 1), "gather:g[1]>do:b": ("completed", 2)} == statuses(lab)


def _step_in_a_body() -> tuple[Lab, Flights]:
    """The body of the first branch has used a step just now, and nothing has come of it yet."""

    async def code(step: AsyncStep) -> None:
        await step.gather("g", lambda s: s.do("a", lambda attempt: step.now()), doing("b"))

    lab = made(code)
    flights = Flights(lab)
    call = flights.calls["gather:g[0]>do:a"]
    with pytest.raises(Unwind):
        call.body(call.attempt)
    return lab, flights


def test_d9_a_body_that_uses_a_step_does_not_cost_the_others_their_results() -> None:
    lab, flights = _step_in_a_body()
    flights.lands("gather:g[1]>do:b", 1).drops("gather:g[0]>do:a")
    assert (Stuck, {"gather:g[1]>do:b": ("completed", 1)}) == (type(flights.outcome), statuses(lab))


def test_d9_a_body_that_uses_a_step_is_dropped_and_the_others_land() -> None:
    lab, flights = _step_in_a_body()
    flights.drops("gather:g[0]>do:a").lands("gather:g[1]>do:b", 1)
    assert (Stuck, {"gather:g[1]>do:b": ("completed", 1)}) == (type(flights.outcome), statuses(lab))


def test_k2_a_body_that_is_dropped_though_it_is_wanted_has_used_a_step_of_another_instance() -> None:
    """Only that instance's loop knows of the step; its own takes what else has come of bodies, and ends."""
    lab = made(gathering)
    flights = Flights(lab).drops(BAD)
    flights.lands(GOOD, 1)
    assert isinstance(flights.outcome, Stuck)
    assert "step 'gather:g[0]>do:bad': it is used outside of the workflow code" in flights.outcome.error.message


def plans_with(lab: Lab, key: str) -> list[Plan]:
    """The plans that write a step."""
    return [
        plan for plan in lab.plans if any(isinstance(each, PutStep) and each.step.key == key for each in plan.mutations)
    ]


def test_t1_a_record_is_written_once_by_the_plan_after_its_settlement() -> None:
    async def code(step: AsyncStep) -> None:
        await step.gather("g", doing("a"), doing("b"), partial(_nap, MINUTE))

    lab = made(code)
    Flights(lab).lands("gather:g[0]>do:a", 1).lands("gather:g[1]>do:b", 1)
    assert (1, 1, 1) == tuple(
        len(plans_with(lab, key)) for key in ("gather:g[0]>do:a", "gather:g[1]>do:b", "gather:g[2]>sleep:nap")
    )


async def _nap(duration: timedelta, step: AsyncStep) -> None:
    await step.sleep("nap", duration)
