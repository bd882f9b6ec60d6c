"""The first file of the how-to, as a reader makes it: pytest runs it in an empty folder, and it finds a planted bug."""

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "test-a-workflow.md"


def pytest_of(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_checkout.py").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_checkout.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def the_file() -> str:
    fences = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return "\n".join(fences[:2])


def test_the_file_of_the_howto_passes(tmp_path: Path) -> None:
    ran = pytest_of(tmp_path, the_file())
    assert (0, True) == (ran.returncode, "2 passed" in ran.stdout), ran.stdout


def test_the_file_of_the_howto_finds_a_payment_that_is_made_twice(tmp_path: Path) -> None:
    broken = the_file().replace("made.setdefault(attempt.idempotency_key,", "made.setdefault(object(),")
    ran = pytest_of(tmp_path, broken)
    assert (1, True) == (ran.returncode, "assert [450, 450] == [450]" in ran.stdout), ran.stdout
