"""What came of the suite, clause by clause: a pytest plugin that shows it, and writes JSON.

``pytest -p wfcore.testing.conformance.report --conformance-report=report.json`` writes, for every class of tests that
is a suite: whether it conforms, which is that every clause was run or skipped, and no test has failed; and of each
clause its title, its result, how many tests have passed, which have failed, and which were skipped, with the reason.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

import attrs
import pytest

from wfcore.testing.conformance.contents import CLAUSES, clause_of

Result: TypeAlias = Literal["passed", "failed", "skipped", "not run"]
FORMAT = 1
"""Raised when the shape of the JSON changes."""


@attrs.define
class Verdict:
    """What came of the tests of one clause.

    Attributes:
        passed: how many have passed.
        failed: names of those that have failed.
        skipped: names of those that were not run, with the reason.
    """

    passed: int = 0
    failed: list[str] = attrs.field(factory=list)
    skipped: dict[str, str] = attrs.field(factory=dict)

    @property
    def result(self) -> Result:
        """``failed`` if a test has failed, else ``passed`` if one has passed."""
        if self.failed:
            return "failed"
        if self.passed:
            return "passed"
        return "skipped" if self.skipped else "not run"


@attrs.define
class Report:
    """Collects what pytest tells of each test.

    Attributes:
        path: where to write it, or ``None``.
        suites: by the name of the class and the id of the clause.
    """

    path: Path | None = None
    suites: dict[str, dict[str, Verdict]] = attrs.field(factory=dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test."""
        *_, suite, test = ["", *report.nodeid.partition("[")[0].split("::")]
        clause = clause_of(test)
        if clause is None or (report.when != "call" and report.passed):
            return
        verdicts = self.suites.setdefault(suite, {each: Verdict() for each in CLAUSES})
        name = report.nodeid.partition(f"{suite}::")[2]
        if report.passed:
            verdicts[clause].passed += 1
        elif report.failed:
            verdicts[clause].failed.append(name)
        else:
            verdicts[clause].skipped[name] = _reason(report)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show a line of each clause."""
        for suite, verdicts in self.suites.items():
            terminalreporter.section(f"conformance of {suite}")
            for clause, verdict in verdicts.items():
                terminalreporter.write_line(line(clause, verdict))

    def pytest_sessionfinish(self) -> None:
        """Write the report."""
        if self.path is not None:
            text = json.dumps(self.as_json(), indent=2, ensure_ascii=False)
            self.path.write_text(f"{text}\n", encoding="utf-8")

    def as_json(self) -> Mapping[str, Any]:
        """The report."""
        return {
            "format": FORMAT,
            "suites": {
                suite: {
                    "conforms": all(each.result in ("passed", "skipped") for each in verdicts.values()),
                    "clauses": {clause: _clause(clause, verdict) for clause, verdict in verdicts.items()},
                }
                for suite, verdicts in self.suites.items()
            },
        }


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    parser.addoption("--conformance-report", metavar="path", default=None, help="JSON: conformance, clause by clause")
    parser.addoption("--conformance-adapter", default=None, help="of wfcore.testing.conformance.given: module:function")


def pytest_configure(config: pytest.Config) -> None:
    """Begin to collect."""
    path = config.getoption("--conformance-report")
    config.pluginmanager.register(Report(None if path is None else Path(path)), "wfcore-conformance-report")


def line(clause: str, verdict: Verdict) -> str:
    """A clause in a line: ``A4   skipped  3 skipped (the adapter is not durable)``."""
    counts = {"passed": verdict.passed, "failed": len(verdict.failed), "skipped": len(verdict.skipped)}
    told = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    reasons = "; ".join(sorted({*verdict.skipped.values()}))
    return f"{clause:4} {verdict.result:8} {told}{f' ({reasons})' if reasons else ''}".rstrip()


def _clause(clause: str, verdict: Verdict) -> Mapping[str, Any]:
    return {"title": CLAUSES[clause], "result": verdict.result, **attrs.asdict(verdict)}


def _reason(report: pytest.TestReport) -> str:
    told = report.longrepr
    return str(told[2] if isinstance(told, tuple) else told).removeprefix("Skipped: ")
