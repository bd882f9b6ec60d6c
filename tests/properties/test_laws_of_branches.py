"""Laws of every program, also with branches, whatever happens to it: L1, L4 to L8, L10."""

import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from itertools import pairwise
from typing import Any

import attrs
from hypothesis import assume, given, note
from hypothesis import strategies as st

from tests.lab import SECOND
from tests.properties.edits import distinct, edit_of
from tests.properties.programs import Chances, Map, settled_by_body, statements
from tests.properties.stage import Commit, Door, Drama, OtherBody, Stage, dramas, plan_again
from tests.twins import as_async_def
from wfcore.errors import NonDeterminismError
from wfcore.evolve import Rows
from wfcore.keys import timer_id
from wfcore.model import TERMINAL, FiredHook, StepRecord
from wfcore.outcome import Rescheduled, Stuck
from wfcore.plan import Plan, PutStep, Write
from wfcore.planner import Settled, StepCall, plan_tick
from wfcore.planner.steps.decision import deadline, is_waiting, wanted_event
from wfcore.workflow import Registry


class Enough(BaseException):
    """A replay comes to its end where something new would run."""


def refuse(call: StepCall) -> Settled:
    raise Enough(call.key)


def waiting(rows: Rows) -> list[StepRecord]:
    return [step for step in rows.steps.values() if is_waiting(step)]


def fired_at(stage: Stage, at: datetime) -> FiredHook:
    return attrs.evolve(stage.lab.fired(), timestamp=at)


# -- L1: planning the state after a plan again, at the same time, has nothing to say


@given(dramas())
def test_l1_a_plan_leaves_nothing_to_do(drama: Drama) -> None:
    """L1, fixed point: planning the state after a plan at the same time is empty, or only reschedules."""
    stage = Stage.of(drama).play()
    for commit in stage.commits:
        assert commit.after.instance is not None
        unseen = commit.after.hooks.keys() - {timer_id(stage.lab.ref)}
        if commit.after.instance.status == "active" or unseen:
            continue
        again = plan_tick(
            commit.after.snapshot(commit.at),
            fired_at(stage, commit.at),
            stage.lab.registry,
            execution_id="again",
            perform=refuse,
        )
        assert again.is_empty or isinstance(again.outcome, Rescheduled), (commit.plan, again)


# -- L5: what is decided stays so


@given(dramas())
def test_l5_what_is_settled_or_consumed_never_changes(drama: Drama) -> None:
    """L5, stability: a settled record keeps its place and all else, a consumed event its consumer."""
    for commit in Stage.of(drama).play().commits:
        for identity, step in commit.before.steps.items():
            if not is_waiting(step):
                assert step == commit.after.steps[identity], commit.plan
        for event in commit.before.events.values():
            if event.consumed_by is not None:
                assert event == commit.after.events[event.id], commit.plan


@given(dramas())
def test_l5_sequences_are_those_of_settlement(drama: Drama) -> None:
    """L5: each plan goes on where the one before has ended."""
    last = 0
    for commit in Stage.of(drama).play().commits:
        new = [each.step.sequence for each in commit.plan.mutations if isinstance(each, PutStep)]
        settled = [sequence for sequence in new if sequence is not None]
        assert [*range(last + 1, last + 1 + len(settled))] == settled, commit.plan
        last += len(settled)


# -- L6: no wait ends early, and none is extended


@given(dramas())
def test_l6_no_wait_ends_early(drama: Drama) -> None:
    """L6: a sleep ends at its own deadline or later; a wait takes no event that came after its deadline."""
    rows = Stage.of(drama).play().lab.world["w#1"]
    for step in rows.steps.values():
        if step.settled_at is None or step.wake_at is None or step.status == "cancelled":
            continue
        if step.event_id is not None:
            assert rows.events[step.event_id].created_at <= step.wake_at
        elif step.kind != "wait_for_event" or not step.attempts:  # else a body has refused an event
            assert step.wake_at <= step.settled_at


@given(dramas())
def test_l6_no_attempt_starts_before_its_time(drama: Drama) -> None:
    """L6: the next attempt of a body starts at the recorded instant or later."""
    for tried in Stage.of(drama).play().tried:
        assert (tried.not_before or tried.at) <= tried.at, tried


@given(dramas())
def test_l6_no_wait_is_extended(drama: Drama) -> None:
    """L6: a deadline is stored once, and after a tick nothing that waits is overdue."""
    deadlines: dict[str, set[datetime | None]] = defaultdict(set)
    for commit in Stage.of(drama).play().commits:
        for step in commit.after.steps.values():
            if step.kind in ("sleep", "wait_for_event"):
                deadlines[step.key].add(step.wake_at)
        assert commit.after.instance is not None
        if commit.after.instance.status == "waiting":
            overdue = [step for step in waiting(commit.after) if (deadline(step) or commit.at + SECOND) <= commit.at]
            assert [] == overdue, commit.plan
    assert {} == {key: found for key, found in deadlines.items() if len(found) > 1}


