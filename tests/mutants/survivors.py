"""``make mutmut`` and ``make survivors``: which of mutmut's mutants survive, and why each of them may.

mutmut numbers the mutants of a function, and every edit of the function numbers them anew. So a survivor is named by
its function and by what changes there: ``module.function || old line => new line || why it is equivalent``. If a
function has the same change twice, the second one ends in ``(2)``.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs

from tests.mutants.catalog import ROOT

LIST = Path(__file__).parent / "survivors.txt"
MUTATED = ["src/wfcore/evolve.py", "src/wfcore/planner/**/*.py"]
KILLED = {1, 3, 24, -24, 36, 152, 255}
"""Exit codes of pytest and of mutmut: a test failed, pytest failed, or it took far too long."""
UNTESTED = 33
"""No test calls the function."""


@attrs.frozen(order=True)
class Change:
    """A mutant, named so that edits elsewhere do not rename it.

    Attributes:
        function: ``module.function`` or ``module.Class.function``.
        text: what changes.
    """

    function: str
    text: str

    def __str__(self) -> str:
        return f"{self.function} || {self.text}"


@attrs.frozen
class Listed:
    """A survivor on the list, and why it is equivalent."""

    change: Change
    reason: str


def listed(path: Path = LIST) -> list[Listed]:
    """The list of survivors.

    Raises:
        ValueError: a line has not all three parts.
    """
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            function, text, reason = (part.strip() for part in line.split("||"))
            if not (function and text and reason):
                raise ValueError(f"a part is missing: {line}")
            found.append(Listed(Change(function, text), reason))
    return found


def changed(before: str, after: str) -> str:
    """What a mutant changes in the text of its function."""
    lines = list(difflib.ndiff(_lines(before), _lines(after)))
    old = " ".join(line[2:].strip() for line in lines if line.startswith("- "))
    new = " ".join(line[2:].strip() for line in lines if line.startswith("+ "))
    return f"{old} => {new}"


def _lines(function: str) -> list[str]:
    return function.strip("\n").splitlines()[1:]  # not the first, which has the name


def function_of(mutant: str) -> str:
    """``wfcore.evolve._Draft.rows`` of ``wfcore.evolve.xǁ_Draftǁrows__mutmut_5``."""
    module, _, name = mutant.partition("__mutmut_")[0].rpartition(".")
    return f"{module}.{name[1:].strip('ǁ').replace('ǁ', '.') if 'ǁ' in name else name[2:]}"


def generated(path: Path) -> Iterator[tuple[str, Change]]:
    """mutmut's name and ours of each mutant of a file; nothing is run."""
    from mutmut.mutation.file_mutation import mutate_file_contents

    mutated = mutate_file_contents(str(path), path.read_text(encoding="utf-8"))
    lines = mutated.code.splitlines()
    module = _module(path)
    seen: Counter[Change] = Counter()
    for name in mutated.mutant_names:
        spans = mutated.line_span_by_function_name
        original, mutant = spans[f"{name.partition('__mutmut_')[0]}__mutmut_orig"], spans[name]
        before, after = ("\n".join(lines[span.start - 1 : span.end]) for span in (original, mutant))
        key = f"{module}.{name}"
        change = Change(function_of(key), changed(before, after))
        seen[change] += 1
        times = seen[change]
        yield key, change if times == 1 else Change(change.function, f"{change.text} ({times})")


def all_generated(known: Sequence[Listed] | None = None) -> dict[str, Change]:
    """All mutants, by mutmut's name; ``known``: of the modules with a listed survivor, to look for those only."""
    files = sorted(path for pattern in MUTATED for path in Path().glob(pattern))
    if known is not None:
        functions = [each.change.function for each in known]
        files = [path for path in files if any(name.startswith(f"{_module(path)}.") for name in functions)]
    return {key: change for path in files for key, change in generated(path)}


def _module(path: Path) -> str:
    parts = path.with_suffix("").parts[1:]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def results() -> dict[str, int | None]:
    """The exit code of each mutant of the last run, by mutmut's name; ``None``: it was not run."""
    found: dict[str, int | None] = {}
    for path in Path("mutants/src").rglob("*.meta"):
        found.update(json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"])
    return found


def complaints(
    changes: Mapping[str, Change], exit_codes: Mapping[str, int | None] | None, known: Sequence[Listed]
) -> Iterator[str]:
    """What is wrong with the list, given all mutants and, if they were run, what came of them."""
    names = {change: key for key, change in changes.items()}
    for each in known:
        key = names.get(each.change)
        if key is None:
            yield f"there is no such mutant any more: {each.change}"
        elif exit_codes is not None and exit_codes.get(key) in KILLED:
            yield f"it does not survive any more: {each.change}"
    if exit_codes is not None:
        yield from _survivors(changes, exit_codes, {each.change for each in known})


def _survivors(
    changes: Mapping[str, Change], exit_codes: Mapping[str, int | None], known: set[Change]
) -> Iterable[str]:
    for key, exit_code in exit_codes.items():
        change = changes[key]
        if exit_code in KILLED or exit_code is None or change in known:
            continue
        what = {0: "survives", UNTESTED: "is called by no test"}.get(exit_code, f"ends with {exit_code}")
        yield f"{key} {what}: {change} || "


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants.survivors", description=__doc__)
    parser.add_argument("--names", action="store_true", help="look for the listed mutants only; nothing was run")
    options = parser.parse_args(arguments)
    os.chdir(ROOT)
    known = listed()
    changes = all_generated(known if options.names else None)
    exit_codes = None if options.names else results()
    found = list(complaints(changes, exit_codes, known))
    for complaint in found:
        sys.stdout.write(f"{complaint}\n")
    if exit_codes is not None:
        codes = [code for code in exit_codes.values() if code is not None]
        killed = sum(code in KILLED for code in codes)
        score = f"{killed} of {len(codes)} killed ({killed / max(1, len(codes)):.1%})"
        sys.stdout.write(f"{len(changes)} mutants, {len(codes)} run, {score}; {len(found)} complaints\n")
    else:
        sys.stdout.write(f"{len(known)} listed survivors, {len(found)} complaints\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
