"""What a tick is asked to do, and how it is told to stop."""

from __future__ import annotations

from datetime import timedelta
from typing import final

import attrs

from wfcore.model import FiredHook
from wfcore.ports import Codec
from wfcore.runner.observe import Observer
from wfcore.runner.watch import Watch
from wfcore.workflow import Registry


@final
@attrs.define
class StopSignal:
    """How a dispatcher tells its running ticks to stop.

    Attributes:
        requested: commit the next checkpoint, release the instance, and stop there.
        abandoned: commit nothing any more; the result of a body that still runs is thrown away.
    """

    requested: bool = False
    abandoned: bool = False


@final
@attrs.frozen(kw_only=True)
class Errand:
    """What ``run_tick`` is asked to do; see there."""

    registry: Registry
    fired: FiredHook
    codec: Codec
    recover_after: timedelta
    observer: Observer | None
    stop: StopSignal = attrs.field(factory=StopSignal)
    watch: Watch = attrs.field(factory=Watch)


class Abandoned(BaseException):
    """Leaves a tick whose dispatcher does not wait for it any more."""
