"""Airflow and the local Domino as their users reach them: over HTTP, with nothing but the standard library."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from engine import TroubleError

Value = TypeVar("Value")
FINISHED = ("success", "failed")


def call(method: str, address: str, *, body: Any = None, token: str | None = None) -> Any:
    """Send one request, and return the JSON of its answer.

    :raises TroubleError: for an answer of 400 and above, and where nobody answers
    """
    content = _send(method, address, body, token)
    return json.loads(content) if content else None


def _send(method: str, address: str, body: Any, token: str | None) -> bytes:
    headers = {"Accept": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    data = None
    if body is not None:
        headers["Content-Type"] = "application/json"
        data = json.dumps(body).encode()
    request = urllib.request.Request(address, data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        raise TroubleError(f"{method} {address}: {error.code} {error.read()[:500].decode(errors='replace')}") from error
    except OSError as error:
        raise TroubleError(f"{method} {address}: {error}") from error


def until(value: Callable[[], Value | None], what: str, timeout: float) -> Value:
    """Ask again and again until there is a true value, and return it.

    :param what: what is waited for, in words
    :param timeout: seconds
    :raises TroubleError: when there is none by then
    """
    deadline = time.monotonic() + timeout
    while not (found := value()):
        if time.monotonic() > deadline:
            raise TroubleError(f"waited {timeout:.0f} s in vain: {what}")
        time.sleep(1)
    return found


class Airflow:
    """Airflow's REST API as its administrator.

    :param url: of the api-server
    :param password: of the user admin
    """

    def __init__(self, url: str, password: str) -> None:
        self.url = url
        answer = call("POST", f"{url}/auth/token", body={"username": "admin", "password": password})
        self._token = answer["access_token"]

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """Call a route of ``/api/v2``."""
        return call(method, f"{self.url}/api/v2{path}", body=body, token=self._token)

    def page(self, path: str) -> str:
        """Read a page."""
        return _send("GET", f"{self.url}{path}", None, self._token).decode()

    def wait_for_dags(self, dag_ids: Collection[str], timeout: float = 300) -> None:
        """Wait until DAGs have been parsed; a DAG file that does not import is an error at once."""

        def parsed() -> bool:
            broken = self.api("GET", "/importErrors")["import_errors"]
            if broken:
                raise TroubleError(f"{broken[0]['filename']} does not import:\n{broken[0]['stack_trace']}")
            there = {dag["dag_id"] for dag in self.api("GET", "/dags?limit=1000")["dags"]}
            return set(dag_ids) <= there

        until(parsed, f"the DAGs {', '.join(sorted(dag_ids))}", timeout)

    def trigger(self, dag_id: str) -> str:
        """Trigger a DAG, and unpause it.

        :return: the id of the DAG run
        """
        run_id = self.api("POST", f"/dags/{dag_id}/dagRuns", {"logical_date": None})["dag_run_id"]
        self.api("PATCH", f"/dags/{dag_id}", {"is_paused": False})
        return str(run_id)

    def tasks(self, dag_id: str, run_id: str) -> dict[str, dict[str, Any]]:
        """Read the task instances of a DAG run, by task id."""
        path = f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances"
        return {task["task_id"]: task for task in self.api("GET", path)["task_instances"]}

    def wait_for_success(self, dag_id: str, run_id: str, timeout: float) -> dict[str, dict[str, Any]]:
        """Wait for the end of a DAG run.

        :return: its task instances
        :raises TroubleError: when it fails, with the ends of the logs of its failed tasks, or takes too long
        """
        path = f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}"

        def ended() -> str | None:
            state = self.api("GET", path)["state"]
            return str(state) if state in FINISHED else None

        try:
            state = until(ended, f"the end of the DAG run of {dag_id}", timeout)
        except TroubleError as error:
            states = {name: task["state"] for name, task in self.tasks(dag_id, run_id).items()}
            raise TroubleError(f"{error}; its tasks: {states}") from error
        tasks = self.tasks(dag_id, run_id)
        if state != "success":
            failed = [task for task in tasks.values() if task["state"] == "failed"]
            raise TroubleError(f"{dag_id} has failed\n" + "\n".join(self.log(dag_id, run_id, task) for task in failed))
        return tasks

    def log(self, dag_id: str, run_id: str, task: Mapping[str, Any], lines: int = 40) -> str:
        """Read the end of the log of a task's latest attempt."""
        where = f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task['task_id']}"
        try:
            content = self.api("GET", f"{where}/logs/{task['try_number']}?full_content=true")["content"]
        except TroubleError as error:
            return f"---- {task['task_id']}: no log: {error}"
        said = [str(entry.get("event", entry)) if isinstance(entry, dict) else str(entry) for entry in content]
        return "\n".join([f"---- {task['task_id']}, attempt {task['try_number']}", *said[-lines:]])


class LocalDomino:
    """The local Domino's own account of what it was asked to do.

    :param url: where it listens
    :param token: of its user
    """

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token

    def ledger(self, event: str, **wanted: str) -> list[dict[str, Any]]:
        """List what has happened: entries of a kind, such as ``start``, in order."""
        query = urlencode({"event": event, **wanted})
        return list(call("GET", f"{self._url}/_local/ledger?{query}", token=self._token)["entries"])

    def starts(self, task: str) -> list[dict[str, Any]]:
        """List the starts of runs that belong to a task.

        :param task: DAG id and task id, with a point between
        """
        return [entry for entry in self.ledger("start") if (entry.get("title") or "").startswith(f"{task} [")]

    def states(self, run_id: str) -> list[str]:
        """List the states that a run has gone through."""
        return [entry["to"] for entry in self.ledger("state", run=run_id)]
