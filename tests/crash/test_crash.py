"""kill -9 in the middle of it: what was acknowledged is there, what was not is there wholly or not at all (A1, A4)."""

import os
from pathlib import Path

import pytest

from tests.crash.chaos import kill_fleets
from tests.crash.harness import Summary, kill_plans, kill_workflows, unexplained

CYCLES = int(os.environ.get("WFCORE_CRASH_CYCLES", "12"))
SEED = int(os.environ.get("WFCORE_CRASH_SEED", "1"))


@pytest.mark.crash
def test_a4_an_applied_plan_survives_kill_9(tmp_path: Path) -> None:
    summary = Summary()
    kill_plans(CYCLES - CYCLES // 4, SEED, tmp_path, summary)
    assert summary.violations == []
    assert summary.acknowledged > 0


@pytest.mark.crash
def test_a_workflow_survives_kill_9_and_commits_each_step_once(tmp_path: Path) -> None:
    summary = Summary()
    kill_workflows(max(CYCLES // 4, 3), SEED, tmp_path, summary)
    assert summary.violations == []
    assert summary.acknowledged > 0


@pytest.mark.crash
@pytest.mark.parametrize("store", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_r4_four_dispatcher_processes_survive_kill_9(tmp_path: Path, store: str) -> None:
    """Each with a shard; with a shard that nobody serves; and all of them taking everything."""
    summary = Summary()
    kill_fleets(CYCLES, SEED, tmp_path, summary, store=store, processes=4)
    assert summary.violations == []
    assert (summary.kills, summary.stolen >= 4) == (CYCLES, True)
    assert summary.bodies > 0


@pytest.mark.parametrize(
    ("bodies", "attempts", "lost", "unsure", "is_explained"),
    [
        pytest.param(7, 5, 2, 0, True, id="each has its attempt or has lost"),
        pytest.param(6, 5, 2, 0, False, id="an attempt, or a lost race, without a body"),
        pytest.param(13, 5, 2, 0, True, id="each of six ticks was killed in a body"),
        pytest.param(14, 5, 2, 0, False, id="one body too many"),
        pytest.param(14, 5, 2, 1, True, id="one whose plan may have been applied or not"),
        pytest.param(7, 5, 2, 1, True, id="it was applied"),
        pytest.param(15, 5, 2, 1, False, id="one body too many beside it"),
        pytest.param(0, 0, 0, 0, True, id="killed before the first body"),
    ],
)
def test_every_body_is_committed_or_lost_or_cut_off_by_the_kill(
    bodies: int, attempts: int, lost: int, unsure: int, is_explained: bool
) -> None:
    assert is_explained == (not unexplained(bodies, attempts, lost, unsure))
