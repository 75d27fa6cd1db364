"""Tokens: requests prove by them who sent them. They are looked up by hash, in memory: each request brings one."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
from dataclasses import asdict, dataclass, replace

from airflow_domino.local.clock import now_ms
from airflow_domino.local.database import Database
from airflow_domino.local.ids import named_object_id, new_object_id

KEY = "key"
PERSONAL = "personal access token"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS tokens (id TEXT PRIMARY KEY, owner TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL,
    description TEXT NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER, is_valid INTEGER NOT NULL);
"""


@dataclass(frozen=True)
class Token:
    """What is known about a token; its text is not part of it.

    :param id: its id, of 24 hexadecimal digits.
    :param owner: name of the person on whose behalf it acts.
    :param kind: :data:`KEY` or :data:`PERSONAL`.
    :param name: the name that its owner gave it.
    :param description: what its owner said about it.
    :param created_at: epoch milliseconds.
    :param expires_at: epoch milliseconds; None for never.
    :param is_valid: whether nobody has invalidated it.
    """

    id: str
    owner: str
    kind: str
    name: str
    description: str
    created_at: int
    expires_at: int | None = None
    is_valid: bool = True

    @property
    def is_expired(self) -> bool:
        """Whether its time is over."""
        return self.expires_at is not None and self.expires_at <= now_ms()

    @property
    def is_accepted(self) -> bool:
        """Whether a request may still bring it."""
        return self.is_valid and not self.is_expired


class Tokens:
    """All tokens, except those of executing runs.

    The text of a token that was made here is computed from its id and a secret of the server, so that it is stored
    nowhere. Keys that the settings name are kept in memory alone.

    :param database: where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.RLock()
        database.create(_SCHEMA)
        self._secret = database.setting("token secret", lambda: secrets.token_urlsafe(32)).encode()
        self._by_hash: dict[bytes, Token] = {}
        self._hashes: dict[str, bytes] = {}
        # Keys of the settings, which the database does not have.
        self._named: dict[bytes, Token] = {}
        self.load()

    def load(self) -> None:
        """Read all tokens from the database again."""
        with self._lock:
            self._by_hash = dict(self._named)
            self._hashes = {token.id: digest for digest, token in self._named.items()}
            # Earlier versions had tokens of other kinds, whose owners are not there any more.
            for row in self._database.rows("SELECT * FROM tokens WHERE kind IN (?, ?) ORDER BY rowid", (KEY, PERSONAL)):
                token = Token(**{**dict(row), "is_valid": bool(row["is_valid"])})
                self._know(self.text(token), token)

    def _know(self, text: str, token: Token) -> None:
        digest = _hash(text)
        self._by_hash[digest] = token
        self._hashes[token.id] = digest

    def text(self, token: Token) -> str:
        """Give the text of a token that was made here."""
        proof = hmac.new(self._secret, token.id.encode(), hashlib.sha256).hexdigest()
        return f"dl_{token.id}{proof}"

    # Looking up

    def of_text(self, text: str) -> Token | None:
        """Look a token up by what a request brought; it may have expired, or have been invalidated."""
        return self._by_hash.get(_hash(text))

    def find(self, token_id: str) -> Token | None:
        """Look a token up by its id."""
        digest = self._hashes.get(token_id)
        return None if digest is None else self._by_hash.get(digest)

    def listed(self, kind: str, owner: str | None = None) -> list[Token]:
        """List tokens of a kind, oldest first.

        :param owner: only those of this person; None for everybody's.
        """
        with self._lock:
            found = list(self._by_hash.values())
        return [token for token in found if token.kind == kind and owner in (None, token.owner)]

    # Making and changing

    def keep(self, owner: str, text: str) -> Token:
        """Accept a key that the settings of the server name, for as long as it serves.

        :param owner: whose key.
        :param text: the key.
        :raises ValueError: when it is somebody else's key already.
        """
        with self._lock:
            known = self._by_hash.get(_hash(text))
            if known is not None and known.owner != owner:
                raise ValueError(f"{owner} and {known.owner} must not have the same token; give each one of their own")
            key_id = named_object_id("key", f"{owner}/{_hash(text).hex()}")
            token = Token(key_id, owner, KEY, "key", "", now_ms())
            self._named[_hash(text)] = token
            self._know(text, token)
        return token

    def make(self, owner: str, kind: str, name: str, description: str = "", life: float | None = None) -> Token:
        """Make a token.

        :param owner: on whose behalf it acts.
        :param kind: :data:`KEY` or :data:`PERSONAL`.
        :param name: its name.
        :param description: more about it.
        :param life: seconds until it expires; None for never.
        """
        now = now_ms()
        expires_at = None if life is None else now + round(life * 1000)
        return self._save(Token(new_object_id(), owner, kind, name, description, now, expires_at))

    def _save(self, token: Token) -> Token:
        with self._lock:
            if token.id not in self._hashes or self.is_kept(token):
                with self._database.transaction() as connection:
                    connection.execute(
                        "INSERT INTO tokens VALUES (:id, :owner, :kind, :name, :description, :created_at, :expires_at, "
                        ":is_valid) ON CONFLICT (id) DO UPDATE SET expires_at = :expires_at, is_valid = :is_valid",
                        asdict(token),
                    )
            digest = self._hashes.get(token.id)
            if digest is None:
                self._know(self.text(token), token)
            else:
                self._by_hash[digest] = token
        return token

    def is_kept(self, token: Token) -> bool:
        """Tell whether a token is known after a restart without being named in the settings again."""
        return self._hashes.get(token.id) == _hash(self.text(token))

    def expire(self, token: Token) -> Token:
        """Let the time of a token be over now."""
        return self._save(replace(token, expires_at=now_ms()))


# The text of a token that was made here.
MADE_TOKEN = re.compile(r"dl_[0-9a-f]{88}")


def checked_text(text: str) -> str:
    """Give the text of a token back that requests can bring.

    :raises ValueError: when no header can have it in it; the message has not.
    """
    if not (text.isascii() and text.isprintable() and text.strip() == text and text):
        raise ValueError("the token must be printable ASCII without spaces around it, and not empty")
    return text


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
