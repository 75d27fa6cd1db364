"""When a credential expires, and how to say so before it does.

Three sources, in this order: the token itself, where it is a JWT; the day that somebody has noted beside it; and
Domino, which lists the tokens of its users. API keys do not expire.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_domino.domino.errors import DominoError
from airflow_domino.domino.lenient import mapping, number, parse_time

if TYPE_CHECKING:
    from airflow_domino.domino.client import DominoClient

WARNING_DAYS = 14.0
"""How long before its end people are told, unless they choose otherwise."""

_DAY = 86400.0
_HOUR = 3600.0


def jwt_expiry(token: str) -> datetime | None:
    """Read when a token expires (`exp`); None for one that is no JWT, or does not say.

    Nothing is verified: Domino does that, here it is only told in time.

    :param token: with or without "Bearer " before it.
    """
    parts = token.removeprefix("Bearer ").split(".")
    if len(parts) != 3:
        return None
    payload = parts[1]
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return None
    seconds = number(mapping(claims).get("exp"))
    return parse_time(seconds * 1000) if seconds > 0 else None


@dataclass(frozen=True)
class Expiry:
    """When a credential expires.

    :param at: the moment.
    :param what: what expires, such as "The token of the connection 'domino_default'".
    :param is_renewed: whether somebody else keeps it fresh, so that an end that is near means nothing.
    """

    at: datetime
    what: str = "The token"
    is_renewed: bool = False

    def seconds_left(self, now: datetime | None = None) -> float:
        """Return how long it still lives; negative when it is over."""
        return (self.at - (now or datetime.now(UTC))).total_seconds()

    def sentence(self, now: datetime | None = None) -> str:
        """Say when that is or was."""
        seconds = self.seconds_left(now)
        day = f"{self.at:%Y-%m-%d %H:%M} UTC"
        if seconds < 0:
            return f"{self.what} expired on {day}, {_span(-seconds)} ago"
        return f"{self.what} expires on {day}, in {_span(seconds)}"

    def warning(self, days: float = WARNING_DAYS, now: datetime | None = None) -> str | None:
        """Say what to do, where it is time to do something; None while it is not.

        :param days: how long before its end there is something to say; 0 for not before.
        """
        seconds = self.seconds_left(now)
        if seconds < 0:
            who = "what keeps the file fresh has stopped" if self.is_renewed else "make a new one in Domino"
            return f"{self.sentence(now)}: {who}"
        if self.is_renewed or seconds > days * _DAY:
            return None
        return f"{self.sentence(now)}: make a new one in Domino before that, and put it into the connection"


def _span(seconds: float) -> str:
    for length, word in ((_DAY, "day"), (_HOUR, "hour"), (60.0, "minute")):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {word}{'s' if count > 1 else ''}"
    return "less than a minute"


def expiry_of(credentials: object, noted: datetime | None = None, what: str = "The token") -> Expiry | None:
    """Find out when credentials expire, without asking anybody.

    :param credentials: of :mod:`airflow_domino.domino.auth`.
    :param noted: when they expire according to whoever wrote them down.
    :param what: what expires, for sentences.
    """
    try:
        at: datetime | None = getattr(credentials, "expires_at", None)
    except DominoError:
        # A file that cannot be read: whoever uses it is told.
        at = None
    if at is not None:
        return Expiry(at, what, is_renewed=hasattr(credentials, "path"))
    return None if noted is None else Expiry(noted, what)


def personal_token_expiry(client: DominoClient) -> Expiry | None:
    """Ask Domino which of the user's personal access tokens expires first; None where it has none, or does not tell.

    Which of them the client uses, Domino does not say.

    :raises DominoError: when Domino cannot be asked.
    """
    now = datetime.now(UTC)
    valid = (token for token in client.personal_tokens() if token.is_valid)
    ahead = [(at, token.name) for token in valid if (at := token.expires_at) is not None and at > now]
    if not ahead:
        return None
    at, name = min(ahead)
    of_several = "" if len(ahead) == 1 else f", the first of {len(ahead)} to do so"
    return Expiry(at, f"The personal access token {name!r} of this user{of_several},")
