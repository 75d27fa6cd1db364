"""Files on this machine's disk or on S3, by their address. Each is written whole or not at all."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any


def is_on_s3(address: str) -> bool:
    """Tell whether an address is ``s3://bucket/key``, which all machines see, and not a path."""
    return address.startswith("s3://")


def size(address: str) -> int:
    """Return the size of a file in bytes."""
    if is_on_s3(address):
        return int(_s3().head_object(**_place(address))["ContentLength"])
    return Path(address).stat().st_size


def read(address: str, begin: int = 0, end: int | None = None) -> bytes:
    """Read the bytes of a file from one place up to another, or up to its end."""
    if is_on_s3(address):
        last = "" if end is None else end - 1
        return bytes(_s3().get_object(**_place(address), Range=f"bytes={begin}-{last}")["Body"].read())
    with Path(address).open("rb") as file:
        file.seek(begin)
        return file.read(-1 if end is None else end - begin)


def write(address: str, data: bytes) -> None:
    """Write a file."""
    if is_on_s3(address):
        _s3().put_object(**_place(address), Body=data)
        return
    path = Path(address)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_bytes(data)
    part.replace(path)


def boto() -> Any:
    """Import boto3, which only files on S3 need."""
    try:
        return import_module("boto3")
    except ModuleNotFoundError as missing:
        what = "install what reaches S3 where this runs: pip install 'airflow-domino[samples]'"
        raise ModuleNotFoundError(f"{missing}; {what}") from missing


def _s3() -> Any:
    return boto().client("s3")


def _place(address: str) -> dict[str, str]:
    bucket, _, key = address.removeprefix("s3://").partition("/")
    return {"Bucket": bucket, "Key": key}
