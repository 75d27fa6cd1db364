"""Write `.env` from `.env.example`, with a fresh secret for every empty value: `make env`."""

from __future__ import annotations

import base64
import os
import re
import secrets
import sys
from pathlib import Path

EMPTY = re.compile(r"^([A-Z_]+)=$", re.MULTILINE)


def filled(example: str) -> str:
    """Fill in the empty values of a settings file, and the local Domino's token where the connection says TOKEN.

    :param example: text of `.env.example`
    """
    values = {name: _secret(name) for name in EMPTY.findall(example)}
    text = EMPTY.sub(lambda found: f"{found[1]}={values[found[1]]}", example)
    return text.replace('"password": "TOKEN"', f'"password": "{values["LOCAL_DOMINO_TOKEN"]}"')


def _secret(name: str) -> str:
    if name == "AIRFLOW_FERNET_KEY":
        return base64.urlsafe_b64encode(os.urandom(32)).decode()
    return secrets.token_urlsafe(32)


def main(folder: Path) -> int:
    """Write the file, readable by its owner alone; leave one that is there as it is."""
    path = folder / ".env"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        print(f"{path} is there already; delete it to have new secrets", file=sys.stderr)  # noqa: T201
        return 1
    with os.fdopen(descriptor, "w") as file:
        file.write(filled((folder / ".env.example").read_text()))
    print(f"Wrote {path}. Airflow's user is admin; the password is AIRFLOW_ADMIN_PASSWORD in it")  # noqa: T201
    return 0


if __name__ == "__main__":
    raise SystemExit(main(Path(__file__).resolve().parents[1]))
