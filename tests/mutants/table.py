"""The page that lists rule, mutant and killer: generated from the mutants' data."""

from __future__ import annotations

from collections.abc import Sequence

from tests.mutants.catalog import ROOT, Mutant

PAGE = ROOT / "docs" / "reference" / "rules-and-tests.md"
_HEAD = """\
# Rules and their tests

For every [rule](rules.md) there is a small patch of the code, a mutant, that breaks it, and a test that names the rule
and fails then: `make mutants` shows it. A rule may have many more tests; `grep -rn 'G4\\b\\|_g4_' tests` finds those of
one. This page is generated from `tests/mutants/*.toml` by `python -m tests.mutants --write-table`.

| rule | what the mutant does wrong | where | the test that fails |
|---|---|---|---|
"""


def page(mutants: Sequence[Mutant]) -> str:
    """The whole page."""
    return _HEAD + "".join(map(_row, mutants))


def _row(mutant: Mutant) -> str:
    file, _, test = mutant.killer.partition("::")
    where = mutant.file.removeprefix("src/")
    return f"| {mutant.rule} | {mutant.name} | `{where}` | `{test}` in `{file}` |\n"
