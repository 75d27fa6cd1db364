"""Tell Docker whether a service is healthy: `health.py ADDRESS [COMPONENT]`.

The address must answer; with a component of Airflow, the answer must call that component healthy. This costs a
fraction of `airflow jobs check`, which imports all of Airflow each time.
"""

from __future__ import annotations

import json
import sys
import urllib.request


def main(address: str, component: str | None = None) -> str | None:
    """Ask once.

    :param address: of an HTTP endpoint.
    :param component: as named by Airflow's `/api/v2/monitor/health`.
    :return: what is wrong; None when all is well.
    """
    try:
        with urllib.request.urlopen(address, timeout=8) as answer:  # noqa: S310 - the address is written in the compose file
            health = json.load(answer) if component else {}
    except (OSError, ValueError) as error:
        return f"{address}: {error}"
    status = health.get(component, {}).get("status", "unknown") if component else "healthy"
    return None if status == "healthy" else f"{component} is {status}"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
