"""The benchmark runs. What it measures is never asserted: a ratio says something on a quiet machine only."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_the_quick_benchmark_prints_its_tables() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--quick"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    rows = [line for line in done.stdout.splitlines() if line.startswith(("async def, ", "def, "))]
    assert 16 == len(rows)
    rows = [line for line in done.stdout.splitlines() if line.endswith(tuple("0123456789")) and "wake-up" in line]
    assert 2 == len(rows)
    rows = [line for line in done.stdout.splitlines() if line.startswith(("apply, ", "create, "))]
    assert 4 == len(rows)
    rows = [line for line in done.stdout.splitlines() if line.startswith(("asyncio, ", "blocking "))]
    assert 4 == len(rows)
    rows = [line for line in done.stdout.splitlines() if line.startswith(("page of 100, ", "counts, ", "history of "))]
    assert 24 == len(rows)
