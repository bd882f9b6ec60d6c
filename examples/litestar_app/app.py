"""The shop over HTTP. Its dispatcher runs on the event loop of the web server, as long as that runs."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Annotated
from urllib.parse import quote
from uuid import uuid4

import attrs
from examples.litestar_app.database import Database, open_database
from examples.litestar_app.orders import APPROVAL, Approval, Basket, Order, Partner, make_fulfilment, pretend
from examples.litestar_app.refusals import STATUSES, refuse
from litestar import Litestar, Response, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.exceptions import HTTPException
from litestar.params import FromPath, HeaderParameter, JSONBody, QueryParameter

import wfcore
from wfcore import AsyncClient, AsyncDispatcher, AsyncHandle, Registry, Shard, Workflow


@attrs.frozen
class Shop:
    database: Database
    client: AsyncClient
    dispatcher: AsyncDispatcher
    fulfilment: Workflow[Order, str]

    def handle(self, order_id: str) -> AsyncHandle[str]:
        return self.client.handle(self.fulfilment, order_id)


@attrs.frozen
class Progress:
    """How far an order is; ``why``: what it waits for, or why it has no result."""

    id: str
    status: str
    result: str | None = None
    why: str = ""


@post("/orders")
async def place_order(
    shop: NamedDependency[Shop],
    data: JSONBody[Basket],
    key: Annotated[str | None, HeaderParameter(name="Idempotency-Key")] = None,
) -> Response[Order]:
    """A key becomes the order's id: the same request, sent again, gives the same order."""
    order = Order(key or uuid4().hex, data)
    handle = shop.handle(order.id)
    placed, is_new = await shop.database.place(order)
    if placed != order:
        raise HTTPException(status_code=409, detail=f"the key {order.id!r} was used for another order")
    shop.dispatcher.notify(handle.ref)  # it hears of what its store has written, not of transactions of our own
    where = {"Location": f"/orders/{quote(order.id, safe='')}"}
    return Response(placed, status_code=201 if is_new else 200, headers=where)


@get("/orders/{order_id:str}")
async def show_order(
    shop: NamedDependency[Shop],
    order_id: FromPath[str],
    wait: Annotated[float, QueryParameter(ge=0, le=10)] = 0,
) -> Progress:
    """How far it is. With ``wait``: when it has ended, or after so many seconds; a server that is to stop waits too."""
    handle = shop.handle(order_id)
    try:
        result = await handle.result(timeout=timedelta(seconds=wait))
    except wfcore.NotFinishedError as error:
        return Progress(order_id, error.status, why=str(await handle.explain()))
    except wfcore.InstanceFailedError as error:
        return Progress(order_id, "errored", why=str(error.failure))
    except wfcore.InstanceTerminatedError as error:
        return Progress(order_id, "terminated", why=str(error))
    return Progress(order_id, "complete", result)


@post("/orders/{order_id:str}/approval", status_code=202)
async def approve_order(shop: NamedDependency[Shop], order_id: FromPath[str], data: JSONBody[Approval]) -> None:
    """However often it is sent, it is one answer, and the first one counts: the event's id is always the same."""
    await shop.handle(order_id).send_event(APPROVAL, data, id="approval")


@get("/health", status_code=204)
async def check_health(shop: NamedDependency[Shop]) -> None:
    """Whether this process takes part in the work."""
    if not shop.dispatcher.is_running:
        raise HTTPException(status_code=503, detail="the dispatcher has ended; the log says why")


def provide_shop(state: State) -> Shop:
    shop: Shop = state.shop
    return shop


def create_app(
    database: str,
    *,
    shard: Shard | None = None,
    partner: Partner = pretend,
    recover_after: timedelta = timedelta(seconds=10),
) -> Litestar:
    fulfilment = make_fulfilment(partner)
    registry = Registry([fulfilment])

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with (
            open_database(database, fulfilment) as opened,
            AsyncDispatcher(opened.store, registry, shard=shard, recover_after=recover_after) as dispatcher,
        ):
            app.state.shop = Shop(opened, AsyncClient(opened.store, registry), dispatcher, fulfilment)
            yield

    return Litestar(
        [place_order, show_order, approve_order, check_health],
        lifespan=[lifespan],
        dependencies={"shop": Provide(provide_shop, sync_to_thread=False)},
        exception_handlers=dict.fromkeys(STATUSES, refuse),
    )


def from_environment() -> Litestar:
    """For uvicorn, which passes no arguments: ``SHOP_DATABASE``, and ``SHOP_SHARD`` such as ``0/2``."""
    index, _, count = os.environ.get("SHOP_SHARD", "0/1").partition("/")
    return create_app(os.environ.get("SHOP_DATABASE", "shop.sqlite"), shard=Shard(int(index), int(count)))
