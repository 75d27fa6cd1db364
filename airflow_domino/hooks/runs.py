"""What the Airflow side knows of a run: how to find it again, what to tell of it, its end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_domino.domino.errors import DominoError, DominoUnavailableError, RunWaitTimeoutError
from airflow_domino.domino.storable import storable
from airflow_domino.hooks.run_log import LOG_LIMIT_BYTES as LOG_LIMIT_BYTES
from airflow_domino.hooks.run_log import Logger as Logger
from airflow_domino.hooks.run_log import RunLog as RunLog

if TYPE_CHECKING:
    from airflow_domino.domino.client import DominoClient
    from airflow_domino.domino.models import Project, Run
    from airflow_domino.domino.tiers import HardwareTier

RUN_KEY = "domino_run"
"""XCom that tells which run a triggerer has launched, and what became of one that ended badly."""

SINGLE_KEYS = ("run_id", "output_commit")
STOP_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class RunHandle:
    """A run and what is known of it from its launch: small enough for a trigger, a state store and an event.

    The field names are kept in Airflow's database: add to them, never rename.

    :param project: `owner/name`.
    :param cents_per_minute: price of the run's tier; None when its tier is not known.
    :param number: the run's number in its project, for people.
    :param submitted_at: when it was launched (ISO 8601).
    :param conn_id: the Airflow connection by which it was launched, for the page.
    """

    run_id: str
    url: str
    project: str
    project_id: str
    tier: str | None = None
    tier_id: str | None = None
    cents_per_minute: float | None = None
    number: int | None = None
    submitted_at: str | None = None
    conn_id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, which Airflow's database takes."""
        return dict(storable(asdict(self)))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RunHandle:
        """Read :meth:`to_dict`'s values, also those of a version that wrote more.

        :raises ValueError: when it is not the description of a run.
        """
        known = {field.name: data[field.name] for field in fields(cls) if field.name in data}
        try:
            return cls(**known)
        except TypeError:
            raise ValueError(
                f"Not the description of a Domino run: {sorted(data)}; clear the task to run it again"
            ) from None

    def queue_deadline(self, queue_timeout: float | None) -> datetime | None:
        """Return when the run must have started.

        :param queue_timeout: seconds; None for never.
        """
        if queue_timeout is None or self.submitted_at is None:
            return None
        return datetime.fromisoformat(self.submitted_at) + timedelta(seconds=queue_timeout)

    @classmethod
    def of(cls, client: DominoClient, project: Project, run: Run, tier: HardwareTier | None) -> RunHandle:
        """Describe a run.

        :param tier: the tier that it was launched on; None asks Domino.
        """
        if tier is None:
            return cls.asked(client, project, run)
        url = client.run_url(project, run.id)
        price = tier.cents_per_minute
        submitted = run.submitted_at.isoformat() if run.submitted_at else None
        return cls(run.id, url, project.full_name, project.id, tier.name, tier.id, price, run.number, submitted)

    @classmethod
    def asked(cls, client: DominoClient, project: Project, run: Run) -> RunHandle:
        """Describe a run that somebody else launched; its tier stays unknown where Domino does not tell it."""
        submitted = run.submitted_at.isoformat() if run.submitted_at else None
        url = client.run_url(project, run.id)
        handle = cls(run.id, url, project.full_name, project.id, number=run.number, submitted_at=submitted)
        try:
            details = client.run_details(run.id)
            price = next((t.cents_per_minute for t in client.tiers(project.id) if t.id == details.tier_id), None)
        except DominoError:
            return handle
        known = {"tier": details.tier_name, "tier_id": details.tier_id, "cents_per_minute": price}
        return cls(**{**handle.to_dict(), **known})


