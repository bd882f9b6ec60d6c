"""The suite for a store that the command line names; ``python -m wfcore.testing.conformance`` runs it."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from wfcore.testing.conformance.adapter import Adapter
from wfcore.testing.conformance.suite import AsyncStoreSuite, StoreSuite


class Given:
    """The adapter that the command line names."""

    @pytest.fixture
    def adapter(self, request: pytest.FixtureRequest, tmp_path: Path) -> Adapter:
        """What its function makes of an empty folder."""
        module, _, function = request.config.getoption("--conformance-adapter").partition(":")
        adapter: Adapter = getattr(importlib.import_module(module), function)(tmp_path)
        return adapter


class TestStore(Given, StoreSuite):
    """A blocking store."""


class TestAsyncStore(Given, AsyncStoreSuite):
    """A store for asyncio."""
