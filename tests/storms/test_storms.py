"""A few seeds of every storm; `make storms` has a hundred of each."""

import pytest

from tests.storms.storms import STORMS, blow

pytestmark = pytest.mark.unmeasured


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", STORMS)
def test_a_storm_passes_and_nothing_is_lost(name: str, seed: int) -> None:
    storm = STORMS[name]
    assert blow(storm, seed).bodies_per_step < storm.most


@pytest.mark.parametrize("name", STORMS)
def test_a_storm_passes_if_every_tick_replays(name: str) -> None:
    """Without continuations every checkpoint is everybody's: bodies run twice more often, results do not change."""
    assert blow(STORMS[name], 0, continuations=False).bodies_per_step < 2 + 1
