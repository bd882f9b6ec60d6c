"""This version plans the frozen ticks as the version did that froze them."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import chain, repeat
from pathlib import Path

import attrs
import pytest

from tests.corpus.__main__ import main
from tests.corpus.frozen import (
    FOLDER,
    Command,
    Earlier,
    Tick,
    commanded,
    essence,
    file_name,
    planned,
    read,
    text_of,
)
from tests.corpus.scenarios import SCENARIOS
from wfcore import CodecError, export_plan, export_snapshot, import_plan, import_snapshot
from wfcore.outcome import Completed, Ignored
from wfcore.plan import Plan, PutInstance

FILES = sorted(FOLDER.glob("*.json"))
SOME = FOLDER / "orders-continued.json"


def again(tick: Tick, earlier: Earlier | None = None) -> Tick:
    """The tick as this version plans it."""
    return planned(tick, chain((body.elapsed for body in tick.bodies), repeat(timedelta(0))), earlier or Earlier())


def parts(path: Path) -> list[Tick | Command]:
    file = read(path)
    return [*file.ticks, *file.commands]


def plans_of(part: Tick | Command) -> list[Plan]:
    return list(part.plans) if isinstance(part, Tick) else [part.plan] if part.plan else []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_frozen_tick_is_planned_as_it_was(path: Path) -> None:
    """A file is never changed to make this pass: rows like these are in databases."""
    ticks, earlier = read(path).ticks, Earlier()
    assert [essence(tick) for tick in ticks] == [essence(again(tick, earlier)) for tick in ticks]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_frozen_command_is_planned_as_it_was(path: Path) -> None:
    commands = read(path).commands
    assert [essence(command) for command in commands] == [essence(commanded(command)) for command in commands]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_frozen_rows_and_plans_can_be_exported(path: Path) -> None:
    for part in parts(path):
        assert part.snapshot == import_snapshot(export_snapshot(part.snapshot))
        assert plans_of(part) == [import_plan(export_plan(plan)) for plan in plans_of(part)]


def test_every_scenario_is_frozen() -> None:
    """Write the missing files by `python -m tests.corpus --write`."""
    assert sorted(map(file_name, SCENARIOS)) == [path.name for path in FILES]


def test_every_outcome_of_a_tick_is_frozen() -> None:
    outcomes = {type(plan.outcome).__name__ for path in FILES for tick in read(path).ticks for plan in tick.plans}
    assert {
        "Checkpointed",
        "Completed",
        "Continued",
        "Errored",
        "Ignored",
        "Paused",
        "Rescheduled",
        "Stuck",
        "Suspended",
    } == outcomes


def test_a_changed_plan_is_found() -> None:
    tick = read(SOME).ticks[0]
    row = next(each for each in tick.plans[-1].mutations if isinstance(each, PutInstance))
    changed = attrs.evolve(row, instance=attrs.evolve(row.instance, version=99))
    mutations = tuple(changed if each is row else each for each in tick.plans[-1].mutations)
    other = attrs.evolve(tick, plans=(*tick.plans[:-1], attrs.evolve(tick.plans[-1], mutations=mutations)))
    assert essence(again(tick)) != essence(other)


@pytest.mark.parametrize(("outcome", "same"), [(Ignored("in other words"), True), (Completed("1"), False)])
def test_texts_for_people_are_not_frozen(outcome: Ignored | Completed, *, same: bool) -> None:
    tick = read(FOLDER / "gate-at_work.json").ticks[0]
    plan = attrs.evolve(tick.plans[0], outcome=outcome)
    assert same is (essence(again(tick)) == essence(attrs.evolve(tick, plans=(plan,))))


def test_a_file_names_no_place_of_a_machine() -> None:
    """Tracebacks are left out."""
    assert [] == [path.name for path in FILES if 'File \\"' in path.read_text(encoding="utf-8")]


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps({**json.loads(SOME.read_text(encoding="utf-8")), "format_version": 2}))
    with pytest.raises(ValueError, match="format version 2"):
        read(path)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(SOME.read_text(encoding="utf-8").replace('"status"', '"statue"'))
    with pytest.raises(CodecError, match="status"):
        read(path)


def test_writing_adds_what_is_missing_and_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, *others = sorted(map(file_name, SCENARIOS))
    for name in others:
        (tmp_path / name).write_text("mine")
    main(["--folder", str(tmp_path)])
    assert not (tmp_path / first).exists()
    main(["--write", "--folder", str(tmp_path)])
    assert {"mine"} == {(tmp_path / name).read_text() for name in others}
    assert text_of(read(tmp_path / first)) == (tmp_path / first).read_text(encoding="utf-8")
    assert 2 == capsys.readouterr().out.count(first)
