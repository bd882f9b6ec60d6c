"""Print how much an adapter author has to write: operations per port, lines of code per adapter and duty.

The second table stands in the README; a test compares them.
"""

import ast
import io
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src"
EXAMPLE = ROOT / "examples" / "adapters" / "sqlalchemy_store.py"
CORE = "retrieve, apply, feed"
DUTIES = {
    "connections.py": "connections, errors, versions",
    "driver.py": "connections, errors, versions",
    "faults.py": "connections, errors, versions",
    "schema.py": "connections, errors, versions",
    "settings.py": "connections, errors, versions",
    "catalog.py": "lists and audits",
    "tags.py": "lists and audits",
    "bound.py": "in your transaction",
    "aio.py": "asyncio",
    "listening.py": "notifications",
}
"""What the files of an adapter are for; those that are not named are for what a store must have."""
NO_CODE = {
    tokenize.COMMENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
    tokenize.INDENT,
    tokenize.NEWLINE,
    tokenize.NL,
}


def code_lines(source: str) -> int:
    """Return the number of lines that hold code: no blanks, comments and docstrings."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    lines = {line for token in tokens if token.type not in NO_CODE for line in range(token.start[0], token.end[0] + 1)}
    return len(lines - set(_docstring_lines(ast.parse(source))))


def operations(source: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each Protocol of a module with the names of its public methods."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef) and any("Protocol" in ast.unparse(base) for base in node.bases):
            methods = [item.name for item in node.body if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)]
            yield node.name, [name for name in methods if not name.startswith("_")]


def _docstring_lines(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield from range(node.lineno, (node.end_lineno or node.lineno) + 1)


def ports() -> str:
    """The operations of each port."""
    lines = ["port: operations"]
    for path in sorted((SOURCE / "wfcore" / "ports").glob("*.py")):
        for name, methods in operations(path.read_text()):
            lines.append(f"  {path.stem + '.' + name:24} {len(methods):3}  {' '.join(methods)}")
    return "\n".join(lines)


def adapters() -> str:
    """The lines of code of each adapter, as a table of Markdown: all, and what they are for."""
    folders = sorted(path.parent for path in (SOURCE / "wfadapters").glob("*/__init__.py"))
    sizes = {folder.name: Counter(_files(folder.glob("*.py"))) for folder in folders}
    sizes["shared"] = Counter(_files((SOURCE / "wfadapters").glob("*.py")))
    sizes["example: SQLAlchemy"] = Counter({"one file": code_lines(EXAMPLE.read_text())})
    duties = [CORE, *dict.fromkeys(DUTIES.values())]
    lines = [f"| lines of code | all | {' | '.join(duties)} |", f"|---|{'--:|' * (len(duties) + 1)}"]
    for name, parts in sizes.items():
        counts = [parts.total(), *(parts[duty] for duty in duties)]
        lines.append(f"| {name} | {' | '.join(str(count or '-') for count in counts)} |")
    return "\n".join(lines)


def _files(paths: Iterable[Path]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for path in paths:
        duty = DUTIES.get(path.name, CORE)
        sizes[duty] = sizes.get(duty, 0) + code_lines(path.read_text())
    return sizes


def main() -> None:
    print(ports())
    print(adapters())


if __name__ == "__main__":
    main()
