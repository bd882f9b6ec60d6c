"""What dispatchers may do next: take a hook, run a body, commit a plan, crash. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import attrs

from wfcore.keys import timer_id
from wfcore.plan import Conflict, Plan, PutStep
from wfcore.planner import StepCall
from wfcore.testing.clock import START
from wfcore.testing.exploring.checks import BODY_RUNS, NOT_EARLY, Broken
from wfcore.testing.exploring.outside import Outside
from wfcore.testing.exploring.planning import Body, Ready, Rest, Trouble
from wfcore.testing.exploring.replays import Replays
from wfcore.testing.exploring.space import Move, Space
from wfcore.testing.exploring.state import IDLE, Action, Beaten, Firing, Holding, Past, State
from wfcore.testing.exploring.unread import PAST


class Moves:
    """The moves of all states.

    Not tried, because nothing else could come of it: a dispatcher that stands as another one does, a hook that changes
    nothing, pauses between a conflict and the next retrieve.

    Args:
        space: the tables.
        outside: what happens without a dispatcher.
    """

    def __init__(self, space: Space, outside: Outside) -> None:
        self._space = space
        self._replays = Replays(space)
        self._outside = outside

    def of(self, state: State) -> Iterator[Move]:
        """All moves of a state."""
        tried = set()
        for who, number in enumerate(state.workers):
            if number in tried:
                continue
            tried.add(number)
            worker = self._space.workers[number]
            if worker is None:
                yield from self._takes(state, who)
            elif isinstance(worker, Beaten):
                lost = Holding(worker.ref, worker.firing, state.now, 0, state.now, absent=worker.absent)
                yield self._retrieves(state, who, lost, Action("commit", who, worker.ref), "conflict")
            else:
                yield from self._works(state, who, number, worker)
        yield from self._outside.of(state)

    # -- idle

    def _takes(self, state: State, who: int) -> Iterator[Move]:
        space, now = self._space, state.now
        for ref, number in space.worlds.refs(state.world).items():
            hooks = space.rows.hooks(number)
            due = bool(hooks) and hooks[0][0] <= now
            if due:
                yield from self._take(state, who, "take", (ref, *hooks[0][1:]), now)
            if state.early:
                hook = next((each for each in hooks if each[0] > now), None)
                if hook is not None:
                    early = state._replace(early=state.early - 1)
                    yield from self._take(early, who, "take early", (ref, *hook[1:]), now)
        if state.duplicates:
            twice = state._replace(duplicates=state.duplicates - 1)
            long_ago = PAST if space.normal.knowledge.shifts else START
            for firing in space.firings[state.fired]:
                yield from self._take(twice, who, "take again", firing, long_ago)

    def _take(self, state: State, who: int, kind: str, firing: Firing, fired_at: datetime) -> Iterator[Move]:
        space = self._space
        holding = Holding(firing[0], firing, fired_at, space.worlds.number(state.world, firing[0]), state.now)
        happened = {"take": "", "take early": "early hook", "take again": "duplicate"}[kind]
        number = space.workers.of(holding)
        boundary = space.boundary(number)
        action = Action(kind, who, firing[1])
        if isinstance(boundary, Trouble):
            yield Move(action, None, happened, Broken(boundary.about, boundary.text))
        elif not isinstance(boundary, Rest):
            after = _put(state, who, number)
            if state.duplicates and kind == "take":
                after = after._replace(fired=self._fired(state.fired, holding))
            yield Move(action, after, happened)

    def _fired(self, fired: int, holding: Holding) -> int:
        """The firings that may come once more: of each run of each instance the timer, fired at the beginning."""
        ref, _hook_id, run_number, _reason = holding.firing
        instance = self._space.rows[holding.rows].instance
        if run_number is None and instance is not None:
            run_number = instance.run_number
        firing = ref, timer_id(ref), run_number, "wake"
        so_far = self._space.firings[fired]
        return fired if firing in so_far else self._space.firings.of(tuple(sorted((*so_far, firing), key=repr)))

    # -- at work

    def _works(self, state: State, who: int, number: int, worker: Holding) -> Iterator[Move]:
        space = self._space
        boundary = space.boundary(number)
        if isinstance(boundary, Body):
            yield from self._performs(state, who, worker, boundary)
        elif isinstance(boundary, Ready):
            yield self._commits(state, who, worker, boundary)
        if state.crashes:
            after = _put(state, who, IDLE)
            if worker.mine or worker.held or (space.counting and worker.answers):
                after = after._replace(crashes=state.crashes - 1)
            yield Move(Action("crash", who, worker.ref), after, "crash")

    def _performs(self, state: State, who: int, worker: Holding, body: Body) -> Iterator[Move]:
        space, call = self._space, body.call
        past, broken = self._ran(state, worker, call)
        if past is not None:
            state = state._replace(past=space.pasts.of(past))
        elapsed = state.now - worker.at
        for choice in range(body.choices):
            action = Action("run", who, call.key, choice)
            if broken is not None:
                yield Move(action, None, "", broken)
                return
            after = worker._replace(answers=(*worker.answers, (choice, elapsed)))
            yield self._settles(state, who, after, action, "")

    def _ran(self, state: State, worker: Holding, call: StepCall) -> tuple[Past | None, Broken | None]:
        """The past after a body has run, if rows do not tell it, and what is wrong with that."""
        space = self._space
        past, changed = space.pasts[state.past], None
        rows = space.rows[worker.rows]
        instance = rows.instance
        assert instance is not None
        place = (instance.created_by, instance.run_number, call.key, call.attempt.number)
        current = space.worlds.number(state.world, worker.ref) == worker.rows
        told = f"attempt {call.attempt.number} of {call.key!r}"
        if current and place in past.recorded:
            return None, Broken(BODY_RUNS, f"{told} runs again, and its result was committed (rules S9, S12)")
        step = rows.steps.get((instance.run_number, call.key))
        if step is not None and step.next_retry_at is not None and step.next_retry_at > state.now:
            text = f"{told} runs at {state.now}, and not before {step.next_retry_at} (rule S3)"
            return None, Broken(NOT_EARLY, text)
        if call.started_by is not None:
            start = (call.started_by, *place[1:])
            if start in past.recorded:
                return None, Broken(BODY_RUNS, f"{told} runs twice for one start of at most once (rule S13)")
            changed = past._replace(recorded=past.recorded | {start})
        if space.counting:
            runs = {(ref, key): count for ref, key, count in past.runs}
            runs[worker.ref, call.key] = runs.get((worker.ref, call.key), 0) + 1
            counted = tuple(sorted((ref, key, count) for (ref, key), count in runs.items()))
            changed = (changed or past)._replace(runs=counted)
        return changed, None

    def _commits(self, state: State, who: int, worker: Holding, ready: Ready) -> Move:
        space = self._space
        plan = space.plan(ready.plan)
        action = Action("commit", who, worker.ref)
        world = space.evolved(state.world, ready.plan, worker, state.now)
        if isinstance(world, Conflict):
            return self._conflicts(state, who, worker, ready, world)
        if isinstance(world, Broken):
            return Move(action, None, "", world)
        past, broken = self._recorded(state, worker, ready, plan)
        broken = broken or self._replays.at_the_end(world, worker, ready)
        if broken is not None:
            return Move(action, None, "", broken)
        others = tuple(
            IDLE if index == who else space.beaten(number, world) for index, number in enumerate(state.workers)
        )
        world = space.renumbered(world, others)
        after = state._replace(world=world, workers=others, past=space.pasts.of(past))
        if not ready.continues:
            return Move(action, after, type(plan.outcome).__name__)
        return self._continues(after, who, worker, ready, action)

    def _continues(self, state: State, who: int, worker: Holding, ready: Ready, action: Action) -> Move:
        """Go on from a checkpoint (rule O6)."""
        space = self._space
        held = space.still_held(worker, ready)
        following = space.continued(worker, state.world, space.plan(ready.plan), held)
        seen = {hook_id for _due_at, hook_id, *_ in space.rows.hooks(worker.rows)} | {timer_id(worker.ref)}
        if any(hook[1] not in seen for hook in space.rows.hooks(following.rows)):
            return self._retrieves(state, who, following, action, "unseen hook")
        broken = self._replays.going_on(worker, ready, space.workers.of(following))
        if broken is not None:
            return Move(action, None, "", broken)
        return self._settles(state, who, following, action, "continuation")

    def _conflicts(self, state: State, who: int, worker: Holding, ready: Ready, conflict: Conflict) -> Move:
        """Plan again from a fresh retrieve (rule R1); only results of at-most-once bodies are kept (R2, S13)."""
        space = self._space
        plan = space.plan(ready.plan)
        if space.engine.is_altered_by_conflicts:
            before = space.worlds.world(state.world)
            after = space.engine.after_conflict(before, plan)
            changed = space.changed(before, after, attrs.evolve(plan, mutations=()), None, state.now)
            if isinstance(changed, Broken):
                return Move(Action("commit", who, worker.ref), None, "", changed)
            state = state._replace(world=changed)
        absent = worker.absent
        if conflict.version is None and conflict.ref != worker.ref:
            absent |= {conflict.ref}
        held = tuple(sorted({*worker.held, *ready.held}))
        again = worker._replace(held=held, absent=absent)
        return self._retrieves(state, who, again, Action("commit", who, worker.ref), "conflict")

    def _recorded(self, state: State, worker: Holding, ready: Ready, plan: Plan) -> tuple[Past, Broken | None]:
        """The past after a commit: which attempts are recorded, and what was written."""
        space = self._space
        past = space.written(space.pasts[state.past], plan)
        if not (ready.performed or worker.held):
            return past, None
        rows = space.rows[worker.rows]
        instance = rows.instance
        assert instance is not None
        put = {each.step.key for each in plan.mutations if isinstance(each, PutStep)}
        done = [*ready.performed]
        for number in worker.held:
            call = space.planning.done(number).call
            step = rows.steps.get((instance.run_number, call.key))
            if step is not None and step.status == "started" and step.execution_id == call.started_by:
                done.append((call.key, call.attempt.number))
        places = [(instance.created_by, instance.run_number, key, number) for key, number in done if key in put]
        twice = next((place for place in places if place in past.recorded), None)
        broken = None
        if twice is not None:
            broken = Broken(BODY_RUNS, f"attempt {twice[3]} of {twice[2]!r} is committed twice (rules S9, S12)")
        return past._replace(recorded=past.recorded.union(places)), broken

    # -- what follows

    def _retrieves(self, state: State, who: int, worker: Holding, action: Action, happened: str) -> Move:
        return self._settles(state, who, self._space.retrieved(worker, state.world, state.now), action, happened)

    def _settles(self, state: State, who: int, worker: Holding, action: Action, happened: str) -> Move:
        """The dispatcher goes on by itself as far as it can."""
        space = self._space
        number = space.workers.of(worker)
        boundary = space.boundary(number)
        if isinstance(boundary, Trouble):
            return Move(action, None, happened, Broken(boundary.about, boundary.text))
        return Move(action, _put(state, who, IDLE if isinstance(boundary, Rest) else number), happened)


def _put(state: State, who: int, number: int) -> State:
    workers = state.workers
    return state._replace(workers=(*workers[:who], number, *workers[who + 1 :]))
