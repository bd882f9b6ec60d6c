"""JSON text from JSON values and back, strictly; no I/O.

The fast way comes first. What it refuses is looked at again, slowly, to say where.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

import attrs

from wfcore.codec.refusal import TEXT_LIMIT, Refusal, describe, find, shorten

_ENCODER = json.JSONEncoder(ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":"))
_ESCAPER = json.JSONEncoder(ensure_ascii=True, check_circular=False, allow_nan=False, separators=(",", ":"))

# Two characters that are one in JSON's escapes: they would come back as another string.
_SPLIT_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")


@attrs.frozen
class _Impossible:
    """A number in JSON text that Python cannot represent."""

    text: str

    def __str__(self) -> str:
        return self.text


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _float_or_impossible(text: str) -> float | _Impossible:
    value = float(text)
    return value if math.isfinite(value) else _Impossible(text)


def _int_or_impossible(text: str) -> int | _Impossible:
    try:
        return int(text)
    except ValueError:
        return _Impossible(text)


def _refuse_constant(text: str) -> float:
    raise ValueError(text)


_DECODER = json.JSONDecoder(parse_float=_float, parse_constant=_refuse_constant)
_FINDER = json.JSONDecoder(parse_float=_float_or_impossible, parse_int=_int_or_impossible, parse_constant=_Impossible)


def dump(tree: Any) -> tuple[str, int]:
    """The text of a JSON value, and its size in bytes."""
    try:
        text = _ENCODER.encode(tree)
    except ValueError:
        raise _refuse_part(tree, _is_endless, "an integer that Python converts to text") from None
    if text.isascii():
        return text, len(text)
    try:
        return text, len(text.encode())
    except UnicodeEncodeError:
        return _escape(tree)


def _escape(tree: Any) -> tuple[str, int]:
    # Lone surrogates have no UTF-8, but JSON can escape them.
    if find(tree, _is_split) is not None:
        raise _refuse_part(tree, _is_split, "text without split surrogate pairs")
    text = _ESCAPER.encode(tree)
    return text, len(text)


def load(text: str) -> Any:
    """The JSON value of a text."""
    try:
        tree, end = _DECODER.raw_decode(text)
    except (ValueError, TypeError):
        return _load_slowly(text)
    return tree if end == len(text) else _load_slowly(text)


def _load_slowly(text: object) -> Any:
    if not isinstance(text, str):
        raise Refusal("JSON text", describe(text), "a payload is a str")
    try:
        tree = _FINDER.decode(text)
    except json.JSONDecodeError as error:
        start = max(0, error.pos - 20)
        found = f"{text[start : start + TEXT_LIMIT]!r} ({error.msg} at character {error.pos})"
        raise Refusal("JSON", found, "the payload is damaged, or was not written by this codec") from None
    impossible = find(tree, _is_impossible)
    if impossible is not None:
        trail, part = impossible
        raise Refusal("a finite number that Python can represent", shorten(str(part)), trail=trail)
    return tree


def _refuse_part(tree: Any, is_wrong: Callable[[object], bool], expected: str) -> Refusal:
    trail, part = find(tree, is_wrong) or ([], tree)
    return Refusal(expected, describe(part), trail=trail)


def _is_impossible(value: object) -> bool:
    return type(value) is _Impossible


def _is_endless(value: object) -> bool:
    try:
        return type(value) is int and not str(value)
    except ValueError:
        return True


def _is_split(value: object) -> bool:
    if type(value) is dict:
        return any(_SPLIT_PAIR.search(key) for key in value)
    return type(value) is str and _SPLIT_PAIR.search(value) is not None
