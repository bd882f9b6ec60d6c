"""Rules of the house that no other tool checks. Each says why; it fails with the places that break it."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TypeGuard

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src").rglob("*.py"))
PURE = [
    path
    for path in sorted((ROOT / "src" / "wfcore").rglob("*.py"))
    if not {"runner", "testing"} & set(path.relative_to(ROOT).parts)
]
TESTS = sorted((ROOT / "tests").rglob("*.py"))

Function = ast.FunctionDef | ast.AsyncFunctionDef


def test_a_source_file_has_at_most_300_lines() -> None:
    """A file is read in one go; a longer one is two subjects."""
    sizes = {path: len(path.read_text().splitlines()) for path in SOURCES}
    assert [] == [_at(path, size, "lines") for path, size in sizes.items() if size > 300]


def test_no_merge_is_left_open() -> None:
    """Between the marks of a conflict stand two texts, and a reader trusts neither."""
    marks = re.compile(r"^(<{7}|>{7}) ")
    assert [] == _grep(marks, _tracked())


def test_a_function_has_at_most_50_lines() -> None:
    """A function fits on a screen, its docstring aside; pure leaves are moved below it otherwise."""
    assert [] == [
        _at(path, node.lineno, f"{node.name} has {_lines(node)} lines")
        for path, node in _functions(SOURCES)
        if _lines(node) > 50
    ]


def test_a_class_has_at_most_12_public_methods() -> None:
    """What a user holds is learnt at a glance; more is two classes."""
    assert [] == [
        _at(path, node.lineno, f"{node.name} has {len(_public_methods(node))} public methods")
        for path, node in _nodes(SOURCES)
        if isinstance(node, ast.ClassDef) and len(_public_methods(node)) > 12
    ]


def test_nothing_is_excluded_from_coverage(capsys: pytest.CaptureFixture[str]) -> None:
    """An excluded line is an untested one. The count is printed, so that it is seen to be 0."""
    pragmas = _grep(re.compile(r"#\s*pragma\b"), SOURCES)
    with capsys.disabled():
        sys.stdout.write(f"\ncoverage pragmas in src: {len(pragmas)}\n")
    assert [] == pragmas


def test_a_pure_module_says_first_what_it_does_not_do() -> None:
    """Whoever opens a module of the core knows from its first paragraph that no effect hides in it."""
    denial = re.compile(r"\b(no|not|never|nothing|pure|without)\b", re.IGNORECASE)
    openings = {path: (ast.get_docstring(_parsed(path)) or "").split("\n\n")[0] for path in PURE}
    assert [] == [_at(path, 1, opening) for path, opening in openings.items() if not denial.search(opening)]


def test_a_package_only_exports() -> None:
    """Importing a package runs no code of its own, and `__all__` is its whole surface (ruff sorts it)."""
    assert [] == [
        _at(path, node.lineno, ast.unparse(node).splitlines()[0])
        for path in _packages()
        for node in _parsed(path).body
        if not (isinstance(node, ast.Import | ast.ImportFrom) or _is_docstring(node) or _is_all(node))
    ]


def test_all_names_everything_that_a_package_imports() -> None:
    """A name that is imported and not exported is a mistake in one place or the other."""
    for path in _packages():
        imported = {
            alias.asname or alias.name
            for node in _parsed(path).body
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        exported = [ast.literal_eval(node.value) for node in _parsed(path).body if _is_all(node)]
        assert imported == set(*exported), path


def test_no_module_is_named_utils() -> None:
    """Such a name says nothing, so anything ends up in it."""
    nameless = {"common", "helpers", "misc", "util", "utils"}
    assert [] == [path for path in SOURCES if nameless & {path.stem, path.parent.name}]


def test_no_file_names_a_machine_or_a_registry() -> None:
    """A checkout works anywhere, and packages come from wherever the user's clients are told to look."""
    forbidden = re.compile(r"(?<![\w.])/(work|root)\b|\b(pypi|pythonhosted|npmjs|debian)[.](org|com)\b")
    assert [] == _grep(forbidden, _tracked())


def test_no_test_sleeps() -> None:
    """Time is virtual; a test that sleeps is slow, and flaky on a slower machine."""
    assert [] == _grep(re.compile(r"\btime\.sleep\(|from time import .*\bsleep\b"), _others(TESTS))


def test_no_test_mocks() -> None:
    """Every door to the world is an argument, so a test passes a value or a real store."""
    assert [] == _grep(re.compile(r"\bunittest\.mock\b|from unittest import .*\bmock\b"), _others(TESTS))


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _nodes(paths: list[Path]) -> Iterator[tuple[Path, ast.AST]]:
    for path in paths:
        for node in ast.walk(_parsed(path)):
            yield path, node


def _functions(paths: list[Path]) -> Iterator[tuple[Path, Function]]:
    for path, node in _nodes(paths):
        if isinstance(node, Function):
            yield path, node


def _lines(node: Function) -> int:
    first = node.body[0]
    docstring = (first.end_lineno or first.lineno) - first.lineno + 1 if _is_docstring(first) else 0
    return (node.end_lineno or node.lineno) - node.lineno + 1 - docstring


def _public_methods(node: ast.ClassDef) -> list[str]:
    return [
        item.name
        for item in node.body
        if isinstance(item, Function)
        and not item.name.startswith("_")
        and "overload" not in map(ast.unparse, item.decorator_list)
    ]


def _packages() -> list[Path]:
    return [path for path in SOURCES if path.name == "__init__.py"]


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_all(node: ast.stmt) -> TypeGuard[ast.Assign]:
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"


def _grep(pattern: re.Pattern[str], paths: list[Path]) -> list[str]:
    return [
        _at(path, number, line.strip())
        for path in paths
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if pattern.search(line)
    ]


def _others(paths: list[Path]) -> list[Path]:
    return [path for path in paths if path != Path(__file__)]


def _tracked() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [path for name in names.split("\0") if name and (path := ROOT / name).is_file()]


def _at(path: Path, line: int, what: str) -> str:
    return f"{path.relative_to(ROOT)}:{line}: {what}"
