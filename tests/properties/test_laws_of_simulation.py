"""Laws of random programs in a simulation: the real runner, dispatchers that race, a store that fails, crashes.

A simulation checks by itself that every end is derived from its records again.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import attrs
from hypothesis import given, note, settings
from hypothesis import strategies as st

from tests.properties.play import Script, scripts
from tests.properties.programs import TYPES
from tests.twins import as_async_def
from wfadapters.memory import MemoryStore
from wfcore.model import TERMINAL
from wfcore.plan import PutStep
from wfcore.planner import breaks_o5
from wfcore.testing import NeverFinishesError, SimulatedHandle, Simulation, UndeliverableError, VirtualClock

SECOND = timedelta(seconds=1)


@attrs.frozen
class Weather:
    """What goes wrong, and who is at work."""

    seed: int = 0
    dispatchers: int = 1
    continuations: bool = False
    conflicts: int = 0
    lost: int = 0
    refused: int = 0
    down: int = 0
    delay: int = 0
    duplicates: bool = False
    crash_before: int = 0
    crash_after: int = 0


weathers = st.builds(
    Weather,
    seed=st.integers(0, 10_000),
    dispatchers=st.integers(1, 3),
    continuations=st.booleans(),
    conflicts=st.integers(0, 3),
    lost=st.integers(0, 2),
    refused=st.integers(0, 2),
    down=st.integers(0, 3),
    delay=st.integers(0, 20),
    duplicates=st.booleans(),
    crash_before=st.integers(0, 6),
    crash_after=st.integers(0, 6),
)


@attrs.define
class Played:
    """What a simulation has come to."""

    sim: Simulation
    run: SimulatedHandle[Any]
    broken: list[str]


def play(script: Script, weather: Weather) -> Played:
    clock, broken = VirtualClock(), list[str]()
    store = MemoryStore(clock)
    store.listen(lambda ref: broken.extend(filter(None, [breaks_o5(store.retrieve(ref))])))
    flow = script.program.twin(as_async_def, [])
    sim = Simulation(
        [flow],
        seed=weather.seed,
        store=store,
        clock=clock,
        dispatchers=weather.dispatchers,
        continuations=weather.continuations,
    )
    sim.conflict(times=weather.conflicts)
    sim.lose_ack(times=weather.lost)
    sim.lose_ack(times=weather.refused, committed=False)
    sim.store_down(for_=weather.down * SECOND)
    sim.delay_hooks(weather.delay * SECOND)
    if weather.duplicates:
        sim.duplicate_hooks()
    if weather.crash_before:
        sim.crash("before", apply=weather.crash_before)
    if weather.crash_after:
        sim.crash("after", apply=weather.crash_after)
    run = sim.create(flow, id="1")
    for number, letter in enumerate(script.letters):
        at = letter.seconds * SECOND
        sim.deliver(run, TYPES[letter.type], letter.payload, at=at, id=f"letter {number}")
    while True:
        try:
            sim.run_until_done(run)
        except UndeliverableError:  # it came in the moment in which the run has ended
            continue
        except NeverFinishesError:  # some programs wait for ever
            break
        break
    note(str(sim.trace))
    return Played(sim, run, broken)


def ending(played: Played) -> Any:
    """All that a program without races on time determines."""
    records = {
        key: (step.status, step.attempts, step.failure, step.event_id, step.result if step.kind == "do" else None)
        for key, step in played.run.steps().items()
    }
    end = played.run.get()
    return end.status, end.output, end.failure, records


FEWER = settings(max_examples=max(20, settings().max_examples // 5))
"""Each example is a whole life, and costs more than its neighbours elsewhere."""


@FEWER
@given(scripts(branches=True), weathers)
def test_whatever_happens_everything_ends_or_waits_for_an_event(script: Script, weather: Weather) -> None:
    """L7: no wake-up is lost, by rule O5; and every end is derived again, which the simulation checks (L8)."""
    played = play(script, weather)
    assert [] == played.broken
    if played.run.status() not in TERMINAL:
        waiting = [step for step in played.run.steps().values() if step.status in ("waiting", "started")]
        assert [("waiting", None)] == list({(step.status, step.wake_at or step.next_retry_at) for step in waiting})


@FEWER
@given(scripts(timed=False, branches=True), weathers)
def test_the_weather_changes_no_result(script: Script, weather: Weather) -> None:
    """L4, for the real runner: neither faults nor other dispatchers change the result of a program without races."""
    assert ending(play(script, Weather())) == ending(play(script, weather))


@FEWER
@given(scripts(branches=True), weathers)
def test_what_a_body_writes_commits_once(script: Script, weather: Weather) -> None:
    """Rules T1 and T2."""
    writes = [each for each in play(script, weather).sim.writes if isinstance(each, tuple) and each[0] == "write"]
    assert len(writes) == len(set(writes))


@FEWER
@given(scripts(branches=True), weathers)
def test_an_at_most_once_body_never_runs_twice_for_one_start(script: Script, weather: Weather) -> None:
    """Rule S13."""
    sim = play(script, weather).sim
    started = [each.step for plan in sim.plans for each in plan.mutations if isinstance(each, PutStep)]
    starts = Counter(step.key for step in started if step.status == "started")
    assert {} == {key: count for key, count in starts.items() if sim.body_runs(key) > count}


@FEWER
@given(scripts(branches=True), weathers)
def test_the_same_seed_gives_the_same_trace(script: Script, weather: Weather) -> None:
    assert str(play(script, weather).sim.trace) == str(play(script, weather).sim.trace)
