"""Edits of programs, with what history has to say about them: found, or safe (docs/explanation/workflow-code.md)."""

from collections.abc import Callable, Iterator
from typing import TypeAlias

import attrs

from tests.properties.programs import (
    NAMED,
    Chances,
    Code,
    Do,
    Ensure,
    Gather,
    Log,
    Loop,
    Map,
    Patched,
    Program,
    Race,
    Scope,
    Sleep,
    Statement,
    Tell,
    Try,
    Wait,
    blocks,
    statements,
)
from wfcore.keys import StepKey
from wfcore.model import StepRecord
from wfcore.retry import Retry

Path: TypeAlias = tuple[int, ...]
"""Where a statement stands: its place in the code, then the piece of code in it, its place there, and so on."""


@attrs.frozen
class Edit:
    """A change of a program.

    Attributes:
        what: what was done.
        program: the program after it.
        found: whether it has to be found in this history.
    """

    what: str
    program: Program
    found: bool


def distinct(program: Program) -> Program:
    """The program with a name of its own for every statement."""
    return attrs.evolve(program, code=_tagged(program.code, ""))


def _tagged(code: Code, tag: str) -> Code:
    return tuple(_tag(statement, f"{tag}.{place}") for place, statement in enumerate(code))


def _tag(statement: Statement, tag: str) -> Statement:
    inner = tuple(_tagged(code, f"{tag}.{number}") for number, code in enumerate(blocks(statement)))
    statement = with_blocks(statement, inner)
    return attrs.evolve(statement, tag=f" {tag} ") if isinstance(statement, NAMED) else statement


def with_blocks(statement: Statement, inner: tuple[Code, ...]) -> Statement:
    """The statement with other pieces of code in it."""
    match statement:
        case Gather() | Race():
            return attrs.evolve(statement, branches=inner)
        case Scope() | Loop() | Patched() | Map():
            return attrs.evolve(statement, code=inner[0])
        case Try():
            return Try(*inner)
        case Ensure():
            return Ensure(*inner)
        case _:
            return statement


def places(code: Code, path: Path = ()) -> Iterator[tuple[Path, Statement]]:
    """All statements with their paths."""
    for place, statement in enumerate(code):
        yield (*path, place), statement
        for number, inner in enumerate(blocks(statement)):
            yield from places(inner, (*path, place, number))


def change_at(code: Code, path: Path, change: Callable[[Code, int], Code]) -> Code:
    """The code with the piece of code around a path, and the place in it, changed."""
    place, *rest = path
    if not rest:
        return change(code, place)
    inner = [*blocks(code[place])]
    inner[rest[0]] = change_at(inner[rest[0]], tuple(rest[1:]), change)
    return (*code[:place], with_blocks(code[place], tuple(inner)), *code[place + 1 :])


def around(code: Code, path: Path) -> Code:
    """The piece of code that a path leads into."""
    for place, number in zip(path[:-1:2], path[1:-1:2], strict=True):
        code = blocks(code[place])[number]
    return code


class Recorded:
    """Which statements of a program with distinct names have left records.

    Args:
        steps: the records of the run.
    """

    def __init__(self, steps: tuple[StepRecord, ...]) -> None:
        keys = [StepKey.parse(step.key).path for step in steps if step.kind != "patch"]
        self._names = {segment.name for key in keys for segment in key}
        # The list of a map has no place in the order.
        self._ordered = {segment.name for key in keys if key[-1].kind != "map" for segment in key}
        self._branches = {(segment.name, segment.branch) for key in keys for segment in key if segment.branch}
        self._patches = {step.name for step in steps if step.kind == "patch"}

    def has(self, *code: Statement) -> bool:
        """Whether one of the statements, or one in them, has left a record."""
        return any(each.name in self._names for each in statements(code) if isinstance(each, NAMED))

    def has_ordered(self, *code: Statement) -> bool:
        """As ``has``, but the record must have a place in the order, or get one."""
        return any(each.name in self._ordered for each in statements(code) if isinstance(each, NAMED))

    def has_branch(self, fan: Map, label: str) -> bool:
        return (fan.name, label) in self._branches

    def asks(self, code: Code) -> bool:
        """Whether the code awaits anything, whatever happens; a patch that is new to a run is left out of it."""
        for statement in code:
            match statement:
                case Do() | Sleep() | Wait():
                    return True
                case Tell() | Log():
                    continue
                case Gather(branches=branches) | Race(branches=branches):
                    if all(self.asks(branch) for branch in branches):
                        return True
                case Map(items=items, code=inner):
                    if items and self.asks(inner):
                        return True
                case Patched(code=inner):
                    if statement.name in self._patches and self.asks(inner):
                        return True
                case Scope(code=inner) | Loop(code=inner) | Try(code=inner) | Ensure(code=inner):
                    if self.asks(inner):
                        return True
        return False


