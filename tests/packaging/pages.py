"""A page of the docs as what a reader makes of it: files, and commands to run."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import attrs

_FENCE = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@attrs.frozen
class Run:
    """A command of a page.

    Attributes:
        command: its words.
        file: the file that it is about.
        text: what is to stand in it: every Python fence of the page above the command.
    """

    command: tuple[str, ...]
    file: str
    text: str


def runs(page: str) -> Iterator[Run]:
    """The commands of a page; at its end the whole page is run as a script."""
    script = ""
    for fence in _FENCE.finditer(page):
        if fence["language"] == "python":
            script += fence["text"] + "\n"
        elif fence["language"] == "sh":
            for line in fence["text"].splitlines():
                words = tuple(shlex.split(line))
                yield Run(words, next(word for word in words if word.endswith(".py")), script)
    yield Run(("python", "page.py"), "page.py", script)


def longest_test(text: str) -> int:
    """Lines of the longest test in a file."""
    tests = [
        node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    return max(((node.end_lineno or node.lineno) - node.lineno + 1 for node in tests), default=0)


def read(page: Path) -> tuple[Run, ...]:
    """The commands of a page, in order."""
    return tuple(runs(page.read_text(encoding="utf-8")))
