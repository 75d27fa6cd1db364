"""What the demo shows of one task, gathered from Airflow and, for a task that is a run, from Domino."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from airflow_domino.demo.airflow_api import AirflowApi, AirflowApiError
from airflow_domino.domino import DominoClient, DominoError

ENDED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
BEGUN = frozenset({"running", "deferred", *ENDED})


@dataclass(frozen=True)
class TaskRow:
    """One task of a DAG run at one moment.

    :param seconds: since its start, until its end
    :param tier: hardware tier of its Domino run; None on the worker
    :param number: of its Domino run
    :param run_status: Domino's word for it
    :param already_complete: its targets were there, so nothing was run
    """

    dag_id: str
    task_id: str
    state: str
    try_number: int = 1
    seconds: float | None = None
    tier: str | None = None
    number: int | None = None
    run_status: str | None = None
    queued_seconds: float | None = None
    run_seconds: float | None = None
    cost_cents: float | None = None
    already_complete: bool = False

    @property
    def name(self) -> str:
        """How people find it in Airflow."""
        return f"{self.dag_id}.{self.task_id}"

    @property
    def place(self) -> str:
        """Where it runs: a tier, or the worker."""
        return self.tier or ("worker" if self.state in BEGUN and self.state != "skipped" else "")


@dataclass
class RowReader:
    """Reads the rows of DAG runs again and again, without asking twice for what cannot change.

    :param airflow: where the DAG runs are
    :param domino: where their runs are
    """

    airflow: AirflowApi
    domino: DominoClient
    _run_ids: dict[tuple[str, str, int], str] = field(default_factory=dict)
    _tiers: dict[str, str] = field(default_factory=dict)
    _final: dict[tuple[str, str, int], TaskRow] = field(default_factory=dict)

    def read(self, dag_id: str, dag_run_id: str) -> list[TaskRow]:
        """Return the tasks of a DAG run in the order in which they started."""
        tasks = self.airflow.task_instances(dag_id, dag_run_id)
        tasks.sort(key=lambda task: (task["start_date"] is None, task["start_date"] or "", task["task_id"]))
        return [self._row(task) for task in tasks]

    def _row(self, task: Mapping[str, Any]) -> TaskRow:
        key = (task["dag_run_id"], task["task_id"], task["try_number"])
        if key in self._final:
            return self._final[key]
        row = TaskRow(task["dag_id"], task["task_id"], task["state"] or "waiting", task["try_number"], _seconds(task))
        if row.state in ENDED:
            row = self._final[key] = _with_result(row, self._xcom(task, "return_value"))
            if row.number is None:
                row = self._final[key] = self._with_run(row, key, task)
        elif row.state in BEGUN or key in self._run_ids:
            row = self._with_run(row, key, task)
        return row

    def _with_run(self, row: TaskRow, key: tuple[str, str, int], task: Mapping[str, Any]) -> TaskRow:
        if row.state == "skipped":
            return row
        run_id = self._run_ids.get(key) or self._xcom(task, "run_id")
        if not isinstance(run_id, str):
            return row
        self._run_ids[key] = run_id
        try:
            run = self.domino.run(run_id)
            if run_id not in self._tiers:
                self._tiers[run_id] = self.domino.run_details(run_id).tier_name or ""
        except DominoError:
            # The next look may find Domino again; the task itself is the judge of its run.
            return row
        return replace(
            row,
            tier=self._tiers[run_id],
            number=run.number,
            run_status=str(run.status),
            queued_seconds=run.queued_seconds,
            run_seconds=run.run_seconds,
        )

    def _xcom(self, task: Mapping[str, Any], key: str) -> Any:
        try:
            return self.airflow.xcom(task["dag_id"], task["dag_run_id"], task["task_id"], key)
        except AirflowApiError:
            return None


def _with_result(row: TaskRow, result: Any) -> TaskRow:
    if not isinstance(result, Mapping):
        return row
    return replace(
        row,
        tier=result.get("tier"),
        number=result.get("number"),
        run_status=result.get("status"),
        queued_seconds=result.get("queued_seconds"),
        run_seconds=result.get("run_seconds"),
        cost_cents=result.get("cost_cents"),
        already_complete=bool(result.get("already_complete")),
    )


def _seconds(task: Mapping[str, Any]) -> float | None:
    if not task["start_date"]:
        return None
    start = datetime.fromisoformat(task["start_date"])
    end = datetime.fromisoformat(task["end_date"]) if task["end_date"] else datetime.now(UTC)
    return max(0.0, (end - start).total_seconds())
