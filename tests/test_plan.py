"""Plans are data: which precondition a mutation needs, and what an empty plan is (design 4)."""

from __future__ import annotations

import attrs
import pytest

from tests.planner.rows import REF, event, hook, instance, record, timer
from wfcore import StepNameError
from wfcore.outcome import Paused
from wfcore.plan import (
    Absent,
    AddEvent,
    AddHook,
    AddInstance,
    AtVersion,
    DeleteHook,
    DeleteInstance,
    DeleteStep,
    Exists,
    Mutation,
    Plan,
    Precondition,
    PutEvent,
    PutHook,
    PutInstance,
    PutStep,
    Write,
)

ABSENT, EXISTS, AT_VERSION = Absent(REF), Exists(REF), AtVersion(REF, 7, "before")
ELSEWHERE = AtVersion("w#2", 7, "before")
ROWS: list[Mutation] = [
    PutInstance(instance()),
    PutStep(record("do:a")),
    DeleteStep(REF, 1, "do:a"),
    PutEvent(event()),
    PutHook(timer()),
    DeleteHook(f"{REF}#timer"),
    DeleteInstance(REF),
]
APPENDS: list[Mutation] = [AddInstance(instance()), AddEvent(event()), AddHook(timer()), Write("paid")]


def plan(mutation: Mutation, *given: Precondition) -> Plan:
    return Plan(REF, "e", given, (mutation,), Paused())


@pytest.mark.parametrize("mutation", ROWS, ids=lambda each: type(each).__name__)
def test_a_row_may_be_changed_at_a_version(mutation: Mutation) -> None:
    assert (mutation,) == plan(mutation, AT_VERSION).mutations


@pytest.mark.parametrize("given", [(), (EXISTS,), (ELSEWHERE,), (EXISTS, ELSEWHERE)], ids=str)
@pytest.mark.parametrize("mutation", ROWS, ids=lambda each: type(each).__name__)
def test_a_row_may_not_be_changed_without_its_version(mutation: Mutation, given: tuple[Precondition, ...]) -> None:
    with pytest.raises(ValueError, match=rf"^{type(mutation).__name__} of 'w#1' needs AtVersion$"):
        plan(mutation, *given)


@pytest.mark.parametrize("mutation", ROWS, ids=lambda each: type(each).__name__)
def test_of_no_instance_only_hooks_may_be_deleted(mutation: Mutation) -> None:
    """G1."""
    if isinstance(mutation, DeleteHook):
        assert (mutation,) == plan(mutation, ABSENT).mutations
    else:
        with pytest.raises(ValueError, match="needs AtVersion"):
            plan(mutation, ABSENT)


@pytest.mark.parametrize("given", [(), (ABSENT,), (EXISTS,), (AT_VERSION,), (ELSEWHERE,)], ids=str)
@pytest.mark.parametrize("mutation", APPENDS, ids=lambda each: type(each).__name__)
def test_what_only_appends_needs_no_version(mutation: Mutation, given: tuple[Precondition, ...]) -> None:
    assert (mutation,) == plan(mutation, *given).mutations


def test_every_mutation_is_checked_and_not_the_first_alone() -> None:
    with pytest.raises(ValueError, match="PutHook of 'w#1' needs AtVersion"):
        Plan(REF, "e", (EXISTS,), (AddEvent(event()), PutHook(timer())), Paused())


@pytest.mark.parametrize("mutation", [*ROWS, *APPENDS[:-1]], ids=lambda each: type(each).__name__)
def test_a_mutation_names_its_instance(mutation: Mutation) -> None:
    assert not isinstance(mutation, Write)
    assert REF == mutation.ref


def test_a_hook_of_no_instance_cannot_be_deleted() -> None:
    """K6: whose hook it is stands in its id."""
    with pytest.raises(StepNameError):
        plan(DeleteHook("timer"), AT_VERSION)


@pytest.mark.parametrize(
    ("given", "mutations", "expected"),
    [((), (), True), ((AT_VERSION,), (), True), ((), (Write("paid"),), False), ((ABSENT,), (APPENDS[0],), False)],
)
def test_a_plan_is_empty_if_it_changes_nothing(
    given: tuple[Precondition, ...], mutations: tuple[Mutation, ...], expected: bool
) -> None:
    """A8: an empty plan is not applied."""
    assert expected == Plan(REF, "e", given, mutations, Paused()).is_empty


@pytest.mark.parametrize(
    ("given", "mutations", "expected"),
    [
        ((), (), {REF}),
        ((ELSEWHERE,), (), {REF, "w#2"}),
        ((AT_VERSION,), (PutHook(timer()), Write("paid")), {REF}),
        ((), (AddInstance(instance(ref="w#3")),), {REF, "w#3"}),
    ],
)
def test_a_plan_names_the_instances_that_nobody_else_may_change(
    given: tuple[Precondition, ...], mutations: tuple[Mutation, ...], expected: set[str]
) -> None:
    """A3: those that it changes, and those that it depends on."""
    assert expected == Plan(REF, "e", given, mutations, Paused()).refs


def test_plans_are_compared_by_value() -> None:
    assert plan(PutHook(timer()), AT_VERSION) == plan(PutHook(timer()), AT_VERSION)


def test_plans_that_differ_in_a_row_differ() -> None:
    assert plan(PutHook(timer()), AT_VERSION) != plan(PutHook(timer(attempts=1)), AT_VERSION)


def test_a_plan_is_immutable() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        plan(Write("paid")).mutations = ()  # type: ignore[misc] # that is the point


def test_a_plan_prints_what_it_is_made_of() -> None:
    text = repr(plan(Write("paid"), EXISTS))
    assert (
        "Plan(ref='w#1', execution_id='e', preconditions=(Exists(ref='w#1'),), mutations=(Write(value='paid'),), "
        "outcome=Paused(), logs=())"
    ) == text


def test_hooks_of_other_instances_may_be_added() -> None:
    """Design 5: a plan may touch several instances."""
    other = hook("w#2#msg:e1", instance_ref="w#2")
    assert "w#2" == AddHook(other).ref
