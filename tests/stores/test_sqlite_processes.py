"""Several processes share one SQLite file (A3)."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from tests.stores.build import REF, create
from tests.stores.processes import compete, open_together
from wfadapters.sqlite import SqliteStore

PROCESSES = 3
FILES = 20
LAST_VERSION = 150
Results = tuple[list[list[bool]], list[list[int]], Path]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Starting processes takes long: they do both things, once."""
    folder = tmp_path_factory.mktemp("processes")
    paths = [folder / f"{number}.db" for number in range(FILES)]
    shared = folder / "shared.db"
    with SqliteStore(shared) as store:
        store.apply(create())
    spawn = get_context("spawn")
    with spawn.Manager() as manager, ProcessPoolExecutor(PROCESSES, spawn) as pool:
        barrier = manager.Barrier(PROCESSES)
        names = [f"p{number}" for number in range(PROCESSES)]
        opened = [pool.submit(open_together, paths, barrier, name) for name in names]
        created = [each.result() for each in opened]
        competing = [pool.submit(compete, shared, barrier, name, LAST_VERSION) for name in names]
        written = [each.result() for each in competing]
    return created, written, shared


def test_processes_that_open_a_new_file_at_once_make_one_schema_and_one_creates(
    results: Results,
) -> None:
    created, _, _ = results
    assert [sum(won) for won in zip(*created, strict=True)] == [1] * FILES


def test_a3_one_process_wins_each_version(results: Results) -> None:
    _, written, path = results
    assert sorted(version for won in written for version in won) == list(range(2, LAST_VERSION + 1))
    with SqliteStore(path) as store:
        found = store.retrieve(REF)
    expected = {f"do:{version}": f"p{number}" for number, won in enumerate(written) for version in won}
    assert {each.key: each.result for each in found.steps} == expected
