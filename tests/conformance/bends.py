"""Bends: what a store may do wrong with a plan, an answer, a row, a due hook."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import attrs

from tests.conformance.bent import BentStore, bent_mutations, unchecked
from wfadapters.changes import appended
from wfcore.evolve import conflict, holds
from wfcore.keys import is_terminal_notice
from wfcore.model import FiredHook, Hook, Snapshot
from wfcore.plan import (
    AddEvent,
    AddHook,
    AddInstance,
    Applied,
    AtVersion,
    Conflict,
    DeleteHook,
    DeleteInstance,
    DeleteStep,
    Exists,
    Plan,
    PutEvent,
    PutHook,
    PutInstance,
    PutStep,
    Write,
)
from wfcore.ports import DueQuery
from wfcore.testing.conformance.build import event

# ---- bends


def puts_before_deletes(plan: Plan) -> Plan:
    order = sorted(plan.mutations, key=lambda each: type(each).__name__.startswith("Delete"))
    return unchecked(plan, mutations=tuple(order))


def only_first_precondition(plan: Plan) -> Plan:
    return unchecked(plan, preconditions=plan.preconditions[:1])


def only_rows_of_its_ref(plan: Plan) -> Plan:
    kept = tuple(each for each in plan.mutations if isinstance(each, Write) or each.ref == plan.ref)
    return unchecked(plan, mutations=kept)


def preconditions_of_its_ref(plan: Plan) -> Plan:
    return unchecked(plan, preconditions=tuple(attrs.evolve(each, ref=plan.ref) for each in plan.preconditions))


def any_version(plan: Plan) -> Plan:
    given = (Exists(each.ref) if isinstance(each, AtVersion) else each for each in plan.preconditions)
    return unchecked(plan, preconditions=tuple(given))


def writes_with_rows_only(plan: Plan) -> Plan:
    return plan if any(not isinstance(each, Write) for each in plan.mutations) else unchecked(plan, mutations=())


class ChecksLast(BentStore):
    """Looks at the preconditions when the rows are written, before it commits."""

    def apply(self, plan: Plan) -> Applied | Conflict:
        before = dict(self._world)
        answer = super().apply(unchecked(plan, preconditions=()))
        for each in plan.preconditions:
            if not holds(each, found := self.rows(each.ref).instance):
                self.roll_back(before)
                return conflict(each.ref, found)
        return answer


class LooksUpInstancesBefore(BentStore):
    """Tells what is undelivered by what was there before the plan."""

    def apply(self, plan: Plan) -> Applied | Conflict:
        missing = tuple(each for each in appended(plan) if not self.rows(each.ref).instance)
        answer = super().apply(plan)
        return attrs.evolve(answer, undelivered=missing) if isinstance(answer, Applied) else answer


class PutsOnce(BentStore):
    """A step that is there is left as it is."""

    def apply(self, plan: Plan) -> Applied | Conflict:
        def is_new(each: Any) -> bool:
            return not _is_put_step(each) or (each.step.run_number, each.step.key) not in self.rows(each.ref).steps

        return super().apply(unchecked(plan, mutations=tuple(filter(is_new, plan.mutations))))


class DeletesStepsOfTheCurrentRun(BentStore):
    """Whatever run it was told."""

    def apply(self, plan: Plan) -> Applied | Conflict:
        def current(each: Any) -> Any:
            found = self.rows(each.ref).instance if isinstance(each, DeleteStep) else None
            return attrs.evolve(each, run_number=found.run_number) if found else each

        return super().apply(unchecked(plan, mutations=tuple(map(current, plan.mutations))))


class TakesAnEventIdOnce(BentStore):
    """The ids of events are those of all instances."""

    def apply(self, plan: Plan) -> Applied | Conflict:
        def is_new(each: Any) -> bool:
            others = (rows for ref, rows in self._world.items() if ref != each.ref)
            return not isinstance(each, AddEvent) or not any(each.event.id in rows.events for rows in others)

        return super().apply(unchecked(plan, mutations=tuple(filter(is_new, plan.mutations))))


def without_exists(plan: Plan) -> Plan:
    return unchecked(plan, preconditions=tuple(each for each in plan.preconditions if not isinstance(each, Exists)))


def no_facts(answer: Applied | Conflict, _plan: Plan, _store: BentStore) -> Applied | Conflict:
    return Conflict(answer.ref, None, None) if isinstance(answer, Conflict) else answer


def about_the_plans_ref(answer: Applied | Conflict, plan: Plan, store: BentStore) -> Applied | Conflict:
    return conflict(plan.ref, store.rows(plan.ref).instance) if isinstance(answer, Conflict) else answer


class NoIncarnation(BentStore):
    """Compares the version only."""

    def apply(self, plan: Plan) -> Applied | Conflict:
        def as_found(each: Any) -> Any:
            found = self.rows(each.ref).instance
            return (
                attrs.evolve(each, execution_id=found.execution_id) if found and isinstance(each, AtVersion) else each
            )

        return super().apply(unchecked(plan, preconditions=tuple(map(as_found, plan.preconditions))))


class Upserts(BentStore):
    """An append that comes again replaces what is there."""

    def apply(self, plan: Plan) -> Applied | Conflict:
        def replaced(each: Any) -> Any:
            there = isinstance(each, AddEvent) and each.event.id in self.rows(each.ref).events
            return PutEvent(each.event) if there else each

        return super().apply(unchecked(plan, mutations=tuple(map(replaced, plan.mutations))))


class KeepsSomeColumns(BentStore):
    """Its upsert sets a list of columns, in which some are missing."""

    def apply(self, plan: Plan) -> Applied | Conflict:
        def kept(each: Any) -> Any:
            found = self.rows(each.ref).steps.get((each.step.run_number, each.step.key)) if _is_put_step(each) else None
            return PutStep(attrs.evolve(each.step, sequence=found.sequence)) if found else each

        return super().apply(unchecked(plan, mutations=tuple(map(kept, plan.mutations))))


def _is_put_step(mutation: Any) -> bool:
    return isinstance(mutation, PutStep)


class PutsLast(BentStore):
    """An event that is put again is deleted and inserted: it goes to the end."""

    def apply(self, plan: Plan) -> Applied | Conflict:
        answer = super().apply(plan)
        for each in plan.mutations if isinstance(answer, Applied) else ():
            rows = self.rows(getattr(each, "ref", ""))
            if isinstance(each, PutEvent) and each.event.id in rows.events:
                others = {name: event for name, event in rows.events.items() if name != each.event.id}
                self.replace(each.ref, attrs.evolve(rows, events={**others, each.event.id: each.event}))
        return answer


class DeletesTheCurrentRun(BentStore):
    """Leaves the steps of older runs, for the next instance of that name."""

    def apply(self, plan: Plan) -> Applied | Conflict:
        before = {each.ref: self.rows(each.ref) for each in plan.mutations if isinstance(each, DeleteInstance)}
        answer = super().apply(plan)
        for ref, rows in before.items() if isinstance(answer, Applied) else ():
            run = rows.instance.run_number if rows.instance else 0
            left = {key: step for key, step in rows.steps.items() if key[0] != run}
            self.replace(ref, attrs.evolve(self.rows(ref), steps=left))
        return answer


class LeavesNotices(BentStore):
    """Takes the instance's own hooks, and not what somebody may still be waiting for."""

    def apply(self, plan: Plan) -> Applied | Conflict:
        before = {each.ref: self.rows(each.ref) for each in plan.mutations if isinstance(each, DeleteInstance)}
        answer = super().apply(plan)
        for ref, rows in before.items() if isinstance(answer, Applied) else ():
            left = {name: hook for name, hook in rows.hooks.items() if hook.reason == "terminal"}
            self.replace(ref, attrs.evolve(self.rows(ref), hooks=left))
        return answer


