"""kill -9 in the middle of it: what was acknowledged is there, what was not is there wholly or not at all (A1, A4)."""

import os
from pathlib import Path

import pytest

from tests.crash.harness import Summary, kill_plans, kill_workflows

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
