"""The web shop over real HTTP: web servers in processes of their own, which are stopped, killed and started again."""

import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from threading import Timer
from time import monotonic
from typing import Any
from urllib.parse import urlencode

import attrs
import httpx
import psycopg
import pytest

from tests.postgres.database import new_database
from wfcore.model import TERMINAL

ROOT = Path(__file__).parents[2]
PATIENCE = 30  # seconds, of a machine that has a lot to do
LAMP = {"item": "lamp", "cents": 450}


class Carrier:
    """Is asked by the shop to ship an order, and answers when the test wants."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(PATIENCE)
        self.port = self.listener.getsockname()[1]

    def wait(self) -> "Question":
        connection, _ = self.listener.accept()
        connection.settimeout(PATIENCE)
        with connection.makefile() as lines:
            return Question(connection, lines.readline().strip())


@attrs.frozen
class Question:
    connection: socket.socket
    key: str

    def answer(self, parcel: str) -> None:
        with self.connection:
            self.connection.sendall(f"{parcel}\n".encode())


class Site:
    """A web server and its client. The port stays open while the server is away, and requests wait for it there."""

    def __init__(self, *arguments: object) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.listener.getsockname()[1]}", timeout=PATIENCE)
        self.arguments = [str(self.listener.fileno()), *map(str, arguments)]
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-W", "error", "-m", "tests.examples.serve", *self.arguments]
        fds = [self.listener.fileno()]
        self.process = subprocess.Popen(
            command, cwd=ROOT, pass_fds=fds, text=True, stdin=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.printed: list[str] = []

    def read_until(self, wanted: str) -> None:
        """Wait until the server has printed something."""
        assert self.process.stderr is not None
        impatience = Timer(PATIENCE, self.process.kill)
        impatience.start()
        for line in self.process.stderr:
            self.printed.append(line)
            if wanted in line:
                impatience.cancel()
                return
        impatience.cancel()
        pytest.fail("".join(self.printed))

    def end(self, how: signal.Signals) -> None:
        with self.process:
            self.process.send_signal(how)
            self.process.wait(timeout=PATIENCE)

    def post(self, path: str, json: object, key: str | None = None) -> httpx.Response:
        return self.http.post(path, json=json, headers={"Idempotency-Key": key} if key else {})

    def approve(self, order: str, *, granted: bool = True) -> int:
        return self.post(f"/orders/{order}/approval", {"by": "Ada", "granted": granted}).status_code

    def progress(self, order: str, *, until: Collection[str], wait: float = 10) -> Any:
        """How far an order is, once it has one of these statuses."""
        began = monotonic()
        while monotonic() < began + PATIENCE:
            progress = self.http.get(f"/orders/{order}", params={"wait": wait}).json()
            if progress["status"] in until:
                return progress
        pytest.fail(f"{order} has not come to {until}")

    def outcome(self, order: str) -> Any:
        return self.progress(order, until=TERMINAL)

    def close(self) -> None:
        self.end(signal.SIGKILL)
        self.http.close()
        self.listener.close()


def url(conninfo: str) -> str:
    return f"postgresql:///?{urlencode(psycopg.conninfo.conninfo_to_dict(conninfo))}"


class Shop(ExitStack):
    """A database, the carrier, and any number of sites."""

    def __init__(self, kind: str, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.database = url(new_database()) if kind == "postgres" else str(folder / "shop" / "shop.sqlite")
        (folder / "shop").mkdir()
        self.carrier = Carrier()
        self.callback(self.carrier.listener.close)

    def open(self, count: int = 1) -> list[Site]:
        """Start so many servers, each with a shard of its own."""
        sites = []
        for index in range(count):
            site = Site(self.database, index, count, self.carrier.port)
            self.callback(site.close)
            sites.append(site)
        for site in sites:
            site.read_until("Application startup complete")
        return sites

    def states(self) -> dict[str, str]:
        """What the shop's own table says of each order."""
        statement = "SELECT id, state FROM orders"
        if self.database.startswith("postgresql:"):
            with psycopg.connect(self.database) as connection:
                return dict(connection.execute(statement.encode()).fetchall())
        with closing(sqlite3.connect(self.database)) as file:
            return dict(file.execute(statement).fetchall())


STORES = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(params=STORES)
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    with Shop(request.param, tmp_path) as shop:
        yield shop


@pytest.fixture(scope="module", params=STORES)
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shop, Site]]:
    """One site for all tests that leave it as it was but for orders of their own."""
    with Shop(request.param, tmp_path_factory.mktemp("shop")) as shop:
        yield shop, shop.open()[0]


def test_an_order_is_approved_and_its_result_is_seen(shared: tuple[Shop, Site]) -> None:
    shop, site = shared
    assert site.post("/orders", LAMP, key="o-1").status_code == 201
    assert site.approve("o-1") == 202
    shop.carrier.wait().answer("parcel 7")
    assert {"id": "o-1", "status": "complete", "result": "parcel 7", "why": ""} == site.outcome("o-1")
    assert shop.states()["o-1"] == "shipped"


