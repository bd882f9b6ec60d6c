"""Commands by clients and handles: what each does, and what becomes of a lost answer (rules M3 to M8, M11, M12, K5)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, TypeAlias

import attrs
import pytest

from tests.runner.doubles import unavailable, world
from tests.runner.loops import in_loop
from tests.runner.office import Office, told
from wfcore import (
    Applied,
    AsyncStep,
    Attempt,
    BareKeysAdopted,
    Checkpointed,
    Conflict,
    ContentionError,
    EventType,
    IllegalTransitionError,
    InstanceNotFoundError,
    Registry,
    Retried,
    StepNotRetryableError,
    StepRecord,
    StoreUnavailableError,
    export_plan,
    import_plan,
    workflow,
)
from wfcore.plan import PutStep
from wfcore.planner.changes import change

Go = EventType("go", int)
BROKEN: set[str] = set()
REF = "w#a"
Colour: TypeAlias = Literal["blocking", "asyncio"]
COLOURS: tuple[Colour, ...] = ("blocking", "asyncio")


@workflow(name="w")
async def w(step: AsyncStep, number: int) -> int:
    """Fails if the number is negative."""

    def charge(attempt: Attempt) -> None:
        if number < 0 and "mended" not in BROKEN:
            raise ValueError(attempt.number)

    await step.do("charge", charge)
    received = await step.wait_for_event("go", Go)
    return number + received.payload


@workflow(name="none")
async def idle(step: AsyncStep) -> None: ...


@pytest.fixture(autouse=True)
def _fresh() -> None:
    BROKEN.clear()


# ---- where an instance may stand


def fresh(office: Office) -> None:
    office.others.create(w, 1, id="a")


def waiting(office: Office) -> None:
    fresh(office)
    office.tick()


def paused(office: Office) -> None:
    waiting(office)
    office.others.handle(w, "a").pause()
    office.tick()


def complete(office: Office) -> None:
    waiting(office)
    office.others.handle(w, "a").send_event(Go, 1)
    office.tick()


def errored(office: Office) -> None:
    office.others.create(w, -1, id="a")
    office.tick()


def terminated(office: Office) -> None:
    waiting(office)
    office.others.handle(w, "a").terminate()


def bare(office: Office) -> None:
    """As an older engine left it (rule K5)."""
    waiting(office)
    row = office.others.get(REF)
    step = StepRecord(
        instance_ref=REF,
        run_number=1,
        key="old",
        kind="do",
        name="old",
        status="completed",
        result="null",
        created_at=row.created_at,
        execution_id="old",
    )
    plan = change(row, (PutStep(step),), Checkpointed(), execution_id="old", now=row.updated_at)
    assert isinstance(office.store.inner.apply(plan), Applied)


# ---- what may happen to a command


def rival(office: Office) -> None:
    """Another writer is faster: the row gets a new version, and everything else stays."""
    found = office.store.inner.retrieve(REF).instance
    if found is not None:
        plan = change(found, (), Checkpointed(), execution_id=f"rival{found.version}", now=found.updated_at)
        assert isinstance(office.store.inner.apply(plan), Applied)


def then(office: Office, action: Callable[[Office], object]) -> None:
    """Before the command looks what has become of it."""
    office.store.when("before", "retrieve", 2, partial(action, office))


def well(office: Office) -> None:
    pass


def slower(office: Office) -> None:
    office.store.when("before", "apply", 1, partial(rival, office))


def lost_before(office: Office) -> None:
    office.store.when("before", "apply", 1, unavailable)


def lost_after(office: Office) -> None:
    office.store.when("after", "apply", 1, unavailable)


def lost_before_and_moved_on(office: Office) -> None:
    lost_before(office)
    then(office, rival)


def lost_after_and_moved_on(office: Office) -> None:
    lost_after(office)
    then(office, rival)


def no_store(office: Office) -> None:
    office.store.always["before", "apply"] = unavailable


def always_slower(office: Office) -> None:
    office.store.always["before", "apply"] = partial(rival, office)


Trouble: TypeAlias = Callable[[Office], None]
TROUBLES: tuple[Trouble, ...] = (
    well,
    slower,
    lost_before,
    lost_after,
    lost_before_and_moved_on,
    lost_after_and_moved_on,
    no_store,
    always_slower,
)


@attrs.frozen
class Case:
    """A command, and what is to be seen once it has taken effect.

    Attributes:
        arrange: makes the instance.
        ask: gives the command.
        after: status, run number and pending events.
        untold: the troubles after which it cannot be known whether it took effect.
        appends: whether it needs no version, so that no other writer is faster.
    """

    arrange: Trouble
    ask: Callable[[Any], Any]
    after: tuple[str | None, int, int]
    untold: tuple[Trouble, ...] = ()
    appends: bool = False


def handle(client: Any) -> Any:
    return client.handle(w, "a")


COMMANDS: dict[str, Case] = {
    "pause": Case(waiting, lambda client: handle(client).pause(), ("waiting", 1, 1), appends=True),
    "send_event": Case(
        waiting,
        lambda client: handle(client).send_event(Go, 1, id="e"),
        ("waiting", 1, 1),
        appends=True,
    ),
    "resume": Case(
        paused, lambda client: handle(client).resume(), ("active", 1, 0), untold=(lost_before_and_moved_on,)
    ),
    "terminate": Case(waiting, lambda client: handle(client).terminate(), ("terminated", 1, 0)),
    "restart": Case(waiting, lambda client: handle(client).restart(), ("active", 2, 0)),
    "restart with others": Case(complete, lambda client: handle(client).restart(7, keep_keys=True), ("active", 2, 0)),
    "retry": Case(errored, lambda client: handle(client).retry(), ("active", 1, 0)),
    "restart_or_create": Case(complete, lambda client: client.restart_or_create(w, 7, id="a"), ("active", 2, 0)),
    "delete": Case(complete, lambda client: handle(client).delete(), (None, 0, 0)),
    "adopt_bare_keys": Case(bare, lambda client: client.adopt_bare_keys(handle(client)), ("active", 1, 0)),
}
MATRIX = [(command, trouble, colour) for command in COMMANDS for trouble in TROUBLES for colour in COLOURS]


def ask(office: Office, colour: Colour, question: Callable[[Any], Any]) -> Any:
    if colour == "blocking":
        return question(office.blocking)

    async def awaited() -> Any:
        return await question(office.awaited)

    return in_loop(awaited(), office.machine)


def seen(office: Office) -> tuple[str | None, int, int]:
    snapshot = office.store.inner.retrieve(REF)
    row = snapshot.instance
    return row.status if row else None, row.run_number if row else 0, len(snapshot.events)


@pytest.mark.parametrize(("command", "trouble", "colour"), MATRIX)
def test_m12_a_command_takes_effect_once_or_says_why_not(command: str, trouble: Trouble, colour: Colour) -> None:
    case = COMMANDS[command]
    office = Office(Registry([w, idle]))
    case.arrange(office)
    before = seen(office)
    trouble(office)
    gives_up = {no_store: StoreUnavailableError, **({} if case.appends else {always_slower: ContentionError})}
    if trouble in case.untold:
        with pytest.raises(ContentionError) as unknown:
            ask(office, colour, case.ask)
        assert (REF, command, True) == (unknown.value.ref, unknown.value.command, unknown.value.unknown)
    elif trouble in gives_up:
        with pytest.raises(gives_up[trouble]):
            ask(office, colour, case.ask)
        assert before == seen(office)
    else:
        ask(office, colour, case.ask)
        assert case.after == seen(office)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("trouble", TROUBLES)
def test_m12_both_colours_say_the_same_to_a_store_and_to_their_caller(command: str, trouble: Trouble) -> None:
    case = COMMANDS[command]
    found = []
    for colour in COLOURS:
        office = Office(Registry([w, idle]))
        case.arrange(office)
        trouble(office)
        came = told(partial(ask, office, colour, case.ask))
        found.append((came, office.store.plans, office.store.calls, world(office.store.inner, REF)))
    assert found[0] == found[1]


def test_m12_a_command_that_loses_is_planned_again_ten_times() -> None:
    office = Office(Registry([w]))
    waiting(office)
    always_slower(office)
    with pytest.raises(ContentionError) as lost:
        office.blocking.handle(w, "a").terminate()
    assert (10, 10, False) == (office.store.calls.count("apply"), lost.value.tries, lost.value.unknown)


def test_m12_a_command_with_nothing_to_do_is_one_read() -> None:
    office = Office(Registry([w]))
    waiting(office)
    office.blocking.handle(w, "a").resume()
    assert ["retrieve"] == office.store.calls


# ---- M12: what others have done meanwhile


def restarted(office: Office) -> None:
    office.others.handle(w, "a").restart(9)


def paused_again(office: Office) -> None:
    office.others.handle(w, "a").pause()
    office.tick()


def failed_again(office: Office) -> None:
    office.machine.advance(1)
    office.tick()


def deleted(office: Office) -> None:
    ours = office.others.handle(w, "a")
    if ours.status() not in ("complete", "errored", "terminated"):
        ours.terminate()
    ours.delete()


def made_anew(office: Office) -> None:
    if office.store.inner.retrieve(REF).instance is not None:
        deleted(office)
    office.others.create(w, 9, id="a")


UNKNOWN: dict[str, tuple[str, Trouble, Trouble]] = {
    "resumed, and paused again": ("resume", lost_after, paused_again),
    "terminated, and restarted": ("terminate", lost_after, restarted),
    "not terminated, and restarted": ("terminate", lost_before, restarted),
    "terminated, and made anew": ("terminate", lost_after, made_anew),
    "restarted, and deleted": ("restart", lost_after, deleted),
    "restarted, and made anew": ("restart", lost_after, made_anew),
    "retried, and failed again": ("retry", lost_after, failed_again),
    "retried, and restarted": ("retry", lost_after, restarted),
    "resumed, and deleted": ("resume", lost_after, deleted),
    "restarted or created, and deleted": ("restart_or_create", lost_after, deleted),
}


@pytest.mark.parametrize(("command", "trouble", "meanwhile"), UNKNOWN.values(), ids=UNKNOWN)
def test_m12_what_cannot_be_told_is_said_to_be_unknown(command: str, trouble: Trouble, meanwhile: Trouble) -> None:
    """And nothing is written a second time."""
    case = COMMANDS[command]
    office = Office(Registry([w]))
    case.arrange(office)
    trouble(office)
    then(office, meanwhile)
    with pytest.raises(ContentionError) as unknown:
        case.ask(office.blocking)
    assert (True, 1) == (unknown.value.unknown, office.store.calls.count("apply"))


def went_on(office: Office) -> None:
    office.tick()
    office.others.handle(w, "a").send_event(Go, 1)
    office.tick()


def test_m12_a_restart_is_known_by_its_run_whatever_became_of_it() -> None:
    office = Office(Registry([w]))
    waiting(office)
    lost_after(office)
    then(office, went_on)
    office.blocking.handle(w, "a").restart()
    assert ("complete", 2, 0) == seen(office)


def test_m12_the_run_of_another_is_not_taken_for_ours() -> None:
    """It has other parameters: ours was not begun, and is begun now."""
    office = Office(Registry([w]))
    waiting(office)
    lost_before(office)
    then(office, restarted)
    office.blocking.handle(w, "a").restart(7)
    row = office.others.get(REF)
    assert (3, "7") == (row.run_number, row.params)


def test_m12_a_run_after_ours_tells_nothing_against_ours() -> None:
    office = Office(Registry([w]))
    waiting(office)
    lost_after(office)
    then(office, restarted)
    office.blocking.handle(w, "a").restart(7)
    row = office.others.get(REF)
    assert (3, "9") == (row.run_number, row.params)


def test_m12_a_resumed_instance_may_have_ended_since() -> None:
    office = Office(Registry([w]))
    paused(office)
    lost_after(office)
    then(office, went_on)
    office.blocking.handle(w, "a").resume()
    assert "complete" == office.others.get(REF).status


def test_m12_an_instance_that_was_made_anew_is_not_deleted_for_the_old_one() -> None:
    office = Office(Registry([w]))
    complete(office)
    lost_after(office)
    then(office, made_anew)
    office.blocking.handle(w, "a").delete()
    assert "9" == office.others.get(REF).params


def test_m12_a_pause_that_was_honoured_and_withdrawn_does_not_pause_again() -> None:
    """The same request is there already, consumed."""

    def honoured(office: Office) -> None:
        office.tick()
        office.others.handle(w, "a").resume()

    office = Office(Registry([w]))
    waiting(office)
    lost_after(office)
    then(office, honoured)
    office.blocking.handle(w, "a").pause()
    office.tick()
    assert "waiting" == office.others.get(REF).status


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("trouble", [well, lost_before, lost_after])
@pytest.mark.parametrize(
    ("arrange", "when", "expected", "params"),
    [
        (well, ("complete",), "created", "7"),
        (complete, ("complete", "errored"), "restarted", "7"),
        (errored, ("complete",), "unchanged", "-1"),
        (waiting, ("waiting",), "restarted", "7"),
    ],
)
def test_m8_it_says_what_happened(
    arrange: Trouble, when: Any, expected: str, params: str, trouble: Trouble, colour: Colour
) -> None:
    office = Office(Registry([w]))
    arrange(office)
    trouble(office)
    found, what = ask(office, colour, lambda client: client.restart_or_create(w, 7, id="a", when=when))
    assert (expected, REF, params) == (what, found.ref, office.others.get(REF).params)


def test_m8_of_two_creations_one_is_a_creation() -> None:
    office = Office(Registry([w]))
    office.store.when("before", "apply", 1, partial(fresh, office))
    _, what = office.blocking.restart_or_create(w, 7, id="a")
    assert ("unchanged", "1") == (what, office.others.get(REF).params)


@pytest.mark.parametrize(
    ("when", "error"), [("errored", TypeError), (7, TypeError), (["faulty"], ValueError)], ids=repr
)
def test_m8_statuses_are_a_collection_of_statuses(when: Any, error: type[Exception]) -> None:
    office = Office(Registry([w]))
    with pytest.raises(error, match="when"):
        office.blocking.restart_or_create(w, 7, id="a", when=when)


# ---- refusals say what to do instead

REFUSED: dict[str, tuple[Trouble, str, tuple[str, ...]]] = {
    "an ended one is not paused": (complete, "pause", ("restart", "delete")),
    "an ended one is not resumed": (terminated, "resume", ("restart", "delete")),
    "a failed one is not terminated": (errored, "terminate", ("retry", "restart", "delete")),
    "a parked one is not retried": (waiting, "retry", ("restart", "terminate")),
    "a complete one is not retried": (complete, "retry", ("restart", "delete")),
    "a parked one is not deleted": (waiting, "delete", ("restart", "terminate")),
    "a paused one is not deleted": (paused, "delete", ("resume", "restart", "terminate")),
}


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize(("arrange", "command", "instead"), REFUSED.values(), ids=REFUSED)
def test_m3_a_refusal_says_what_to_do_instead(
    arrange: Trouble, command: str, instead: tuple[str, ...], colour: Colour
) -> None:
    office = Office(Registry([w]))
    arrange(office)
    before = world(office.store.inner, REF)
    with pytest.raises(IllegalTransitionError) as refused:
        ask(office, colour, lambda client: getattr(client.handle(w, "a"), command)())
    assert (command, instead) == (refused.value.command, refused.value.instead)
    assert before == world(office.store.inner, REF)


@pytest.mark.parametrize("command", ["pause", "resume", "terminate", "restart", "retry", "delete", "explain"])
def test_m3_what_does_not_exist_is_said_to(command: str) -> None:
    office = Office(Registry([w]))
    for colour in COLOURS:
        with pytest.raises(InstanceNotFoundError):
            ask(office, colour, lambda client: getattr(client.handle(w, "a"), command)())


def test_m7_a_retry_goes_on_where_it_failed() -> None:
    office = Office(Registry([w]))
    errored(office)
    BROKEN.add("mended")
    office.blocking.handle(w, "a").retry()
    office.tick()
    office.blocking.handle(w, "a").send_event(Go, 3)
    office.tick()
    assert 2 == office.blocking.handle(w, "a").result()


@pytest.fixture
def compensated() -> Any:
    """The handle of an instance that has undone what it could before it failed."""

    @workflow(name="w")
    async def saga(step: AsyncStep) -> None:
        def fails(attempt: Attempt) -> None:
            raise ValueError(attempt.number)

        try:
            await step.do("charge", fails)
        except Exception:
            await step.do("undo", lambda attempt: None)
            raise

    office = Office(Registry([saga]))
    office.others.create(saga, id="a")
    office.tick()
    return office.blocking.handle(saga, "a")


def test_m7_a_failure_that_something_stands_on_names_it(compensated: Any) -> None:
    with pytest.raises(StepNotRetryableError) as refused:
        compensated.retry()
    assert "do:undo" == refused.value.step_key


def test_m10_it_is_not_said_to_be_retried_where_it_cannot_be(compensated: Any) -> None:
    expected = "restart it: a new run begins. It cannot be retried, because 'do:undo' came after the failure"
    assert expected == compensated.explain().advice


def test_m10_a_handle_explains_its_instance() -> None:
    office = Office(Registry([w]))
    waiting(office)
    texts = {str(ask(office, colour, lambda client: client.handle(w, "a").explain())) for colour in COLOURS}
    (text,) = texts
    assert "waits for event 'go'" in text


def test_k5_bare_keys_are_adopted_and_told() -> None:
    office = Office(Registry([w]))
    bare(office)
    assert (("old", "do:old"),) == office.blocking.adopt_bare_keys(office.blocking.handle(w, "a"))


# ---- previews


PREVIEWS: dict[str, Callable[[Any], Any]] = {
    "pause": lambda preview: preview.pause(),
    "send_event": lambda preview: preview.send_event(Go, 1, id="e"),
    "resume": lambda preview: preview.resume(),
    "terminate": lambda preview: preview.terminate(),
    "restart": lambda preview: preview.restart(),
    "restart with others": lambda preview: preview.restart(7, keep_keys=True),
    "retry": lambda preview: preview.retry(),
    "delete": lambda preview: preview.delete(),
    "adopt_bare_keys": lambda preview: preview.adopt_bare_keys(),
}


def preview(office: Office, colour: Colour, command: str) -> Any:
    return ask(office, colour, lambda client: PREVIEWS[command](client.handle(w, "a").preview))


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("command", PREVIEWS)
def test_m3_a_preview_writes_nothing_and_applied_it_is_the_command(command: str, colour: Colour) -> None:
    """Also after it was stored as text."""
    case = COMMANDS[command]
    office = Office(Registry([w]))
    case.arrange(office)
    before = world(office.store.inner, REF)
    plan = preview(office, colour, command)
    assert before == world(office.store.inner, REF)
    again = import_plan(export_plan(plan))
    answer = ask(office, colour, lambda client: client.apply(again))
    assert isinstance(answer, Applied)
    assert case.after == seen(office)


@pytest.mark.parametrize("colour", COLOURS)
def test_m3_a_preview_that_cannot_be_is_refused_as_the_command(colour: Colour) -> None:
    office = Office(Registry([w]))
    complete(office)
    with pytest.raises(IllegalTransitionError):
        preview(office, colour, "pause")


def test_m7_the_preview_of_a_retry_names_what_is_opened() -> None:
    office = Office(Registry([w]))
    errored(office)
    assert Retried(("do:charge",)) == office.blocking.handle(w, "a").preview.retry().outcome


def test_k5_the_preview_of_an_adoption_names_the_keys() -> None:
    office = Office(Registry([w]))
    bare(office)
    plan = office.blocking.handle(w, "a").preview.adopt_bare_keys()
    assert BareKeysAdopted((("old", "do:old"),)) == plan.outcome


VERSIONED = sorted(set(PREVIEWS) - {"pause", "send_event"})


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("command", VERSIONED)
def test_m12_a_plan_whose_instance_has_moved_on_is_a_conflict(command: str, colour: Colour) -> None:
    office = Office(Registry([w]))
    COMMANDS[command].arrange(office)
    plan = preview(office, colour, command)
    rival(office)
    row = office.others.get(REF)
    before = world(office.store.inner, REF)
    assert Conflict(REF, row.version, row.execution_id) == ask(office, colour, lambda client: client.apply(plan))
    assert before == world(office.store.inner, REF)


@pytest.mark.parametrize("command", VERSIONED)
def test_a3_an_old_plan_does_nothing_to_an_instance_that_was_made_anew(command: str) -> None:
    """Not even if it stands at the same version."""
    office = Office(Registry([w]))
    COMMANDS[command].arrange(office)
    plan = office.blocking.handle(w, "a")
    old = PREVIEWS[command](plan.preview)
    version = office.others.get(REF).version
    made_anew(office)
    while office.others.get(REF).version < version:
        rival(office)
    before = world(office.store.inner, REF)
    assert isinstance(office.blocking.apply(old), Conflict)
    assert before == world(office.store.inner, REF)


def test_m12_a_plan_that_is_applied_twice_meets_itself() -> None:
    office = Office(Registry([w]))
    waiting(office)
    plan = office.blocking.handle(w, "a").preview.terminate()
    office.blocking.apply(plan)
    answer = office.blocking.apply(plan)
    assert isinstance(answer, Conflict)
    assert plan.execution_id == answer.execution_id


@pytest.mark.parametrize("trouble", [lost_before, lost_after])
@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("command", PREVIEWS)
def test_m12_a_plan_is_applied_once_whatever_is_lost(command: str, colour: Colour, trouble: Trouble) -> None:
    case = COMMANDS[command]
    office = Office(Registry([w]))
    case.arrange(office)
    plan = preview(office, colour, command)
    trouble(office)
    answer = ask(office, colour, lambda client: client.apply(plan))
    hooks = office.store.inner.retrieve(REF).hooks
    assert (Applied(frozenset(hook.id for hook in hooks)), case.after) == (answer, seen(office))


@pytest.mark.parametrize("trouble", [lost_before, lost_after])
@pytest.mark.parametrize("command", sorted(set(VERSIONED) - {"delete"}))
def test_m12_of_a_plan_whose_instance_has_moved_on_meanwhile_nothing_is_known(command: str, trouble: Trouble) -> None:
    office = Office(Registry([w]))
    COMMANDS[command].arrange(office)
    plan = preview(office, "blocking", command)
    trouble(office)
    office.store.when("before", "retrieve", 1, partial(rival, office))
    with pytest.raises(ContentionError) as unknown:
        office.blocking.apply(plan)
    assert (REF, "apply", True) == (unknown.value.ref, unknown.value.command, unknown.value.unknown)


def test_m12_a_plan_that_the_store_never_takes_is_the_callers() -> None:
    office = Office(Registry([w]))
    waiting(office)
    plan = office.blocking.handle(w, "a").preview.terminate()
    no_store(office)
    with pytest.raises(StoreUnavailableError):
        office.blocking.apply(plan)
    assert (3, "waiting") == (office.store.calls.count("apply"), office.others.get(REF).status)


def test_m12_a_plan_that_creates_is_known_by_its_creator() -> None:
    from wfcore import plan_create

    office = Office(Registry([w]))
    plan = plan_create(office.store.inner.retrieve(REF), w, 1, instance_id="a", execution_id="mine")
    lost_after(office)
    office.store.when("before", "retrieve", 1, partial(rival, office))
    assert isinstance(office.blocking.apply(plan), Applied)
