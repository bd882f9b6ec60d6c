"""How much is tried: WFCORE_HYPOTHESIS_PROFILE is `dev` (default), `quick`, `ci` or `laws`.

A law that costs more than its neighbours takes a share: `settings(max_examples=settings().max_examples // 10)`.
"""

import gc
import os
from collections.abc import Generator
from importlib.util import find_spec

import pytest
from coverage import Coverage
from hypothesis import HealthCheck, Phase, settings

# No deadline and no complaint about slowness: both would make a verdict depend on the machine.
_COMMON = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
# CI tries the same examples every time, so that only a change can break it; the other two search on.
settings.register_profile("dev", _COMMON, max_examples=100)
settings.register_profile("ci", _COMMON, max_examples=1_000, derandomize=True)
# For `make test` in CI: every law is run, and `ci` follows.
settings.register_profile("quick", _COMMON, max_examples=10, derandomize=True)
settings.register_profile("laws", _COMMON, max_examples=50_000)
# `make mutants` and `make mutmut` run it hundreds of times; it leaves no failing example behind.
settings.register_profile(
    "mutants", _COMMON, max_examples=25, derandomize=True, phases=[Phase.explicit, Phase.generate]
)

_PROFILE = os.environ.get("WFCORE_HYPOTHESIS_PROFILE", "dev")
settings.load_profile(_PROFILE)

# `make types` runs these, where the type checkers are installed.
_TYPE_CHECKED = find_spec("pyright") is not None
collect_ignore = [] if _TYPE_CHECKED else ["typing"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Leave out of `coverage run` what is marked `unmeasured`."""
    coverage = Coverage.current() if item.get_closest_marker("unmeasured") else None
    if coverage is not None:
        coverage.stop()
    try:
        return (yield)
    finally:
        if coverage is not None:
            coverage.start()


def pytest_collection_finish() -> None:
    """Ten thousand tests live as long as the run: looking at them for garbage takes a third of its time.

    What tests make is gone without such a look, but for a little: it need not be frequent.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def pytest_report_header() -> str:
    typing = "collected" if _TYPE_CHECKED else "not collected, see `make types`"
    return f"hypothesis profile: {_PROFILE}; tests/typing: {typing}"
