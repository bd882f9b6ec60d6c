"""Several processes open one SQLite file at once (A3); what they do then is tested by the conformance suite."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from tests.stores.processes import open_together

PROCESSES = 3
FILES = 20


def test_processes_that_open_a_new_file_at_once_make_one_schema_and_one_creates(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.db" for number in range(FILES)]
    spawn = get_context("spawn")
    with spawn.Manager() as manager, ProcessPoolExecutor(PROCESSES, spawn) as pool:
        barrier = manager.Barrier(PROCESSES)
        opened = [pool.submit(open_together, paths, barrier, f"p{number}") for number in range(PROCESSES)]
        created = [each.result() for each in opened]
    assert [sum(won) for won in zip(*created, strict=True)] == [1] * FILES
