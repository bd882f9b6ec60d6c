"""S15: classes that are local to a function, with annotations that are text, are stored as what they are."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from tests.lab import Lab
from wfadapters.memory import MemoryStore
from wfcore import (
    AsyncStep,
    Attempt,
    Client,
    Dispatcher,
    EventType,
    Registry,
    Step,
    Workflow,
    WorkflowDefinitionError,
    workflow,
)
from wfcore.codec import JsonCodec
from wfcore.errors import CodecError


def make(codec: JsonCodec) -> tuple[Lab, Workflow[Any, Any], Any, Any]:
    @attrs.frozen
    class Line:
        sku: str

    @attrs.frozen
    class Order:
        lines: list[Line]

    @attrs.frozen
    class Receipt:
        order: Order

    @workflow(name="local")
    async def local(step: AsyncStep, order: Order) -> Receipt:
        def pack(_attempt: Attempt) -> Order:
            return order

        packed = await step.do("pack", pack)
        await step.wait_for_event("more", EventType("more", Line))
        return Receipt(packed)

    lab = Lab(Registry([local]), codec=codec)
    return lab, local, Order([Line("s")]), Line("t")


def test_s15_params_results_and_payloads_may_be_of_local_classes() -> None:
    lab, local, order, line = make(JsonCodec())
    lab.create(local, order)
    lab.run()
    lab.send(EventType("more", type(line)), line)
    lab.run()
    assert ("complete", '{"order":{"lines":[{"sku":"s"}]}}') == (lab.instance.status, lab.instance.output)


def test_s15_a_codec_that_has_not_seen_them_before_decodes_them() -> None:
    lab, local, order, _line = make(JsonCodec())
    lab.create(local, order)
    lab.run()
    lab.codec = JsonCodec()
    lab.send("more", {"sku": "t"})
    lab.run()
    assert "complete" == lab.instance.status


@workflow(name="wrong")
def wrong(step: Step) -> complex:
    return 1j


@pytest.mark.parametrize("make_user", [Client, Dispatcher])
def test_a_type_that_cannot_be_stored_is_refused_before_anything_runs(make_user: type[Client | Dispatcher]) -> None:
    with pytest.raises(WorkflowDefinitionError, match="its result cannot be stored"):
        make_user(MemoryStore(), Registry([wrong]))


def test_m1_tags_are_text() -> None:
    lab, local, order, _line = make(JsonCodec())
    client = Client(MemoryStore(), lab.registry)
    with pytest.raises(CodecError, match=r"at \$\.attempt: expected str"):
        client.create(local, order, tags={"attempt": 1})  # type: ignore[dict-item]
