"""Explores the canonical workflows to the end, on both cores: ``python -m tests.explore [--dispatchers 3] [name ...]``.

With ``--commands`` each of them while commands are given at any moment: paused and resumed, terminated, restarted, ...
Prints states, transitions and seconds of processor time of each. Fails if one was cut, is broken, or has not seen all
that it was to see.
"""

import argparse
import sys
import time
from multiprocessing import Pool

from tests.explore.canonical import CASES, Case, ordered
from wfcore.testing import Exploration


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.explore")
    parser.add_argument("names", nargs="*", metavar="name", help="workflows; none: all")
    parser.add_argument("--dispatchers", type=int, default=2)
    parser.add_argument("--crashes", type=int, default=2)
    parser.add_argument("--max-states", type=int, default=5_000_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--commands", action="store_true", help="with commands, one event less and one crash less")
    given = parser.parse_args()
    names = given.names or [case.name for case in sorted(CASES, key=lambda case: case.name not in HEAVY)]
    if given.commands:
        names = [name for name in ordered() if name.partition(":")[0] in names]
        given.crashes -= 1
    jobs = [(name, given.dispatchers, given.crashes, given.max_states) for name in names]
    began, total, failed = time.monotonic(), [0, 0], 0
    with Pool(given.processes, maxtasksperchild=1) as pool:
        for name, seconds, found, missing in pool.imap_unordered(explored, jobs):
            total[0] += found.states
            total[1] += found.transitions
            _print(
                f"{name:{WIDTH}} {found.states:>10,} states {found.transitions:>10,} transitions {seconds:>6.1f} s",
                found,
            )
            if not found.ok or missing:
                failed += 1
                sys.stdout.write(f"{found}\nnot witnessed: {', '.join(missing) or 'nothing'}\n")
    sys.stdout.write(
        f"{'together':{WIDTH}} {total[0]:>10,} states {total[1]:>10,} transitions {time.monotonic() - began:>6.1f} s\n"
    )
    return 1 if failed else 0


HEAVY = ("fan-out", "saga")
WIDTH = max(map(len, ordered()))


def explored(job: tuple[str, int, int, int]) -> tuple[str, float, Exploration, list[str]]:
    name, dispatchers, crashes, max_states = job
    case = named(name)
    began = time.process_time()
    found = case.explored(dispatchers=dispatchers, crashes=crashes, max_states=max_states)
    return name, time.process_time() - began, found, case.missing(found)


def named(name: str) -> Case:
    return ordered().get(name) or next(case for case in CASES if case.name == name)


def _print(line: str, found: Exploration) -> None:
    sys.stdout.write(f"{line}   {'; '.join(map(str, found.results))}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
