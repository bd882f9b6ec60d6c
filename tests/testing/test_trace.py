"""``sim.trace``: a table, the same for the same seed, byte for byte, in any process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.testing.shop import HOUR, MINUTE, SHOP, Approval, Approved, Order, checkout, counting, impatient
from wfcore.testing import Simulation

ROOT = Path(__file__).parents[2]


def story(seed: int) -> Simulation:
    """Everything that leaves something to chance."""
    sim = Simulation(SHOP, seed=seed, dispatchers=3, concurrency=2)
    sim.fail("charge")
    sim.interrupt("send")
    sim.conflict(times=2)
    sim.lose_ack()
    sim.duplicate_hooks()
    sim.delay_hooks(MINUTE)
    sim.reorder_hooks()
    runs = [sim.create(checkout, Order(name), id=name) for name in "abc"]
    sim.create(counting, 3, id="1")
    sim.create(impatient, id="1")
    for run in runs:
        sim.deliver(run, Approved, Approval("eva"), at=MINUTE)
    sim.advance(3 * HOUR)
    sim.check()
    return sim


def test_a_trace_prints_as_a_table() -> None:
    sim = Simulation(SHOP)
    sim.fail("charge")
    run = sim.create(checkout, Order("A-1"), id="a-1")
    sim.deliver(run, Approved, Approval("eva"), at=MINUTE)
    sim.advance(5 * MINUTE)
    expected = """\
time     who   instance      fired    outcome                  steps
-------  ----  ------------  -------  -----------------------  --------------------------------------------
0:00:00  test  checkout#a-1           Created
0:00:00  d1    checkout#a-1  timer    Suspended until 0:00:02  do:charge failed, again at 0:00:02
0:00:02  d1    checkout#a-1  timer    Suspended until 0:10:02  do:charge completed, sleep:settle to 0:10:02
0:01:00  test  checkout#a-1           EventSent
0:01:00  d1    checkout#a-1  msg:id4  Rescheduled to 0:10:02"""
    assert expected == str(sim.trace)


def test_a_trace_is_a_sequence_of_rows() -> None:
    sim = Simulation(SHOP)
    sim.run_until_done(sim.create(counting, 1, id="1"))
    assert 2 == len(sim.trace)
    assert ["test", "d1"] == [row.who for row in sim.trace]
    assert ("counting#1", "timer", "Completed", ("do:one completed",)) == (
        sim.trace[1].ref,
        sim.trace[1].fired,
        sim.trace[1].outcome,
        sim.trace[1].steps,
    )


def test_the_same_seed_gives_the_same_trace() -> None:
    assert str(story(7).trace) == str(story(7).trace)


def test_another_seed_gives_another_trace() -> None:
    assert str(story(7).trace) != str(story(8).trace)


def test_the_same_seed_gives_the_same_trace_in_another_process_under_another_hash_seed() -> None:
    expected = f"{story(7).trace}\n"
    for hash_seed in ("1", "4711"):
        found = subprocess.run(
            [sys.executable, "-c", "from tests.testing.test_trace import story; print(story(7).trace)"],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert expected == found


def test_the_same_seed_gives_the_same_plans() -> None:
    assert story(3).plans == story(3).plans
