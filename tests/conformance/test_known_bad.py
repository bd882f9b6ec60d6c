"""Every clause rejects the stores that break it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.bad import BAD, Bad
from tests.conformance.suites import GOOD
from wfcore.testing.conformance import CLAUSES, AsyncStoreSuite
from wfcore.testing.conformance.contents import clause_of

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def suites(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What came of them, from one process."""
    path = tmp_path_factory.mktemp("conformance") / "report.json"
    done = subprocess.run(
        [sys.executable, "-m", "tests.conformance", str(path)], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["suites"]
    return found


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: f"{bad.clause} {bad.name}")
def test_a_known_bad_store_is_rejected_by_the_tests_of_its_clause(suites: dict[str, Any], bad: Bad) -> None:
    failed = {name.partition("[")[0] for name in suites[bad.suite]["clauses"][bad.clause]["failed"]}
    assert {f"test_{bad.clause.lower()}_{test}" for test in bad.tests} - failed == set()


@pytest.mark.parametrize("good", GOOD)
def test_the_store_that_is_sabotaged_is_a_good_one(suites: dict[str, Any], good: str) -> None:
    assert [] == [name for verdict in suites[good]["clauses"].values() for name in verdict["failed"]]


def test_every_clause_has_a_known_bad_store() -> None:
    assert {*CLAUSES} == {bad.clause for bad in BAD}


def test_every_test_rejects_a_known_bad_store(suites: dict[str, Any]) -> None:
    failed = {name.partition("[")[0] for bad in BAD for name in suites[bad.suite]["clauses"][bad.clause]["failed"]}
    assert [] == [name for name in dir(AsyncStoreSuite) if clause_of(name) and name not in failed]


def test_every_known_bad_store_has_a_name_of_its_own() -> None:
    assert len(BAD) == len({bad.suite for bad in BAD})
