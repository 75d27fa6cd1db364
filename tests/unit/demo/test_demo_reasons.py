"""Why a task of the demo failed."""

from __future__ import annotations

from pathlib import Path

from airflow_domino.demo.airflow_api import AirflowApiError
from airflow_domino.demo.reasons import reason_of
from airflow_domino.demo.rows import TaskRow

REPORT = "Executor LocalExecutor reported that the task instance <TaskInstance: ensemble.train> finished"
LOG = f"""\
ValueError: of another task, long before
2026-01-01 [error] Workload execution failed.
httpcore.ReadTimeout: timed out

During handling of the above exception, another exception occurred:
    raise ReadTimeout("an indented line is no end of a traceback")
httpx.ReadTimeout: timed out
2026-01-01 [error] {REPORT} with state failed
KeyError: of another task, afterwards
"""
ROW = TaskRow("ensemble", "train", "failed", try_number=2)


class Airflow:
    """An Airflow with the log of one task and the reports of its scheduler."""

    def __init__(self, log: str | None, *reports: str) -> None:
        self.log = log
        self.reports = list(reports)

    def task_log(self, dag_id: str, run_id: str, task_id: str, try_number: int) -> str:
        assert (dag_id, run_id, task_id, try_number) == ("ensemble", "manual", "train", 2)
        if self.log is None:
            raise AirflowApiError("Airflow answered 404: no log")
        return self.log

    def reports_of_scheduler(self, *names: object) -> list[str]:
        assert names == ("ensemble", "manual", "train", 2)
        return self.reports


def test_a_task_that_failed_by_itself_is_explained_by_the_end_of_its_log(tmp_path: Path) -> None:
    log = "\n".join(f"line {number}" for number in range(100))
    reason = reason_of(ROW, "manual", Airflow(log), tmp_path / "none.log")  # type: ignore[arg-type]
    assert reason.splitlines()[:2] == ["ensemble.train failed. The end of its log:", "line 75"]
    assert reason.endswith("line 99")


def test_a_task_whose_worker_died_is_explained_by_the_scheduler_and_the_exception_before(tmp_path: Path) -> None:
    log = tmp_path / "scheduler.log"
    log.write_text(LOG)
    reason = reason_of(ROW, "manual", Airflow(None, REPORT), log)  # type: ignore[arg-type]
    assert reason.splitlines() == [
        "ensemble.train failed. The end of its log:",
        "Airflow answered 404: no log",
        "The scheduler's report:",
        REPORT,
        "Before it, a worker had: httpx.ReadTimeout: timed out",
        f"More is in {log}",
    ]


def test_a_report_without_an_exception_stands_alone(tmp_path: Path) -> None:
    reason = reason_of(ROW, "manual", Airflow("", REPORT), tmp_path / "none.log")  # type: ignore[arg-type]
    assert reason.splitlines()[1:] == ["The scheduler's report:", REPORT, f"More is in {tmp_path / 'none.log'}"]
