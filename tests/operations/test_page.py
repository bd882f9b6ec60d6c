"""The page about bad operations says what the library says."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "howto" / "when-things-go-wrong.md"


def test_the_texts_of_errors_on_the_page_are_those_of_the_library() -> None:
    said = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "src").rglob("*.py")))
    rows = [line.split("|")[2] for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    texts = [text for row in rows for text in re.findall(r"`([^`]* [^`]*)`", row)]
    assert len(texts) > 8
    assert [] == [text for text in texts if text not in said]