# -- L7: whatever can go on does


def states(rows: Rows) -> Iterator[str]:
    """Those of rule O5 that hold."""
    instance = rows.instance
    assert instance is not None
    status, timer = instance.status, rows.hooks.get(timer_id(instance.ref))
    live = waiting(rows)
    deadlines = [at for at in map(deadline, live) if at is not None]
    if status in TERMINAL and not live and timer is None:
        yield "terminal"
    if status == "active" and timer is not None:
        yield "active"
    if status == "waiting" and deadlines and timer is not None and timer.due_at == min(deadlines):
        yield "waiting for a time"
    if status == "waiting" and live and not deadlines and timer is None:
        yield "waiting for events"


@given(dramas())
def test_l7_whatever_can_go_on_has_a_stored_hook(drama: Drama) -> None:
    """L7, rule O5, after every plan; events that one of the waits may take have hooks of their own."""
    for commit in Stage.of(drama).play().commits:
        assert 1 == len([*states(commit.after)]), commit.plan
        assert commit.after.instance is not None
        if commit.after.instance.status == "waiting":
            announced = {hook.id.partition("#msg:")[2] for hook in commit.after.hooks.values()}
            seen = tuple(
                event
                for event in commit.after.events.values()
                if event.consumed_by is None and event.id not in announced
            )
            assert [] == [step.key for step in waiting(commit.after) if wanted_event(step, seen)], commit.plan


@given(dramas())
def test_l7_all_hooks_run_to_the_end_or_to_a_wait_for_events(drama: Drama) -> None:
    """L7, liveness: when no hook is left, the instance has ended or waits for events without deadlines."""
    rows = Stage.of(drama).play().lab.world["w#1"]
    assert rows.hooks == {}
    assert [*states(rows)] in (["terminal"], ["waiting for events"])


# -- L8: first run and replay are indistinguishable


@given(dramas())
def test_l8_every_run_sees_first_what_was_seen_before(drama: Drama) -> None:
    """L8: every run of the code, whatever came of it, first sees what the last committed one had seen."""
    stage = Stage.of(drama).play()
    seen: list[tuple[str, ...]] = [()]
    for commit in stage.commits:
        seen.append(seen[-1] if commit.seen is None else commit.seen)
    for earlier, later in pairwise(seen):
        assert earlier == later[: len(earlier)]
    for run in stage.runs:
        assert [*seen[run.commits]] == run.seen[: len(seen[run.commits])]


@given(dramas())
def test_l8_a_replay_from_the_rows_of_any_plan_shows_what_the_live_run_saw(drama: Drama) -> None:
    """L8, live is replay: values, errors, `now`, and the order in which branches saw them."""
    stage = Stage.of(drama).play()
    for commit in stage.commits:
        if commit.seen is None:
            continue
        replayed = replay(stage, commit)
        assert [*commit.seen] == replayed[: len(commit.seen)], commit.plan


def replay(stage: Stage, commit: Commit) -> list[str]:
    """What the code sees when all is replayed, up to the first body that would run."""
    found = commit.after.snapshot(commit.at)
    assert found.instance is not None
    # Without a timer, the gate lets an active instance pass.
    snapshot = attrs.evolve(found, instance=attrs.evolve(found.instance, status="active"), hooks=())
    number = len(stage.sightings)
    with suppress(Enough):
        plan_tick(snapshot, fired_at(stage, commit.at), stage.lab.registry, execution_id="again", perform=refuse)
    return stage.sightings[number]


# -- L10: idempotency keys


@given(dramas())
def test_l10_all_attempts_of_a_step_have_one_key_and_no_two_steps_share_one(drama: Drama) -> None:
    """L10: idempotency keys; other instances and key runs have others."""
    keys: dict[tuple[str, str], set[str]] = defaultdict(set)
    stages = {"1": Stage.of(drama), "2": Stage.of(drama, id="2"), "run 2 of 1": Stage.of(drama)}
    lab = stages["run 2 of 1"].lab
    lab.put(attrs.evolve(lab.snapshot(), instance=attrs.evolve(lab.instance, key_run=2)))
    for name, stage in stages.items():
        for tried in stage.play().tried:
            keys[name, tried.key].add(tried.idempotency_key)
    assert {1} >= {len(found) for found in keys.values()}
    assert len(keys) == len({key for found in keys.values() for key in found})


# -- T1, T2: what a body queues commits once


@given(dramas())
def test_l4_a_write_commits_once_for_each_body_that_settled_a_step(drama: Drama) -> None:
    """L4, rules T1 and T2: what a body queues commits once, whatever fails."""
    stage = Stage.of(drama).play()
    writes = [each for commit in stage.commits for each in commit.plan.mutations if isinstance(each, Write)]
    settled = [step for step in stage.lab.steps().values() if step.status in ("completed", "errored")]
    assert len([step for step in settled if settled_by_body(step)]) == len(writes)


# -- L4: conflicts, crashes, lost acknowledgements


