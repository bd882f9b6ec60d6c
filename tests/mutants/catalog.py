"""The mutants as data: read from the ``*.toml`` files beside this one, and checked without running anything.

A test *names* a rule if the rule's number stands in its name (``test_g4_...``) or in its docstring.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import attrs

ROOT = Path(__file__).parent.parent.parent
FOLDER = Path(__file__).parent
SUITE = ROOT / "src" / "wfcore" / "testing" / "conformance" / "clauses"
SECTIONS = "GKSWPDTOMR"
_RULE = re.compile(rf"\b[{SECTIONS}][1-9]\d?\b")
_RULE_IN_NAME = re.compile(rf"(?<=_)[{SECTIONS.lower()}][1-9]\d?(?=_)")


class BadMutantError(Exception):
    """A mutant cannot be tried: it does not apply, or its killer does not exist or names another rule."""


@attrs.frozen(kw_only=True)
class Mutant:
    """A patch that breaks one rule.

    Attributes:
        rule: the rule's number.
        name: what is wrong with the patched code.
        file: what is patched, from the root of the repository.
        old: text that stands in the file exactly once.
        new: what stands there in its place.
        killer: the test that must fail, as ``file::function``; ``file::class::function`` if the class has the tests of
            the conformance suite.
    """

    rule: str
    name: str
    file: str
    old: str
    new: str
    killer: str

    @property
    def module(self) -> str:
        """The dotted name of the patched module."""
        parts = Path(self.file).relative_to("src").with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def patched(self) -> str:
        """The text of the patched file.

        Raises:
            BadMutantError: the old text does not stand in the file exactly once, or nothing would change.
        """
        path = ROOT / self.file
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        found = text.count(self.old)
        if found != 1:
            raise BadMutantError(f"{self.rule}, {self.name}: the old text stands {found} times in {self.file}")
        if self.old == self.new:
            raise BadMutantError(f"{self.rule}, {self.name}: it changes nothing")
        return text.replace(self.old, self.new)

    def check(self) -> None:
        """Refuse a mutant that cannot be tried.

        Raises:
            BadMutantError: it does not apply, its killer does not exist, or names other rules only.
        """
        compile(self.patched(), self.file, "exec", dont_inherit=True)
        file, *suite, function = self.killer.split("::")
        paths = sorted(SUITE.glob("*.py")) if suite else [ROOT / file]
        named = next((found[function] for found in map(rules_by_test, paths) if function in found), None)
        if named is None:
            raise BadMutantError(f"{self.rule}, {self.name}: there is no test {self.killer}")
        if self.rule not in named:
            raise BadMutantError(f"{self.rule}, {self.name}: {self.killer} names {sorted(named)}")


def load(folder: Path = FOLDER) -> list[Mutant]:
    """All mutants of a folder, in the order of their rules."""
    found = [
        Mutant(**{key: value.strip("\n") if key in ("old", "new") else value for key, value in entry.items()})
        for path in sorted(folder.glob("*.toml"))
        for entry in tomllib.loads(path.read_text(encoding="utf-8")).get("mutant", [])
    ]
    return sorted(found, key=lambda mutant: in_order(mutant.rule))


def todo(folder: Path = FOLDER) -> list[str]:
    """The rules that have no mutant yet."""
    return [
        rule
        for path in sorted(folder.glob("*.toml"))
        for rule in tomllib.loads(path.read_text(encoding="utf-8")).get("todo", [])
    ]


def in_order(rule: str) -> tuple[int, int]:
    """The sort key of a rule."""
    return SECTIONS.index(rule[0]), int(rule[1:])


def selected(mutants: Iterable[Mutant], wanted: Iterable[str]) -> list[Mutant]:
    """The mutants of these rules or sections; nothing wanted: all."""
    choice = tuple(wanted)
    return [each for each in mutants if not choice or each.rule in choice or each.rule[0] in choice]


@cache
def rules_by_test(path: Path) -> dict[str, frozenset[str]]:
    """The rules that each test function of a file names; empty: there is no such file."""
    if not path.is_file():
        return {}
    return {
        node.name: frozenset(
            [rule.upper() for rule in _RULE_IN_NAME.findall(node.name)] + _RULE.findall(ast.get_docstring(node) or "")
        )
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }
