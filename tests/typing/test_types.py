"""Both type checkers accept the programs, and report exactly the lines that are marked."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeAlias

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
FILES = ["programs.py", "mistakes.py"]
MARK = re.compile(r"# E(?:: (?P<only>\w+))?$")

Errors: TypeAlias = dict[str, dict[int, str]]
"""First message by line, by file."""


@cache
def mypy() -> Errors:
    """What mypy reports, by the configuration in pyproject.toml."""
    lines = _output("-m", "mypy", "--output=json", *(str(HERE / name) for name in FILES)).splitlines()
    found: Errors = {name: {} for name in FILES}
    for report in map(json.loads, lines):
        if report["severity"] == "error":
            found[Path(report["file"]).name].setdefault(report["line"], report["message"])
    return found


@cache
def pyright() -> Errors:
    """What pyright reports, by the configuration in pyproject.toml."""
    arguments = ["--outputjson", "--pythonpath", sys.executable, *(str(HERE / name) for name in FILES)]
    found: Errors = {name: {} for name in FILES}
    for report in json.loads(_output("-m", "pyright", *arguments))["generalDiagnostics"]:
        if report["severity"] == "error":
            line = report["range"]["start"]["line"] + 1
            found[Path(report["file"]).name].setdefault(line, report["message"])
    return found


def _output(*arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.startswith("{") or not done.stdout, done.stdout + done.stderr
    return done.stdout


def marked(name: str, checker: str) -> set[int]:
    """The lines on which that checker is to report something."""
    lines = (HERE / name).read_text(encoding="utf-8").splitlines()
    marks = {number: MARK.search(line) for number, line in enumerate(lines, start=1)}
    return {number for number, mark in marks.items() if mark and mark["only"] in (None, checker)}


@pytest.mark.parametrize("checker", [mypy, pyright], ids=["mypy", "pyright"])
@pytest.mark.parametrize("name", FILES)
def test_exactly_the_marked_lines_are_reported(name: str, checker: Callable[[], Errors]) -> None:
    lines = (HERE / name).read_text(encoding="utf-8").splitlines()
    found = checker()[name]
    missed = [f"{line}: {lines[line - 1]}" for line in marked(name, checker.__name__) - {*found}]
    unexpected = [f"{line}: {found[line]}" for line in {*found} - marked(name, checker.__name__)]
    assert ([], []) == (missed, unexpected)
