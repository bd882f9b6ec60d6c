"""Instance refs, hook ids and step keys: built, parsed, checked; pure text, no I/O (rules K1, K2, K4, K6).

* ref: ``workflow#instance``. Neither part may hold ``#``, so a ref can be split without a look-up.
* hook id: ``ref#timer``, ``ref#start``, ``ref#msg:<event id>``, ``ref#terminal:<version>``.
* id of a system event: ``#pause:<request id>``; ids of users' events hold no ``#``.
* step key: segments joined by ``>``. A segment is ``kind:name``, ``#n`` for its n-th repeat in that scope,
  ``[branch]`` for a branch of a group: ``gather:fulfil[0]>scope:parcel#1>do:ship``.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from typing import Literal, TypeAlias, get_args

import attrs

from wfcore.errors import StepNameError

NAME_LIMIT = 128
"""Characters in a step, scope, group, branch or workflow name."""
ID_LIMIT = 256
"""Characters in an instance id or event id."""

SegmentKind: TypeAlias = Literal["do", "sleep", "wait_for_event", "patch", "map", "scope", "gather", "race"]
_KINDS = frozenset(get_args(SegmentKind))
_FORBIDDEN = re.compile(r"[>#\[\]/\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_FORBIDDEN_IN_ID = re.compile(r"[#\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SEGMENT = re.compile(
    r"(?P<kind>[a-z_]+):(?P<name>[^>#\[\]/]+)(?:#(?P<repeat>[1-9][0-9]{0,17}))?(?:\[(?P<branch>[^>#\[\]/]+)\])?"
)
_GROUPS = frozenset({"gather", "race", "map"})


def check_name(name: str, what: str = "step name") -> str:
    """Return ``name`` if it may be used in a step key, else raise :class:`StepNameError` (rule K4)."""
    return _check(name, what, NAME_LIMIT, _FORBIDDEN)


def check_id(text: str, what: str) -> str:
    """Return ``text`` if it may be a workflow name, an instance id or an event id (no ``#``), else raise (rule K4)."""
    return _check(text, what, NAME_LIMIT if what == "workflow name" else ID_LIMIT, _FORBIDDEN_IN_ID)


def _check(text: str, what: str, limit: int, forbidden: re.Pattern[str]) -> str:
    if not isinstance(text, str):
        raise StepNameError(what, repr(text), None, None, "it must be a str")
    if not text:
        raise StepNameError(what, text, None, None, "it is empty")
    if len(text) > limit:
        raise StepNameError(what, text, text[limit], limit, f"it is longer than {limit} characters")
    found = forbidden.search(text)
    if found:
        raise StepNameError(what, text, found.group(), found.start(), "that character is reserved")
    return text


def build_ref(workflow_name: str, instance_id: str) -> str:
    """The ref of an instance: ``workflow#instance``. Raises :class:`StepNameError` for what cannot be split again."""
    return f"{check_id(workflow_name, 'workflow name')}#{check_id(instance_id, 'instance id')}"


def parse_ref(ref: str) -> tuple[str, str]:
    """``(workflow_name, instance_id)`` of a ref; the inverse of :func:`build_ref` (rule K6)."""
    workflow_name, separator, instance_id = ref.partition("#")
    if not separator:
        raise StepNameError("instance ref", ref, None, None, "it has no '#' between workflow and instance")
    check_id(workflow_name, "workflow name")
    check_id(instance_id, "instance id")
    return workflow_name, instance_id


def timer_id(ref: str) -> str:
    """Id of the one timer hook of an instance."""
    return f"{ref}#timer"


def message_id(ref: str, event_id: str) -> str:
    """Id of the hook that announces one event."""
    return f"{ref}#msg:{event_id}"


def start_id(ref: str) -> str:
    """Id of the hook that announces an instance that another instance's plan has made (rule T4)."""
    return f"{ref}#start"


def terminal_id(ref: str, version: int) -> str:
    """Id of the hook that announces the terminal transition to that version of the instance (rule O7)."""
    return f"{ref}#terminal:{version}"


def pause_request_id(request_id: str) -> str:
    """Id of the system event that stands for a request to pause; raises :class:`StepNameError` (rule K4)."""
    return f"#pause:{check_id(request_id, 'request id')}"


def hook_ref(hook_id: str) -> str:
    """The ref of the instance that a hook id belongs to."""
    parts = hook_id.split("#", 2)
    if len(parts) < 3 or not all(parts):
        raise StepNameError("hook id", hook_id, None, None, "it is not 'workflow#instance#hook'")
    return f"{parts[0]}#{parts[1]}"


def is_terminal_notice(hook_id: str) -> bool:
    """Whether a hook announces a terminal transition: no tick handles it (rule O7)."""
    return hook_id.split("#", 2)[-1].startswith("terminal:")


@attrs.frozen
class Segment:
    """One segment of a step key.

    Attributes:
        kind: step kind, ``scope``, or the group's kind.
        name: the name that the workflow's author gave.
        repeat: 0 for the first of that kind and name in its scope, n for the n-th repeat.
        branch: the branch of a group (``gather``, ``race``, ``map``), else ``None``.
    """

    kind: SegmentKind
    name: str
    repeat: int = 0
    branch: str | None = None

    def __str__(self) -> str:
        repeat = f"#{self.repeat}" if self.repeat else ""
        branch = f"[{self.branch}]" if self.branch is not None else ""
        return f"{self.kind}:{self.name}{repeat}{branch}"


@attrs.frozen
class StepKey:
    """A step key, taken apart: the scopes and branches around a step, then the step itself (rule K6)."""

    path: tuple[Segment, ...]

    @classmethod
    def parse(cls, text: str) -> StepKey:
        """Parse a key; raises :class:`StepNameError` for anything that :meth:`build` would not write."""
        path = tuple(_segment(text, part) for part in text.split(">"))
        *around, step = path
        if step.branch is not None or step.kind in ("scope", "gather", "race"):
            raise StepNameError("step key", text, None, None, "its last segment is not a step")
        if any(each.kind != "scope" and (each.kind not in _GROUPS or each.branch is None) for each in around):
            raise StepNameError("step key", text, None, None, "a segment before the last is neither scope nor branch")
        return cls(path)

    def build(self) -> str:
        """The key as text, as it stands in a step record."""
        return ">".join(map(str, self.path))

    @property
    def parent_key(self) -> str | None:
        """The path around the step, or ``None`` at the top."""
        return ">".join(map(str, self.path[:-1])) or None

    @property
    def depth(self) -> int:
        """Number of scopes and branches around the step."""
        return len(self.path) - 1


def is_bare(key: str, kind: str) -> bool:
    """Whether a record's key is no ``kind:name`` of its own kind: an older engine wrote it (rule K5)."""
    try:
        return StepKey.parse(key).path[-1].kind != kind
    except StepNameError:
        return True


def _segment(key: str, text: str) -> Segment:
    found = _SEGMENT.fullmatch(text)
    if not found or found["kind"] not in _KINDS:
        raise StepNameError(
            "step key", key, None, None, f"{text!r} is not 'kind:name', 'kind:name#n' or 'kind:name[branch]'"
        )
    kind: SegmentKind = found["kind"]  # type: ignore[assignment]
    check_name(found["name"])
    if found["branch"] is not None:
        check_name(found["branch"], "branch name")
        if kind not in _GROUPS:
            raise StepNameError("step key", key, None, None, f"a {kind} has no branches")
    return Segment(kind, found["name"], int(found["repeat"] or 0), found["branch"])


def shard_hash(ref: str) -> int:
    """CRC-32 of a ref's UTF-8: what its shard is made of, the same in every process and language (rule R4)."""
    return zlib.crc32(ref.encode("utf-8", "surrogatepass"))


def shard_of(ref: str, count: int) -> int:
    """Which of ``count`` shards an instance belongs to: ``shard_hash(ref) % count`` (rule R4)."""
    return shard_hash(ref) % count


def digest(*parts: str) -> bytes:
    """SHA-256 over the parts, each with its length before it: the only source of derived chance (S8, S10, D5)."""
    return hashlib.sha256("".join(f"{len(part)}:{part}" for part in parts).encode("utf-8", "surrogatepass")).digest()