def run_result(run: Run, handle: RunHandle) -> dict[str, Any]:
    """Return what a task tells of its run: the XCom `return_value` of operators and sensors.

    :param run: the run as it ended.
    :param handle: what was known from its launch.
    """
    cost = None
    if handle.cents_per_minute is not None and run.run_seconds is not None:
        cost = round(handle.cents_per_minute * run.run_seconds / 60, 4)
    result = {
        "run_id": run.id,
        "number": run.number,
        "status": run.status.word,
        "url": handle.url,
        "project": handle.project,
        "tier": handle.tier,
        "tier_id": handle.tier_id,
        "title": run.title,
        "input_commit": run.input_commit,
        "output_commit": run.results_commit,
        "queued_seconds": run.queued_seconds,
        "run_seconds": run.run_seconds,
        "cost_cents": cost,
        "stats": dict(run.stats),
        "outputs": {},
    }
    return dict(storable(result))


def single_xcoms(result: Mapping[str, Any]) -> dict[str, str]:
    """Return what of a result is an XCom of its own too: what `upstream.output["output_commit"]` looks for.

    :param result: the XCom `return_value`, as :func:`run_result` makes it.
    """
    return {key: result[key] for key in SINGLE_KEYS if result.get(key)}


def push_single_xcoms(task_instance: Any, result: Mapping[str, Any]) -> None:
    """Push these from a worker."""
    for key, value in single_xcoms(result).items():
        push_xcom(task_instance, key, value)


def push_xcom(task_instance: Any, key: str, value: object) -> None:
    """Push an XCom from a worker, in a form that Airflow's database takes."""
    task_instance.xcom_push(key=key, value=storable(value))


def sentence(run: Run, handle: RunHandle) -> str:
    """Return one line for the log about how a run ended."""
    parts = [f"Domino run {run.number}: {run.status}"]
    if handle.tier:
        parts.append(f"tier {handle.tier}")
    if run.queued_seconds is not None:
        parts.append(f"queued {run.queued_seconds:.0f} s")
    if run.run_seconds is not None:
        parts.append(f"ran {run.run_seconds:.0f} s")
    cost = run_result(run, handle)["cost_cents"]
    if cost is not None:
        parts.append(f"cost {cost:.2f} cents")
    return ", ".join(parts)


def stop_and_confirm(
    client: DominoClient,
    handle: RunHandle,
    *,
    keep_results: bool = True,
    patience: float = STOP_PATIENCE_SECONDS,
    interval: float = 1.0,
) -> Run:
    """Stop a run, and wait until Domino says that it is over.

    :param keep_results: whether what it wrote is kept.
    :param patience: seconds in which the stop must be heard and confirmed; an outage that ends before is no trouble.
    :param interval: seconds between two attempts or looks.
    :returns: the run, over.
    :raises DominoError: when Domino refuses, or stays out of reach.
    :raises RunWaitTimeoutError: when the run still goes on after that time.
    """
    deadline = time.monotonic() + patience
    run: Run | None = None
    while True:
        try:
            run = client.run(run.id) if run else _request_stop(client, handle, keep_results)
            if run.status.is_completed:
                return run
        except DominoUnavailableError:
            if time.monotonic() > deadline:
                raise
        else:
            if time.monotonic() > deadline:
                raise RunWaitTimeoutError(run, handle.url)
        time.sleep(interval)


def _request_stop(client: DominoClient, handle: RunHandle, keep_results: bool) -> Run:
    return client.stop_run(handle.run_id, keep_results=keep_results, project_id=handle.project_id)


def stop_quietly(
    client: DominoClient, handle: RunHandle, logger: Logger, why: str, *, keep_results: bool = True
) -> bool:
    """Stop a run for good, and tell in the log how that went instead of raising.

    :param why: reason for the log, such as "the task was marked failed".
    :param keep_results: whether what it wrote is kept.
    :returns: whether the run is over.
    """
    logger.info("Stopping Domino run %s: %s", handle.run_id, why)
    try:
        run = stop_and_confirm(client, handle, keep_results=keep_results)
    except DominoError as error:
        logger.warning("Domino run %s may still be going: %s", handle.run_id, error)
        return False
    logger.info("Domino run %s is over: %s", run.number, run.status)
    return True
