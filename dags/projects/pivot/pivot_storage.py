"""Files on this machine's disk or on S3, by their address."""

from __future__ import annotations

import os
import threading
from functools import cache
from pathlib import Path
from typing import Any

import luigi
from luigi.format import UTF8


def target(address: str) -> luigi.target.FileSystemTarget:
    """Return the target at ``s3://bucket/key``, or at a path."""
    if not is_on_s3(address):
        return luigi.LocalTarget(address, format=UTF8)
    from luigi.contrib.s3 import S3Target

    return S3Target(address, format=UTF8, client=_s3(os.getpid(), threading.get_ident()))


def is_on_s3(address: str) -> bool:
    """Tell whether every machine with the right credentials can reach the address."""
    return address.startswith("s3://")


@cache
def _s3(process: int, thread: int) -> Any:
    # Made once: it takes longer than a request. Not shared by threads or forked processes: it may not be.
    from luigi.contrib.s3 import S3Client

    return S3Client()


def size(address: str) -> int:
    """Return the size of a file in bytes."""
    if is_on_s3(address):
        return int(target(address).fs.get_key(address).size)
    return Path(address).stat().st_size


def read(address: str, begin: int, end: int) -> bytes:
    """Read the bytes of a file from one place up to another, or up to its end."""
    if is_on_s3(address):
        return target(address).fs.get_key(address).get(Range=f"bytes={begin}-{end - 1}")["Body"].read()
    with Path(address).open("rb") as file:
        file.seek(begin)
        return file.read(end - begin)
