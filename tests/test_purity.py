"""The pure core names nothing that reads a clock, throws dice, looks around or talks to the world.

import-linter follows imports and ruff bans names; this reads the syntax, so that the rule also holds for
imports inside functions, for built-ins, and when neither tool is installed.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parent.parent / "src"
PURE = [
    path
    for path in sorted((SRC / "wfcore").rglob("*.py"))
    if path != SRC / "wfcore" / "__init__.py" and not {"runner", "testing"} & set(path.relative_to(SRC).parts)
]

MODULES = set(
    """
    _thread asyncio concurrent ctypes glob importlib io logging mmap multiprocessing os pathlib queue random sched
    secrets select selectors shutil signal socket sqlite3 ssl subprocess tempfile threading time urllib
    """.split()  # noqa: SIM905
)
BUILTINS = {"__import__", "breakpoint", "eval", "exec", "hash", "input", "open", "print"}
ATTRIBUTES = {"now", "today", "utcnow", "uuid1", "uuid4", "getnode"}
OWNERS = {"date", "datetime", "uuid"}


@pytest.mark.parametrize("path", PURE, ids=lambda path: str(path.relative_to(SRC)))
def test_a_pure_module_names_no_effect(path: Path) -> None:
    assert [] == list(_effects(ast.parse(path.read_text())))


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "import os.path",
        "from asyncio import sleep",
        "def f():\n    import random",
        "from uuid import uuid4",
        "uuid.uuid4()",
        "datetime.now(UTC)",
        "datetime.datetime.utcnow()",
        "open('x')",
        "hash('x')",
    ],
)
def test_an_effect_is_found(source: str) -> None:
    assert 1 == len(list(_effects(ast.parse(source))))


@pytest.mark.parametrize(
    "source", ["from datetime import datetime", "step.now()", "from uuid import UUID", "def now(): ..."]
)
def test_a_value_is_no_effect(source: str) -> None:
    assert [] == list(_effects(ast.parse(source)))


def _effects(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names) if {alias.name.split(".")[0] for alias in names} & MODULES:
                yield f"line {node.lineno}: {ast.unparse(node)}"
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in MODULES:
                yield f"line {node.lineno}: {ast.unparse(node)}"
            case ast.ImportFrom(names=names) if {alias.name for alias in names} & ATTRIBUTES:
                yield f"line {node.lineno}: {ast.unparse(node)}"
            case ast.Call(func=ast.Name(id=name)) if name in BUILTINS:
                yield f"line {node.lineno}: {ast.unparse(node)}"
            case ast.Attribute(value=owner, attr=name) if name in ATTRIBUTES:
                if ast.unparse(owner).split(".")[-1] in OWNERS:
                    yield f"line {node.lineno}: {ast.unparse(node)}"
