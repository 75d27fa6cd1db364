"""The folder in which a server keeps everything: claimed by one server at a time, its secrets read by nobody else."""

from __future__ import annotations

import fcntl
import os
import secrets
from pathlib import Path
from typing import TextIO


class RootInUseError(RuntimeError):
    """Another server works in the same folder."""


def claim_root(root: Path) -> TextIO:
    """Make the folder where it does not exist, and claim it for this process.

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
        raise RootInUseError(f"another local Domino works in {root}") from error
    return file


def kept_secret(path: Path) -> str:
    """Read a secret from a file that only its owner can read, or make both.

    :param path: the file.
    """
    if path.exists():
        secret = path.read_text(encoding="utf-8").strip()
        if not secret:
            raise ValueError(f"{path} is empty")
        return secret
    path.parent.mkdir(parents=True, exist_ok=True)
    secret = secrets.token_hex(32)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f"{secret}\n")
    return secret