def test_an_order_that_is_not_approved_is_refunded(shared: tuple[Shop, Site]) -> None:
    shop, site = shared
    site.post("/orders", LAMP, key="no")
    site.approve("no", granted=False)
    assert site.outcome("no")["result"].startswith("refund: lamp, 450 cents")
    assert shop.states()["no"] == "refunded"


def test_an_order_that_waits_says_for_what(shared: tuple[Shop, Site]) -> None:
    site = shared[1]
    order = site.post("/orders", LAMP).json()["id"]
    progress = site.progress(order, until=["waiting"], wait=0.05)
    assert progress["result"] is None
    assert "'wait_for_event:approval' waits for event 'approval'" in progress["why"]


def test_the_same_request_again_is_the_same_order(shared: tuple[Shop, Site]) -> None:
    site = shared[1]
    answers = [site.post("/orders", LAMP, key="twice") for _ in range(2)]
    assert [(answer.status_code, answer.json()["id"]) for answer in answers] == [(201, "twice"), (200, "twice")]
    assert site.post("/orders", {**LAMP, "cents": 451}, key="twice").status_code == 409


def test_an_order_that_is_refused_by_its_table_starts_no_workflow(shared: tuple[Shop, Site]) -> None:
    shop, site = shared
    site.post("/orders", {**LAMP, "voucher": "V-1"}, key="first")
    assert site.post("/orders", {**LAMP, "voucher": "V-1"}, key="second").status_code == 409
    assert "second" not in shop.states()
    assert site.http.get("/orders/second").status_code == 404
    assert site.post("/orders", LAMP, key="second").status_code == 201


@pytest.mark.parametrize(
    ("method", "path", "json", "status"),
    [
        ("GET", "/orders/nobody", None, 404),
        ("POST", "/orders/nobody/approval", {"by": "Ada"}, 404),
        ("POST", "/orders/nobody/approval", {"by": 3}, 422),
        ("POST", "/orders", {"item": "lamp", "cents": 0}, 422),
        ("GET", "/orders/a%23b", None, 422),
        ("GET", "/orders/nobody?wait=11", None, 422),
    ],
)
def test_a_request_that_cannot_be_met_has_a_status(
    shared: tuple[Shop, Site], method: str, path: str, json: object, status: int
) -> None:
    assert shared[1].http.request(method, path, json=json).status_code == status


def test_a_server_says_that_it_takes_part(shared: tuple[Shop, Site]) -> None:
    assert shared[1].http.get("/health").status_code == 204


def test_an_approval_of_an_order_that_has_ended_is_a_conflict(shared: tuple[Shop, Site]) -> None:
    site = shared[1]
    site.post("/orders", LAMP, key="ended")
    site.approve("ended", granted=False)
    site.outcome("ended")
    assert site.approve("ended") == 409


@pytest.mark.parametrize("shared", ["sqlite"], indirect=True)
def test_a_database_that_is_away_is_503_and_nothing_is_left_of_the_request(shared: tuple[Shop, Site]) -> None:
    shop, site = shared
    (shop.folder / "shop").rename(shop.folder / "elsewhere")
    answer = site.post("/orders", LAMP, key="late")
    (shop.folder / "elsewhere").rename(shop.folder / "shop")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "unable to open" not in answer.text
    site.read_until("POST /orders: store unavailable during place: unable to open database file")
    assert site.post("/orders", LAMP, key="late").status_code == 201


def test_an_order_survives_the_death_of_its_server(shared: tuple[Shop, Site]) -> None:
    shop, site = shared
    site.post("/orders", LAMP, key="alive")
    site.approve("alive")
    cut_off = shop.carrier.wait()
    site.end(signal.SIGKILL)
    site.start()
    again = shop.carrier.wait()
    assert cut_off.key == again.key  # so that the carrier need not ship it twice
    cut_off.connection.close()
    again.answer("parcel 7")
    assert site.outcome("alive")["result"] == "parcel 7"
    assert shop.states()["alive"] == "shipped"


def test_a_server_that_is_told_to_stop_lets_steps_come_to_their_end(shop: Shop) -> None:
    [site] = shop.open()
    site.post("/orders", LAMP, key="o-1")
    site.approve("o-1")
    question = shop.carrier.wait()
    site.process.send_signal(signal.SIGTERM)
    site.read_until("Waiting for application shutdown")
    question.answer("parcel 7")
    site.read_until("Finished server process")
    site.process.wait(timeout=PATIENCE)
    assert shop.states() == {"o-1": "shipped"}
    assert [line for line in site.printed if not line.startswith("INFO:")] == []  # neither warnings nor errors


def test_two_servers_share_a_database(shop: Shop) -> None:
    sites = shop.open(2)
    orders = [f"o-{number}" for number in range(6)]  # of both shards
    for order in orders:
        sites[0].post("/orders", LAMP, key=order)
    for order in orders:
        sites[1].approve(order, granted=False)
    assert {sites[0].outcome(order)["status"] for order in orders} == {"complete"}
    assert shop.states() == dict.fromkeys(orders, "refunded")
