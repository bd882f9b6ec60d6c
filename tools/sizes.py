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
CONNECTIONS, LISTS, WITHIN = "connections, errors, versions", "lists and audits", "in your transaction"
ASYNCIO, NOTIFICATIONS = "asyncio", "notifications"
DUTIES = {
    "connections.py": CONNECTIONS,
    "driver.py": CONNECTIONS,
    "faults.py": CONNECTIONS,
    "schema.py": CONNECTIONS,
    "settings.py": CONNECTIONS,
    "_configure": CONNECTIONS,
    "_connection": CONNECTIONS,
    "__enter__": CONNECTIONS,
    "__exit__": CONNECTIONS,
    "close": CONNECTIONS,
    "catalog.py": LISTS,
    "tags.py": LISTS,
    "list_instances": LISTS,
    "count_by_status": LISTS,
    "history": LISTS,
    "suspects": LISTS,
    "bound.py": WITHIN,
    "within": WITHIN,
    "aio.py": ASYNCIO,
    "listening.py": NOTIFICATIONS,
    "listeners.py": NOTIFICATIONS,
    "listen": NOTIFICATIONS,
    "told": NOTIFICATIONS,
}
"""What files and functions of an adapter are for; those that are not named are for what a store must have."""
NO_CODE = {
    tokenize.COMMENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
    tokenize.INDENT,
    tokenize.NEWLINE,
    tokenize.NL,
}


def code_lines(source: str) -> set[int]:
    """Return the lines that hold code: no blanks, comments and docstrings."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    lines = {line for token in tokens if token.type not in NO_CODE for line in range(token.start[0], token.end[0] + 1)}
    return lines - set(_docstring_lines(ast.parse(source)))


def duties(source: str, duty: str) -> Counter[str]:
    """Return how many lines of code are for what.

    Args:
        source: a module.
        duty: what its lines are for, unless ``DUTIES`` names their function.
    """
    lines = code_lines(source)
    by_line = dict.fromkeys(lines, duty)
    for node in ast.walk(ast.parse(source)):  # the outer ones first
        match node:
            case ast.AsyncFunctionDef():
                found = ASYNCIO
            case ast.FunctionDef(name=name) if name in DUTIES and duty == CORE:
                found = DUTIES[name]
            case _:
                continue
        by_line |= dict.fromkeys(lines.intersection(range(node.lineno, (node.end_lineno or node.lineno) + 1)), found)
    return Counter(by_line.values())


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
    sizes = {folder.name: _sum(folder.glob("*.py")) for folder in folders}
    sizes["shared"] = _sum((SOURCE / "wfadapters").glob("*.py"))
    sizes["example: SQLAlchemy"] = duties(EXAMPLE.read_text(), CORE)
    columns = [CORE, *dict.fromkeys(DUTIES.values())]
    lines = [f"| lines of code | all | {' | '.join(columns)} |", f"|---|{'--:|' * (len(columns) + 1)}"]
    for name, parts in sizes.items():
        counts = [parts.total(), *(parts[column] for column in columns)]
        lines.append(f"| {name} | {' | '.join(str(count or '-') for count in counts)} |")
    return "\n".join(lines)


def _sum(paths: Iterable[Path]) -> Counter[str]:
    return sum((duties(path.read_text(), DUTIES.get(path.name, CORE)) for path in paths), Counter[str]())


def main() -> None:
    print(ports())
    print(adapters())


if __name__ == "__main__":
    main()
