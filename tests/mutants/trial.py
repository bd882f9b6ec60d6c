"""Tries mutants, each in a process of its own; the tree is not touched.

What trials have in common is done once. This process makes pytest ready to collect tests. From it one is forked for
each file that mutants patch: it imports the module, and where Python asks for its code, the first time, a process is
forked for each mutant, which gets the patched text in place of the file. What is imported by then is shared, and
nothing of it can know the module that is patched.
"""

from __future__ import annotations

import gc
import importlib.util
import linecache
import os
import pickle
import signal
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from tempfile import TemporaryDirectory
from types import CodeType
from typing import Any, Literal, TypeAlias, TypeVar

import attrs
import pytest

from tests.mutants.catalog import FOLDER, ROOT, Mutant
from tests.postgres.server import server_url

Verdict: TypeAlias = Literal["killed", "survived", "broken", "hangs", "sound"]
SECONDS_LIMIT = 60
"""Time for one mutant. One that hangs is not killed: it shows nothing about its rule."""
NOT_OURS = ("asyncio", "cattrs", "hypothesis.strategies", "psycopg_pool", "sqlite3")
"""What trials would import each for itself."""
BROKEN = 70
"""The exit code of a trial that shows nothing; the others are pytest's."""
OPTIONS = [
    *("-x", "-qq", "-s", f"--rootdir={ROOT}", "-p", "no:cacheprovider"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # hypothesis has been imported before its plugin
    str(FOLDER),  # collected is what each trial asks for; the configuration of a test is that of all
]


@attrs.frozen(kw_only=True)
class Trial:
    """What came of a mutant.

    Attributes:
        mutant: the mutant; ``None`` for all killers without any.
        verdict: ``killed``: its killer failed. ``survived``: it passed. ``broken``: it could not be run, or the killer
            failed for a reason that tells nothing about the rule. ``hangs``: it did not end. ``sound``: all killers
            pass without a mutant.
        seconds: of processor time.
        output: of pytest.
    """

    mutant: Mutant | None
    verdict: Verdict
    seconds: float
    output: str

    @property
    def is_good(self) -> bool:
        """Whether that is how it has to be."""
        return self.verdict in ("killed", "sound")


def tried(mutants: Sequence[Mutant], processes: int, tell: Callable[[Trial], None]) -> None:
    """Try each mutant, and all their killers without one; results are told as they are known.

    If a module cannot even be imported, its mutants have none.
    """
    if not mutants:
        return
    for name in NOT_OURS:
        importlib.import_module(name)
    os.environ["WFCORE_HYPOTHESIS_PROFILE"] = "mutants"
    if any("postgres" in each.killer for each in mutants):  # one server: a trial that ends leaves its own running
        os.environ["WFCORE_TEST_POSTGRES_URL"] = server_url()
    with TemporaryDirectory() as folder:
        sys.dont_write_bytecode, sys.pycache_prefix = False, folder  # each file of ours is compiled once
        trials = _Trials(mutants, processes, tell, Path(folder))
        exit_code = BROKEN
        try:
            exit_code = trials.exit_code(pytest.main(OPTIONS, plugins=[trials]))
        finally:
            if trials.is_forked:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(exit_code)


class _Trials:
    """A plugin of pytest: where tests are to be collected, it forks; in a trial, pytest goes on with its killers."""

    def __init__(self, mutants: Sequence[Mutant], processes: int, tell: Callable[[Trial], None], folder: Path) -> None:
        self.is_forked = False
        self._mutants = mutants
        self._processes = processes
        self._tell = tell
        self._folder = folder
        self._has_evidence = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> bool:
        assert not {"wfcore", "wfadapters"} & sys.modules.keys(), "they must be imported after the fork"
        files = dict.fromkeys(each.file for each in self._mutants)
        left: list[Sequence[Mutant]] = [(), *([each for each in self._mutants if each.file == file] for file in files)]
        running: dict[int, Path] = {}
        gc.freeze()
        while left or running:
            while left and len(running) < self._processes:
                mutants, results = left.pop(0), self._folder / f"{len(left)}.results"
                process = os.fork()
                if process == 0:
                    self.is_forked = True
                    mutant = _begun_at_import(mutants, results) if mutants else _begun([None], results)
                    session.perform_collect([each.killer for each in (self._mutants if mutant is None else [mutant])])
                    return True
                running[process] = results
            process, _ = os.wait()
            results = running.pop(process)
            for trial in pickle.loads(results.read_bytes()) if results.exists() else ():
                self._tell(trial)
        return True

    def pytest_exception_interact(self, call: pytest.CallInfo[Any], report: pytest.TestReport) -> None:
        assert call.excinfo is not None
        if report.when == "call" and _is_evidence(call.excinfo):
            self._has_evidence = True
        else:
            sys.stdout.write(f"\n{call.excinfo.typename} in {report.when}: that tells nothing about a rule\n")

    def exit_code(self, of_pytest: int) -> int:
        """That of pytest, if a test that has failed tells that a rule is broken."""
        return of_pytest if of_pytest != 1 or self._has_evidence else BROKEN


def _is_evidence(found: pytest.ExceptionInfo[BaseException]) -> bool:
    """Whether it may come of a broken rule: it is said so, or a test does not find there what it looks for.

    What else is raised may come of a patch that uses a name that is gone, or of a machine without memory.
    """
    from wfcore.errors import WfcoreError

    if isinstance(found.value, (AssertionError, pytest.fail.Exception, WfcoreError)):
        return True
    in_tests = Path(found.traceback[-1].path).is_relative_to(ROOT / "tests")
    return in_tests and isinstance(found.value, (LookupError, ValueError))


class _Fork(SourceFileLoader):
    """Finds the module that mutants patch, in front of all others, and forks where its code is asked for."""

    def __init__(self, mutants: Sequence[Mutant], results: Path) -> None:
        super().__init__(mutants[0].module, str(ROOT / mutants[0].file))
        self._mutants = mutants
        self._results = results
        self.mutant: Mutant | None = None

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - Python gives it
        target: Any = None,  # noqa: ARG002 - likewise
    ) -> ModuleSpec | None:
        """The patched module, or ``None``: ask the others."""
        if fullname != self.name:
            return None
        return importlib.util.spec_from_file_location(fullname, self.path, loader=self)

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002 - there is one
        self.mutant = _begun(self._mutants, self._results)
        text = self.mutant.patched()
        linecache.cache[self.path] = len(text), None, text.splitlines(keepends=True), self.path  # for tracebacks
        code: CodeType = compile(text, self.path, "exec", dont_inherit=True)
        return code


