"""The connection is cut around a commit, or goes dead: nobody loses anything, nobody waits for ever (A5, M12, T6)."""

import os
import random
import socket
from collections.abc import Callable
from functools import partial

import psycopg
import pytest

from tests.crash.shop import CHECKOUT, EVENT_ID, Approved
from tests.operations.proxy import Blow, wire_to
from tests.operations.sites import Colour, on_postgres
from tests.operations.trade import PATIENCE, Trade, all_done, each_once
from tests.postgres.database import new_database
from wfadapters.postgres import PostgresStore
from wfcore import Client, Handle, Registry, Step, StoreUnavailableError, workflow

pytestmark = pytest.mark.postgres
EITHER = pytest.mark.parametrize("colour", ["threads", "asyncio"])
CUTS = 30


def commits(said: bytes) -> bool:
    """Whether a client says something that commits: a plan of rows is one statement, one with writes a transaction."""
    return b'"mutations"' in said or b"COMMIT" in said


# ---- storms


@EITHER
def test_a5_commits_that_are_cut_off_before_or_after_the_server_has_them_lose_nothing(url: str, colour: Colour) -> None:
    with wire_to(url) as wire, on_postgres(wire.url, colour, direct=url) as site:
        trade, chance = Trade(site.client), random.Random(1)

        def judge(said: bytes) -> Blow | None:
            blows: list[Blow | None] = [None, "before", "after"] if len(wire.blows) < CUTS else [None]
            return chance.choice(blows) if commits(said) else None

        wire.judge = judge
        with site.dispatching(), site.dispatching():
            trade.begin(10)
            trade.approve()
            assert trade.outcome() == all_done(trade.begun)
        assert site.rows() == each_once(trade.begun)
        assert set(wire.blows) == {"before", "after"}


# ---- each command


def at_its_first(blow: Blow, count: int = 1) -> Callable[[bytes], Blow | None]:
    """Deal the blow to the first commits, so often."""
    left = [count]

    def judge(said: bytes) -> Blow | None:
        if left[0] and commits(said):
            left[0] -= 1
            return blow
        return None

    return judge


COMMANDS: dict[str, tuple[Callable[[Handle[str]], object], str]] = {
    "create": (lambda handle: None, "active"),
    "send_event": (lambda handle: handle.send_event(Approved, "yes", id=EVENT_ID), "active"),
    "pause": (lambda handle: handle.pause(), "active"),
    "resume": (lambda handle: handle.resume(), "active"),
    "terminate": (lambda handle: handle.terminate(), "terminated"),
    "restart": (lambda handle: handle.restart(), "active"),
    "delete": (lambda handle: handle.delete(), "gone"),
}
MESSAGES = {"send_event": ["approved"], "pause": ["pause"]}
PREPARED: dict[str, Callable[[Handle[str]], object]] = {
    "resume": lambda handle: handle.pause(),
    "delete": lambda handle: handle.terminate(),
}


@EITHER
@pytest.mark.parametrize("blow", ["before", "after"])
@pytest.mark.parametrize("command", COMMANDS)
def test_m12_a_command_whose_commit_is_cut_off_takes_effect_once(
    url_of_commands: str, colour: Colour, blow: Blow, command: str
) -> None:
    give, status = COMMANDS[command]
    with wire_to(url_of_commands) as wire, on_postgres(wire.url, colour, direct=url_of_commands) as site:
        name = f"{command}-{blow}-{colour}"
        if command == "create":
            wire.judge = at_its_first(blow)
        handle = site.client.create(CHECKOUT, 0, id=name)
        if command != "create":
            if command in PREPARED:
                PREPARED[command](handle)
            wire.judge = at_its_first(blow)
            give(handle)
        found = site.store.retrieve(handle.ref)
        assert wire.blows == [blow]
        assert (found.instance.status if found.instance else "gone") == status
        assert [each.type for each in found.events] == MESSAGES.get(command, [])
        assert found.instance is None or found.instance.run_number == 1 + (command == "restart")


@pytest.fixture(scope="module")
def url_of_commands() -> str:
    return new_database()


@EITHER
def test_m12_a_command_that_is_cut_off_again_and_again_says_so_and_may_be_repeated(url: str, colour: Colour) -> None:
    with wire_to(url) as wire, on_postgres(wire.url, colour, direct=url) as site:
        wire.judge = at_its_first("before", 3)
        create = partial(site.client.create, CHECKOUT, 0, id="0", on_conflict="return_existing")
        with pytest.raises(StoreUnavailableError, match="the connection was lost") as caught:
            create()
        assert (caught.value.operation, create().status(), len(wire.blows)) == ("apply", "active", 3)


# ---- a connection that goes dead


BULKY = "x" * 200_000


@workflow(name="bulky")
def bulky(step: Step) -> int:
    return len(step.do("fetch", lambda attempt: BULKY, returns=str))


@EITHER
def test_t6_a_tick_whose_connection_goes_dead_is_given_up_and_repeated(url: str, colour: Colour) -> None:
    """The other end takes nothing any more, and nobody says so: ``tcp_user_timeout``, in milliseconds."""
    registry = Registry([bulky])
    with wire_to(url, tcp_user_timeout=500) as wire, on_postgres(wire.url, colour, direct=url) as site:
        wire.judge = once_for(BULKY[:1000].encode(), "dead")
        handle = Client(site.store, registry).create(bulky, id="1")
        with site.dispatching(registry):
            assert handle.result(timeout=PATIENCE) == len(BULKY)
        assert wire.blows == ["dead"]


def once_for(text: bytes, blow: Blow) -> Callable[[bytes], Blow | None]:
    """Deal the blow to the first that says this."""
    left = [blow]

    def judge(said: bytes) -> Blow | None:
        return left.pop() if left and text in said else None

    return judge


def test_a12_a_server_that_does_not_answer_is_unavailable(url: str) -> None:
    """It takes the connection, and that is all: ``connect_timeout``, in seconds, two at the least."""
    with wire_to(url, connect_timeout=2) as wire:
        wire.judge = lambda said: "dead"
        with pytest.raises(StoreUnavailableError, match="see that the server runs") as caught:
            PostgresStore(wire.url)
    assert caught.value.operation == "open"


LIMITS = {"TCP_USER_TIMEOUT": 25_000, "TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="needs the options of Linux")
@pytest.mark.parametrize("own", [{}, {"TCP_USER_TIMEOUT": 60_000, "TCP_KEEPIDLE": 33}], ids=["none", "own"])
def test_a_network_that_is_gone_is_noticed_if_the_connection_string_says_nothing_else(
    url: str, own: dict[str, int]
) -> None:
    names = {"TCP_USER_TIMEOUT": "tcp_user_timeout", "TCP_KEEPIDLE": "keepalives_idle"}
    found = []

    def look(connection: psycopg.Connection[object]) -> None:
        with socket.socket(fileno=os.dup(connection.fileno())) as line:
            found.append({name: line.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in LIMITS})

    with wire_to(url, **{names[name]: value for name, value in own.items()}) as wire:
        PostgresStore(wire.url, on_connect=look).close()
    assert found == [{**LIMITS, **own}] * len(found)
