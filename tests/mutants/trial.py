"""Tries mutants: each in a process of its own, forked from one that has imported pytest and nothing of wfcore.

The tree is not touched: the patched text of one module is handed to Python's import system in place of the file.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterable, Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any, Literal, TypeAlias

import attrs

from tests.mutants.catalog import ROOT, Mutant
from tests.postgres.server import server_url

Verdict: TypeAlias = Literal["killed", "survived", "broken", "hangs", "sound"]
SECONDS_LIMIT = 60
"""Time for one mutant. One that hangs is not killed: it shows nothing about its rule."""


@attrs.frozen(kw_only=True)
class Trial:
    """What came of a mutant.

    Attributes:
        mutant: the mutant; ``None`` for all killers without any.
        verdict: ``killed``: its killer failed. ``survived``: it passed. ``broken``: it could not be run. ``hangs``: it
            did not end. ``sound``: all killers pass without a mutant.
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


class _PatchedLoader(SourceFileLoader):
    def __init__(self, mutant: Mutant) -> None:
        super().__init__(mutant.module, str(ROOT / mutant.file))
        self._text = mutant.patched()

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002 - there is one
        code: CodeType = compile(self._text, self.path, "exec", dont_inherit=True)
        return code


class Overlay(MetaPathFinder):
    """Finds one patched module in front of all others."""

    def __init__(self, mutant: Mutant) -> None:
        self._name = mutant.module
        self._loader = _PatchedLoader(mutant)

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - Python gives it
        target: Any = None,  # noqa: ARG002 - likewise
    ) -> ModuleSpec | None:
        """The patched module, or ``None``: ask the others."""
        if fullname != self._name:
            return None
        return importlib.util.spec_from_file_location(fullname, self._loader.path, loader=self._loader)


def tried(mutants: Sequence[Mutant], processes: int) -> Iterator[Trial]:
    """Try each mutant, and all their killers without one; results come as they are known."""
    for name in ("hypothesis", "hypothesis.strategies", "attrs", "cattrs", "sybil"):
        importlib.import_module(name)
    assert not {"wfcore", "wfadapters"} & sys.modules.keys(), "they must be imported by each trial for itself"
    if any("postgres" in each.killer for each in mutants):  # one server: a trial that ends leaves its own running
        os.environ["WFCORE_TEST_POSTGRES_URL"] = server_url()
    left: list[Mutant | None] = [None, *mutants] if mutants else []
    running: dict[int, tuple[Mutant | None, Path]] = {}
    with tempfile.TemporaryDirectory() as folder:
        while left or running:
            while left and len(running) < processes:
                mutant = left.pop(0)
                output = Path(folder) / str(len(left))
                killers = [each.killer for each in (mutants if mutant is None else [mutant])]
                running[_forked(mutant, killers, output)] = mutant, output
            process, status, usage = os.wait3(0)
            mutant, output = running.pop(process)
            yield Trial(
                mutant=mutant,
                verdict=_verdict(mutant, os.waitstatus_to_exitcode(status)),
                seconds=usage.ru_utime + usage.ru_stime,
                output=output.read_text(encoding="utf-8", errors="replace"),
            )


def _verdict(mutant: Mutant | None, exit_code: int) -> Verdict:
    if exit_code == -signal.SIGALRM:
        return "hangs"
    if mutant is None:
        return "sound" if exit_code == 0 else "broken"
    return {0: "survived", 1: "killed"}.get(exit_code, "broken")  # type: ignore[return-value] # pytest's exit codes


def _forked(mutant: Mutant | None, killers: Iterable[str], output: Path) -> int:
    sys.stdout.flush()
    process = os.fork()
    if process == 0:
        exit_code = 70
        try:
            signal.alarm(SECONDS_LIMIT)
            exit_code = _run(mutant, killers, output)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(exit_code)
    return process


def _run(mutant: Mutant | None, killers: Iterable[str], output: Path) -> int:
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.environ["WFCORE_HYPOTHESIS_PROFILE"] = "mutants"
    if mutant is not None:
        sys.meta_path.insert(0, Overlay(mutant))
    import pytest

    rewritten = "ignore::pytest.PytestAssertRewriteWarning"  # hypothesis has been imported before its plugin
    options = ["-x", "-q", "-p", "no:cacheprovider", "-W", rewritten, "--no-header", f"--rootdir={ROOT}"]
    exit_code = pytest.main([*options, *set(killers)])
    sys.stdout.flush()
    sys.stderr.flush()
    return int(exit_code)