def _begun_at_import(mutants: Sequence[Mutant], results: Path) -> Mutant:
    """Import the module of these mutants; it is patched, and this a process of its own, for each of them."""
    fork = _Fork(mutants, results)
    sys.meta_path.insert(0, fork)
    importlib.import_module(fork.name)
    assert fork.mutant is not None, f"{fork.name} has been imported before"
    return fork.mutant


M = TypeVar("M", Mutant, None)


def _begun(mutants: Sequence[M], results: Path) -> M:
    """Fork a process for each, one after the other, and return there; this one leaves the results, and ends."""
    output = results.with_suffix(".output")
    trials = []
    gc.freeze()
    for mutant in mutants:
        process = os.fork()
        if process == 0:
            signal.alarm(SECONDS_LIMIT)
            descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
            return mutant
        _, status, usage = os.wait4(process, 0)
        trials.append(
            Trial(
                mutant=mutant,
                verdict=_verdict(mutant, os.waitstatus_to_exitcode(status)),
                seconds=usage.ru_utime + usage.ru_stime,
                output=output.read_text(encoding="utf-8", errors="replace"),
            )
        )
    results.write_bytes(pickle.dumps(trials))
    os._exit(0)


def _verdict(mutant: Mutant | None, exit_code: int) -> Verdict:
    if exit_code == -signal.SIGALRM:
        return "hangs"
    if mutant is None:
        return "sound" if exit_code == 0 else "broken"
    return {0: "survived", 1: "killed"}.get(exit_code, "broken")  # type: ignore[return-value] # pytest's exit codes
