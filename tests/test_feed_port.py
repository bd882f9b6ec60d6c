"""What a dispatcher may ask a feed for (rule R4)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.lab import T0
from wfcore.ports import Shard


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((0, 0), ValueError, "numbered from 0"),
        ((2, 2), ValueError, "numbered from 0"),
        ((-1, 2), ValueError, "numbered from 0"),
        ((0, 2, timedelta(0)), ValueError, "longer than zero"),
        (("0", 2), TypeError, "integers"),
        ((0, True), TypeError, "integers"),
        ((0, 2, 300), TypeError, "timedelta"),
    ],
)
def test_r4_a_shard_out_of_range_is_refused(arguments: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        Shard(*arguments)


@pytest.mark.parametrize("steal_after", [timedelta(minutes=5), timedelta.max])
def test_r4_no_time_of_stealing_is_out_of_range(steal_after: timedelta) -> None:
    shard = Shard(0, 2, steal_after)
    theirs = next(f"w#{number}" for number in range(9) if not shard.owns(f"w#{number}"))
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    assert (first, last) == (shard.steals_until(first), shard.takes_at(theirs, last))
    assert shard.steals_until(T0) < T0 < shard.takes_at(theirs, T0)
