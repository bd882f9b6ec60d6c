"""``python -m tests.storms``: every storm with many seeds; exit with 1 if one of them does too much twice."""

import argparse
import sys

from tests.storms.storms import STORMS, Figures, Storm, blow


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.storms", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds of each (default: %(default)s)")
    options = parser.parse_args()
    fair = True
    for name, storm in STORMS.items():
        figures = _all(storm, options.seeds)
        fair &= figures.bodies_per_step < storm.most
        sys.stdout.write(f"{name:14} {figures}, bound {storm.most}\n")
        sys.stdout.flush()
    return 0 if fair else 1


def _all(storm: Storm, seeds: int) -> Figures:
    return sum((blow(storm, seed) for seed in range(seeds)), Figures())


if __name__ == "__main__":
    sys.exit(main())
