"""Masks the secrets in texts of a pipeline, and cuts the texts, before anything keeps them. Standard library only."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from typing import Any
from urllib.parse import unquote

#: Characters that are kept of a text that a pipeline gives: of an exception, a status, what on_failure() returns.
LONGEST_TEXT = 2_000
#: As in Airflow's own masker: shorter values occur by chance.
SHORTEST_SECRET = 5
MASK = "***"

_SECRET_NAME = re.compile(
    r"PASSW|PASSPHRASE|_PWD|(^|_)PASS$|SECRET|TOKEN(?!IZ)|API_?KEY|CREDENTIAL|CONNECTION_?STRING"
    r"|(ACCESS|ACCOUNT|ENCRYPTION|FERNET|PRIVATE|SIGNING)_?KEY",
    re.IGNORECASE,
)
# The names of variables that say where a secret is, how it is used, or how many there are.
_NO_SECRET_NAME = re.compile(
    r"_(FILE|PATH|DIR|HOST|PORT|USER|NAME|TYPE|TTL|LENGTH|LIMIT|COUNT|TIMEOUT)$|(^|_)(MAX|MIN|NUM)_", re.IGNORECASE
)
# ``postgres://ada:PASSWORD@host``, ``host=a password=PASSWORD``, ``AccountKey=KEY;``
_PASSWORDS_IN_ADDRESSES = re.compile(
    r"://[^\s/?#:@]*:([^\s/?#]+)@|(?:passw(?:or)?d|pwd|secret|token|account_?key|api_?key)=([^\s&;\"']+)", re.IGNORECASE
)
_ESCAPED = {" ": (r"\+",), "\n": (r"\\+n",), "\r": (r"\\+r",), "\t": (r"\\+t",), "\\": (r"\\+",)}
_TRIVIAL = frozenset({"false", "none", "null", "true", "airflow"})

_PLAIN = re.compile("[A-Za-z0-9]+")

# Each secret, longest first, with its longest part that is written the same everywhere.
_secrets: dict[str, str] = {}


def secrets_in(environment: Mapping[str, str], names: Iterable[str] = ()) -> list[str]:
    """The secrets among the variables of an environment.

    Those are the values of variables whose names say it, such as ``DB_PASSWORD``, and passwords within the
    addresses of any.

    :param environment: variables by name
    :param names: further variables whose values are secret
    """
    named = set(names)
    found = [value for name, value in environment.items() if name in named or _is_secret_name(name)]
    addresses = (_PASSWORDS_IN_ADDRESSES.findall(value) for value in environment.values())
    found += [password for passwords in addresses for either in passwords for password in either]
    return [value for value in found if is_worth_masking(value)]


def _is_secret_name(name: str) -> bool:
    return bool(_SECRET_NAME.search(name)) and not _NO_SECRET_NAME.search(name)


def is_worth_masking(value: str) -> bool:
    """Whether a secret is long enough, and no common word, so that masking it leaves texts readable."""
    return len(value) >= SHORTEST_SECRET and value.lower() not in _TRIVIAL


def keep_secret(values: Iterable[Any]) -> None:
    """Mask these values from now on, in this process and those forked from it later.

    :param values: texts; lists and mappings are taken apart, and anything else is no secret
    """
    global _secrets
    new = {form for value in values for text in _texts(value) for form in _forms(text)} - _secrets.keys()
    if new:
        known = _secrets | {one: max(_PLAIN.findall(one), key=len, default="") for one in new}
        _secrets = dict(sorted(known.items(), key=lambda one: -len(one[0])))


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        value = value.values()
    if isinstance(value, Iterable) and not isinstance(value, bytes):
        return [text for one in value for text in _texts(one)]
    return [str(value)] if isinstance(value, int | float) else []


def _forms(text: str) -> set[str]:
    """A secret with what is as secret: its lines, and what it stands for in an address."""
    forms = {text, text.strip(), unquote(text), *(text.splitlines() if "\n" in text else ())}
    return {one for one in forms if is_worth_masking(one)}


@cache
def _written(character: str) -> str:
    """A pattern for a character as itself and as an address, Python, JSON or HTML write it, more than once perhaps."""
    if character.isascii() and character.isalnum():
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    coded = (
        "".join(f"%(?:25)*{byte:02x}" for byte in character.encode("utf-8", "surrogatepass")),
        "".join(rf"\\+x{byte:02x}" for byte in character.encode("utf-8", "surrogatepass")),
        "".join(rf"\\+u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2)),
        rf"\\+x{ord(character):02x}",
        rf"\\+U{ord(character):08x}",
        re.escape(html.escape(character)),
    )
    plain = (r"\\*" + re.escape(character), *_ESCAPED.get(character, ()))
    return f"(?:{'|'.join(plain)}|(?i:{'|'.join(coded)}))"


@lru_cache(1_000)
def _pattern(secret: str) -> re.Pattern[str]:
    return re.compile("".join(map(_written, secret)))


def masked(text: str) -> str:
    """The text with ``***`` for each secret."""
    for secret in [secret for secret, part in _secrets.items() if part in text]:
        text = _pattern(secret).sub(MASK, text)
    return text


def kept_text(value: Any, longest: int = LONGEST_TEXT) -> str:
    """A text of the pipeline as it may be stored: masked, and without its middle where it is long.

    :param value: anything that can be written
    :param longest: characters that are kept
    """
    try:
        text = masked(str(value))
    except Exception as error:
        return f"(a {type(value).__name__} that cannot be written: {type(error).__name__})"
    more = len(text) - longest
    if more <= 0:
        return text
    return f"{text[: longest // 2]} … ({more} characters cut) … {text[-(longest // 2) :]}"


class MaskedStream(io.TextIOWrapper):
    """An output that masks what is written to it.

    :param stream: the output so far, whose bytes are written through
    """

    def __init__(self, stream: io.TextIOWrapper) -> None:
        super().__init__(stream.buffer, stream.encoding, stream.errors, line_buffering=True)

    def write(self, text: str) -> int:
        """Write a text; a secret that is written in several parts is not recognized."""
        super().write(masked(text))
        return len(text)
