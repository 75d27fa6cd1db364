"""The few calls to Airflow's REST API that starting, following and reading DAG runs needs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

import requests

FINISHED_STATES = frozenset({"success", "failed"})


class AirflowApiError(Exception):
    """Airflow refused a request, or did not reach the state that was waited for."""


# SQLite refuses to write at once where another process wrote since this one read; Airflow has undone all by then.
_PAUSES = (0.2, 0.4, 0.8, 1.6, 3.2)


def _is_database_busy(answer: requests.Response) -> bool:
    return answer.status_code == 500 and "Database error" in answer.text


class AirflowApi:
    """Airflow's REST API as one user.

    :param url: root of the api-server, such as ``http://127.0.0.1:8080``
    :param user: name and password for ``POST /auth/token``; None where everybody is an administrator
    """

    def __init__(self, url: str, user: tuple[str, str] | None = None) -> None:
        self.url = url.rstrip("/")
        self._user = user
        self._session = requests.Session()

    def call(self, method: str, path: str, *, body: Any = None, query: Mapping[str, Any] | None = None) -> Any:
        """Send one request and return the JSON of its answer (None when it has none).

        :raises AirflowApiError: with Airflow's own reason, for an answer of 400 and above
        """
        if "Authorization" not in self._session.headers:
            self._session.headers["Authorization"] = f"Bearer {self._token()}"
        for pause in (*_PAUSES, None):
            answer = self._session.request(method, f"{self.url}/api/v2{path}", json=body, params=query, timeout=60)
            if pause is None or not _is_database_busy(answer):
                break
            time.sleep(pause)
        if answer.status_code >= 400:
            raise AirflowApiError(
                f"Airflow answered {answer.status_code} to {method} {path}; the log of its api-server may tell more "
                f"than it said: {answer.text[:2000]}"
            )
        return answer.json() if answer.content else None

    def _token(self) -> str:
        if self._user is None:
            answer = self._session.get(f"{self.url}/auth/token", timeout=30)
        else:
            name, password = self._user
            credentials = {"username": name, "password": password}
            answer = self._session.post(f"{self.url}/auth/token", json=credentials, timeout=30)
        if answer.status_code >= 400:
            raise AirflowApiError(
                f"Airflow at {self.url} gave no token: {answer.status_code} {answer.text[:500]}; check the "
                "user and the password"
            )
        return str(answer.json()["access_token"])

    def health(self) -> dict[str, str]:
        """Tell the state of each component, such as ``{"scheduler": "healthy"}``."""
        answer = self._session.get(f"{self.url}/api/v2/monitor/health", timeout=5)
        answer.raise_for_status()
        return {name: str(part.get("status")) for name, part in answer.json().items() if isinstance(part, dict)}

    def import_errors(self) -> dict[str, str]:
        """List the DAG files that do not import, with their tracebacks."""
        errors = self.call("GET", "/importErrors")["import_errors"]
        return {error["filename"]: error["stack_trace"] for error in errors}

    def wait_for_dags(self, dag_ids: Sequence[str], timeout: float = 120) -> None:
        """Wait until DAGs have been parsed.

        :param timeout: seconds
        :raises AirflowApiError: when one is not there by then; the import errors are in its text
        """
        wanted = set(dag_ids)

        def all_there() -> bool:
            return wanted <= {dag["dag_id"] for dag in self.call("GET", "/dags", query={"limit": 1000})["dags"]}

        if not _until(all_there, timeout):
            broken = "\n".join(f"{name}: {trace}" for name, trace in self.import_errors().items())
            raise AirflowApiError(
                f"the DAGs {', '.join(sorted(wanted))} were not all found in {timeout:.0f} s; correct what their files "
                f"say, if anything:\n{broken}"
            )

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None, run_id: str | None = None) -> str:
        """Trigger a DAG, and unpause it.

        :return: the run id of the new DAG run
        """
        body: dict[str, Any] = {"logical_date": None, "conf": dict(conf or {})}
        if run_id:
            body["dag_run_id"] = run_id
        triggered = str(self.call("POST", f"/dags/{dag_id}/dagRuns", body=body)["dag_run_id"])
        # Only now, so that a run which the schedule has due at once does not come first.
        self.call("PATCH", f"/dags/{dag_id}", body={"is_paused": False})
        return triggered

    def dag_run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """Read a DAG run."""
        return dict(self.call("GET", f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}"))

    def end_dag_runs(self, dag_id: str, queued_before: datetime) -> list[str]:
        """Fail the DAG runs that were queued before a moment and are not over.

        What a killed Airflow was running is held to be alive for five minutes, and keeps new runs waiting so long.

        :return: their run ids
        """
        query = {"state": ["queued", "running"], "limit": 100}
        runs = self.call("GET", f"/dags/{dag_id}/dagRuns", query=query)["dag_runs"]
        left = [run["dag_run_id"] for run in runs if datetime.fromisoformat(run["queued_at"]) < queued_before]
        for run_id in left:
            self.call("PATCH", f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}", body={"state": "failed"})
        return left

    def wait_for_dag_run(self, dag_id: str, run_id: str, timeout: float = 300) -> str:
        """Wait for the end of a DAG run.

        :param timeout: seconds
        :return: its final state, ``success`` or ``failed``
        :raises AirflowApiError: when it has not ended by then
        """
        if not _until(lambda: self.dag_run(dag_id, run_id)["state"] in FINISHED_STATES, timeout):
            states = {task["task_id"]: task["state"] for task in self.task_instances(dag_id, run_id)}
            raise AirflowApiError(
                f"the DAG run {dag_id} {run_id} has not ended in {timeout:.0f} s; look at its tasks in "
                f"Airflow: {states}"
            )
        return str(self.dag_run(dag_id, run_id)["state"])

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """List the task instances of a DAG run."""
        path = f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances"
        return list(self.call("GET", path, query={"limit": 1000})["task_instances"])

    def task_instance(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> dict[str, Any]:
        """Read one task instance."""
        return dict(self.call("GET", self._task_path(dag_id, run_id, task_id, map_index)))

    def wait_for_task(
        self, dag_id: str, run_id: str, task_id: str, states: Sequence[str], timeout: float = 120, map_index: int = -1
    ) -> str:
        """Wait until a task instance is in one of some states.

        :return: the state it is in
        :raises AirflowApiError: when it is in none of them after ``timeout`` seconds
        """
        seen: list[str | None] = [None]

        def reached() -> bool:
            seen[0] = self.task_instance(dag_id, run_id, task_id, map_index)["state"]
            return seen[0] in states

        if not _until(reached, timeout, pause=0.3):
            raise AirflowApiError(
                f"{dag_id}.{task_id} is {seen[0]} after {timeout:.0f} s, not one of {list(states)}; look at "
                "its log in Airflow"
            )
        return str(seen[0])

    def mark(self, dag_id: str, run_id: str, task_id: str, state: str, map_index: int = -1) -> None:
        """Mark a task instance ``success`` or ``failed``, as a person does in the UI."""
        self.call("PATCH", self._task_path(dag_id, run_id, task_id, map_index), body={"new_state": state})

    def clear(self, dag_id: str, run_id: str, task_ids: Sequence[str]) -> None:
        """Clear tasks of a DAG run, whatever their states."""
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": list(task_ids),
            "only_failed": False,
            "reset_dag_runs": True,
        }
        self.call("POST", f"/dags/{dag_id}/clearTaskInstances", body=body)

    def task_log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = -1) -> str:
        """Read the log of one try of a task as plain text, one line an event."""
        path = f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task_id}/logs/{try_number}"
        content = self.call("GET", path, query={"full_content": "true", "map_index": map_index})["content"]
        return "\n".join(_log_line(event) for event in content)

    def reports_of_scheduler(self, dag_id: str, run_id: str, task_id: str, try_number: int) -> list[str]:
        """List what the scheduler noted of one try of a task, such as that its worker has ended without a word."""
        query = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "try_number": try_number}
        events = self.call("GET", "/eventLogs", query=query)["event_logs"]
        # The events of people and of the tasks themselves have an owner.
        return [event["extra"] for event in events if event["extra"] and event["owner"] is None]

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """Read an XCom value.

        :raises AirflowApiError: when the task has not pushed that key
        """
        path = f"{self._task_path(dag_id, run_id, task_id, -1)}/xcomEntries/{quote(key, safe='')}"
        query = {"map_index": map_index, "deserialize": "false"}
        value = self.call("GET", path, query=query)["value"]
        if isinstance(value, str):
            try:
                return json.loads(value)
            except ValueError:
                return value
        return value

    def links(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> dict[str, str | None]:
        """Read the extra links of a task instance: name to address."""
        path = f"{self._task_path(dag_id, run_id, task_id, -1)}/links"
        return dict(self.call("GET", path, query={"map_index": map_index})["extra_links"])

    def _task_path(self, dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
        path = f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task_id}"
        return path if map_index < 0 else f"{path}/{map_index}"


def _log_line(event: Any) -> str:
    if not isinstance(event, dict):
        return str(event)
    details = event.get("error_detail") or []
    reasons = [f"{part.get('exc_type')}: {part.get('exc_value')}" for part in details]
    return "\n".join([str(event.get("event", "")), *reasons])


def _until(condition: Callable[[], bool], timeout: float, pause: float = 0.5) -> bool:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True
