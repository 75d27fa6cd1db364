"""Masks the secrets in texts of a pipeline, and cuts the texts, before anything keeps them. Standard library only."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote, urlsplit

#: Characters that are kept of a text that a pipeline gives: of an exception, a status, what on_failure() returns.
LONGEST_TEXT = 2_000
#: As in Airflow's own masker: shorter values occur by chance.
SHORTEST_SECRET = 5
MASK = "***"

_SECRET_NAME = re.compile(
    r"PASSW|PASSPHRASE|_PWD|SECRET|TOKEN|API_?KEY|(ACCESS|ACCOUNT|PRIVATE|SIGNING)_?KEY|CREDENTIAL",
    re.IGNORECASE,
)
# The names of variables that say where a secret is, or how it is used.
_NO_SECRET_NAME = re.compile(r"_(FILE|PATH|DIR|HOST|PORT|USER|NAME|TYPE|TTL)$", re.IGNORECASE)
_TRIVIAL = frozenset({"false", "none", "null", "true", "airflow"})

_secrets: set[str] = set()
_pattern: tuple[int, re.Pattern[str]] | None = None


def secrets_in(environment: Mapping[str, str], names: Iterable[str] = ()) -> list[str]:
    """The secrets among the variables of an environment.

    Those are the values of variables whose names say it, such as ``DB_PASSWORD``, and passwords within addresses.

    :param environment: variables by name
    :param names: further variables whose values are secret
    """
    named = set(names)
    found = [value for name, value in environment.items() if name in named or _is_secret_name(name)]
    found += [password for value in environment.values() if (password := _password_of(value))]
    return [value for value in found if is_worth_masking(value)]


def _is_secret_name(name: str) -> bool:
    return bool(_SECRET_NAME.search(name)) and not _NO_SECRET_NAME.search(name)


def is_worth_masking(value: str) -> bool:
    """Whether a secret is long enough, and no common word, so that masking it leaves texts readable."""
    return len(value) >= SHORTEST_SECRET and value.lower() not in _TRIVIAL


def _password_of(address: str) -> str | None:
    if "://" not in address:
        return None
    try:
        return urlsplit(address).password
    except ValueError:
        return None


def keep_secret(values: Iterable[Any]) -> None:
    """Mask these values from now on, in this process and those forked from it later.

    :param values: texts; lists and mappings are taken apart, and anything else is no secret
    """
    _secrets.update(form for value in values for text in _texts(value) for form in _forms(text))


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        value = value.values()
    if isinstance(value, Iterable) and not isinstance(value, bytes):
        return [text for one in value for text in _texts(one)]
    return [str(value)] if isinstance(value, int | float) else []


def _forms(text: str) -> set[str]:
    """A secret as texts contain it: itself, its lines, in an address, and as Python or JSON write it."""
    plain = {text, text.strip(), unquote(text), *(text.splitlines() if "\n" in text else ())}
    written = {write(one) for one in plain for write in (quote, quote_plus, _in_python, json.dumps)}
    return {one for one in plain | {one.strip('"') for one in written} if is_worth_masking(one)}


def _in_python(text: str) -> str:
    return repr(text)[1:-1]


def masked(text: str) -> str:
    """The text with ``***`` for each secret."""
    global _pattern
    if not _secrets:
        return text
    found = _pattern
    if found is None or found[0] != len(_secrets):
        longest_first = sorted(_secrets.copy(), key=len, reverse=True)
        found = _pattern = (len(longest_first), re.compile("|".join(map(re.escape, longest_first))))
    return found[1].sub(MASK, text)


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
