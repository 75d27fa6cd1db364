"""Why a task failed: the end of its log, and what happened to it outside of that."""

from __future__ import annotations

import re
from pathlib import Path

from airflow_domino.demo.airflow_api import AirflowApi, AirflowApiError
from airflow_domino.demo.rows import TaskRow

LOG_TAIL_LINES = 25
# The last line of a traceback, such as "httpx.ReadTimeout: timed out".
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(Error|Exception|Timeout|Interrupt|Exit|Refused)\b.*")


def reason_of(row: TaskRow, run_id: str, airflow: AirflowApi, scheduler_log: Path) -> str:
    """Write why a task failed.

    A worker that Airflow does not answer in time, or that is killed, writes nothing into the log of its task: then the
    scheduler's event and the last exception in its log are the reason.

    :param run_id: of its DAG run
    :param scheduler_log: output of the scheduler, whose processes are the workers too
    """
    try:
        log = airflow.task_log(row.dag_id, run_id, row.task_id, row.try_number).rstrip()
    except AirflowApiError as error:
        log = str(error)
    parts = [f"{row.name} failed. The end of its log:", *log.splitlines()[-LOG_TAIL_LINES:]]
    reports = airflow.reports_of_scheduler(row.dag_id, run_id, row.task_id, row.try_number)
    if reports:
        exception = last_exception(scheduler_log, reports[0])
        parts += [
            "The scheduler's report:",
            *reports,
            *([f"Before it, a worker had: {exception}"] if exception else []),
        ]
        parts.append(f"More is in {scheduler_log}")
    return "\n".join(parts)


def last_exception(log: Path, before: str) -> str | None:
    """Find the last exception that a log holds before a line with some text.

    :param before: where it is not in the log, all of it is looked through
    """
    found = None
    for line in log.read_text(errors="replace").splitlines() if log.exists() else ():
        if before in line:
            break
        if _EXCEPTION.fullmatch(line):
            found = line
    return found
