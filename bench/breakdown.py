"""Where the time goes, by cProfile: it counts calls too dearly, so the shares are to be read, not the seconds."""

import cProfile
import io
import pstats
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from bench.replay import Case
from bench.ticks import WORKLOADS, Ours

_LINES = 30


def profile(what: Literal["replay", "ticks"]) -> str:
    """The report, by own time."""
    return _replay() if what == "replay" else _ticks()


def _replay() -> str:
    reports = []
    for colour in ("async def", "def"):
        replay, _ = Case(colour, "int", 1_000).sides(0.1)
        reports.append(_profiled(f"replay of 1,000 recorded steps, {colour}, int", lambda: replay(0)))  # noqa: B023 # called at once
    return "\n".join(reports)


def _ticks() -> str:
    reports = []
    for workload in WORKLOADS:
        with tempfile.TemporaryDirectory(prefix="wfcore-bench-") as folder:
            ours = Ours(Path(folder) / "ours.sqlite", "NORMAL", workload)
            ours.tick(ours.prepare(50))
            fired = ours.prepare(500 // workload.applies)
            reports.append(_profiled(f"500 applies, {workload.name}, NORMAL", lambda: ours.tick(fired)))  # noqa: B023 # called at once
            ours.store.close()
    return "\n".join(reports)


def _profiled(title: str, run: Callable[[], object]) -> str:
    profiler = cProfile.Profile()
    profiler.runcall(run)
    report = io.StringIO()
    pstats.Stats(profiler, stream=report).strip_dirs().sort_stats("tottime").print_stats(_LINES)
    return f"== {title}\n{report.getvalue()}"
