"""``step.do``: a body whose result is recorded, with retries (rules S1 to S10, S12, S14 to S16)."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import attrs
import pytest

from tests.lab import MINUTE, SECOND, T0, Lab
from wfcore import (
    AsyncStep,
    Attempt,
    CodecError,
    NonRetryableError,
    Retry,
    RetryAfterError,
    Settled,
    Step,
    StepBodyError,
    StepCall,
    StepFailedError,
    StepUsageError,
    Workflow,
    call_body,
    workflow,
)
from wfcore.evolve import evolve
from wfcore.model import StepRecord
from wfcore.outcome import Completed, Errored, Stuck, Suspended
from wfcore.plan import Conflict
from wfcore.planner.bodies import check_arity, result_type

KEY = "do:charge"
MICROSECOND = timedelta(microseconds=1)
THREE = Retry(max_attempts=3, delay=SECOND)

Body = Callable[[Attempt], Any]


class DeclinedError(Exception):
    def __init__(self, message: str = "declined", details: Any = None) -> None:
        super().__init__(message)
        self.details = details


class StolenError(DeclinedError):
    pass


@attrs.frozen
class Payment:
    id: str
    cents: int


def charging(body: Body, retry: Retry | None = None, returns: Any = attrs.NOTHING, result: Any = Any) -> Lab:
    """A lab with one instance of a workflow that returns what its one step gives."""

    def w(step: Step) -> Any:
        if returns is attrs.NOTHING:
            return step.do("charge", body, retry=retry)
        return step.do("charge", body, retry=retry, returns=returns)

    w.__annotations__["return"] = result
    lab = Lab.of(workflow(name="w")(w))
    lab.create(lab.registry.get("w"))
    return lab


def charged(lab: Lab) -> StepRecord:
    return lab.steps()[KEY]


def failing(error: BaseException) -> Body:
    def body(attempt: Attempt) -> None:
        raise error

    return body


def taking(elapsed: timedelta) -> Callable[[StepCall], Settled]:
    """Perform bodies; each result is known so long after the retrieve."""
    return lambda call: attrs.evolve(call_body(call), elapsed=elapsed)


def counting(results: list[Any]) -> tuple[Body, list[int]]:
    """A body that gives or raises one of these after the other, and the numbers of the attempts that ran."""
    numbers: list[int] = []

    def body(attempt: Attempt) -> Any:
        numbers.append(attempt.number)
        result = results[len(numbers) - 1]
        if isinstance(result, BaseException):
            raise result
        return result

    return body, numbers


# ---- S1, S2: what is recorded


def test_a_completed_step_gives_its_recorded_result_and_does_not_run() -> None:
    """S1."""
    body, ran = counting(["receipt", "another", "one more"])

    @workflow(name="w")
    def w(step: Step) -> str:
        result: str = step.do("charge", body)
        step.sleep("nap", MINUTE)
        return result

    lab = Lab.of(w)
    lab.create(w)
    lab.run()
    lab.tick(at=T0 + MINUTE)
    assert ([1], '"receipt"') == (ran, lab.instance.output)


def test_a_recorded_result_is_decoded_to_the_type_of_the_body() -> None:
    """S1, S15."""

    def charge(attempt: Attempt) -> Payment:
        return Payment("p1", 700)

    seen: list[Payment] = []

    @workflow(name="w")
    def w(step: Step) -> None:
        seen.append(step.do("charge", charge))
        step.sleep("nap", MINUTE)

    lab = Lab.of(w)
    lab.create(w)
    lab.run()
    lab.tick(at=T0 + MINUTE)
    assert [Payment("p1", 700)] * 2 == seen


def test_an_errored_step_raises_its_recorded_failure_and_does_not_run() -> None:
    """S2."""
    body, ran = counting([DeclinedError("no money", {"code": 51})])
    seen: list[StepFailedError] = []

    @workflow(name="w")
    def w(step: Step) -> None:
        try:
            step.do("charge", body)
        except StepFailedError as error:
            seen.append(error)
        step.sleep("nap", MINUTE)

    lab = Lab.of(w)
    lab.create(w)
    lab.run()
    lab.tick(at=T0 + MINUTE)
    assert ([1], [charged(lab).failure] * 2, [KEY] * 2) == (
        ran,
        [each.failure for each in seen],
        [each.step_key for each in seen],
    )


@pytest.mark.parametrize("result", [None, False, 0, "", [], {}], ids=repr)
def test_a_false_result_is_a_result(result: Any) -> None:
    """S1."""
    body, ran = counting([result])
    lab = charging(body)
    lab.run()
    assert ([1], "completed") == (ran, charged(lab).status)


# ---- S3, S4: when a body runs


def test_a_body_runs_at_its_first_visit_as_attempt_one() -> None:
    """S4."""
    body, ran = counting(["receipt"])
    charging(body).run()
    assert [1] == ran


def test_a_step_that_waits_for_its_retry_does_not_run_before() -> None:
    """S3."""
    body, ran = counting([DeclinedError(), "receipt"])
    lab = charging(body, THREE)
    lab.run()
    lab.tick(at=T0 + SECOND - MICROSECOND)
    assert [1] == ran


def test_a_step_that_waits_for_its_retry_parks_the_workflow_until_that_instant() -> None:
    """S3."""
    lab = charging(failing(DeclinedError()), THREE)
    assert Suspended(T0 + SECOND, (KEY,)) == lab.run().outcome


def test_a_retry_is_due_at_its_instant_inclusively() -> None:
    """S4, G8."""
    body, ran = counting([DeclinedError(), "receipt"])
    lab = charging(body, THREE)
    lab.run()
    lab.tick(at=T0 + SECOND)
    assert [1, 2] == ran


def test_a_stored_retry_is_never_computed_anew() -> None:
    """S3: whatever the code says now."""
    policy = [Retry(max_attempts=3, delay=MINUTE), Retry(max_attempts=3, delay=SECOND)]
    lab = Lab.of(_retrying_by(policy))
    lab.create(lab.registry.get("w"))
    lab.run()
    policy.pop(0)
    lab.send("nudge")
    lab.tick(at=T0 + 2 * SECOND)
    assert T0 + MINUTE == charged(lab).next_retry_at


def test_waiting_counts_no_attempt() -> None:
    """S3: a woken wait beside it replays the code; the step stays as it is."""
    lab = charging(failing(DeclinedError()), THREE)
    lab.run()
    before = charged(lab)
    lab.tick(at=T0 + SECOND / 2)
    assert before == charged(lab)


def _retrying_by(policies: list[Retry]) -> Workflow[None, None]:
    @workflow(name="w")
    def w(step: Step) -> None:
        step.do("charge", failing(DeclinedError()), retry=policies[0])

    return w


# ---- S5: success


def test_a_success_is_recorded() -> None:
    """S5."""
    lab = charging(lambda attempt: {"id": "p1"}, THREE)
    lab.tick(perform=taking(5 * SECOND))
    assert charged(lab) == StepRecord(
        instance_ref="w#1",
        run_number=1,
        key=KEY,
        kind="do",
        name="charge",
        status="completed",
        attempts=1,
        max_attempts=3,
        result='{"id":"p1"}',
        sequence=1,
        created_at=T0 + 5 * SECOND,
        settled_at=T0 + 5 * SECOND,
        execution_id="tick2",
    )


def test_a_success_after_a_failure_keeps_no_failure() -> None:
    """S5."""
    body, _ = counting([DeclinedError(), "receipt"])
    lab = charging(body, THREE)
    lab.run(until=T0 + MINUTE)
    step = charged(lab)
    assert ("completed", 2, None, None) == (step.status, step.attempts, step.failure, step.next_retry_at)


def test_the_caller_gets_the_decoded_encoding_and_not_the_bodys_own_object() -> None:
    """S5: live as on replay."""
    lines = ["a"]
    seen: list[object] = []

    @workflow(name="w")
    def w(step: Step) -> None:
        seen.append(step.do("charge", lambda attempt: lines))

    lab = Lab.of(w)
    lab.create(w)
    lab.run()
    assert (True, False) == (seen[0] == lines, seen[0] is lines)


@pytest.mark.parametrize(
    "value", [pytest.param(object(), id="object"), {1, 2}, (1, 2), {1: "a"}, math.nan, b"x", Payment("p", 1)], ids=repr
)
def test_a_value_that_is_not_plain_json_fails_a_step_without_a_type(value: object) -> None:
    """S5, S15: on the first run, with what to pass."""
    lab = charging(lambda attempt: value, THREE)
    lab.run()
    failure = charged(lab).failure
    assert failure is not None
    assert ("errored", 1, "wfcore.errors.store.CodecError") == (
        charged(lab).status,
        charged(lab).attempts,
        failure.type,
    )


def test_the_failure_of_an_untyped_value_says_what_to_pass() -> None:
    """S15."""
    lab = charging(lambda attempt: Payment("p", 1))
    lab.run()
    failure = charged(lab).failure
    assert failure is not None
    assert "returns=" in failure.message


def test_a_value_that_does_not_fit_its_type_fails_the_step_for_good() -> None:
    """S5."""

    def charge(attempt: Attempt) -> int:
        return "seven"  # type: ignore[return-value] # that is the point

    lab = charging(charge, THREE)
    lab.run()
    assert ("errored", 1) == (charged(lab).status, charged(lab).attempts)


# ---- S6: failures with attempts left


def test_a_failure_with_attempts_left_is_recorded_and_waits() -> None:
    """S6."""
    lab = charging(failing(DeclinedError("no money", {"code": 51})), THREE)
    lab.run()
    step = charged(lab)
    assert step.failure is not None
    assert ("waiting", 1, 3, T0 + SECOND, None, None, "no money", {"code": 51}) == (
        step.status,
        step.attempts,
        step.max_attempts,
        step.next_retry_at,
        step.sequence,
        step.settled_at,
        step.failure.message,
        step.failure.details,
    )


def test_a_retry_counts_from_the_failure_and_not_from_the_start_of_the_tick() -> None:
    """S6."""
    lab = charging(failing(DeclinedError()), THREE)
    lab.tick(perform=taking(30 * SECOND))
    assert T0 + 31 * SECOND == charged(lab).next_retry_at


def test_a_retry_without_delay_runs_in_the_same_wake_up() -> None:
    """S6."""
    body, ran = counting([DeclinedError(), DeclinedError(), "receipt"])
    lab = charging(body, Retry(max_attempts=3, delay=timedelta(0)))
    lab.run()
    assert ([1, 2, 3], "complete") == (ran, lab.instance.status)


def test_a_body_may_ask_for_its_own_delay() -> None:
    """S6."""
    lab = charging(failing(RetryAfterError(7 * MINUTE, "busy")), THREE)
    lab.run()
    assert T0 + 7 * MINUTE == charged(lab).next_retry_at


def test_a_delay_that_a_body_asks_for_is_not_capped_by_the_policy() -> None:
    """S6: that delay."""
    retry = Retry(max_attempts=3, delay=SECOND, max_delay=SECOND, jitter=1.0)
    lab = charging(failing(RetryAfterError(7 * MINUTE)), retry)
    lab.run()
    assert T0 + 7 * MINUTE == charged(lab).next_retry_at


@pytest.mark.parametrize("retry", [None, Retry(max_attempts=1)])
def test_a_delay_that_a_body_asks_for_grants_no_attempt(retry: Retry | None) -> None:
    """S6: same budget."""
    lab = charging(failing(RetryAfterError(MINUTE)), retry)
    lab.run()
    assert "errored" == charged(lab).status


def test_a_delay_beyond_the_end_of_the_calendar_is_its_last_instant() -> None:
    """S6, S8: never overflowing."""
    lab = charging(failing(RetryAfterError(timedelta.max)), THREE)
    lab.run()
    assert datetime.max.replace(tzinfo=T0.tzinfo) == charged(lab).next_retry_at


def test_the_next_attempt_knows_why_the_last_one_failed() -> None:
    """S6."""
    known: list[object] = []

    def charge(attempt: Attempt) -> None:
        known.append(attempt.last_failure)
        raise DeclinedError(f"attempt {attempt.number}")

    lab = charging(charge, THREE)
    lab.run(until=T0 + MINUTE)
    assert [None, "DeclinedError: attempt 1", "DeclinedError: attempt 2"] == [each and str(each) for each in known]


def test_the_next_attempt_gets_no_traceback() -> None:
    """Design 3: it is for operators."""
    known: list[str] = []

    def charge(attempt: Attempt) -> None:
        if attempt.last_failure:
            known.append(attempt.last_failure.traceback)
        raise DeclinedError

    charging(charge, THREE).run(until=T0 + MINUTE)
    assert ["", ""] == known


def test_the_record_keeps_the_traceback_for_operators() -> None:
    """Design 3."""
    lab = charging(failing(DeclinedError()))
    lab.run()
    failure = charged(lab).failure
    assert failure is not None
    assert failure.traceback.endswith("in failing.<locals>.body")


# ---- S7: final failures


@pytest.mark.parametrize(
    ("error", "retry", "attempts"),
    [
        (DeclinedError(), None, 1),
        (DeclinedError(), Retry(max_attempts=1), 1),
        (DeclinedError(), THREE, 3),
        (NonRetryableError("no"), THREE, 1),
        (DeclinedError(), Retry(max_attempts=3, give_up_on=(DeclinedError,)), 1),
        (StolenError(), Retry(max_attempts=3, give_up_on=(KeyError, DeclinedError)), 1),
        (DeclinedError(), Retry(max_attempts=3, give_up_on=(StolenError,)), 3),
        (RetryAfterError(SECOND), Retry(max_attempts=3, give_up_on=(RetryAfterError,)), 1),
    ],
    ids=[
        "no policy",
        "one attempt",
        "no attempts left",
        "the body says so",
        "the policy gives up on it",
        "the policy gives up on its base",
        "the policy gives up on a subclass only",
        "the policy gives up on a retry that is asked for",
    ],
)
def test_a_step_ends_errored_after_so_many_attempts(error: Exception, retry: Retry | None, attempts: int) -> None:
    """S7."""
    lab = charging(failing(error), retry)
    lab.run(until=T0 + MINUTE)
    assert ("errored", attempts) == (charged(lab).status, charged(lab).attempts)


def test_a_final_failure_is_recorded() -> None:
    """S7."""
    lab = charging(failing(NonRetryableError("no money", details={"code": 51})), THREE)
    lab.tick(perform=taking(SECOND))
    step = charged(lab)
    assert step.failure is not None
    assert ({"code": 51}, 1, T0 + SECOND, None, None) == (
        step.failure.details,
        step.sequence,
        step.settled_at,
        step.next_retry_at,
        step.result,
    )


@pytest.mark.parametrize("colour", ["def", "async def"])
def test_workflow_code_sees_the_same_error_live_and_on_replay(colour: str) -> None:
    """S7: same class, same fields, no cause or context to branch on."""
    seen: list[tuple[object, ...]] = []

    def note(error: StepFailedError) -> None:
        failure = error.failure
        seen.append((str(error), failure, failure.traceback, error.__cause__, error.__context__, error.__notes__))

    def w(step: Step) -> None:
        try:
            step.do("charge", failing(DeclinedError("no", [1])))
        except StepFailedError as error:
            error.add_note("mine")
            note(error)
        step.sleep("nap", MINUTE)

    async def a(step: AsyncStep) -> None:
        try:
            await step.do("charge", failing(DeclinedError("no", [1])))
        except StepFailedError as error:
            error.add_note("mine")
            note(error)
        await step.sleep("nap", MINUTE)

    lab = Lab.of(workflow(name="w")(w) if colour == "def" else workflow(name="w")(a))
    lab.create(lab.registry.get("w"))
    lab.run()
    lab.tick(at=T0 + MINUTE)
    live, replayed = seen
    assert (live, None, None, ["mine"]) == (replayed, *live[3:])


def test_workflow_code_cannot_change_the_record_by_the_failure_it_gets() -> None:
    """S7, D1."""

    @workflow(name="w")
    def w(step: Step) -> None:
        try:
            step.do("charge", failing(DeclinedError("no", ["a"])))
        except StepFailedError as error:
            error.failure.details.append("b")

    lab = Lab.of(w)
    lab.create(w)
    lab.run()
    failure = charged(lab).failure
    assert failure is not None
    assert ["a"] == failure.details


def test_an_uncaught_step_failure_ends_the_instance_with_it() -> None:
    """S7, O2."""
    lab = charging(failing(DeclinedError("no money")))
    outcome = lab.run().outcome
    assert isinstance(outcome, Errored)
    assert "step 'do:charge' failed: DeclinedError: no money" == outcome.failure.message


# ---- S8: the policy


def test_the_policy_in_the_code_at_the_time_of_the_attempt_decides() -> None:
    """S8."""
    policies = [Retry(max_attempts=2, delay=SECOND), Retry(max_attempts=5, delay=MINUTE)]
    lab = Lab.of(_retrying_by(policies))
    lab.create(lab.registry.get("w"))
    lab.run()
    policies.pop(0)
    lab.tick(at=T0 + SECOND)
    step = charged(lab)
    assert ("waiting", 2, 5, T0 + SECOND + 2 * MINUTE) == (
        step.status,
        step.attempts,
        step.max_attempts,
        step.next_retry_at,
    )


def test_attempts_beyond_a_policy_that_was_cut_are_not_made_up_for() -> None:
    """S8: at least one attempt is made, and it is the last."""
    policies = [Retry(max_attempts=9, delay=SECOND), Retry(max_attempts=1)]
    lab = Lab.of(_retrying_by(policies))
    lab.create(lab.registry.get("w"))
    lab.run(until=T0 + 3 * SECOND)
    policies.pop(0)
    lab.run(until=T0 + MINUTE)
    assert ("errored", 4) == (charged(lab).status, charged(lab).attempts)


def test_jitter_differs_between_instances_and_not_between_replays() -> None:
    """S8."""
    retry = Retry(max_attempts=3, delay=MINUTE, jitter=1.0)

    def next_retry(id: str) -> datetime | None:
        lab = Lab.of(_retrying_by([retry]))
        lab.create(lab.registry.get("w"), id=id)
        lab.run()
        return charged(lab).next_retry_at

    assert (True, False) == (next_retry("1") == next_retry("1"), next_retry("1") == next_retry("2"))


def test_something_else_than_a_policy_is_refused() -> None:
    """S8."""
    lab = charging(lambda attempt: 1, 3)  # type: ignore[arg-type] # that is the point
    with pytest.raises(StepUsageError, match=r"retry=3 cannot be used; pass wfcore.Retry\(max_attempts=...\)"):
        lab.tick()


# ---- S9: attempts are durable


def test_attempts_outlive_the_process() -> None:
    """S9: another process starts from the rows alone."""
    first = charging(failing(DeclinedError()), THREE)
    first.run()
    body, ran = counting([DeclinedError(), DeclinedError()])
    second = Lab(charging(body, THREE).registry, first.world, first.now, "w#1")
    second.run(until=T0 + MINUTE)
    assert ([2, 3], "errored") == (ran, charged(second).status)


# ---- S10: idempotency keys


def test_every_attempt_of_a_step_has_the_same_idempotency_key() -> None:
    """S10."""
    keys: list[str] = []

    def charge(attempt: Attempt) -> None:
        keys.append(attempt.idempotency_key)
        raise DeclinedError

    charging(charge, THREE).run(until=T0 + MINUTE)
    assert (3, 1) == (len(keys), len(set(keys)))


# ---- S11: no timeout


def test_s11_a_body_may_take_as_long_as_it_likes() -> None:
    lab = charging(lambda attempt: "receipt")
    lab.tick(perform=taking(timedelta(days=400)))
    assert ("completed", T0 + timedelta(days=400)) == (charged(lab).status, charged(lab).settled_at)


# ---- S12: at least once


def test_of_two_workers_one_commits_and_the_other_plans_from_the_winners_history() -> None:
    """S12: both run the body, one result counts."""
    body, ran = counting(["first", "second"])
    lab = charging(body)
    winner, loser = lab.plan(), lab.plan()
    lab.apply(winner)
    assert (Conflict("w#1", 2, "tick2"), [1, 1], '"first"') == (
        evolve(lab.world, loser),
        ran,
        lab.instance.output,
    )


def test_a_worker_that_lost_does_not_run_the_body_again() -> None:
    """S12."""
    body, ran = counting(["first"])

    @workflow(name="w")
    def w(step: Step) -> None:
        step.do("charge", body)
        step.sleep("nap", MINUTE)

    lab = Lab.of(w)
    lab.create(w)
    lab.apply(lab.plan())
    lab.plan()
    assert [1] == ran


# ---- S14: what is no failure


@pytest.mark.parametrize("colour", ["def", "async def"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), GeneratorExit()], ids=repr)
def test_what_is_no_exception_leaves_the_planner(colour: str, error: BaseException) -> None:
    """S14: cancellation of asyncio is one of them."""

    def w(step: Step) -> None:
        try:
            step.do("charge", failing(error), retry=THREE)
        except Exception:
            step.do("refund", lambda attempt: None)

    async def a(step: AsyncStep) -> None:
        try:
            await step.do("charge", failing(error), retry=THREE)
        except Exception:
            await step.do("refund", lambda attempt: None)

    lab = Lab.of(workflow(name="w")(w) if colour == "def" else workflow(name="w")(a))
    lab.create(lab.registry.get("w"))
    with pytest.raises(type(error)) as caught:
        lab.plan()
    assert error is caught.value


def test_workflow_code_cannot_keep_an_interrupt() -> None:
    """S14, D7: it travels as the unwinding of the tick, and is raised at its end."""

    @workflow(name="w")
    def w(step: Step) -> str:
        try:
            step.do("charge", failing(KeyboardInterrupt()))
        except BaseException:
            return "kept"
        return "unreachable"

    lab = Lab.of(w)
    lab.create(w)
    with pytest.raises(KeyboardInterrupt):
        lab.plan()


# ---- S15: types


def typed(attempt: Attempt) -> Payment:
    return Payment("p1", 700)


def wrapping(body: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(body)
    def wrapper(*args: Any) -> Any:
        return body(*args)

    return wrapper


def ordered(order: str, attempt: Attempt) -> Payment:
    return Payment(order, 700)


class Gateway:
    def charge(self, attempt: Attempt) -> Payment:
        return typed(attempt)

    def __call__(self, attempt: Attempt) -> Payment:
        return typed(attempt)

    @classmethod
    def make(cls, attempt: Attempt) -> Payment:
        return typed(attempt)

    @staticmethod
    def static(attempt: Attempt) -> Payment:
        return typed(attempt)


class Receipt:
    """A class may be a body: it makes itself of the attempt."""

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt


@functools.lru_cache
def cached(attempt: Attempt) -> Payment:
    return Payment("p1", 700)


async def awaitable(attempt: Attempt) -> Payment:
    return Payment("p1", 700)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (typed, Payment),
        (functools.partial(ordered, "p1"), Payment),
        (functools.partial(functools.partial(ordered), "p1"), Payment),
        (wrapping(typed), Payment),
        (functools.partial(wrapping(ordered), "p1"), Payment),
        (Gateway().charge, Payment),
        (functools.partial(Gateway.charge, Gateway()), Payment),
        (Gateway(), Payment),
        (Gateway.make, Payment),
        (Gateway.static, Payment),
        (cached, Payment),
        (Receipt, Receipt),
        (functools.partial(Receipt), Receipt),
        (awaitable, Payment),
        (lambda attempt: 1, Any),
        (len, Any),
        (functools.partial(len), Any),
        (7, Any),
    ],
    ids=[
        "function",
        "partial",
        "partial of a partial",
        "wrapper",
        "partial of a wrapper",
        "bound method",
        "partial of a method",
        "callable object",
        "class method",
        "static method",
        "cached function",
        "class",
        "partial of a class",
        "coroutine function",
        "lambda",
        "builtin",
        "partial of a builtin",
        "no function at all (refused when it is to run)",
    ],
)
def test_the_type_of_a_result_is_the_annotation_of_the_body(body: Body, expected: Any) -> None:
    """S15."""
    assert expected == result_type(KEY, body, {})


def _annotated(annotation: Any) -> Body:
    def body(attempt: Attempt) -> Any: ...

    body.__annotations__["return"] = annotation
    return body


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (None, type(None)),
        ("None", type(None)),
        (int, int),
        ("list[Payment]", list[Payment]),
        ("NoReturn", Any),
        ("Never", Any),
        ("Coroutine[Any, Any, Payment]", Payment),
        ("Awaitable[Payment | None]", Payment | None),
        ("Local", bytes),
    ],
    ids=repr,
)
def test_what_an_annotation_means(annotation: Any, expected: Any) -> None:
    """S15: names are looked up where the body was written, then where its workflow was."""
    import typing

    names = {
        "Local": bytes,
        **{each: getattr(typing, each) for each in ("NoReturn", "Never", "Coroutine", "Awaitable")},
    }
    assert expected == result_type(KEY, _annotated(annotation), names)


def test_an_annotation_may_name_a_class_of_the_bodys_own_function() -> None:
    """S15: the closure of a body counts too."""

    @attrs.frozen
    class Local:
        cents: int

    def make() -> Body:
        def body(attempt: Attempt) -> Local:
            return Local(7)

        return body

    assert Local is result_type(KEY, make(), {})


def test_a_closure_variable_that_is_not_assigned_yet_does_no_harm() -> None:
    """S15."""

    def make() -> Body:
        def body(attempt: Attempt) -> Payment:
            return later(attempt)

        found.append(result_type(KEY, body, {}))

        def later(attempt: Attempt) -> Payment:
            return typed(attempt)

        return body

    found: list[Any] = []
    make()
    assert [Payment] == found


class Wrapped:
    """As some libraries wrap: an object that is no function and has no annotations."""

    def __call__(self, attempt: Attempt) -> Any: ...


class Annotated:
    """As compiled functions are: annotations, but no closure and no globals."""

    __annotations__ = {"return": "int"}

    def __call__(self, attempt: Attempt) -> Any: ...


class Compiled:
    __call__ = Annotated()


def test_a_function_that_wraps_an_object_has_its_own_annotation() -> None:
    """S15: its names are known where it was written."""

    @functools.wraps(Wrapped(), assigned=())
    def body(attempt: Attempt) -> Payment:
        return typed(attempt)

    assert Payment is result_type(KEY, body, {})


def test_a_callable_that_is_no_function_may_have_an_annotation() -> None:
    """S15."""
    assert int is result_type(KEY, Compiled(), {})


def test_returns_goes_before_the_annotation() -> None:
    """S15."""
    lab = charging(typed, returns=dict[str, Any])
    lab.run()
    assert "errored" == charged(lab).status


@pytest.mark.parametrize(("returns", "value"), [(Payment, Payment("p", 1)), (set[int], {1, 2}), (None, None)])
def test_returns_is_the_type_of_the_result(returns: Any, value: Any) -> None:
    """S15."""
    lab = charging(lambda attempt: value, returns=returns, result=returns)
    lab.run()
    assert "complete" == lab.instance.status


def test_a_recorded_result_that_no_longer_fits_its_type_is_the_authors_and_changes_nothing() -> None:
    """S15, D9: found before anything new."""
    types: list[Any] = [str]

    @workflow(name="w")
    def w(step: Step) -> None:
        step.do("charge", lambda attempt: "receipt", returns=types[0])
        step.sleep("nap", MINUTE)

    lab = Lab.of(w)
    lab.create(w)
    lab.run()
    types[0] = int
    lab.now = T0 + MINUTE
    with pytest.raises(CodecError, match="expected int, found 'receipt'"):
        lab.plan()


# ---- S16: bodies of the wrong shape


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (
            lambda: 1,
            "a body is called with exactly one argument, the attempt; this one takes ()",
        ),
        (
            lambda order, attempt: 1,
            "a body is called with exactly one argument, the attempt; this one takes (order, attempt)",
        ),
        (
            lambda *, attempt: 1,
            "a body is called with exactly one argument, the attempt; this one takes (*, attempt)",
        ),
        (
            lambda attempt, *, order: 1,
            "a body is called with exactly one argument, the attempt; this one takes (attempt, *, order)",
        ),
        (
            functools.partial(lambda attempt: 1, "p1"),
            "a body is called with exactly one argument, the attempt; this one takes ()",
        ),
        (
            functools.partial(lambda attempt: 1, attempt="p1"),
            "a body is called with exactly one argument, the attempt; this one takes (*, attempt='p1')",
        ),
        (
            functools.wraps(ordered)(lambda attempt: 1),
            f"a body is called with exactly one argument, the attempt; this one takes {inspect.signature(ordered)}",
        ),
        ("charge", "the body 'charge' is not callable"),
        (None, "the body None is not callable"),
    ],
)
def test_a_body_that_does_not_take_exactly_one_argument_is_refused(body: Any, problem: str) -> None:
    """S16."""
    with pytest.raises(StepBodyError) as refused:
        charging(body).plan()
    assert (KEY, problem) == (refused.value.step_key, refused.value.problem)


@pytest.mark.parametrize(
    "body",
    [lambda attempt: 1, lambda *args: 1, lambda attempt, more=1: 1, functools.partial(ordered, "p1"), dict, print],
    ids=["one", "any number", "more with defaults", "partial", "a builtin without signature", "a builtin"],
)
def test_a_body_that_can_be_called_with_one_argument_is_taken(body: Any) -> None:
    """S16: a builtin without signature shows when it is called."""
    check_arity(KEY, body)


def test_a_body_of_the_wrong_shape_counts_as_no_attempt() -> None:
    """S16, D9: nothing is written before new work."""
    lab = charging(lambda: 1)  # type: ignore[misc,arg-type] # that is the point
    with pytest.raises(StepBodyError):
        lab.tick()
    assert ({}, 1) == (lab.steps(), lab.instance.version)


def test_a_body_whose_annotation_is_not_known_at_run_time_does_not_run() -> None:
    """S16, D9: it would run with every tick, and its result would be lost."""
    ran: list[str] = []

    def body(attempt: Attempt) -> Any:
        ran.append("body")

    body.__annotations__["return"] = "Imported"
    with pytest.raises(StepBodyError) as refused:
        charging(body).plan()
    assert ([], "the return annotation 'Imported' of its body cannot be resolved (name 'Imported' is not defined)") == (
        ran,
        refused.value.problem,
    )


def test_a_body_of_the_wrong_shape_after_new_work_keeps_the_work() -> None:
    """S16, D9: so that no body repeats because of it."""

    @workflow(name="w", checkpoint="tick")
    def w(step: Step) -> None:
        step.do("charge", lambda attempt: "receipt")
        step.do("ship", lambda: 1)  # type: ignore[misc,arg-type] # that is the point

    lab = Lab.of(w)
    lab.create(w)
    plan = lab.tick()
    assert (True, ["do:charge"], "active") == (isinstance(plan.outcome, Stuck), list(lab.steps()), lab.instance.status)


@pytest.mark.parametrize("colour", ["def", "async def"])
def test_a_body_that_uses_a_step_is_refused(colour: str) -> None:
    """K2: steps are called in workflow code only."""

    @workflow(name="w")
    def w(step: Step) -> Any:
        return step.do("charge", lambda attempt: step.do("inner", lambda attempt: 1))

    @workflow(name="w")
    async def a(step: AsyncStep) -> Any:
        return await step.do("charge", lambda attempt: step.uuid("inner").hex)

    lab = Lab.of(w) if colour == "def" else Lab.of(a)
    lab.create(lab.registry.get("w"))
    with pytest.raises(StepUsageError, match="used outside of the workflow code it was given to"):
        lab.plan()


# ---- both colours


@pytest.mark.parametrize("results", [["receipt"], [DeclinedError()], [DeclinedError(), "receipt"]], ids=str)
def test_both_colours_write_the_same_plan(results: list[Any]) -> None:
    """Design 6: a ``def`` workflow and its ``async def`` twin give equal plans."""

    def plans(colour: str) -> list[object]:
        body, _ran = counting([*results])

        def w(step: Step) -> Any:
            return step.do("charge", body, retry=THREE)

        async def a(step: AsyncStep) -> Any:
            return await step.do("charge", body, retry=THREE)

        lab = Lab.of(workflow(name="w")(w) if colour == "def" else workflow(name="w")(a))
        lab.create(lab.registry.get("w"))
        lab.run()
        return list(lab.plans)

    assert plans("def") == plans("async def")


def test_a_workflow_that_returns_what_its_step_gave_completes_with_it() -> None:
    """S5, O1."""
    assert Completed('{"id":"p1"}') == charging(lambda attempt: {"id": "p1"}).run().outcome
