"""Places in maps with bounded concurrency: rule P1."""

from typing import Any

from tests.lab import MINUTE, SECOND, Lab
from wfcore.define import workflow
from wfcore.planner import AsyncStep


def test_p1_a_branch_whose_bodies_were_all_let_go_takes_no_place() -> None:
    """A start that its worker has left decides a race before a body of the other branch is given a place."""

    async def twice(step: AsyncStep) -> None:
        await step.do("quick", lambda attempt: None)
        await step.do("quick", lambda attempt: None)

    async def item(step: AsyncStep, name: str) -> Any:
        return await step.race("r", twice, lambda inner: inner.do("once", lambda attempt: None, at_most_once=SECOND))

    @workflow(name="w")
    async def mapped(step: AsyncStep) -> None:
        await step.map("m", ["x", "y"], item, max_concurrency=1, on_error="collect")

    lab = Lab.of(mapped)
    lab.create(mapped)
    lab.tick()
    started = lab.steps()["map:m[0]>race:r[1]>do:once"].status
    lab.now += MINUTE
    lab.run(until=lab.now + MINUTE)
    assert ("started", "complete") == (started, lab.instance.status)
