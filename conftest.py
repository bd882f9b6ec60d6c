"""Every fence of the documentation is a test: ```python is run, ```pycon is run and compared.

The fences of one file share a namespace and a temporary folder, in order, as if the page were a script.
Other languages are not run; `<!--- skip: next -->` above a fence leaves it out.
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, chdir
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import pytest
from sybil import Document, Region, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.integration.pytest import SybilItem
from sybil.parsers.abstract.doctest import DocTestStringParser
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser


def pycon(document: Document) -> Iterator[Region]:
    """Find the ```pycon fences."""
    for fence in CodeBlockParser("pycon", PythonEvaluator())(document):
        for region in DocTestStringParser()(fence.parsed, document.path):
            region.adjust(fence, fence.parsed)
            yield region


class Page:
    """Stands for the `__main__` module of a page, so that its classes find each other by name."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.__dict__ = namespace


def open_page(namespace: dict[str, Any]) -> None:
    page = ExitStack()
    namespace.update(__name__="__main__", _page=page)
    page.enter_context(chdir(page.enter_context(TemporaryDirectory())))
    page.enter_context(patch.dict(sys.modules, {"__main__": Page(namespace)}))


def close_page(namespace: dict[str, Any]) -> None:
    namespace["_page"].close()


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), pycon, SkipParser()],
    pattern="*.md",
    setup=open_page,
    teardown=close_page,
).pytest()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Show the page's part of a traceback; sybil's own filter crashes on an error beside a fence.

    Pages tell and prove nothing: what they run has to be covered by tests.
    """
    if isinstance(item, SybilItem):
        item.add_marker("unmeasured")
        path = item.path
        item._traceback_filter = lambda excinfo: excinfo.traceback.cut(path=path)  # type: ignore[method-assign]
