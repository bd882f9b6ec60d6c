"""``python -m tests.packaging``: build the wheel, install it and pytest, and do what the pages about testing say.

Each command of a page is run in an empty folder, over a file of the fences above it: it has to pass. Then a bug is
planted in that file, and the command has to fail. The exit code is 1 if anything is not so.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs

from tests.packaging.pages import Run, longest_test, read

ROOT = Path(__file__).parent.parent.parent
HOWTO = ROOT / "docs" / "howto"
TEST_LINES_LIMIT = 25
SECONDS_LIMIT = 60
"""For one command of a page; seconds are expected, and a machine may be busy."""


@attrs.frozen
class Bug:
    """A mistake to plant in what a page shows."""

    name: str
    old: str
    new: str


BUGS = {
    "test-a-workflow.md": Bug(
        "each attempt pays by a key of its own",
        "made.setdefault(attempt.idempotency_key, order.cents)",
        "made.setdefault(object(), order.cents)",
    ),
    "model-check-a-workflow.md": Bug(
        "a payment whose parcel is lost is kept",
        "except (EventTimeoutError, StepFailedError):",
        "except EventTimeoutError:",
    ),
    "check-one-tick.md": Bug("the card is tried once only", ", retry=Retry(max_attempts=3, delay=MINUTE)", ""),
}


@attrs.frozen
class Kit:
    """A virtual environment with the wheel and pytest, outside of the checkout."""

    folder: Path

    def install(self) -> None:
        """Build the wheel and install it."""
        self._do(sys.executable, "-m", "venv", str(self.folder / "venv"))
        pip = (str(self.python), "-m", "pip", "--quiet", "--disable-pip-version-check")
        self._do(*pip, "wheel", "--no-deps", "--wheel-dir", str(self.folder / "wheels"), str(ROOT))
        (wheel,) = (self.folder / "wheels").glob("*.whl")
        self._do(*pip, "install", str(wheel), "pytest")

    @property
    def python(self) -> Path:
        """The interpreter of the environment."""
        return self.folder / "venv" / "bin" / "python"

    def run(self, page: str, run: Run, text: str) -> subprocess.CompletedProcess[str]:
        """Run a command of a page in a new folder that holds nothing but its file."""
        with TemporaryDirectory(dir=self.folder, prefix=page.partition(".")[0]) as folder:
            (Path(folder) / run.file).write_text(text, encoding="utf-8")
            words = [str(self.python) if word == "python" else word for word in run.command]
            return subprocess.run(words, cwd=folder, env={}, check=False, capture_output=True, text=True)

    def _do(self, *words: str) -> None:
        subprocess.run(words, cwd=self.folder, check=True)


def check(kit: Kit, page: str, bug: Bug) -> list[str]:
    """Do what a page says; what is wrong with it."""
    problems = []
    for run in read(HOWTO / page):
        began = time.monotonic()
        done = kit.run(page, run, run.text)
        seconds, lines = time.monotonic() - began, longest_test(run.text)
        told = f"{page}: {' '.join(run.command)}"
        sys.stdout.write(f"{told}: exit code {done.returncode}, {seconds:.1f} s, the longest test has {lines} lines\n")
        if done.returncode:
            problems.append(f"{told} fails:\n{done.stdout}{done.stderr}")
        if seconds > SECONDS_LIMIT:
            problems.append(f"{told} takes more than {SECONDS_LIMIT} s")
        if lines > TEST_LINES_LIMIT:
            problems.append(f"{told}: a test has more than {TEST_LINES_LIMIT} lines")
        if bug.old not in run.text:
            problems.append(f"{told}: the bug {bug.name!r} cannot be planted")
            continue
        done = kit.run(page, run, run.text.replace(bug.old, bug.new))
        sys.stdout.write(f"  with a bug, {bug.name!r}: exit code {done.returncode}\n")
        if done.returncode != 1:
            problems.append(f"{told} does not find the bug {bug.name!r}:\n{done.stdout}{done.stderr}")
    return problems


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.packaging", description=__doc__)
    parser.add_argument("pages", nargs="*", default=[*BUGS], help=f"left out: {', '.join(BUGS)}")
    pages = parser.parse_args().pages
    with TemporaryDirectory() as folder:
        kit = Kit(Path(folder))
        kit.install()
        problems = [problem for page in pages for problem in check(kit, page, BUGS[page])]
    sys.stdout.write("".join(f"{problem}\n" for problem in problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
