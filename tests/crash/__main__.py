"""``python -m tests.crash --cycles 1000``: kill workers, print what was found; exit with 1 if anything was lost.

With ``--processes 4``: that many dispatcher processes on one database of the kind that ``--store`` names.
"""

import argparse
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.crash.chaos import kill_fleets
from tests.crash.fleet import DATABASES
from tests.crash.harness import Summary, kill_plans, kill_workflows


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--cycles", type=int, default=100, help="how many processes to kill (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="to do the same again (default: the time)")
    parser.add_argument("--processes", type=int, help="how many dispatcher processes there are at once")
    parser.add_argument("--store", choices=DATABASES, default="sqlite", help="what they share (default: %(default)s)")
    options = parser.parse_args()
    workflows = options.cycles // 4
    summary = Summary()
    with TemporaryDirectory() as folder:
        if options.processes:
            chaos = {"store": options.store, "processes": options.processes}
            kill_fleets(options.cycles, options.seed, Path(folder), summary, **chaos)
        else:
            kill_plans(options.cycles - workflows, options.seed, Path(folder), summary)
            kill_workflows(workflows, options.seed, Path(folder), summary)
    sys.stdout.write(f"seed {options.seed}: {summary}\n")
    return 1 if summary.violations else 0


if __name__ == "__main__":
    sys.exit(main())
