"""The pages about adapters: the generated one is that of the suite, and the example of the other conforms."""

import json
import re
import subprocess
import sys
from pathlib import Path

from tests.conformance.page import PAGE, page

HOWTO = PAGE.parent.parent / "howto" / "write-an-adapter.md"


def test_the_page_of_clauses_is_the_generated_one() -> None:
    assert page() == PAGE.read_text(encoding="utf-8"), "run `python -m tests.conformance.page`"


def test_the_store_of_the_howto_conforms(tmp_path: Path) -> None:
    text = HOWTO.read_text(encoding="utf-8")
    fences = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "my_store.py").write_text("\n".join(fences), encoding="utf-8")
    (command,) = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    words = [sys.executable if word == "python" else word for word in command.split()]
    done = subprocess.run(words, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["suites"]["TestStore"]["conforms"]
    assert "A3   passed   5 passed, 1 skipped (the adapter is not durable)" in done.stdout
