"""``python -m tests.corpus --write`` writes the files of scenarios that have none; those that are there stay."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.corpus.frozen import FOLDER, file_name, text_of
from tests.corpus.scenarios import SCENARIOS


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.corpus", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write; left out: only say what would be written")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the files are")
    options = parser.parse_args(arguments)
    for scenario, recorded in SCENARIOS.items():
        path = options.folder / file_name(scenario)
        if path.exists():
            continue
        text = text_of(recorded().file)
        if options.write:
            path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{path.name}: {len(text):,} characters\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
