"""``python -m tests.conformance report.json``: let the known-bad stores fail, and write what has failed."""

import sys
from pathlib import Path

import pytest

from wfcore.testing.conformance.report import Report

ROOT = Path(__file__).parent.parent.parent


def main(path: str) -> int:
    suites = str(Path(__file__).with_name("suites.py"))
    options = [f"--rootdir={ROOT}", "-p", "no:cacheprovider", "-q", "--tb=line", "-W", "ignore::Warning"]
    return int(pytest.main([*options, suites, *sys.argv[2:]], plugins=[Report(Path(path))]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
