"""``python -m bench``: ratios, each between two things that were measured in turns within one run; and medians."""

import argparse

from bench import batches, breakdown, catalog, colours, postgres, replay, ticks


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few seconds: to see that it runs, not to be quoted")
    parser.add_argument("--profile", choices=("replay", "ticks"), help="print where the time goes instead")
    arguments = parser.parse_args()
    if arguments.profile:
        print(breakdown.profile(arguments.profile))
        return
    print(replay.measure(quick=arguments.quick))
    print(ticks.measure(quick=arguments.quick))
    print(batches.measure(quick=arguments.quick))
    print(colours.measure(quick=arguments.quick))
    print(catalog.measure(quick=arguments.quick))
    print(postgres.measure(quick=arguments.quick))


if __name__ == "__main__":
    main()
