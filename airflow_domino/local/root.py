"""The folder in which a server keeps everything: claimed by one server at a time, its secrets read by nobody else."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

_FOLDERS = ("projects", "repositories", "layers", "work", "logs", "datasets")
DATABASE = "state.sqlite"


class RootInUseError(RuntimeError):
    """Another server works in the same folder."""


class EmptySecretError(ValueError):
    """The file of a secret is there and holds nothing."""


def claim_root(root: Path) -> TextIO:
    """Make the folder where it does not exist, and claim it for this process.

    What is kept in it is closed to everybody else, also where the folder itself was there before and is open.

    :param root: the folder.
    :return: an open file; the claim lasts until it is closed.
    :raises RootInUseError: when another process has claimed the folder.
    """
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = (root / "lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise RootInUseError(
            f"another local Domino works in {root}; end that one, or give this one another --root"
        ) from error
    for name in _FOLDERS:
        (root / name).mkdir(exist_ok=True)
        (root / name).chmod(0o700)
    _sweep(root)
    (root / DATABASE).touch()
    (root / DATABASE).chmod(0o600)
    return file


def _sweep(root: Path) -> None:
    """Remove what a server that was killed has left unfinished; nobody else works in the folder now."""
    for upload in root.glob("tmp*"):
        if upload.is_file():
            upload.unlink()
    # A change of a repository that was cut short would keep every later one away.
    for repository in (*root.glob("projects/*.git"), *root.glob("repositories/*.git")):
        for lock in (*repository.glob("*.lock"), *repository.glob("refs/**/*.lock")):
            lock.unlink()


def kept_secret(path: Path, make: Callable[[], str] = lambda: secrets.token_hex(32)) -> str:
    """Read a secret from a file that only its owner can read, or make both.

    :param path: the file.
    :param make: makes the secret.
    :raises EmptySecretError: when the file is there and holds nothing.
    """
    if path.exists():
        secret = path.read_text(encoding="utf-8").strip()
        if not secret:
            raise EmptySecretError(f"{path} is empty; write a secret into it, or delete it to have a new one")
        return secret
    path.parent.mkdir(parents=True, exist_ok=True)
    secret = make()
    # It gets its name when it is whole, so that an interruption leaves no empty secret.
    unfinished = path.with_name(f"{path.name}.new")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f"{secret}\n")
    unfinished.replace(path)
    return secret
