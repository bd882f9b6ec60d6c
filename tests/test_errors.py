"""Errors, by blame: the printed hierarchy is the real one, facts are fields, every error pickles (design 8)."""

from __future__ import annotations

import pickle
import re
from datetime import UTC, datetime, timedelta

import pytest

from wfcore import errors
from wfcore.errors import (
    CodecError,
    CommandError,
    ContentionError,
    CorruptRecordError,
    CursorError,
    EventTimeoutError,
    ForeignAwaitError,
    IllegalTransitionError,
    InstanceExistsError,
    InstanceFailedError,
    InstanceNotFoundError,
    InstanceTerminatedError,
    MissingCapabilityError,
    NonDeterminismError,
    NonRetryableError,
    NotFinishedError,
    NoticePendingError,
    RetryAfterError,
    RunNotFoundError,
    SchemaVersionError,
    StepBodyError,
    StepFailedError,
    StepInterruptedError,
    StepNameError,
    StepNotRetryableError,
    StepUsageError,
    StoreError,
    StoreUnavailableError,
    SwallowedSuspensionError,
    UnawaitedStepError,
    UnknownEventTypeError,
    UnknownWorkflowError,
    WfcoreError,
    WorkflowDefinitionError,
    WorkflowError,
    WriteFailedError,
)
from wfcore.failure import Failure, failure_of

FAILURE = Failure(type="shop.DeclinedError", message="no money", details={"code": 51}, bases=("builtins.Exception",))
AT = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

