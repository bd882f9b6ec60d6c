"""Workflows while there is no room on the disk. As a program: ``python -m tests.operations.scarce FILE COLOUR``.

The program keeps itself from writing large files, as a quota would; that is a limit of a process, so it is its own.
"""

import json
import logging
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

from tests.crash.shop import CHECKOUT
from tests.operations.said import Said
from tests.operations.sites import Colour, Site, on_sqlite
from tests.operations.trade import Trade, all_done, each_once
from wfcore import StoreUnavailableError

UNLIMITED = resource.RLIM_INFINITY


def run_short(site: Site, said: Said, fill: Callable[[], object], free: Callable[[], object]) -> str:
    """Take the room away until a client and a dispatcher have felt it, and give it back; what the client was told.

    Everything has to be there in the end, and nothing else.
    """
    trade = Trade(site.client)
    trade.begin(3)
    fill()
    refused = fill_up(trade)
    with site.dispatching(), site.dispatching():
        said.wait_for("failed: StoreUnavailableError")
        free()
        trade.begin(3)
        trade.approve()
        assert trade.outcome() == all_done(trade.begun)
    assert site.rows() == each_once(trade.begun)
    return str(refused)


def fill_up(trade: Trade) -> StoreUnavailableError:
    """Begin large instances until one is refused."""
    while True:
        try:
            trade.client.create(CHECKOUT, trade.begun, id=str(trade.begun), tags={"text": "long" * 1000})
        except StoreUnavailableError as error:
            return error
        trade.begun += 1


def main(path: Path, colour: Colour) -> str:
    said = Said()
    logging.getLogger().addHandler(said)
    with on_sqlite(path, colour) as site:
        limit = path.with_name(f"{path.name}-wal").stat().st_size + 100_000
        return run_short(
            site,
            said,
            lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, UNLIMITED)),
            lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (UNLIMITED, UNLIMITED)),
        )


if __name__ == "__main__":
    json.dump(main(Path(sys.argv[1]), cast(Colour, sys.argv[2])), sys.stdout)