class LeavesConsumedEvents(BentStore):
    def apply(self, plan: Plan) -> Applied | Conflict:
        before = {each.ref: self.rows(each.ref) for each in plan.mutations if isinstance(each, DeleteInstance)}
        answer = super().apply(plan)
        for ref, rows in before.items() if isinstance(answer, Applied) else ():
            left = {name: event for name, event in rows.events.items() if event.consumed_by}
            self.replace(ref, attrs.evolve(self.rows(ref), events=left))
        return answer


class FoldsCase(BentStore):
    """A database whose texts are compared by a collation."""

    def retrieve(self, ref: str) -> Snapshot:
        return super().retrieve(self.folded(ref))

    def apply(self, plan: Plan) -> Applied | Conflict:
        for each in plan.mutations:
            if isinstance(each, AddInstance) and self.rows(self.folded(each.ref)).instance:
                return conflict(each.ref, self.rows(self.folded(each.ref)).instance)
        return super().apply(plan)

    def folded(self, ref: str) -> str:
        return next((each.ref for each in self.all_instances() if each.ref.casefold() == ref.casefold()), ref)


def by_instant(found: Snapshot) -> Snapshot:
    return attrs.evolve(found, events=tuple(sorted(found.events, key=lambda event: (event.created_at, event.id))))