@given(dramas())
def test_l4_what_is_committed_is_what_a_run_without_faults_commits_of_the_same_settlements(drama: Drama) -> None:
    """L4: of what failed, of runners that are gone, of earlier calls nothing is left but the rows."""
    stage = Stage.of(drama).play()
    all_at_once = drama.door == "concurrent" and not any(
        isinstance(each, Map) for each in statements(drama.program.code)
    )
    for commit in stage.commits:
        with suppress(OtherBody):
            again = plan_again(stage, commit.segment, commit.plan.execution_id)
            # Where not all bodies can start at once, which of them starts first is no part of the law.
            if all_at_once or touched(again) == touched(commit.plan):
                assert commit.plan == again


def touched(plan: Plan) -> set[str]:
    """The steps that the plan writes."""
    return {each.step.key for each in plan.mutations if isinstance(each, PutStep)}


# -- P1: places in maps


@given(dramas(faults=False))
def test_p1_no_more_branches_of_a_map_have_bodies_in_flight_than_it_has_places(drama: Drama) -> None:
    """Rule P1, also with bodies that are carried over a retrieve."""
    places = dict.fromkeys(("a", "b"), 0)
    for each in statements(drama.program.code):
        if isinstance(each, Map):
            places[each.name] = max(places[each.name], each.max_concurrency)
    for keys in Stage.of(drama).play().in_flight:
        branches: dict[tuple[str, str], set[str]] = defaultdict(set)
        for key in keys:
            if "wait_for_event:" in key:  # a body that takes an event waits for no place
                continue
            for found in re.finditer(r"map:(\w)(?:#\d+)?\[(\w)\]", key):
                branches[found[1], key[: found.start(2)]].add(found[2])
        assert [] == [place for place, found in branches.items() if len(found) > places[place[0]]]


# -- L3: hooks


def ending(stage: Stage) -> Any:
    """All that a program without races on time determines."""
    lab = stage.lab
    records = {
        key: (step.status, step.attempts, step.failure, step.event_id, step.result if step.kind == "do" else None)
        for key, step in lab.steps().items()
    }
    consumed = {event.id: event.consumed_by for event in lab.events().values() if event.consumed_by}
    return lab.instance.status, lab.instance.output, lab.instance.failure, records, consumed


@given(dramas(timed=False, faults=False))
def test_l3_hooks_that_are_early_late_repeated_or_stale_change_no_result(drama: Drama) -> None:
    """L3: hooks change no result of a program without races on time."""
    assert ending(Stage.of(attrs.evolve(drama, chances=b"")).play()) == ending(Stage.of(drama).play())


@given(dramas(timed=False))
def test_l4_faults_change_no_result(drama: Drama) -> None:
    """L4: conflicts, crashes and lost acknowledgements change no result of a program without races on time."""
    assert ending(Stage.of(attrs.evolve(drama, chances=b"")).play()) == ending(Stage.of(drama).play())


@given(dramas(timed=False, faults=False))
def test_l3_all_doors_come_to_the_same(drama: Drama) -> None:
    """L3: one tick per checkpoint, checkpoints that are continued, and concurrent bodies give the same result."""
    doors: list[Door] = ["by ticks", "continued", "concurrent"]
    by_ticks, *others = (ending(Stage.of(attrs.evolve(drama, door=door)).play()) for door in doors)
    assert [by_ticks, by_ticks] == others


# -- L9: unchanged code always fits, changed code is found


@given(dramas(), st.binary(min_size=4, max_size=8))
def test_l9_an_edit_of_what_is_recorded_is_found_before_a_body_runs(drama: Drama, drawn: bytes) -> None:
    """L9: each random edit is found, or is one that docs/explanation/workflow-code.md calls safe."""
    chances = Chances(drawn)
    drama = attrs.evolve(drama, program=distinct(drama.program))
    stage = Stage.of(drama).play()
    alive = [
        commit.after
        for commit in stage.commits
        if commit.after.instance is not None and commit.after.instance.status not in TERMINAL
    ]
    assume(alive)
    rows = alive[-1 - chances.below(len(alive))]
    assert rows.instance is not None
    snapshot = attrs.evolve(
        rows.snapshot(rows.instance.updated_at), instance=attrs.evolve(rows.instance, status="active"), hooks=()
    )
    edit = edit_of(drama.program, snapshot.steps, chances)
    note(edit)
    twin = edit.program.twin(as_async_def, [])
    fired = fired_at(stage, rows.instance.updated_at)
    try:
        plan_tick(snapshot, fired, Registry([twin]), execution_id="edited", perform=refuse)
    except NonDeterminismError:
        assert edit.what != "change body and policy"
    except Enough:
        assert not edit.found
    else:
        assert not edit.found


@given(dramas())
def test_l9_unchanged_code_always_fits(drama: Drama) -> None:
    """L9, no false alarm: a mismatch, or any other error, would leave the player."""
    for commit in Stage.of(drama).play().commits:
        assert not isinstance(commit.plan.outcome, Stuck), commit.plan
