"""What clients, dispatchers and handles are given is refused at once if it is wrong, with what to pass instead."""

import logging
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from wfadapters.memory import MemoryStore
from wfcore import Attempt, Client, Dispatcher, Registry, Step, UnknownWorkflowError, Workflow, workflow

SOON = timedelta(milliseconds=1)


@workflow(name="w")
def w(step: Step) -> None:
    pass


STORE, REGISTRY = MemoryStore(), Registry([w])
client: Any = Client
dispatcher: Any = Dispatcher

WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "a path as a store": (
        lambda: client("shop.sqlite", REGISTRY),
        "'shop.sqlite' is no store: it has no retrieve() and apply(); pass one, such as SqliteStore(path)",
    ),
    "the other way round": (lambda: client(REGISTRY, STORE), "Registry(w) is no store: "),
    "a list as a registry": (lambda: dispatcher(STORE, ["w"]), "registry: pass Registry([...]), not a list"),
    "a number as a timeout": (
        lambda: client(STORE, REGISTRY).handle(w, "1").result(timeout=5),
        "timeout=5: must be a timedelta, such as timedelta(seconds=10)",
    ),
    "a number as an interval": (lambda: dispatcher(STORE, REGISTRY, poll_interval=1), "poll_interval=1: must be"),
    "a number to recover after": (lambda: dispatcher(STORE, REGISTRY, recover_after=1), "recover_after=1: must be"),
    "a number as a grace": (lambda: dispatcher(STORE, REGISTRY).stop(grace=3.5), "grace=3.5: must be a timedelta"),
    "a client's interval": (lambda: client(STORE, REGISTRY, poll_interval=1), "poll_interval=1: must be a timedelta"),
    "a workflow's name": (
        lambda: client(STORE, REGISTRY).create("w"),
        "'w' is no workflow; pass what @workflow(name=...) made, not its name or function",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_argument_is_refused_where_it_is_given(case: str) -> None:
    call, text = WRONG[case]
    with pytest.raises(TypeError) as caught:
        call()
    assert str(caught.value).startswith(text)


def test_a_second_workflow_of_one_name_is_told_from_an_unknown_one() -> None:
    with pytest.raises(UnknownWorkflowError) as caught:
        Client(STORE, REGISTRY).create(Workflow(**{each: getattr(w, each) for each in FIELDS}))
    assert str(caught.value).startswith("this registry holds another workflow 'w', made by another @workflow or by ")


FIELDS = ("name", "fn", "is_async", "takes_params", "params_type", "result_type")


def test_what_ends_a_dispatcher_is_logged_with_its_instance(caplog: pytest.LogCaptureFixture) -> None:
    """A body that exits (rule S14) takes the dispatcher along, perhaps with exit code 0: nobody would know why."""

    @workflow(name="exits")
    def exits(step: Step) -> None:
        step.do("exit", lambda attempt: sys.exit(0))

    store = MemoryStore()
    Client(store, Registry([exits])).create(exits, id="1")
    with pytest.raises(SystemExit):
        Dispatcher(store, Registry([exits])).run()
    assert (
        "exits#1 ends the dispatcher: its code or a body raised SystemExit(0), no Exception (rule S14)" in caplog.text
    )


def test_what_is_left_behind_after_the_grace_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    started, release = threading.Event(), threading.Event()

    def body(attempt: Attempt) -> None:
        started.set()
        release.wait(30)

    @workflow(name="long")
    def long(step: Step) -> None:
        step.do("long", body)

    store = MemoryStore()
    Client(store, Registry([long])).create(long, id="1")
    with caplog.at_level(logging.WARNING), Dispatcher(store, Registry([long])) as running:
        assert started.wait(30)
        running.stop(grace=SOON)
        release.set()
    assert ["left behind, still at work: ['long#1']; what is not committed runs again"] == caplog.messages
