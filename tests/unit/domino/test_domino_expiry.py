"""When credentials expire, and what people are told."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from airflow_domino.domino.auth import ApiKey, ApiProxy, BearerToken, TokenFile
from airflow_domino.domino.expiry import Expiry, expiry_of, jwt_expiry, personal_token_expiry
from airflow_domino.domino.models import PersonalToken

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def jwt(**claims):
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'RS256'})}.{part(claims)}.c2lnbmF0dXJl"


def in_days(days: float) -> float:
    return (NOW + timedelta(days=days)).timestamp()


def test_a_jwt_tells_when_it_expires():
    assert jwt_expiry(jwt(exp=in_days(3))) == NOW + timedelta(days=3)
    assert jwt_expiry(f"Bearer {jwt(exp=in_days(3))}") == NOW + timedelta(days=3)


@pytest.mark.parametrize(
    "token",
    ["opaque", "", "a.b", "a.b.c", "a.!!.c", jwt(), jwt(exp=None), jwt(exp="soon"), jwt(exp=-5), jwt(exp=1e300)],
)
def test_what_is_no_jwt_or_does_not_say_is_no_trouble(token):
    assert jwt_expiry(token) is None


def test_a_token_goes_before_what_was_noted_and_keys_have_only_that():
    noted = NOW + timedelta(days=100)
    assert expiry_of(BearerToken(jwt(exp=in_days(3))), noted) == Expiry(NOW + timedelta(days=3))
    assert expiry_of(BearerToken("opaque"), noted) == Expiry(noted)
    assert expiry_of(ApiKey("key"), noted) == Expiry(noted)
    assert expiry_of(ApiKey("key")) is None
    assert expiry_of(ApiProxy("localhost:8899")) is None


def test_a_file_that_somebody_keeps_fresh_is_told_of_only_when_that_has_stopped(tmp_path):
    file = tmp_path / "token"
    file.write_text(jwt(exp=in_days(0.001)))
    expiry = expiry_of(TokenFile(file))
    assert expiry.warning(now=NOW) is None
    assert "what keeps the file fresh has stopped" in expiry.warning(now=NOW + timedelta(hours=2))


def test_a_file_that_cannot_be_read_is_left_to_whoever_uses_it(tmp_path):
    assert expiry_of(TokenFile(tmp_path / "missing")) is None


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (20, None),
        (13.5, "expires on 2026-03-15 00:00 UTC, in 13 days: make a new one"),
        (0.5, "in 12 hours"),
        (1 / 24, "in 1 hour:"),
        (0.0001, "in less than a minute"),
        (-2, "expired on 2026-02-27 12:00 UTC, 2 days ago: make a new one"),
    ],
)
def test_people_are_told_in_time_and_not_before(days, words):
    warning = Expiry(NOW + timedelta(days=days), "The token of the connection 'x'").warning(14, NOW)
    assert (warning is None) is (words is None)
    assert words is None or (words in warning and warning.startswith("The token of the connection 'x' "))


def test_who_wants_no_warning_before_gets_none_before():
    assert Expiry(NOW + timedelta(hours=1)).warning(0, NOW) is None
    assert Expiry(NOW - timedelta(hours=1)).warning(0, NOW) is not None


def listing(*tokens):
    return SimpleNamespace(personal_tokens=lambda: list(tokens))


def test_domino_tells_which_personal_token_expires_first():
    soon, late = datetime.now(UTC) + timedelta(days=5), datetime.now(UTC) + timedelta(days=50)
    gone = datetime.now(UTC) - timedelta(days=1)
    tokens = [
        PersonalToken("late", True, late),
        PersonalToken("soon", True, soon),
        PersonalToken("revoked", False, datetime.now(UTC) + timedelta(days=1)),
        PersonalToken("gone", True, gone),
        PersonalToken("endless"),
    ]
    expiry = personal_token_expiry(listing(*tokens))
    assert expiry.at == soon
    assert expiry.what == "The personal access token 'soon' of this user, the first of 2 to do so,"
    assert personal_token_expiry(listing(PersonalToken("endless"))) is None


def test_a_representation_never_shows_the_token():
    token = BearerToken(jwt(exp=in_days(3), secret="s3cret"))
    assert jwt(exp=in_days(3), secret="s3cret") not in repr(token) + repr(expiry_of(token))
