"""The pages agree with each other and with the code. (That their fences run is sybil's business: conftest.py.)"""

import re
from functools import cache
from pathlib import Path

import pytest
from tools import sizes

import wfcore
from wfcore import errors, testing
from wfcore.testing.conformance.contents import CLAUSES

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
INDEX = DOCS / "index.md"
RULES = DOCS / "reference" / "rules.md"
PORTS = sorted((ROOT / "src" / "wfcore" / "ports").glob("*.py"))
PAGES = sorted(DOCS.rglob("*.md"))
LINKING = [*sorted(ROOT.glob("*.md")), *PAGES]


def test_every_page_is_linked_from_the_index() -> None:
    """A page that the index does not name is never found, and never mended."""
    linked = {_target(INDEX, link)[0] for link in _links(INDEX)}
    assert [] == [page.relative_to(ROOT) for page in PAGES if page not in linked and page != INDEX]


@pytest.mark.parametrize("page", LINKING, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    """A relative link names a file that exists, and its anchor a heading of that file."""
    broken = []
    for link in _links(page):
        path, anchor = _target(page, link)
        if not path.exists() or (anchor and anchor not in _anchors(path)):
            broken.append(link)
    assert [] == broken


def test_the_list_of_names_has_every_public_name() -> None:
    """api.md is complete."""
    named = _code(DOCS / "reference" / "api.md")
    assert [] == [name for name in [*wfcore.__all__, *testing.__all__] if name not in named]


def test_the_list_of_names_has_no_other_name() -> None:
    """What a row of api.md is about exists; names of other packages are written in full."""
    rows = re.findall(r"^\| `(\w+)` \|", (DOCS / "reference" / "api.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert [] == [name for name in rows if name not in {*wfcore.__all__, *testing.__all__}]


def test_every_error_has_a_row() -> None:
    """errors.md says of every error what happened and what to do; of the bases, whose turn it is."""
    text = (DOCS / "reference" / "errors.md").read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| `(\w+)` \| .+ \| .+ \|$", text, re.MULTILINE))
    bases = {"WfcoreError", "WorkflowError", "CommandError", "StoreError"}
    assert set(errors.__all__) - bases == rows
    assert bases <= _code(DOCS / "reference" / "errors.md")


def test_every_rule_that_a_page_names_is_in_the_list() -> None:
    """A number leads to a sentence; rules of what does not exist yet are not promised."""
    listed = set(re.findall(r"^\* \*\*([A-Z]\d+)\*\*", RULES.read_text(encoding="utf-8"), re.MULTILINE))
    named = {page: set(re.findall(r"\b[GKSWPDTOMR]\d+\b", _prose(page))) for page in LINKING}
    assert {} == {page.name: rules - listed for page, rules in named.items() if rules - listed}


def test_the_readme_has_the_sizes_of_the_adapters() -> None:
    """`make sizes` prints the table."""
    assert sizes.adapters() in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_has_the_operations_of_the_ports() -> None:
    """In the first row of the comparison."""
    ports = {"Store": 2, "HookFeed": 2, "Catalog": 4}
    counts = {name: len(methods) for source in PORTS for name, methods in sizes.operations(source.read_text())}
    assert ports == {name: counts[name] for name in ports}
    assert "| wfcore | 2, feed 2, catalog 4 |" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_has_the_number_of_clauses() -> None:
    """Of the conformance suite."""
    assert f"{len(CLAUSES)} clauses, shipped" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_glossary_is_sorted() -> None:
    """A word is found where the alphabet says."""
    words = re.findall(r"^\| ([a-z][a-z -]*?) \|", (DOCS / "glossary.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(words[1:]) == words[1:]  # the first is the table's head


def _links(page: Path) -> list[str]:
    """The relative links of a page."""
    found = re.findall(r"\]\(([^)\s]+)\)", _prose(page))
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def _target(page: Path, link: str) -> tuple[Path, str]:
    path, _, anchor = link.partition("#")
    return (page.parent / path).resolve() if path else page, anchor


@cache
def _anchors(page: Path) -> frozenset[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    anchors: dict[str, int] = {}
    for heading in re.findall(r"^#+ (.+)$", _prose(page), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        repeat = anchors.get(slug, 0)
        anchors[slug] = repeat + 1
        if repeat:
            anchors[f"{slug}-{repeat}"] = 1
    return frozenset(anchors)


def _code(page: Path) -> set[str]:
    return set(re.findall(r"`(\w+)`", _prose(page)))


@cache
def _prose(page: Path) -> str:
    """A page without its fences: what looks like a link or a heading in code is none."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
