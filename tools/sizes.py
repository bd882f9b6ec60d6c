"""Print how much an adapter author has to write: operations per port, lines of code per adapter."""

import ast
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src"
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


def main() -> None:
    print("port: operations")
    for path in sorted((SOURCE / "wfcore" / "ports").glob("*.py")):
        for name, methods in operations(path.read_text()):
            print(f"  {path.stem + '.' + name:24} {len(methods):3}  {' '.join(methods)}")
    print("adapter: lines of code without blanks, comments and docstrings")
    for adapter in sorted(path.parent for path in (SOURCE / "wfadapters").glob("*/__init__.py")):
        sizes = {path.name: code_lines(path.read_text()) for path in sorted(adapter.rglob("*.py"))}
        parts = ", ".join(f"{name} {size}" for name, size in sizes.items())
        print(f"  {adapter.name:24} {sum(sizes.values()):3}  {parts}")


if __name__ == "__main__":
    main()
