"""Prepare a deployment once: bring Airflow's database to this version, and write down the administrator's password.

Airflow's SimpleAuthManager reads passwords from a file; the password itself comes from the environment.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path


def main() -> None:
    """Run both steps; either may be repeated at will."""
    subprocess.run(["airflow", "db", "migrate"], check=True)
    passwords = Path(os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
    passwords.touch(mode=0o600)
    passwords.write_text(json.dumps({"admin": os.environ["AIRFLOW_ADMIN_PASSWORD"]}))


if __name__ == "__main__":
    main()