def milliseconds(found: Snapshot) -> Snapshot:
    def cut(row: Any) -> Any:
        instants = {name: value for name, value in attrs.asdict(row, recurse=False).items() if type(value) is datetime}
        cut_off = {name: at.replace(microsecond=at.microsecond // 1000 * 1000) for name, at in instants.items()}
        return attrs.evolve(row, **cut_off)

    return attrs.evolve(
        found,
        instance=found.instance and cut(found.instance),
        steps=tuple(map(cut, found.steps)),
        events=tuple(map(cut, found.events)),
        hooks=tuple(map(cut, found.hooks)),
    )


def stripped(found: Snapshot) -> Snapshot:
    return attrs.evolve(
        found, instance=found.instance and attrs.evolve(found.instance, params=found.instance.params.strip())
    )


def nothing_for_empty(found: Snapshot) -> Snapshot:
    return attrs.evolve(found, steps=tuple(attrs.evolve(each, result=each.result or None) for each in found.steps))


def without_traceback(found: Snapshot) -> Snapshot:
    def cut(step: Any) -> Any:
        return attrs.evolve(step, failure=step.failure and attrs.evolve(step.failure, traceback=""))

    return attrs.evolve(found, steps=tuple(map(cut, found.steps)))


def bumped(plan: Plan) -> Plan:
    """An empty plan that touches the row."""
    [given] = plan.preconditions or (None,)
    return plan if plan.mutations or not isinstance(given, AtVersion) else unchecked(plan, mutations=(_touch(plan),))


def _touch(plan: Plan) -> AddEvent:
    return AddEvent(event("touched", plan.ref))


class AnswersEmptyPlans(BentStore):
    """Does not look at what it need not write."""

    def apply(self, plan: Plan) -> Applied | Conflict:
        return super().apply(plan) if plan.mutations else Applied(frozenset(self.rows(plan.ref).hooks))


class LocksAppends(BentStore):
    """An append raises the version, so a tick that runs conflicts with it."""

    def apply(self, plan: Plan) -> Applied | Conflict:
        answer = super().apply(plan)
        rows = self.rows(plan.ref)
        appended = {type(each) for each in plan.mutations} == {AddEvent, AddHook}
        if appended and rows.instance and isinstance(answer, Applied):
            raised = attrs.evolve(rows.instance, version=rows.instance.version + 1)
            self.replace(plan.ref, attrs.evolve(rows, instance=raised))
        return answer


def writes_reversed(plan: Plan) -> Plan:
    writes = [each for each in plan.mutations if isinstance(each, Write)]
    others = [each for each in plan.mutations if not isinstance(each, Write)]
    return unchecked(plan, mutations=(*others, *reversed(writes)))


def all_hooks(answer: Applied | Conflict, _plan: Plan, store: BentStore) -> Applied | Conflict:
    every = frozenset(hook.id for hook in store.hooks())
    return attrs.evolve(answer, pending_hooks=every) if isinstance(answer, Applied) else answer


def nothing_undelivered(answer: Applied | Conflict, _plan: Plan, _store: BentStore) -> Applied | Conflict:
    return attrs.evolve(answer, undelivered=()) if isinstance(answer, Applied) else answer


class CountsRepeatsAsUndelivered(BentStore):
    def apply(self, plan: Plan) -> Applied | Conflict:
        before = {each: self.rows(each.ref) for each in plan.mutations if isinstance(each, AddEvent)}
        answer = super().apply(plan)
        repeated = tuple(each for each, rows in before.items() if each.event.id in rows.events)
        return attrs.evolve(answer, undelivered=repeated) if repeated and isinstance(answer, Applied) else answer


class AddsHooksOver(BentStore):
    """An ``AddHook`` replaces the hook that is there."""

    def apply(self, plan: Plan) -> Applied | Conflict:
        def over(each: Any) -> Any:
            there = isinstance(each, AddHook) and self.rows(each.ref).instance
            return PutHook(each.hook) if there else each

        return super().apply(unchecked(plan, mutations=tuple(map(over, plan.mutations))))


# ---- the feed


class LooksAhead(BentStore):
    """Its queue fires a second early."""

    def due(self, query: DueQuery) -> Sequence[FiredHook]:
        now, clock = self._clock(), self._clock
        self._clock = lambda: now + timedelta(seconds=1)
        try:
            return super().due(query)
        finally:
            self._clock = clock


class ComparesTexts(BentStore):
    """Keeps instants as texts, which have a fraction only if there is one."""

    def due(self, query: DueQuery) -> Sequence[FiredHook]:
        now, texts = self._clock(), {hook: _text(hook.due_at) for hook in self.hooks()}
        ordered = sorted(texts, key=lambda hook: (texts[hook], hook.id))
        return [FiredHook(hook=hook, timestamp=now) for hook in ordered if texts[hook] <= _text(now)][: query.limit]


def _text(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


def strictly_before(fired: Sequence[FiredHook], _query: DueQuery) -> Sequence[FiredHook]:
    return [each for each in fired if each.hook.due_at < each.timestamp]


def one_per_instant(fired: Sequence[FiredHook], _query: DueQuery) -> Sequence[FiredHook]:
    return list({each.hook.due_at: each for each in reversed(fired)}.values())[::-1]


def by_id(fired: Sequence[FiredHook], _query: DueQuery) -> Sequence[FiredHook]:
    return sorted(fired, key=lambda each: each.hook.id)


class GivesEveryHook(BentStore):
    """A row for each hook, not for each instance."""

    def due(self, query: DueQuery) -> Sequence[FiredHook]:
        now = self._clock()
        admitted = [hook for hook in self.hooks() if hook.due_at <= now and self.admits(hook, query)]
        ordered = sorted(admitted, key=lambda hook: (hook.due_at, hook.id))
        return [FiredHook(hook=hook, timestamp=now) for hook in ordered[: query.limit]]

    def admits(self, hook: Hook, query: DueQuery) -> bool:
        names = query.workflow_names
        known = names is None or hook.workflow_name in names
        wanted = query.terminal_notices or not is_terminal_notice(hook.id)
        return known and wanted and hook.instance_ref not in query.exclude


class LimitsBeforeItGroups(GivesEveryHook):
    """One instance with many hooks starves the others."""

    def due(self, query: DueQuery) -> Sequence[FiredHook]:
        return list({each.hook.instance_ref: each for each in reversed(super().due(query))}.values())[::-1]


class LooksAtSomeOnly(GivesEveryHook):
    """Takes the first thousand of its hooks, and looks which of them are due."""

    def hooks(self) -> list[Hook]:
        return sorted(super().hooks(), key=lambda hook: hook.id)[:1000]


class LimitsBeforeItExcludes(BentStore):
    """Those that are left out take the places of the others: they starve."""

    def due(self, query: DueQuery) -> Sequence[FiredHook]:
        found = super().due(attrs.evolve(query, exclude=frozenset()))
        return [each for each in found if each.hook.instance_ref not in query.exclude]


def ignores_names(query: DueQuery) -> DueQuery:
    return attrs.evolve(query, workflow_names=query.workflow_names or None)


def ignores_shards(query: DueQuery) -> DueQuery:
    return attrs.evolve(query, shard=None)


class HashesOtherBytes(BentStore):
    """Makes the shard of other bytes than those of UTF-8; it makes no difference while there is ASCII only."""

    def due(self, query: DueQuery) -> Sequence[FiredHook]:
        shard, found = query.shard, super().due(attrs.evolve(query, shard=None))
        return [each for each in found if not shard or shard.owns(each.hook.instance_ref.encode().decode("latin-1"))]


def never_stolen(fired: Sequence[FiredHook], query: DueQuery) -> Sequence[FiredHook]:
    return [each for each in fired if query.shard is None or query.shard.owns(each.hook.instance_ref)]


class LooksForOthersFirst(BentStore):
    """Takes the first that are due, of any shard, and then its own of them: others' hooks fill the limit."""

    def due(self, query: DueQuery) -> Sequence[FiredHook]:
        found = super().due(attrs.evolve(query, shard=None))
        shard = query.shard
        return [
            each
            for each in found
            if shard is None or shard.takes_at(each.hook.instance_ref, each.hook.due_at) <= each.timestamp
        ]


class SleepsOverOthers(BentStore):
    """Does not wake to steal."""

    def next_due_at(self, query: DueQuery) -> datetime | None:
        shard = query.shard
        if shard is None:
            return super().next_due_at(query)
        others = frozenset(hook.instance_ref for hook in self.hooks() if not shard.owns(hook.instance_ref))
        return super().next_due_at(attrs.evolve(query, exclude=query.exclude | others))


class WakesWithOthersOnly(BentStore):
    """The earlier of its own hooks and of others', and nothing if there are no others."""

    def next_due_at(self, query: DueQuery) -> datetime | None:
        shard = query.shard
        if shard is not None and all(shard.owns(hook.instance_ref) for hook in self.hooks()):
            return None
        return super().next_due_at(query)


def future_only(at: datetime | None, _query: DueQuery, store: BentStore) -> datetime | None:
    return min((hook.due_at for hook in store.hooks() if hook.due_at > store._clock()), default=None)


def of_all(_at: datetime | None, _query: DueQuery, store: BentStore) -> datetime | None:
    return min((hook.due_at for hook in store.hooks()), default=None)


class KnowsNoticesByReason(GivesEveryHook):
    def admits(self, hook: Hook, query: DueQuery) -> bool:
        return super().admits(hook, attrs.evolve(query, terminal_notices=True)) and (
            query.terminal_notices or hook.reason != "terminal"
        )


class GivesNoticesToAll(BentStore):
    def due(self, query: DueQuery) -> Sequence[FiredHook]:
        return super().due(attrs.evolve(query, terminal_notices=True))


class NoticesStandBefore(BentStore):
    """Takes the first hook of each instance, and leaves it out if it is a notice that is not wanted."""

    def due(self, query: DueQuery) -> Sequence[FiredHook]:
        found = super().due(attrs.evolve(query, terminal_notices=True))
        return [each for each in found if query.terminal_notices or not is_terminal_notice(each.hook.id)]


class RemembersHooks(BentStore):
    """Keeps a queue beside the table, and does not take out what is deleted."""

    def due(self, query: DueQuery) -> Sequence[FiredHook]:
        rows = self._queue()
        now = self._clock()
        return [FiredHook(hook=hook, timestamp=now) for hook in rows if hook.due_at <= now][: query.limit]

    def apply(self, plan: Plan) -> Applied | Conflict:
        for each in plan.mutations:
            if isinstance(each, AddHook | PutHook):
                self._queue().append(each.hook)
        return super().apply(plan)

    def _queue(self) -> list[Hook]:
        queue: list[Hook] = self.__dict__.setdefault("queue", [])
        return queue


class TruncatesHistories(BentStore):
    bends = attrs.evolve(
        BentStore.bends,
        snapshot=lambda found: attrs.evolve(found, steps=found.steps[:10_000], events=found.events[:1_000]),
    )


def unlike_the_clock(found: Snapshot) -> Snapshot:
    return attrs.evolve(found, now=found.now - timedelta(seconds=1))


class GivesAllRuns(BentStore):
    def retrieve(self, ref: str) -> Snapshot:
        return attrs.evolve(super().retrieve(ref), steps=tuple(self.rows(ref).steps.values()))


class GivesConsumedEvents(BentStore):
    def retrieve(self, ref: str) -> Snapshot:
        return attrs.evolve(super().retrieve(ref), events=tuple(self.rows(ref).events.values()))


dropped_steps = bent_mutations(lambda each: None if isinstance(each, PutStep) else each)
lost_deletes = bent_mutations(lambda each: None if isinstance(each, DeleteHook) else each)
lost_purges = bent_mutations(lambda each: None if isinstance(each, DeleteInstance) else each)
folded_keys = bent_mutations(
    lambda each: PutStep(attrs.evolve(each.step, key=each.step.key.lower())) if isinstance(each, PutStep) else each
)
without_actor = bent_mutations(
    lambda each: AddEvent(attrs.evolve(each.event, actor="user")) if isinstance(each, AddEvent) else each
)
kept_instance = bent_mutations(
    lambda each: PutInstance(attrs.evolve(each.instance, execution_id="e1")) if isinstance(each, PutInstance) else each
)
