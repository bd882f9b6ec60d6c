"""``python -m tests.mutants``: try all mutants, or those of some rules (``G4``) and sections (``S``).

The exit code is 1 if one survives, does not apply, or cannot be tried.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from tests.mutants.catalog import FOLDER, ROOT, BadMutantError, Mutant, load, selected
from tests.mutants.table import PAGE, page
from tests.mutants.trial import Trial, tried


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("rules", nargs="*", help="rules or sections; left out: all")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the mutants' files are")
    parser.add_argument("--write-table", action="store_true", help=f"write {PAGE.name} and try nothing")
    arguments = parser.parse_args()
    os.chdir(ROOT)
    mutants = load(arguments.folder)
    if arguments.write_table:
        PAGE.write_text(page(mutants), encoding="utf-8")
        return 0
    chosen = selected(mutants, arguments.rules)
    fit = [mutant for mutant in chosen if _fits(mutant)]
    trials: list[Trial] = []

    def tell(trial: Trial) -> None:
        trials.append(trial)
        _say(_line(trial))
        if not trial.is_good:
            _say(trial.output)

    tried(fit, arguments.processes, tell)
    bad = len(chosen) + bool(fit) - sum(trial.is_good for trial in trials)
    seconds = sum(os.times()[:4])
    _say(f"{len(chosen)} mutants of {len({each.rule for each in chosen})} rules, {bad} not as they should be; ", end="")
    _say(f"{seconds:.0f} s of processor time")
    return 1 if bad or not chosen else 0


def _fits(mutant: Mutant) -> bool:
    try:
        mutant.check()
    except (BadMutantError, SyntaxError) as error:
        _say(f"cannot be tried: {error}")
        return False
    return True


def _line(trial: Trial) -> str:
    if trial.mutant is None:
        return f"     all killers without a mutant  {trial.verdict}  {trial.seconds:.1f} s"
    mutant = trial.mutant
    return f"{mutant.rule:4} {mutant.name}  {trial.verdict} by {mutant.killer.split('::')[-1]}  {trial.seconds:.1f} s"


def _say(text: str, end: str = "\n") -> None:
    sys.stdout.write(text + end)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
