"""``python -m wfcore.testing.conformance module:function``: run the suite on a store, and tell of each clause.

``function(folder)`` gives an ``Adapter`` for a new, empty place; ``folder`` is an empty folder for its use. The exit
code is 0 if the store conforms, 1 if it does not, 2 if the suite could not be run.
"""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from wfcore.testing.conformance.adapter import Clock
from wfcore.testing.conformance.build import REF
from wfcore.testing.conformance.fixtures import wrong_with
from wfcore.testing.conformance.loop import Loop
from wfcore.testing.conformance.rig import Rig
from wfcore.testing.conformance.suite import AsyncStoreSuite, StoreSuite

UNUSABLE = 2
_GIVEN = "wfcore.testing.conformance.given"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m wfcore.testing.conformance",
        description="Run the conformance suite on a store; further arguments are pytest's (-k test_a3, -x, ...).",
    )
    parser.add_argument("adapter", help="module:function, which makes an Adapter of an empty folder")
    parser.add_argument("--asyncio", action="store_true", help="the store is one for asyncio")
    parser.add_argument("--report", metavar="PATH", help="write a report as JSON")
    options, rest = parser.parse_known_args(arguments)
    problem = _problem(options.adapter, AsyncStoreSuite if options.asyncio else StoreSuite)
    if problem is not None:
        sys.stderr.write(f"{options.adapter}: {problem}\n")
        return UNUSABLE
    # Nothing of the project around it: no settings, no conftest.py.
    alone = ["-c", os.devnull, "--rootdir=.", "--noconftest", "-p", "no:cacheprovider", "-q", "--no-header"]
    plugin = ["-p", "wfcore.testing.conformance.report", f"--conformance-adapter={options.adapter}"]
    plugin += [] if options.report is None else [f"--conformance-report={options.report}"]
    suite = "TestAsyncStore" if options.asyncio else "TestStore"
    # In a process of its own, where pytest comes first: it rewrites the assertions of what is imported after it.
    command = [sys.executable, "-m", "pytest", *alone, *plugin, "--pyargs", f"{_GIVEN}::{suite}", *rest]
    code = subprocess.run(command, check=False).returncode  # noqa: S603 - what the user has asked for
    return code if code in (0, 1) else UNUSABLE


def _problem(name: str, suite: type[StoreSuite]) -> str | None:
    """Why there is nothing to be tested: told once, and not by every test."""
    module, _, function = name.partition(":")
    if not module or not function:
        return "must be module:function"
    try:
        with TemporaryDirectory() as folder:
            adapter = getattr(importlib.import_module(module), function)(Path(folder))
            problem = wrong_with(adapter, suite)
            if problem is None:
                with Rig(adapter, Clock(), Loop() if suite.asynchronous else None) as rig:
                    rig.open().retrieve(REF)
            return problem
    except Exception as error:
        traceback.print_exception(error)
        return "no store could be opened and read, see above"


if __name__ == "__main__":
    sys.exit(main())