_FITTING: dict[str, type | tuple[type, ...]] = {"list": Map, "kind": (Do, Sleep, Wait), "policy": Do, "rename": NAMED}
"""What kinds of edits can be made of."""


def edit_of(program: Program, steps: tuple[StepRecord, ...], chances: Chances) -> Edit:
    """One edit of a program, judged by the records of a run of it."""
    recorded = Recorded(steps)
    kind = chances.pick("rename", "remove", "swap", "kind", "return", "list", "policy")
    everywhere = [*places(program.code)]
    fitting = [place for place in everywhere if isinstance(place[1], _FITTING.get(kind, object))]
    path, statement = chances.pick(*(fitting or everywhere))
    code = around(program.code, path)
    place = path[-1]

    def edited(what: str, change: Callable[[Code, int], Code], *, found: bool) -> Edit:
        return Edit(what, attrs.evolve(program, code=change_at(program.code, path, change)), found)

    def put(*others: Statement) -> Callable[[Code, int], Code]:
        return lambda code, place: (*code[:place], *others, *code[place + 1 :])

    if kind == "return":
        rest = code[place:]
        return edited("return early", lambda code, place: code[:place], found=recorded.has(*rest))
    if kind == "remove":
        return edited("remove", put(), found=recorded.has(statement))
    if kind == "swap" and place + 1 < len(code):
        after = code[place + 1]
        found = recorded.has_ordered(statement) and recorded.asks((after,))
        return edited("swap", lambda code, place: (*code[:place], after, statement, *code[place + 2 :]), found=found)
    if kind == "list" and isinstance(statement, Map):
        other, found = _other_list(statement, chances, recorded)
        return edited("change the list of a map", put(other), found=found)
    if kind == "kind" and isinstance(statement, Do | Sleep | Wait):
        return edited("change kind", put(_other_kind(statement)), found=recorded.has(statement))
    if kind == "policy" and isinstance(statement, Do):
        changed = attrs.evolve(statement, retry=Retry(max_attempts=5), endings=("ok",), at_most_once=None)
        return edited("change body and policy", put(changed), found=False)
    if isinstance(statement, NAMED):
        renamed = attrs.evolve(statement, tag=f"{statement.tag}new")
        return edited("rename", put(renamed), found=recorded.has(statement))
    return edited("remove", put(), found=recorded.has(statement))


def _other_kind(statement: Do | Sleep | Wait) -> Statement:
    if isinstance(statement, Do):
        return Sleep(5, absolute=True, tag=statement.tag)
    return Do(statement.name, ("ok",), Retry(max_attempts=1))


def _other_list(fan: Map, chances: Chances, recorded: Recorded) -> tuple[Statement, bool]:
    if chances.pick("reverse", "drop") == "reverse":
        items = fan.items[::-1]
        return attrs.evolve(fan, items=items), not fan.keyed and items != fan.items and recorded.has(fan)
    items = fan.items[:-1]
    dropped = fan.items[-1:] != () and recorded.has_branch(fan, fan.items[-1])
    return attrs.evolve(fan, items=items), items != fan.items and (dropped if fan.keyed else recorded.has(fan))