TEXTS: list[tuple[Exception, str]] = [
    (WfcoreError("x"), "x"),
    (WorkflowError("x"), "x"),
    (CommandError("x"), "x"),
    (StoreError("x"), "x"),
    (
        WorkflowDefinitionError("checkout", "checkout is a generator", "do not yield"),
        "workflow 'checkout': checkout is a generator; do not yield",
    ),
    (
        NonDeterminismError("w#1", "do:a", 3, ("do:b", "do:c"), "", "the code goes another way"),
        (
            "w#1: the code goes another way: history has 'do:a' (number 3 in the history) at the top of the "
            "workflow, the "
            "code asked for 'do:b', 'do:c'; deploy code that asks for the recorded steps in the recorded order; "
            "the instance "
            "is unchanged and goes on by itself"
        ),
    ),
    (
        NonDeterminismError("w#1", "scope:s>do:a", None, (), "scope:s", "the workflow ends", "mend it"),
        "w#1: the workflow ends: history has 'scope:s>do:a' in scope 'scope:s', the code asked for no step; mend it",
    ),
    (
        ForeignAwaitError("a Future", "shop.py", 7),
        (
            "shop.py:7: workflow code may await steps and coroutines made of steps, not a Future; do it in a step body "
            "(step.do), or use step.sleep for a pause"
        ),
    ),
    (
        ForeignAwaitError("asyncio.sleep", None, None),
        (
            "workflow code may await steps and coroutines made of steps, not asyncio.sleep; do it in a step body "
            "(step.do), "
            "or use step.sleep for a pause"
        ),
    ),
    (
        StepNameError("step name", "a>b", ">", 1, "that character is reserved"),
        (
            "step name 'a>b' cannot be used: that character is reserved ('>' at position 1); names are 1 to 128 "
            "characters "
            "without > # [ ] / and control characters, ids 1 to 256 without # and control characters"
        ),
    ),
    (
        StepNameError("instance id", "", None, None, "it is empty"),
        (
            "instance id '' cannot be used: it is empty; names are 1 to 128 characters without > # [ ] / and control "
            "characters, ids 1 to 256 without # and control characters"
        ),
    ),
    (
        StepBodyError("do:a", "its body takes no argument", "write 'lambda attempt: ...'"),
        "step 'do:a': its body takes no argument; write 'lambda attempt: ...'",
    ),
    (
        StepUsageError("do:a", "it is awaited twice", "await each step once"),
        "step 'do:a': it is awaited twice; await each step once",
    ),
    (
        UnawaitedStepError(("do:a", "sleep:b")),
        "the workflow ended, but 'do:a', 'sleep:b' was made and never awaited; write 'await' before the step",
    ),
    (
        UnknownWorkflowError("old", ("checkout", "refund")),
        (
            "no workflow 'old' in this registry (it holds: 'checkout', 'refund'); add it to Registry([...]) "
            "here, or leave "
            "its instances to a process that has it: they are unchanged"
        ),
    ),
    (
        UnknownWorkflowError("old", ()),
        (
            "no workflow 'old' in this registry (it holds: none); add it to Registry([...]) here, or leave its "
            "instances to "
            "a process that has it: they are unchanged"
        ),
    ),
    (
        SwallowedSuspensionError("sleep:nap"),
        (
            "the workflow returned while it was suspended at 'sleep:nap'; it must not catch BaseException around "
            "a step: "
            "use 'except Exception', or re-raise"
        ),
    ),
    (
        InstanceNotFoundError("w#1"),
        "there is no instance 'w#1'; create it first, or check the workflow's name and the id",
    ),
    (RunNotFoundError("w#1", 7, 3), "instance 'w#1' has no run 7; its runs are 1 to 3"),
    (
        CursorError("page 2", "it belongs to a list with other filters"),
        (
            "cursor 'page 2' cannot be used: it belongs to a list with other filters; pass the next_cursor of a page "
            "with the filters of that page's query, or no cursor for the first page"
        ),
    ),
    (
        InstanceExistsError("w#1", "active"),
        "instance 'w#1' exists already (active); pass on_conflict='return_existing' to get its handle, or another id",
    ),
    (
        IllegalTransitionError("w#1", "complete", "send an event to", ("restart", "delete")),
        (
            "cannot send an event to instance 'w#1': it is complete; nothing was written; what can be done with it: "
            "restart, delete"
        ),
    ),
    (
        NoticePendingError("w#1", "w#1#terminal:7"),
        (
            "cannot delete instance 'w#1': its end was not announced yet ('w#1#terminal:7'); run a dispatcher with "
            "on_terminal=, or drop the notice with plan_terminal_notified"
        ),
    ),
    (
        StepNotRetryableError("w#1", "do:b"),
        "cannot retry instance 'w#1': step 'do:b' settled after the failed one; restart it instead",
    ),
    (
        InstanceFailedError("w#1", FAILURE),
        (
            "instance 'w#1' failed: DeclinedError: no money; mend the cause, then handle.retry() goes on, and "
            "handle.restart() begins again"
        ),
    ),
    (InstanceTerminatedError("w#1"), "instance 'w#1' was terminated and has no result; handle.restart() begins again"),
    (
        NotFinishedError("w#1", "waiting", MINUTE),
        "instance 'w#1' has not ended after 0:01:00: it is waiting; handle.explain() says for what",
    ),
    (NotFinishedError("w#1", "waiting"), "instance 'w#1' has not ended: it is waiting; handle.explain() says for what"),
    (
        ContentionError("w#1", "terminate", 5),
        "terminate of 'w#1' lost against other writers 5 times; nothing was written, try again",
    ),
    (
        ContentionError("w#1", "terminate", 1, unknown=True),
        (
            "it is not known whether terminate took effect on 'w#1': the acknowledgement was lost and the "
            "instance has moved "
            "on; look at the instance before you repeat it"
        ),
    ),
    (
        UnknownEventTypeError("w", "paid", ("approved", "refused")),
        (
            "workflow 'w' takes no event 'paid'; it lists: 'approved', 'refused'; send one of them, or list it in "
            "@workflow(events=[...])"
        ),
    ),
    (
        UnknownEventTypeError("w", "paid", ()),
        "workflow 'w' takes no event 'paid'; it lists: none; send one of them, or list it in @workflow(events=[...])",
    ),
    (
        StoreUnavailableError("apply", "database is locked"),
        "store unavailable during apply: database is locked; nothing was lost; it is tried again",
    ),
    (
        WriteFailedError(2, "shop.OrderPaid", "no such table"),
        (
            "write of shop.OrderPaid (mutation 2) failed: no such table; the plan was not applied; mend the "
            "writer or the "
            "value"
        ),
    ),
    (
        CorruptRecordError("instances", "w#1", "status 'gone'"),
        (
            "corrupt row in instances (w#1): status 'gone'; the row was changed or damaged outside wfcore; nothing was "
            "written; mend or restore it"
        ),
    ),
    (
        SchemaVersionError(3, 2, "upgrade wfcore"),
        "the database has wfcore schema version 3, this adapter writes 2; upgrade wfcore",
    ),
    (
        MissingCapabilityError("MyStore", "Catalog", "list()"),
        (
            "list() needs a store that is a Catalog, and MyStore is none; take one that is, or give it the methods of "
            "wfcore.Catalog"
        ),
    ),
    (
        CodecError("$.lines[2].cents", "integer", "string 'a'"),
        "at $.lines[2].cents: expected integer, found string 'a'",
    ),
    (
        CodecError("$", "plain JSON", "a set", "pass returns=set[int]"),
        "at $: expected plain JSON, found a set; pass returns=set[int]",
    ),
    (StepFailedError("do:a", FAILURE), "step 'do:a' failed: DeclinedError: no money"),
    (
        EventTimeoutError("wait_for_event:w", ("approved", "refused"), AT),
        "no event 'approved' or 'refused' for 'wait_for_event:w' until 2026-01-01T00:00:00+00:00",
    ),
    (
        StepInterruptedError("do:a", AT),
        "step 'do:a' was started and left no result until 2026-01-01T00:00:00+00:00; whether its body ran is not known",
    ),
    (NonRetryableError("no money", details={"code": 51}), "no money"),
    (NonRetryableError(), ""),
    (RetryAfterError(MINUTE, "busy"), "busy"),
    (RetryAfterError(MINUTE), ""),
]
CLASSES = {name: getattr(errors, name) for name in errors.__all__}
ERRORS = [error for error, _text in TEXTS]
NAMES = [f"{type(error).__name__}-{place}" for place, error in enumerate(ERRORS)]


