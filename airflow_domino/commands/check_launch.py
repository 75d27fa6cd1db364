"""The one run of ``airflow-domino check --launch``: started, looked at, and stopped again."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_domino.commands.output import cents, seconds
from airflow_domino.domino import DominoClient, HardwareTier, Project, Run, RunRequest
from airflow_domino.domino.checkup import Access, Tried
from airflow_domino.domino.errors import DominoError
from airflow_domino.domino.launch import RunMark, launch_once
from airflow_domino.domino.watch import wait_for_run

# Long enough to be stopped while it runs, short enough to end by itself where it cannot be stopped.
COMMAND = "sleep 120"
TITLE = "airflow-domino check: may be stopped at any time"
_PATIENCE = timedelta(minutes=15)
_START, _STOP = "POST /v4/jobs/start", "POST /v4/jobs/stop"


@dataclass(frozen=True)
class Launched:
    """What became of the run.

    :param done: what was tried by it, by the names of operations.
    """

    text: str
    is_well: bool
    done: dict[str, Tried]
    run: Run | None = None
    url: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Tell it to programs."""
        run = self.run
        return {
            "ok": self.is_well,
            "text": self.text,
            "run": run and {"id": run.id, "number": run.number, "status": str(run.status), "url": self.url},
        }


def launch_and_stop(
    client: DominoClient,
    project: Project,
    tier: HardwareTier,
    attempt: Callable[[Callable[[], object]], Tried],
    tell: Callable[[str], None],
) -> Launched:
    """Start a run that does nothing, stop it without keeping anything, and wait until it is over.

    :param tier: where it runs.
    :param attempt: tells what asking says of the credentials.
    :param tell: takes a sentence for the person who watches.
    """
    runs: list[Run] = []
    mark = RunMark.for_task("airflow-domino check", uuid.uuid4().hex, "", -1, 0)
    request = RunRequest(project.id, COMMAND, title=TITLE, tier_id=tier.id)
    started = attempt(lambda: runs.append(launch_once(client, request, mark, look_first=False).run))
    done = {_START: started}
    if started.access != Access.ALLOWED:
        return Launched(started.why, False, done)
    run, url = runs[0], client.run_url(project, runs[0].id)
    tell(f"Run {run.number} on {tier.name}: {url}")
    try:
        done[_STOP] = attempt(lambda: client.stop_run(run.id, keep_results=False, project_id=project.id))
    except KeyboardInterrupt:
        tell(f"Run {run.number} may go on for two minutes; `airflow-domino stop {run.number}` stops it")
        raise
    if done[_STOP].access != Access.ALLOWED:
        return Launched(f"run {run.number} was started and cannot be stopped: {done[_STOP].why}", False, done, run, url)
    try:
        run = wait_for_run(client, run.id, interval=2, deadline=datetime.now(UTC) + _PATIENCE, url=url).run
    except DominoError as error:
        return Launched(f"run {run.number} was stopped, and is not seen to end: {error}", False, done, run, url)
    price = cents(tier.cost_cents(run.run_seconds or 0.0))
    waited, ran = seconds(run.queued_seconds), seconds(run.run_seconds or 0.0)
    text = f"run {run.number} on {tier.name} was started and stopped: queued {waited}, ran {ran}, {price}"
    if not run.status.is_completed or run.status.succeeded:
        return Launched(f"{text}; it ended as {run.status} all the same", False, done, run, url)
    return Launched(text, True, done, run, url)
