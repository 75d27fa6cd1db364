"""Tokens of the local Domino: found by their hash, stored nowhere, good until they expire or are taken back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_domino.local.clock import CLOCK
from airflow_domino.local.database import Database
from airflow_domino.local.tokens import KEY, PERSONAL, Tokens, checked_text


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "tokens.sqlite")
    yield database
    database.close()


@pytest.fixture(autouse=True)
def clock_as_before() -> Iterator[None]:
    yield
    CLOCK.reset()


def test_a_token_is_found_by_its_text(database):
    tokens = Tokens(database)
    token = tokens.make("ada", PERSONAL, "first", "for a test", 60)
    assert tokens.of_text(tokens.text(token)) == token
    assert tokens.of_text(tokens.text(token)[:-1]) is None
    assert tokens.of_text("") is None


def test_a_token_expires(database):
    tokens = Tokens(database)
    text = tokens.text(tokens.make("ada", PERSONAL, "first", life=60))
    assert tokens.of_text(text).is_accepted
    CLOCK.advance(61)
    assert tokens.of_text(text).is_expired
    assert not tokens.of_text(text).is_accepted


def test_the_time_of_a_token_can_be_ended(database):
    tokens = Tokens(database)
    token = tokens.make("ada", PERSONAL, "first", life=60)
    assert tokens.expire(token).is_expired


def test_tokens_are_good_after_a_restart_as_they_were(database):
    tokens = Tokens(database)
    kept, expired = (tokens.make("ada", PERSONAL, name) for name in ("kept", "expired"))
    tokens.expire(expired)
    again = Tokens(database)
    assert again.of_text(tokens.text(kept)) == kept
    assert not again.of_text(tokens.text(expired)).is_accepted


def test_no_text_of_a_token_is_stored(database, tmp_path):
    tokens = Tokens(database)
    texts = [tokens.text(tokens.make("ada", PERSONAL, "first")), "a-key-of-the-settings"]
    tokens.keep("ada", texts[1])
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert [text for text in texts if text.encode() in stored] == []


def test_keys_of_the_settings_outlive_reading_the_database_again(database):
    tokens = Tokens(database)
    key = tokens.keep("ada", "a-key-of-the-settings")
    tokens.load()
    assert tokens.of_text("a-key-of-the-settings") == key
    assert tokens.find(key.id) == key


def test_two_people_cannot_have_the_same_key(database):
    tokens = Tokens(database)
    tokens.keep("ada", "the-same")
    tokens.keep("ada", "the-same")
    with pytest.raises(ValueError, match="ada"):
        tokens.keep("bob", "the-same")


def test_tokens_are_listed_by_sort_and_owner(database):
    tokens = Tokens(database)
    tokens.keep("ada", "key")
    for owner, kind in (("ada", PERSONAL), ("bob", PERSONAL)):
        tokens.make(owner, kind, f"of {owner}")
    assert [token.name for token in tokens.listed(PERSONAL)] == ["of ada", "of bob"]
    assert [token.name for token in tokens.listed(PERSONAL, "bob")] == ["of bob"]
    assert [token.owner for token in tokens.listed(KEY)] == ["ada"]


@pytest.mark.parametrize("text", ["", " a", "a\n", "ü", "a\tb"])
def test_a_text_that_no_header_can_have_is_no_token(text):
    with pytest.raises(ValueError, match="printable ASCII"):
        checked_text(text)
