"""Places in maps with bounded concurrency: which branches may start bodies (rule P1). Pure: no I/O, no clock.

A branch takes a place when a body of it, or of a branch below it, is to start, and keeps it as long as one may start or
is in flight: a parked branch holds no place. Under nested maps a body needs a place in each, the outermost first.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict

from wfcore.planner.requests import Branch, Group, Request


class Places:
    """Who has a place, and who waits for one."""

    def __init__(self) -> None:
        self._queues: defaultdict[Group, _Queue] = defaultdict(_Queue)
        self._busy: Counter[Branch] = Counter()
        self._held: Counter[str] = Counter()
        self._idle: dict[Branch, None] = {}
        self._changed: OrderedDict[Group, None] = OrderedDict()

    def enter(self, request: Request) -> bool:
        """A body may start, or is in flight; whether it has its places. If not, it waits for them."""
        bounds = request.branch.bounds
        for branch in bounds[self._held[request.key] :]:
            group = branch.group
            assert group is not None  # noqa: S101 - only branches of groups are bounded
            if branch not in group.admitted:
                self._queues[group].add(branch, request)
                self._changed.setdefault(group)
                return False
            self._hold(branch, request)
        return True

    def occupy(self, request: Request) -> None:
        """A body is in flight since before the tick: it has its places."""
        for branch in request.branch.bounds:
            assert branch.group is not None  # noqa: S101 - only branches of groups are bounded
            branch.group.admitted.add(branch)
            self._hold(branch, request)

    def leave(self, request: Request) -> None:
        """No body of the request is to start, or in flight, any more."""
        for branch in request.branch.bounds[: self._held.pop(request.key, 0)]:
            self._busy[branch] -= 1
            if not self._busy[branch]:
                self._idle.setdefault(branch)

    def admit(self) -> list[Request]:
        """Give free places to those that wait, in order; the requests that have all of theirs now."""
        for branch in self._idle:
            group = branch.group
            if group is not None and not self._busy[branch]:
                del self._busy[branch]
                group.admitted.discard(branch)
                self._changed.setdefault(group)
        self._idle.clear()
        ready: list[Request] = []
        while self._changed:
            group, _ = self._changed.popitem(last=False)
            queue = self._queues[group]
            while len(group.admitted) < (group.fan.max_concurrency or 0) and (first := queue.pop()) is not None:
                branch, waiting = first
                requests = [each for each in waiting if not each.branch.closed]
                if requests:
                    group.admitted.add(branch)
                    ready.extend(each for each in requests if self.enter(each))
        return ready

    def _hold(self, branch: Branch, request: Request) -> None:
        self._busy[branch] += 1
        self._held[request.key] += 1


class _Queue:
    """Branches of a map that wait for a place, with their requests; those that have begun go first."""

    def __init__(self) -> None:
        self._begun: OrderedDict[Branch, list[Request]] = OrderedDict()
        self._new: OrderedDict[Branch, list[Request]] = OrderedDict()

    def add(self, branch: Branch, request: Request) -> None:
        (self._begun if branch.has_run else self._new).setdefault(branch, []).append(request)

    def pop(self) -> tuple[Branch, list[Request]] | None:
        table = self._begun or self._new
        return table.popitem(last=False) if table else None
