"""Every rule has a mutant, every mutant applies, and its killer names its rule. `make mutants` runs them all."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants.catalog import ROOT, BadMutantError, Mutant, in_order, load, rules_by_test, selected, todo
from tests.mutants.table import PAGE, page

# What is listed here has to be tested, whether or not it stands in docs/reference/rules.md.
LAST = {"G": 11, "K": 6, "S": 16, "W": 13, "P": 8, "D": 9, "T": 7, "O": 8, "M": 12}
RULES = [f"{section}{number}" for section, last in LAST.items() for number in range(1, last + 1)]
RULES += ["R1", "R2", "R3", "R5", "R7"]
MUTANTS = load()

ONE = """
[[mutant]]
rule = "G8"
name = "NEW"
file = "src/wfcore/planner/gate.py"
old = '''
earliest <= tick.now:
'''
new = '''
NEW
'''
killer = "tests/planner/test_gate.py::test_a_waiting_instance_is_replayed_if_a_deadline_has_passed"
"""
CONDITIONS = ["earliest > tick.now:", "not earliest > tick.now:", "earliest <= tick.then:", "earliest <= tick.now):"]


def mutant(**changes: str) -> Mutant:
    fields = {
        "rule": "G1",
        "name": "x",
        "file": "src/wfcore/planner/gate.py",
        "old": "the gate",
        "new": "no gate",
        "killer": "tests/planner/test_gate.py::test_a_hook_of_no_instance_is_ignored",
    }
    return Mutant(**{**fields, **changes})


def test_every_rule_has_a_mutant_or_is_on_the_list_of_what_is_to_come() -> None:
    assert RULES == sorted({*todo(), *(each.rule for each in MUTANTS)} & {*RULES}, key=in_order)


def test_no_rule_with_a_mutant_is_on_that_list() -> None:
    assert set() == {*todo()} & {each.rule for each in MUTANTS}


def test_every_rule_of_the_documentation_is_one_of_these() -> None:
    """R4 and R6 are not among them."""
    text = (ROOT / "docs" / "reference" / "rules.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\* \*\*([GKSWPDTOM]\d+|R[12357])\*\*", text, re.MULTILINE)
    assert [] == [rule for rule in listed if rule not in RULES]


@pytest.mark.parametrize("each", MUTANTS, ids=lambda each: f"{each.rule}-{each.name.replace(' ', '-')}")
def test_a_mutant_applies_and_its_killer_names_its_rule(each: Mutant) -> None:
    each.check()


def test_no_two_mutants_of_a_rule_have_the_same_name() -> None:
    names = [(each.rule, each.name) for each in MUTANTS]
    assert sorted(names) == sorted(set(names))


def test_the_page_is_the_generated_one() -> None:
    """Write it by `python -m tests.mutants --write-table`."""
    assert page(MUTANTS) == PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"old": "no such text"}, "stands 0 times"),
        ({"old": "tick"}, r"stands \d+ times"),
        ({"new": '"""The gate: what'}, "it changes nothing"),
        ({"killer": "tests/planner/test_gate.py::test_nothing"}, "there is no test"),
        ({"killer": "tests/no_such_file.py::test_nothing"}, "there is no test"),
        ({"rule": "G7"}, r"names \['G1'\]"),
    ],
    ids=["gone", "not one place", "no change", "no test", "no file", "another rule"],
)
def test_a_mutant_that_shows_nothing_is_refused(changes: dict[str, str], problem: str) -> None:
    unfit = mutant(**{"old": '"""The gate: what', "new": '"""What', **changes})
    with pytest.raises(BadMutantError, match=problem):
        unfit.check()


def test_a_test_names_rules_by_its_name_and_in_its_docstring(tmp_path: Path) -> None:
    path = tmp_path / "test_x.py"
    path.write_text("def test_d3_g10_x(): ...\ndef test_y():\n    'S1, S2: T0 is none.'\ndef help_g1_(): 'G1.'\n")
    assert {"test_d3_g10_x": {"D3", "G10"}, "test_y": {"S1", "S2"}} == rules_by_test(path)


def test_mutants_are_chosen_by_rule_or_section() -> None:
    some = [mutant(rule=rule) for rule in ("G1", "G10", "S1", "S2")]
    assert ["G1", "S1", "S2"] == [each.rule for each in selected(some, ["G1", "S"])]


def run(*arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "tests.mutants", *arguments]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_the_mutants_of_a_rule_are_killed() -> None:
    """One patches a constant that other modules import. Those of all rules: `make mutants`."""
    code, output = run("G3")
    assert (0, 2) == (code, output.count("killed by")), output


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, str]:
    """The exit code, and what is told of some mutants."""
    folder = tmp_path_factory.mktemp("mutants")
    mutants = [ONE.replace("NEW", new) for new in CONDITIONS] + [ONE.replace("<=", "is").replace("NEW", "gone")]
    (folder / "g.toml").write_text("".join(mutants))
    return run("--folder", str(folder))


@pytest.mark.parametrize(
    "told",
    [
        "all killers without a mutant  sound",
        "G8   earliest > tick.now:  killed by",
        "G8   not earliest > tick.now:  survived by",
        "G8   earliest <= tick.then:  broken by",
        "AttributeError in call: that tells nothing about a rule",
        "cannot be tried: unmatched ')'",
        "cannot be tried: G8, gone: the old text stands 0 times",
        "5 mutants of 1 rules, 4 not as they should be",
    ],
)
def test_it_is_told_of_each_mutant_what_came_of_it(tried: tuple[int, str], told: str) -> None:
    assert told in tried[1]


def test_a_mutant_that_is_not_killed_is_an_error(tried: tuple[int, str]) -> None:
    assert tried[0] == 1
