"""Refs, hook ids and step keys as text (rules K1, K4, K6)."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wfcore import StepNameError
from wfcore.keys import (
    ID_LIMIT,
    NAME_LIMIT,
    Segment,
    StepKey,
    build_ref,
    check_id,
    check_name,
    digest,
    hook_ref,
    is_terminal_notice,
    message_id,
    parse_ref,
    shard_hash,
    shard_of,
    timer_id,
)

CONTROLS = "\x00\x1f\x7f\x9f\u2028\u2029\ud800"

letters = st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"])
names = st.text(letters.filter(lambda each: each not in ">#[]/"), min_size=1, max_size=NAME_LIMIT)
ids = st.text(letters.filter(lambda each: each != "#"), min_size=1, max_size=NAME_LIMIT)
repeats = st.integers(min_value=0, max_value=10**9)
scopes = st.builds(Segment, st.just("scope"), names, repeats)
branches = st.builds(Segment, st.sampled_from(["gather", "race", "map"]), names, repeats, names)
steps = st.builds(Segment, st.sampled_from(["do", "sleep", "wait_for_event", "patch", "map"]), names, repeats)
keys = st.builds(
    lambda around, step: StepKey((*around, step)), st.lists(st.one_of(scopes, branches), max_size=4), steps
)


def refused(text: Any) -> StepNameError:
    with pytest.raises(StepNameError) as found:
        StepKey.parse(text)
    return found.value


# ---- step keys


@given(keys)
def test_a_key_is_parsed_to_what_it_was_built_from(key: StepKey) -> None:
    """K6."""
    assert key == StepKey.parse(key.build())


@given(st.one_of(st.text(), st.text("dogscpema:>#[]/0123 "), keys.map(StepKey.build).flatmap(st.text)))
@example("do:a#01")
@example("do:a\n")
@example(f"do:a#{'9' * 5000}")
def test_a_text_is_refused_or_is_what_its_key_builds(text: str) -> None:
    """K6: anything malformed is refused."""
    try:
        key = StepKey.parse(text)
    except StepNameError:
        return
    assert text == key.build()


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("do:charge", [Segment("do", "charge")]),
        ("do:charge#2", [Segment("do", "charge", 2)]),
        ("scope:parcel>sleep:rest", [Segment("scope", "parcel"), Segment("sleep", "rest")]),
        (
            "gather:fulfil[0]>scope:parcel#1>do:ship",
            [Segment("gather", "fulfil", 0, "0"), Segment("scope", "parcel", 1), Segment("do", "ship")],
        ),
        ("map:lines#3[sku 7]>do:pick", [Segment("map", "lines", 3, "sku 7"), Segment("do", "pick")]),
        ("map:lines", [Segment("map", "lines")]),
        ("patch:2026-new tax: rules", [Segment("patch", "2026-new tax: rules")]),
    ],
)
def test_the_text_of_a_key(text: str, path: list[Segment]) -> None:
    """K1, K6."""
    assert (text, StepKey(tuple(path))) == (StepKey(tuple(path)).build(), StepKey.parse(text))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "'' is not 'kind:name', 'kind:name#n' or 'kind:name[branch]'"),
        ("charge", "'charge' is not 'kind:name', 'kind:name#n' or 'kind:name[branch]'"),
        ("call:charge", "'call:charge' is not 'kind:name', 'kind:name#n' or 'kind:name[branch]'"),
        ("do:", "'do:' is not 'kind:name', 'kind:name#n' or 'kind:name[branch]'"),
        ("do:a#0", "'do:a#0' is not 'kind:name', 'kind:name#n' or 'kind:name[branch]'"),
        ("do:a#01", "'do:a#01' is not 'kind:name', 'kind:name#n' or 'kind:name[branch]'"),
        ("do:a#1#2", "'do:a#1#2' is not 'kind:name', 'kind:name#n' or 'kind:name[branch]'"),
        ("do:a>", "'' is not 'kind:name', 'kind:name#n' or 'kind:name[branch]'"),
        ("gather:a[]>do:b", "'gather:a[]' is not 'kind:name', 'kind:name#n' or 'kind:name[branch]'"),
        ("scope:a", "its last segment is not a step"),
        ("gather:a", "its last segment is not a step"),
        ("gather:a[0]", "its last segment is not a step"),
        ("map:a[0]", "its last segment is not a step"),
        ("do:a>do:b", "a segment before the last is neither scope nor branch"),
        ("gather:a>do:b", "a segment before the last is neither scope nor branch"),
        ("scope:a[0]>do:b", "a scope has no branches"),
        ("do:a[0]", "a do has no branches"),
        (f"do:{'a' * 129}", "it is longer than 128 characters"),
        (f"gather:a[{'b' * 129}]>do:c", "it is longer than 128 characters"),
        ("do:a\n", "that character is reserved"),
        ("gather:a[\x00]>do:c", "that character is reserved"),
    ],
)
def test_a_malformed_key_is_refused(text: str, problem: str) -> None:
    """K6."""
    assert problem == refused(text).problem


@pytest.mark.parametrize(
    ("text", "parent", "depth"),
    [
        ("do:a", None, 0),
        ("scope:s>do:a", "scope:s", 1),
        ("gather:g[1]>scope:s#2>do:a", "gather:g[1]>scope:s#2", 2),
    ],
)
def test_a_key_knows_what_is_around_it(text: str, parent: str | None, depth: int) -> None:
    """K2."""
    key = StepKey.parse(text)
    assert (parent, depth) == (key.parent_key, key.depth)


# ---- names and ids


@pytest.mark.parametrize("name", ["a", "a" * NAME_LIMIT, "Zahlung prüfen", "a.b-c_d:e", "🎁", " "])
def test_a_name_may_be_any_other_text(name: str) -> None:
    """K4."""
    assert name == check_name(name)


@pytest.mark.parametrize("character", [*">#[]/", *CONTROLS])
def test_a_reserved_character_is_refused_with_name_character_and_position(character: str) -> None:
    """K4."""
    name = f"ab{character}c"
    with pytest.raises(StepNameError) as found:
        check_name(name)
    assert (name, character, 2) == (found.value.name, found.value.character, found.value.position)


@pytest.mark.parametrize(
    ("name", "character", "position", "problem"),
    [
        ("", None, None, "it is empty"),
        ("a" * NAME_LIMIT + "b", "b", NAME_LIMIT, "it is longer than 128 characters"),
        (7, None, None, "it must be a str"),
        (None, None, None, "it must be a str"),
        (b"a", None, None, "it must be a str"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused(name: Any, character: Any, position: Any, problem: str) -> None:
    """K4."""
    with pytest.raises(StepNameError) as found:
        check_name(name)
    assert (character, position, problem) == (found.value.character, found.value.position, found.value.problem)


@pytest.mark.parametrize("text", ["a", "a>b", "[a]/b", "a" * ID_LIMIT])
def test_an_id_may_hold_what_a_name_may_not(text: str) -> None:
    """K4: ids are no part of step keys."""
    assert text == check_id(text, "instance id")


@pytest.mark.parametrize("character", ["#", *CONTROLS])
def test_an_id_with_a_reserved_character_is_refused(character: str) -> None:
    """K4."""
    with pytest.raises(StepNameError) as found:
        check_id(f"{character}a", "event id")
    assert ("event id", character, 0) == (found.value.what, found.value.character, found.value.position)


@pytest.mark.parametrize(("what", "limit"), [("workflow name", 128), ("instance id", 256), ("event id", 256)])
def test_an_id_has_a_longest_length(what: str, limit: int) -> None:
    """K4."""
    check_id("a" * limit, what)
    with pytest.raises(StepNameError) as found:
        check_id("a" * (limit + 1), what)
    assert limit == found.value.position


# ---- refs and hook ids


@given(ids, ids)
def test_a_ref_is_parsed_to_what_it_was_built_from(workflow_name: str, instance_id: str) -> None:
    """K6."""
    assert (workflow_name, instance_id) == parse_ref(build_ref(workflow_name, instance_id))


@pytest.mark.parametrize("ref", ["", "checkout", "#1", "checkout#", "checkout#1#2", "check\nout#1"])
def test_a_malformed_ref_is_refused(ref: str) -> None:
    """K6."""
    with pytest.raises(StepNameError):
        parse_ref(ref)


@pytest.mark.parametrize(("workflow_name", "instance_id"), [("a#b", "1"), ("a", "1#2"), ("", "1"), ("a", "")])
def test_a_ref_that_could_not_be_split_again_is_not_built(workflow_name: str, instance_id: str) -> None:
    """K4."""
    with pytest.raises(StepNameError):
        build_ref(workflow_name, instance_id)


@pytest.mark.parametrize(
    ("hook_id", "expected"),
    [
        (timer_id("checkout#1"), "checkout#1#timer"),
        (message_id("checkout#1", "e 7"), "checkout#1#msg:e 7"),
        (message_id("checkout#1", "#pause-3"), "checkout#1#msg:#pause-3"),
    ],
)
def test_the_text_of_a_hook_id(hook_id: str, expected: str) -> None:
    """Repeated enqueues collapse by primary key (design 4)."""
    assert expected == hook_id


@given(ids, ids, ids)
def test_a_hook_id_tells_its_instance(workflow_name: str, instance_id: str, event_id: str) -> None:
    """K6."""
    ref = build_ref(workflow_name, instance_id)
    hooks = [timer_id(ref), message_id(ref, event_id), message_id(ref, f"#{event_id}"), f"{ref}#terminal:3"]
    assert [ref] * 4 == list(map(hook_ref, hooks))


@pytest.mark.parametrize("hook_id", ["", "checkout", "checkout#1", "checkout#1#", "#1#timer", "checkout##timer"])
def test_a_malformed_hook_id_is_refused(hook_id: str) -> None:
    """K6."""
    with pytest.raises(StepNameError):
        hook_ref(hook_id)


@pytest.mark.parametrize(
    ("hook_id", "expected"),
    [
        ("checkout#1#terminal:3", True),
        ("checkout#1#timer", False),
        ("checkout#1#msg:terminal:3", False),
        ("checkout#1#msg:#terminal:3", False),
        ("checkout#terminal:3#timer", False),
    ],
)
def test_a_terminal_notice_is_told_by_its_id(hook_id: str, expected: bool) -> None:
    """G9, O7: not by its reason."""
    assert expected == is_terminal_notice(hook_id)


# ---- derived chance


def test_a_digest_is_the_same_in_every_process() -> None:
    """S8, S10, D5: no salt of the interpreter in it."""
    assert "facdde7a" == digest("a", "b").hex()[:8]


@pytest.mark.parametrize("parts", [("ab",), ("a", "b", ""), ("", "ab"), ("1:a", "b"), ("b", "a")])
def test_a_digest_tells_where_a_part_ends(parts: tuple[str, ...]) -> None:
    """Each part has its length before it."""
    assert digest("a", "b") != digest(*parts)


def test_a_digest_takes_any_text() -> None:
    """A lone surrogate cannot stop a workflow."""
    assert 32 == len(digest("\ud800"))


# ---- shards


@pytest.mark.parametrize(
    ("ref", "crc", "of_two", "of_three", "of_sixteen"),
    [
        ("checkout#order-1", 3878100809, 1, 2, 9),
        ("checkout#order-2", 2116964083, 1, 1, 3),
        ("refund#order-1", 1174106484, 0, 0, 4),
        ("✓#\U0001f600 2", 556833330, 0, 0, 2),
    ],
)
def test_r4_the_shard_of_a_ref_is_its_crc_32(ref: str, crc: int, of_two: int, of_three: int, of_sixteen: int) -> None:
    """Test vectors for adapters in other languages, and in SQL."""
    assert (crc, 0) == (shard_hash(ref), shard_of(ref, 1))
    assert [of_two, of_three, of_sixteen] == [shard_of(ref, count) for count in (2, 3, 16)]


def test_r4_shards_are_about_equal() -> None:
    sizes = Counter(shard_of(f"checkout#{number}", 4) for number in range(10_000))
    assert all(2_000 < sizes[index] < 3_000 for index in range(4))
