"""Taking over records with bare names, as a plan (rule K5), and what a replay says of them without it."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from tests.lab import MINUTE, SECOND, T0, Lab
from tests.planner.rows import REF, instance, record, snapshot, timer, written_row, written_steps, written_timer
from wfcore import (
    AtVersion,
    BareKeysAdopted,
    Conflict,
    InstanceNotFoundError,
    NonDeterminismError,
    Step,
    StepNameError,
    StepRecord,
    evolve,
    plan_adopt_bare_keys,
    workflow,
)
from wfcore.keys import is_bare
from wfcore.model import InstanceStatus, Snapshot
from wfcore.plan import DeleteStep, Plan, PutInstance, PutStep

LATER = T0 + MINUTE


def bare(key: str, kind: str = "do", **changes: Any) -> StepRecord:
    """A record as an older engine wrote it: settled a second after T0, without a place in the order."""
    row = record(f"{kind}:{key}", status="completed", result="1", attempts=1, settled_at=T0 + SECOND)
    return attrs.evolve(row, **{"key": key, "name": key, **changes})


def adopt(seen: Snapshot) -> Plan:
    return plan_adopt_bare_keys(seen, REF, execution_id="adopt")


def adopted(*steps: StepRecord) -> dict[str, StepRecord]:
    return written_steps(adopt(snapshot(instance(), steps=steps)))


def sequences(*steps: StepRecord) -> dict[str, int | None]:
    return {key: step.sequence for key, step in adopted(*steps).items()}


# ---- the plan


@pytest.mark.parametrize("status", ["paused", "complete", "errored", "terminated"])
def test_k5_a_record_moves_to_the_key_of_its_kind_in_one_plan(status: InstanceStatus) -> None:
    row = instance(status=status)
    old = bare("charge", sequence=3)
    plan = adopt(snapshot(row, steps=[old], hooks=[timer(LATER)], now=LATER))
    expected = Plan(
        REF,
        "adopt",
        (AtVersion(REF, 7, "before"),),
        (
            PutInstance(attrs.evolve(row, version=8, updated_at=LATER, execution_id="adopt")),
            DeleteStep(REF, 1, "charge"),
            PutStep(attrs.evolve(old, key="do:charge", execution_id="adopt")),
        ),
        BareKeysAdopted((("charge", "do:charge"),)),
    )
    assert expected == plan


@pytest.mark.parametrize("status", ["active", "waiting"])
def test_k5_what_is_not_paused_is_due_now(status: InstanceStatus) -> None:
    """Its timer may have been put off by ticks that met the bare name."""
    seen = snapshot(instance(status=status), steps=[bare("charge")], hooks=[timer(LATER, attempts=3, last_error="x")])
    plan = adopt(seen)
    assert ("active", timer()) == (written_row(plan).status, written_timer(plan))


def test_k5_an_instance_whose_open_wait_gives_way_to_a_settled_one_is_not_parked_for_ever() -> None:
    """O5: nothing is left to wait for, so it has to be replayed."""
    lab = migrated()
    seen = lab.snapshot()
    settled = record("sleep:nap", status="completed", sequence=2, settled_at=T0)
    lab.put(attrs.evolve(seen, steps=(*seen.steps, settled)))
    lab.apply(adopt(lab.snapshot()))
    with pytest.raises(NonDeterminismError):  # numbered 3, after the sleep
        lab.run()
    assert "active" == lab.instance.status


def test_k5_an_adopted_instance_is_parked_again_where_it_was() -> None:
    lab = migrated()
    lab.apply(adopt(lab.snapshot()))
    lab.run()
    assert ("waiting", LATER) == (lab.instance.status, lab.hooks()["timer"].due_at)


@pytest.mark.parametrize(
    ("key", "kind", "expected"),
    [
        ("charge", "do", "do:charge"),
        ("nap", "sleep", "sleep:nap"),
        ("approval", "wait_for_event", "wait_for_event:approval"),
        ("charge#2", "do", "do:charge#2"),
        ("shop:charge", "do", "do:shop:charge"),
        ("do:charge", "sleep", "sleep:do:charge"),
    ],
)
def test_k5_the_kind_is_the_records(key: str, kind: str, expected: str) -> None:
    assert [expected] == list(adopted(bare(key, kind)))


def test_k5_name_and_place_are_those_of_the_new_key() -> None:
    step = adopted(bare("charge#2", parent_key="old", depth=4))["do:charge#2"]
    assert ("charge", None, 0) == (step.name, step.parent_key, step.depth)


def test_k5_everything_else_of_a_record_is_kept() -> None:
    waiting = bare("charge", status="waiting", result=None, settled_at=None, attempts=2, next_retry_at=LATER)
    expected = attrs.evolve(waiting, key="do:charge", execution_id="adopt")
    assert {"do:charge": expected} == adopted(waiting)


@pytest.mark.parametrize("key", ["a/b", "a>b", "a[0]", "", "do:a>b", "x" * 129])
def test_k5_a_name_that_cannot_be_used_is_refused(key: str) -> None:
    with pytest.raises(StepNameError):
        adopted(attrs.evolve(bare("charge"), key=key))


def test_k5_nobody_has_nothing_to_adopt() -> None:
    with pytest.raises(InstanceNotFoundError):
        adopt(snapshot(None))


@pytest.mark.parametrize(
    "steps",
    [[], [record("do:charge", status="completed", sequence=1), record("sleep:nap"), record("scope:s>do:a")]],
    ids=["no record", "records of this engine"],
)
def test_k5_without_bare_names_there_is_nothing_to_do(steps: list[StepRecord]) -> None:
    plan = adopt(snapshot(instance(), steps=steps))
    assert (True, (), BareKeysAdopted(())) == (plan.is_empty, plan.preconditions, plan.outcome)


def test_k5_a_record_under_the_new_key_wins() -> None:
    standing = record("do:charge", status="completed", result="2", sequence=1)
    plan = adopt(snapshot(instance(), steps=[bare("charge"), standing]))
    assert ((DeleteStep(REF, 1, "charge"),), BareKeysAdopted(())) == (plan.mutations[1:-1], plan.outcome)


def test_k5_what_is_adopted_can_be_read_before_it_is_applied() -> None:
    plan = adopt(snapshot(instance(), steps=[bare("ship"), bare("nap", "sleep"), bare("charge")]))
    assert BareKeysAdopted((("charge", "do:charge"), ("nap", "sleep:nap"), ("ship", "do:ship"))) == plan.outcome


def test_k5_the_order_of_the_rows_does_not_matter() -> None:
    steps = [bare("c"), bare("a"), bare("b"), record("do:b", status="completed", sequence=1)]
    assert adopt(snapshot(instance(), steps=steps)) == adopt(snapshot(instance(), steps=steps[::-1]))


def test_k5_the_instance_is_written_now() -> None:
    plan = adopt(snapshot(instance(updated_at=LATER), steps=[bare("charge")]))
    assert (LATER, 8) == (written_row(plan).updated_at, written_row(plan).version)


def test_k5_adopting_twice_is_adopting_once() -> None:
    lab = Lab.of(paying)
    lab.ref = REF
    lab.put(snapshot(instance(), steps=[bare("charge"), bare("nap", "sleep")]))
    lab.apply(adopt(lab.snapshot()))
    assert adopt(lab.snapshot()).is_empty


# ---- the order of settlement


def test_k5_settled_records_are_numbered_by_instant_then_first_visit_then_key() -> None:
    steps = [
        bare("late", settled_at=T0 + 3 * SECOND),
        bare("d", settled_at=T0 + 2 * SECOND, created_at=T0 + SECOND),
        bare("b", settled_at=T0 + 2 * SECOND),
        bare("a", settled_at=T0 + 2 * SECOND),
        bare("early", settled_at=T0 + SECOND, created_at=T0 + SECOND, status="errored"),
    ]
    assert {"do:early": 1, "do:a": 2, "do:b": 3, "do:d": 4, "do:late": 5} == sequences(*steps)


def test_k5_numbers_that_stand_are_kept_and_new_ones_follow() -> None:
    steps = [bare("a", sequence=4), bare("b"), record("do:c", status="completed", sequence=7)]
    assert {"do:a": 4, "do:b": 8} == sequences(*steps)


@pytest.mark.parametrize("status", ["waiting", "started", "cancelled"])
def test_k5_what_has_not_settled_is_not_numbered(status: Any) -> None:
    assert {"do:a": None} == sequences(bare("a", status=status))


@pytest.mark.parametrize("kind", ["patch", "map"])
def test_k5_what_never_settles_is_not_numbered(kind: str) -> None:
    """K3: such records take no sequence."""
    assert {f"{kind}:a": None} == sequences(bare("a", kind))


def test_k5_a_settled_record_without_an_instant_settled_when_it_was_reached() -> None:
    step = adopted(bare("a", settled_at=None, created_at=LATER))["do:a"]
    assert (1, LATER) == (step.sequence, step.settled_at)


def test_k5_records_with_good_keys_are_numbered_too() -> None:
    steps = [bare("b"), record("do:a", status="completed", settled_at=T0)]
    assert {"do:a": 1, "do:b": 2} == sequences(*steps)


# ---- with the replay


@workflow(name="w")
def paying(step: Step) -> list[Any]:
    paid = step.do("charge", lambda attempt: f"attempt {attempt.number}", returns=object)
    step.sleep("nap", MINUTE)
    return [paid, step.do("ship", lambda attempt: "shipped")]


def migrated() -> Lab:
    """An instance of an older engine: charged, and asleep."""
    lab = Lab.of(paying)
    lab.ref = REF
    asleep = bare("nap", "sleep", status="waiting", result=None, settled_at=None, wake_at=LATER)
    lab.put(snapshot(instance(), steps=[bare("charge", result='"old"'), asleep], hooks=[timer(LATER)]))
    return lab


def test_k5_an_adopted_instance_goes_on_where_it_was() -> None:
    lab = migrated()
    lab.apply(adopt(lab.snapshot()))
    lab.run(until=LATER)
    assert ("complete", '["old","shipped"]') == (lab.instance.status, lab.instance.output)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([bare("charge", sequence=1)], ("charge", 1)),
        ([bare("charge")], ("charge", None)),
        ([bare("nap", "sleep", status="waiting")], ("nap", None)),
    ],
    ids=["settled, with a number", "settled, without a number", "waiting"],
)
def test_k5_without_adoption_a_bare_name_is_a_mismatch_that_names_the_command(
    steps: list[StepRecord], expected: tuple[str, int | None]
) -> None:
    """D1: nothing has run, nothing is written; never a silent re-run."""
    ran: list[object] = []
    lab = Lab.of(paying)
    lab.ref = REF
    lab.put(snapshot(instance(status="active"), steps=steps, hooks=[timer()]))
    with pytest.raises(NonDeterminismError) as refused:
        lab.plan(perform=ran.append)  # type: ignore[arg-type] # it is never called
    assert ([], expected) == (ran, (refused.value.expected, refused.value.sequence))
    assert refused.value.advice.startswith("an older engine wrote that bare name: plan_adopt_bare_keys")


def test_k5_the_mismatch_of_a_record_with_a_good_key_does_not_name_the_command() -> None:
    lab = Lab.of(paying)
    lab.ref = REF
    lab.put(snapshot(instance(status="active"), steps=[record("do:other", status="completed", sequence=1)]))
    with pytest.raises(NonDeterminismError) as refused:
        lab.plan()
    assert "plan_adopt_bare_keys" not in str(refused.value)


def test_k5_a_running_tick_conflicts_with_an_adoption() -> None:
    lab = migrated()
    planned = adopt(lab.snapshot())
    lab.apply(planned)
    assert Conflict(REF, 8, "adopt") == evolve(lab.world, planned)


@pytest.mark.parametrize(
    ("key", "kind", "expected"),
    [
        ("do:charge", "do", False),
        ("scope:s>do:charge#1", "do", False),
        ("charge", "do", True),
        ("do:charge", "sleep", True),
        ("", "do", True),
    ],
)
def test_k5_a_bare_name_is_no_key_of_its_own_kind(key: str, kind: str, expected: bool) -> None:
    assert expected == is_bare(key, kind)
