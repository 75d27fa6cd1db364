"""What others wrote is stored in a form that every database and reader of Airflow takes."""

from __future__ import annotations

import enum
import json
import math
from collections import UserDict
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from airflow.sdk._shared.serialization import FORBIDDEN_XCOM_KEYS
from airflow.sdk.serde import deserialize, serialize
from hypothesis import given
from hypothesis import strategies as st

from airflow_domino.domino.storable import DEEPEST, LARGEST, RESERVED_KEYS, storable, storable_text

texts = st.text(st.characters(exclude_categories=()) | st.sampled_from("\0\ud800"), max_size=20)
keys = texts | st.sampled_from(sorted(RESERVED_KEYS)) | st.none() | st.booleans() | st.integers()
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts | st.binary(max_size=5) | st.datetimes()
anything = st.recursive(
    scalars, lambda some: st.lists(some, max_size=5) | st.dictionaries(keys, some, max_size=5), max_leaves=30
)
good_texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=20)
good = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(-1e15, 1e15, allow_nan=False)
    | good_texts,
    lambda some: (
        st.lists(some, max_size=5)
        | st.dictionaries(good_texts.filter(lambda key: key not in RESERVED_KEYS), some, max_size=5)
    ),
    max_leaves=30,
)
rooms = st.integers(0, 3000) | st.just(LARGEST)


def parts(value: Any) -> Iterator[Any]:
    """The value, and all keys and values below it."""
    yield value
    below = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in below:
        yield from parts(one)


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": [value]}
    return value


def size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False))


@given(anything, rooms)
def test_whatever_is_given_json_messages_and_deserializers_take_it_and_give_it_back(value, room):
    kept = storable(value, room)

    assert json.loads(json.dumps(kept, allow_nan=False)) == kept
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(kept)) == kept
    assert deserialize(serialize(kept)) == kept
    for part in parts(kept):
        assert not isinstance(part, str) or part == part.replace("\0", "").encode("utf-8").decode()


@given(anything, rooms)
def test_what_is_storable_is_left_as_it_is(value, room):
    kept = storable(value, room)
    assert storable(kept, room) == kept


@given(good)
def test_a_plain_good_value_is_not_changed(value):
    assert json.dumps(storable(value)) == json.dumps(value)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("a\0b", "a\ufffdb"),
        ("half \ud800, whole 😀", "half \ufffd, whole 😀"),
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (2**63 - 1, 2**63 - 1),
        (2**63, "9223372036854775808"),
        (-(2**63), "-9223372036854775808"),
        ([10**5000], ["(int)"]),
        (1e15, 1e15),
        (3e18, 3_000_000_000_000_000_000),
        (1e300, "1e+300"),
        ({"__type": "set", "__var": [1]}, {"___type": "set", "___var": [1]}),
        ({"__notes__": 1}, {"__notes__": 1}),
        ({1: "a", "1": "b", None: "c"}, {"1": "a", "_1": "b", "None": "c"}),
        ({"a\0": 1, "a\ufffd": 2}, {"a\ufffd": 1, "_a\ufffd": 2}),
        ((1, {2}), [1, [2]]),
        (UserDict(a=1), {"a": 1}),
        (enum.StrEnum("Colour", ["RED"]).RED, "red"),
    ],
)
def test_what_cannot_be_stored_is_shown_as_near_as_can_be(value, kept):
    found = storable(value)
    assert (found, type(found)) == (kept, type(kept))


def test_an_object_that_cannot_even_be_shown_costs_nothing():
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError

    assert storable({"a": Broken(), Broken(): 1}) == {"a": "(Broken)", "(Broken)": 1}


@pytest.mark.parametrize("levels", [DEEPEST // 2, 400, 100_000])
def test_what_is_nested_too_deeply_ends_in_a_word_about_it(levels):
    kept = storable(nested(levels))
    assert ("left out" in json.dumps(kept)) == (levels > DEEPEST // 2)


def test_a_value_that_contains_itself_is_stored_as_far_as_there_is_room():
    value: list[Any] = []
    value += [value, value]
    assert size(storable(value, 10_000)) < 20_000


@pytest.mark.parametrize(
    "large",
    [
        {"run_id": "5f", "stats": {"long": "x" * 10_000_000, "auc": "0.9"}, "outputs": {"a": "b"}},
        {"run_id": "5f", "stats": {"long": [1.5] * 3_000_000, "auc": "0.9"}, "outputs": {"a": "b"}},
        {"run_id": "5f", "stats": {"long": dict.fromkeys(range(900_000)), "auc": "0.9"}, "outputs": {"a": "b"}},
    ],
)
def test_of_a_large_value_what_is_small_stays_whole(large):
    kept = storable(large)
    assert size(kept) <= LARGEST
    assert (kept["run_id"], kept["stats"]["auc"], kept["outputs"]) == ("5f", "0.9", {"a": "b"})
    assert type(kept["stats"]["long"]) is type(large["stats"]["long"])
    assert "left out" in json.dumps(kept["stats"]["long"])


def test_a_large_number_of_entries_says_how_many_are_left_out():
    kept = storable(list(range(1000)), 2000)
    assert kept[-1] == f"{1000 - len(kept) + 1} more are left out"
    assert kept[:-1] == list(range(len(kept) - 1))


def test_a_key_without_end_is_cut():
    kept = storable({"k" * 100_000: 1, "b": 2}, 10_000)
    assert kept["b"] == 2
    assert size(kept) <= 10_000


def test_texts_are_cleaned_in_the_same_way():
    assert storable_text("a\0\udfffb") == "a\ufffd\ufffdb"


def test_the_reserved_keys_are_airflows():
    assert RESERVED_KEYS == FORBIDDEN_XCOM_KEYS
