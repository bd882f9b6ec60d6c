"""Which key a step of workflow code gets (rules K1 to K4), and the idempotency keys made of them (S10)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import attrs
import pytest

from tests.lab import MINUTE, T0, Lab
from wfcore import AsyncStep, Attempt, Step, StepCall, StepNameError, workflow
from wfcore.keys import StepKey
from wfcore.planner import call_body

NOW = timedelta(0)


def work(attempt: Attempt) -> None: ...


def keys(code: Callable[[Step], object]) -> list[str]:
    """The keys of the records of a workflow made of this code, in the order in which they settled."""

    @workflow(name="w", checkpoint="tick")
    def w(step: Step) -> None:
        code(step)

    lab = Lab.of(w)
    lab.create(w)
    lab.send("approved")
    lab.send("approved")
    lab.run()
    assert "complete" == lab.instance.status
    return list(lab.steps())


def keys_of_async(code: Callable[[AsyncStep], Any]) -> list[str]:
    @workflow(name="w", checkpoint="tick")
    async def w(step: AsyncStep) -> None:
        await code(step)

    lab = Lab.of(w)
    lab.create(w)
    lab.run()
    return list(lab.steps())


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (lambda step: step.do("a", work), "do:a"),
        (lambda step: step.sleep("a", NOW), "sleep:a"),
        (lambda step: step.sleep_until("a", T0), "sleep:a"),
        (lambda step: step.wait_for_event("a", "approved"), "wait_for_event:a"),
    ],
    ids=["do", "sleep", "sleep_until", "wait_for_event"],
)
def test_a_key_is_kind_and_name(code: Callable[[Step], object], expected: str) -> None:
    """K1, K3: ``sleep_until`` is a sleep."""
    assert [expected] == keys(code)


def test_a_repeat_is_numbered_in_program_order() -> None:
    """K1."""
    assert ["do:a", "do:a#1", "do:a#2"] == keys(lambda step: [step.do("a", work) for _ in range(3)])


def test_each_kind_and_name_counts_on_its_own() -> None:
    """K1."""

    def code(step: Step) -> None:
        step.do("a", work)
        step.sleep("a", NOW)
        step.do("b", work)
        step.do("a", work)
        step.sleep_until("a", T0)
        step.wait_for_event("a", "approved")
        step.wait_for_event("a", "approved")

    assert [
        "do:a",
        "sleep:a",
        "do:b",
        "do:a#1",
        "sleep:a#1",
        "wait_for_event:a",
        "wait_for_event:a#1",
    ] == keys(code)


def test_what_takes_no_sequence_counts_for_nobody_else() -> None:
    """K3: ``uuid``, ``random``, ``now`` and ``log`` leave no record."""

    def code(step: Step) -> None:
        step.uuid("a")
        step.random("a")
        step.now()
        step.log("a")
        step.do("a", work)

    assert ["do:a"] == keys(code)


def test_a_scope_prefixes_the_keys_inside() -> None:
    """K2."""
    assert ["scope:parcel>do:ship"] == keys(lambda step: step.scope("parcel").do("ship", work))


def test_scopes_nest() -> None:
    """K2."""
    assert ["scope:a>scope:b>do:c"] == keys(lambda step: step.scope("a").scope("b").do("c", work))


def test_names_inside_a_scope_count_on_their_own() -> None:
    """K2."""

    def code(step: Step) -> None:
        step.do("ship", work)
        parcel = step.scope("parcel")
        parcel.do("ship", work)
        step.do("ship", work)
        parcel.do("ship", work)

    assert ["do:ship", "scope:parcel>do:ship", "do:ship#1", "scope:parcel>do:ship#1"] == keys(code)


def test_repeated_scopes_are_numbered() -> None:
    """K2."""

    def code(step: Step) -> None:
        for _line in range(3):
            step.scope("line").do("pick", work)

    assert ["scope:line>do:pick", "scope:line#1>do:pick", "scope:line#2>do:pick"] == keys(code)


def test_repeated_scopes_are_numbered_within_their_own_scope() -> None:
    """K2."""

    def code(step: Step) -> None:
        step.scope("a").scope("b").do("c", work)
        outer = step.scope("a")
        outer.scope("b").do("c", work)
        outer.scope("b").do("c", work)

    assert [
        "scope:a>scope:b>do:c",
        "scope:a#1>scope:b>do:c",
        "scope:a#1>scope:b#1>do:c",
    ] == keys(code)


def test_a_scope_may_be_called_as_a_step_is() -> None:
    """K2: they count on their own."""

    def code(step: Step) -> None:
        step.do("a", work)
        step.scope("a").do("a", work)

    assert ["do:a", "scope:a>do:a"] == keys(code)


def test_an_async_workflow_has_the_same_keys() -> None:
    """K1, K2."""

    async def code(step: AsyncStep) -> None:
        parcel = step.scope("parcel")
        await parcel.do("ship", work)
        await step.do("ship", work)
        await parcel.sleep("ship", NOW)
        await parcel.do("ship", work)
        await step.scope("parcel").do("ship", work)

    assert [
        "scope:parcel>do:ship",
        "do:ship",
        "scope:parcel>sleep:ship",
        "scope:parcel>do:ship#1",
        "scope:parcel#1>do:ship",
    ] == keys_of_async(code)


def test_a_key_is_counted_where_the_step_is_made_and_not_where_it_is_awaited() -> None:
    """K1: program order."""

    async def code(step: AsyncStep) -> None:
        first, second = step.do("a", work), step.do("a", work)
        await second
        await first

    assert ["do:a#1", "do:a"] == keys_of_async(code)


def test_a_record_says_what_its_key_says() -> None:
    """K2, K3, K6."""

    @workflow(name="w")
    def w(step: Step) -> None:
        step.scope("a").scope("b").sleep("c", MINUTE)

    lab = Lab.of(w)
    lab.create(w)
    lab.run()
    ((key, record),) = lab.steps().items()
    parsed = StepKey.parse(key)
    assert ("sleep", "c", parsed.parent_key, parsed.depth) == (
        record.kind,
        record.name,
        record.parent_key,
        record.depth,
    )


# ---- K4

CALLS: dict[str, Callable[[Step, str], object]] = {
    "do": lambda step, name: step.do(name, work),
    "sleep": lambda step, name: step.sleep(name, NOW),
    "sleep_until": lambda step, name: step.sleep_until(name, T0),
    "wait_for_event": lambda step, name: step.wait_for_event(name, "approved"),
    "scope": lambda step, name: step.scope(name),
    "uuid": lambda step, name: step.uuid(name),
    "random": lambda step, name: step.random(name),
}


@pytest.mark.parametrize("name", ["", "a>b", "a" * 129, "a\n"], ids=["empty", "reserved", "too long", "control"])
@pytest.mark.parametrize("call", CALLS)
def test_a_name_that_cannot_be_used_is_refused_wherever_it_is_given(call: str, name: str) -> None:
    """K4."""
    with pytest.raises(StepNameError) as refused:
        keys(lambda step: CALLS[call](step, name))
    assert name == refused.value.name


def test_workflow_code_cannot_swallow_a_name_that_cannot_be_used() -> None:
    """K4, D2: it ends the tick."""

    def code(step: Step) -> None:
        try:
            step.do("a>b", work)
        except Exception:
            step.do("fallback", work)

    with pytest.raises(StepNameError):
        keys(code)


# ---- S10


def idempotency_keys(lab: Lab, *names: str) -> dict[str, str]:
    """The idempotency key of each body that a tick runs, by step key."""
    found: dict[str, str] = {}

    def perform(call: StepCall) -> Any:
        found[call.key] = call.attempt.idempotency_key
        return call_body(call)

    lab.plan(perform=perform)
    return found


@workflow(name="w", checkpoint="tick")
def several(step: Step) -> None:
    step.do("a", work)
    step.do("a", work)
    step.do("b", work)
    step.scope("s").do("a", work)


def several_keys(instance_id: str = "1", **changes: Any) -> dict[str, str]:
    lab = Lab.of(several)
    lab.create(several, id=instance_id)
    if changes:
        lab.put(attrs.evolve(lab.snapshot(), instance=attrs.evolve(lab.instance, **changes), hooks=()))
    return idempotency_keys(lab)


def test_every_step_has_an_idempotency_key_of_its_own() -> None:
    """S10."""
    found = several_keys()
    assert (["do:a", "do:a#1", "do:b", "scope:s>do:a"], 4) == (list(found), len(set(found.values())))


def test_an_idempotency_key_is_the_same_in_every_process() -> None:
    """S10."""
    assert "b8decf15eb6c24260150a9aa61842e0d" == several_keys()["do:a"]


def test_an_idempotency_key_is_short_plain_text() -> None:
    """S10: gateways take it as it is."""
    assert (32, True) == (len(several_keys()["do:a"]), several_keys()["do:a"].isalnum())


@pytest.mark.parametrize(
    "other",
    [{"instance_id": "2"}, {"key_run": 2}, {"created_by": "another"}],
    ids=["instance", "key run", "an instance of the same id that was created anew"],
)
def test_idempotency_keys_differ_between(other: dict[str, Any]) -> None:
    """S10."""
    assert set() == set(several_keys().values()) & set(several_keys(**other).values())


@pytest.mark.parametrize(
    "same", [{"run_number": 2}, {"version": 9, "execution_id": "x"}, {"tags": {"a": "b"}}], ids=str
)
def test_idempotency_keys_do_not_depend_on(same: dict[str, Any]) -> None:
    """S10, M6: the run that keys are built from is ``key_run``."""
    assert several_keys() == several_keys(**same)
