"""Tell Docker whether a service is healthy: `health.py ADDRESS [COMPONENT]`, or `health.py celery`.

The address must answer; with a component of Airflow, the answer must call that component healthy. This container's
Celery worker must answer a ping. It costs a fraction of Airflow's own commands, which import all of Airflow each time.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import urllib.request


def main(what: str, component: str | None = None) -> str | None:
    """Ask once.

    :param what: address of an HTTP endpoint, or `celery`.
    :param component: as named by Airflow's `/api/v2/monitor/health`.
    :return: what is wrong; None when all is well.
    """
    return _ask_celery() if what == "celery" else _ask(what, component)


def _ask_celery() -> str | None:
    from celery import Celery

    worker = f"celery@{socket.gethostname()}"
    answers = Celery(broker=os.environ["AIRFLOW__CELERY__BROKER_URL"]).control.ping([worker], timeout=10)
    return None if answers else f"{worker} does not answer"


def _ask(address: str, component: str | None) -> str | None:
    try:
        with urllib.request.urlopen(address, timeout=8) as answer:  # noqa: S310 - the address is written in the compose file
            health = json.load(answer) if component else {}
    except (OSError, ValueError) as error:
        return f"{address}: {error}"
    status = health.get(component, {}).get("status", "unknown") if component else "healthy"
    return None if status == "healthy" else f"{component} is {status}"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
