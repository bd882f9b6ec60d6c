"""The list of mutmut's survivors: what is on it exists, and what survives is on it. `make mutmut` runs them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.mutants.catalog import ROOT
from tests.mutants.survivors import LIST, Change, Listed, changed, complaints, function_of, listed

SAME = Change("m.f", "a < b => a <= b")
OTHER = Change("m.f", "x = 1 => x = 2")
CHANGES = {"m.x_f__mutmut_1": SAME, "m.x_f__mutmut_2": OTHER}


def functions() -> set[str]:
    """All functions and methods of the code that is mutated."""
    found = set()
    for path in [ROOT / "src/wfcore/evolve.py", *(ROOT / "src/wfcore/planner").rglob("*.py")]:
        module = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            members = node.body if isinstance(node, ast.ClassDef) else [node]
            within = f"{module}.{node.name}" if isinstance(node, ast.ClassDef) else module
            found |= {
                f"{within}.{each.name}" for each in members if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
            }
    return found


def test_every_listed_survivor_is_of_a_function_that_exists() -> None:
    """`make survivors` looks closer: for the very mutants."""
    assert [] == [each.change for each in listed() if each.change.function not in functions()]


def test_no_survivor_is_listed_twice() -> None:
    changes = [each.change for each in listed()]
    assert sorted(set(changes)) == sorted(changes)


def test_the_list_is_sorted() -> None:
    lines = [line for line in LIST.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    assert sorted(lines) == lines


@pytest.mark.parametrize(
    ("exit_codes", "known", "expected"),
    [
        ({"m.x_f__mutmut_1": 1, "m.x_f__mutmut_2": 36}, [], []),
        ({"m.x_f__mutmut_1": 0, "m.x_f__mutmut_2": 1}, [SAME], []),
        ({"m.x_f__mutmut_1": 0, "m.x_f__mutmut_2": 1}, [], [f"m.x_f__mutmut_1 survives: {SAME} || "]),
        ({"m.x_f__mutmut_2": 33}, [], [f"m.x_f__mutmut_2 is called by no test: {OTHER} || "]),
        ({"m.x_f__mutmut_2": -11}, [], [f"m.x_f__mutmut_2 ends with -11: {OTHER} || "]),
        ({"m.x_f__mutmut_1": 1}, [SAME], [f"it does not survive any more: {SAME}"]),
        ({"m.x_f__mutmut_1": None}, [], []),
        ({}, [Change("m.g", "a => b")], ["there is no such mutant any more: m.g || a => b"]),
        (None, [Change("m.g", "a => b")], ["there is no such mutant any more: m.g || a => b"]),
        (None, [SAME], []),
    ],
    ids=["killed", "listed", "not listed", "untested", "crashed", "stale", "not run", "gone", "gone, not run", "there"],
)
def test_a_survivor_that_is_not_listed_and_a_listed_one_that_does_not_survive_are_errors(
    exit_codes: dict[str, int | None] | None, known: list[Change], expected: list[str]
) -> None:
    assert expected == list(complaints(CHANGES, exit_codes, [Listed(each, "why") for each in known]))


@pytest.mark.parametrize(
    ("key", "function"),
    [
        ("wfcore.evolve.x_holds__mutmut_12", "wfcore.evolve.holds"),
        ("wfcore.evolve.x__perform__mutmut_1", "wfcore.evolve._perform"),
        ("wfcore.evolve.xǁ_Draftǁrows__mutmut_5", "wfcore.evolve._Draft.rows"),
        ("wfcore.evolve.xǁ_Draftǁ__init____mutmut_5", "wfcore.evolve._Draft.__init__"),
    ],
)
def test_a_function_is_named_as_people_do(key: str, function: str) -> None:
    assert function == function_of(key)


def test_a_change_is_what_differs_below_the_name() -> None:
    before = "def x_f__mutmut_orig(a):\n    if a < 1:\n        return 1\n    return 2\n"
    after = "def x_f__mutmut_1(a):\n    if a <= 1:\n        return 1\n    return 2\n"
    assert "if a < 1: => if a <= 1:" == changed(before, after)


@pytest.mark.parametrize("line", ["m.f || a => b", "m.f || a => b ||", "|| a => b || why", "m.f a => b || why"])
def test_a_line_without_all_three_parts_is_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "survivors.txt"
    path.write_text(line)
    with pytest.raises(ValueError, match=r"a part is missing|values to unpack"):
        listed(path)
