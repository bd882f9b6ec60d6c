"""The suite as an adapter author has it: in a project of their own, on the command line, with a report."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from wfcore.testing.conformance import CLAUSES, Adapter

PROJECT = """
from pathlib import Path

import pytest
from wfadapters.memory import MemoryStore
from wfcore.testing.conformance import Adapter, AsyncStoreSuite, StoreSuite
from wfcore.runner import to_async

class Worse(MemoryStore):
    def due(self, query):
        return [*super().due(query)][::-1]

def good(folder: Path) -> Adapter:
    return Adapter(open=MemoryStore, durable=False, skips={"C5": "nobody audits it"})

def worse(folder: Path) -> Adapter:
    return Adapter(open=Worse, durable=False)

def for_nothing(folder: Path) -> Adapter:
    return Adapter(open=MemoryStore, durable=False, skips={"C5": ""})

def away(folder: Path) -> Adapter:
    def open(clock):
        raise ConnectionError("the server is away")
    return Adapter(open=open)

def forgetful(folder: Path) -> None:
    Adapter(open=MemoryStore, durable=False)

def no_store(folder: Path) -> Adapter:
    return Adapter(open=lambda clock: None)

class HalfFeed:
    def __init__(self, clock):
        self.store = MemoryStore(clock)
        self.retrieve, self.apply, self.due = self.store.retrieve, self.store.apply, self.store.due

def half_a_feed(folder: Path) -> Adapter:
    return Adapter(open=HalfFeed, durable=False)

class ListensLater(MemoryStore):
    async def listen(self, callback):
        return super().listen(callback)

def listens_later(folder: Path) -> Adapter:
    return Adapter(open=ListensLater, durable=False)

def misspelt(folder: Path) -> Adapter:
    return Adapter(open=MemoryStore, durable=False, skips={"test_a1_nothing": "misspelt"})

def for_asyncio(folder: Path) -> Adapter:
    return Adapter(open=lambda clock: to_async(MemoryStore(clock)), durable=False)

class TestWorse(StoreSuite):
    @pytest.fixture
    def adapter(self, tmp_path: Path) -> Adapter:
        return worse(tmp_path)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "test_mine.py").write_text(PROJECT, encoding="utf-8")
    return tmp_path


def run(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    # Without the plugins of what happens to be installed beside it, which take two seconds to load.
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, cwd=project, env=env, check=False, capture_output=True, text=True)


def report(project: Path, suite: str) -> Any:
    return json.loads((project / "report.json").read_text(encoding="utf-8"))["suites"][suite]


def test_plain_pytest_runs_it_and_shows_both_sides_of_a_failed_assertion(project: Path) -> None:
    done = run(project, "pytest", "-q", "-p", "no:cacheprovider", "-k", "test_f1 or test_f2")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "test_f2_due_hooks_come_in_the_order_of_instant_and_id" in done.stdout
    assert "At index 0 diff: 'checkout#order-2#timer' != 'refund#order-1#timer'" in done.stdout
    assert "2 failed, 2 passed" in done.stdout


def test_the_plugin_writes_a_report_of_each_suite_clause_by_clause(project: Path) -> None:
    plugin = "-p", "wfcore.testing.conformance.report", "--conformance-report", "report.json"
    run(project, "pytest", "-q", "-p", "no:cacheprovider", *plugin, "-k", "test_f1 or test_f2 or test_a4")
    found = report(project, "TestWorse")
    assert (found["conforms"], list(found["clauses"])) == (False, list(CLAUSES))
    assert found["clauses"]["F1"] == {
        "title": CLAUSES["F1"],
        "result": "passed",
        "passed": 2,
        "failed": [],
        "skipped": {},
    }
    assert sorted(found["clauses"]["F2"]["failed"]) == [
        "test_f2_an_instance_gives_its_first_hook_only",
        "test_f2_due_hooks_come_in_the_order_of_instant_and_id",
    ]
    assert found["clauses"]["A4"]["result"] == "skipped"
    assert {*found["clauses"]["A4"]["skipped"].values()} == {"the adapter is not durable"}
    assert found["clauses"]["E1"]["result"] == "not run"


def test_the_command_line_tells_of_each_clause(project: Path) -> None:
    words = "test_mine:good", "--report", "report.json", "-k", "test_c5 or test_f2"
    done = run(project, "wfcore.testing.conformance", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
    assert ["F2", "passed", "2 passed"] in lines
    assert ["C5", "skipped", "12 skipped (left out: nobody audits it)"] in lines
    found = report(project, "TestStore")
    assert found["clauses"]["F2"]["result"] == "passed"
    assert not found["conforms"], "most of it was not run"


def test_the_command_line_shows_both_sides_of_a_failed_assertion(project: Path) -> None:
    done = run(project, "wfcore.testing.conformance", "test_mine:worse", "-k", "test_f2")
    assert "At index 0 diff: 'checkout#order-2#timer' != 'refund#order-1#timer'" in done.stdout


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("test_mine:worse", "-k", "test_f2"), 1, "F2   failed   2 failed"),
        (("test_mine:for_asyncio", "--asyncio", "-k", "test_f2"), 0, "F2   passed   2 passed"),
        (("test_mine:half_a_feed", "-k", "test_f2"), 1, "the store has due, but no next_due_at: a HookFeed has all"),
        (("test_mine:listens_later", "-k", "test_b3"), 1, "is `async def`: it has to be a plain function"),
        (("test_mine:misspelt",), 2, "test_mine:misspelt: skips: there is no test test_a1_nothing"),
        (("test_mine:for_nothing",), 2, "skips['C5']: say why"),
        (("test_mine:away",), 2, "ConnectionError: the server is away"),
        (("test_mine:forgetful",), 2, "None is no wfcore.testing.conformance.Adapter"),
        (("test_mine:no_store",), 2, "has given None, which is no store: it has no retrieve, no apply"),
        (("test_mine:for_asyncio",), 2, "a store for asyncio wants an AsyncStoreSuite (--asyncio)"),
        (("test_mine:good", "--asyncio"), 2, "a blocking store wants a StoreSuite (no --asyncio)"),
        (("test_mine:nobody",), 2, "module 'test_mine' has no attribute 'nobody'"),
        (("test_nobody:good",), 2, "No module named 'test_nobody'"),
        (("test_mine",), 2, "test_mine: must be module:function"),
    ],
)
def test_the_command_line_says_by_its_exit_code_whether_a_store_conforms(
    project: Path, words: tuple[str, ...], code: int, told: str
) -> None:
    done = run(project, "wfcore.testing.conformance", *words)
    assert done.returncode == code, done.stdout + done.stderr
    assert told in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("skips", "told"),
    [
        ({"A3": " "}, "skips['A3']: say why"),
        ({"Z1": "why not"}, "skips['Z1']: is no clause"),
    ],
)
def test_what_is_skipped_is_named_with_a_reason(skips: dict[str, str], told: str) -> None:
    with pytest.raises(ValueError, match=r"^skips") as caught:
        Adapter(open=print, skips=skips)
    assert told in str(caught.value)


def test_neither_pytest_nor_hypothesis_is_needed_to_import_what_else_there_is_for_testing() -> None:
    code = "import sys; sys.modules.update(pytest=None, hypothesis=None); import wfcore.testing"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
