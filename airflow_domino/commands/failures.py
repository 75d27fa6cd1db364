"""How an error becomes a message and an exit code."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_domino.domino.errors import (
    ConfigurationError,
    DominoError,
    DominoUnavailableError,
    RequestError,
    RunError,
    RunWaitTimeoutError,
)

NOT_WELL = 1
WRONG_SETTINGS = 2
UNAVAILABLE = 3
REFUSED = 4

#: Packages that only an extra of this one brings, and which.
EXTRAS = {"pygit2": "local", "psutil": "local", "libcst": "migrate"}

_EXIT_CODES: tuple[tuple[type[DominoError], int], ...] = (
    (RunError, NOT_WELL),
    (RunWaitTimeoutError, NOT_WELL),
    (ConfigurationError, WRONG_SETTINGS),
    (DominoUnavailableError, UNAVAILABLE),
    (RequestError, REFUSED),
)


class CommandError(Exception):
    """A sub-command cannot do what was asked; the text says what to change.

    :param message: for the user
    :param exit_code: of the process
    """

    def __init__(self, message: str, exit_code: int = WRONG_SETTINGS) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True)
class Explanation:
    """What the user is told, and the exit code of the process."""

    message: str
    exit_code: int


def explain(error: Exception) -> Explanation | None:
    """Explain an error that the user, Domino or the file system is the cause of; None for a fault of this program."""
    if isinstance(error, CommandError):
        return Explanation(str(error), error.exit_code)
    for kind, exit_code in _EXIT_CODES:
        if isinstance(error, kind):
            return Explanation(str(error), exit_code)
    if isinstance(error, ModuleNotFoundError) and (extra := EXTRAS.get((error.name or "").partition(".")[0])):
        return Explanation(f"{error.name} is missing: pip install 'airflow-domino[{extra}]'", WRONG_SETTINGS)
    if isinstance(error, OSError) and error.filename:
        return Explanation(
            f"{error.filename}: {error.strerror}; check the path, and what this user may do there", WRONG_SETTINGS
        )
    return None