def facts(error: Exception) -> dict[str, object]:
    return {each.name: getattr(error, each.name) for each in getattr(type(error), "__attrs_attrs__", ())}


def test_every_class_has_a_sample() -> None:
    assert set(CLASSES) == {type(error).__name__ for error in ERRORS}


@pytest.mark.parametrize(("error", "text"), TEXTS)
def test_the_text_says_what_happened_and_what_to_do(error: Exception, text: str) -> None:
    assert text == str(error)


@pytest.mark.parametrize("error", ERRORS, ids=NAMES)
def test_every_error_pickles(error: Exception) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert (type(error), str(error), facts(error)) == (type(copy), str(copy), facts(copy))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_errors_pickle_with_every_protocol(protocol: int) -> None:
    copies = [pickle.loads(pickle.dumps(error, protocol)) for error in ERRORS]
    assert [facts(error) for error in ERRORS] == [facts(copy) for copy in copies]


def test_the_hierarchy_is_the_one_in_the_docstring() -> None:
    """Each class hangs below the line that has it: ``├── Name`` at its depth, or in a list of names."""
    printed: dict[str, str | None] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        tree = re.match(r"^    ((?:│   |    )*(?:[├└]── )?)((?:\w+Error(?:, |,$)?)+)", line)
        if tree is None:
            continue
        names = re.findall(r"\w+Error", tree[2])
        if tree[1] == "" and names != ["WfcoreError"]:
            printed.update(dict.fromkeys(names))
            continue
        depth = len(tree[1]) // 4
        printed.update(dict.fromkeys(names, above[depth - 1] if depth else None))
        above[depth:] = names[:1]
    real = {
        name: next((base.__name__ for base in cls.__bases__ if base.__name__ in CLASSES), None)
        for name, cls in CLASSES.items()
    }
    assert real == printed


@pytest.mark.parametrize(
    ("error", "base"),
    [
        (WorkflowDefinitionError, TypeError),
        (StepNameError, ValueError),
        (StepBodyError, TypeError),
        (InstanceNotFoundError, LookupError),
        (RunNotFoundError, LookupError),
        (CursorError, ValueError),
        (NotFinishedError, TimeoutError),
        (CodecError, ValueError),
        (EventTimeoutError, TimeoutError),
    ],
)
def test_an_error_is_also_what_python_calls_it(error: type[Exception], base: type[Exception]) -> None:
    assert issubclass(error, base)


@pytest.mark.parametrize(
    "error",
    [StepFailedError, StepInterruptedError, EventTimeoutError, NonRetryableError, RetryAfterError],
)
def test_what_workflow_code_and_bodies_raise_is_no_error_of_the_library(error: type[Exception]) -> None:
    """So that ``except WfcoreError`` around a command catches nothing of the user's."""
    assert not issubclass(error, WfcoreError)


def test_two_errors_with_the_same_facts_are_two_errors() -> None:
    assert InstanceNotFoundError("w#1") != InstanceNotFoundError("w#1")


@pytest.mark.parametrize("delay", [-timedelta(microseconds=1), 5, None])
def test_a_retry_is_never_asked_for_in_the_past(delay: object) -> None:
    """S6."""
    with pytest.raises(ValueError, match="must be a timedelta that is not negative"):
        RetryAfterError(delay)  # type: ignore[arg-type] # that is the point


class DeclinedError(NonRetryableError):
    """As a user writes it."""


def test_a_users_own_final_error_pickles() -> None:
    """S7."""
    copy = pickle.loads(pickle.dumps(DeclinedError("no", details={"code": 51})))
    assert ("DeclinedError", "no", {"code": 51}) == (type(copy).__name__, copy.message, copy.details)


@pytest.mark.parametrize("error", ERRORS, ids=NAMES)
def test_every_error_can_be_recorded(error: Exception) -> None:
    assert (str(error), True) == (failure_of(error).message, failure_of(error).is_a(Exception))
