# No postponed annotations here: FastAPI must be able to resolve those of the routes.
"""One task instance: its run on Domino, and all attempts with theirs; a tab of Airflow's page of a task instance."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse

from airflow_domino.compat_server import GetUserDep, SessionDep
from airflow_domino.plugin import html
from airflow_domino.plugin.attempts import TaskName, find_attempts
from airflow_domino.plugin.guard import ReadableDags
from airflow_domino.plugin.live import seen_now
from airflow_domino.plugin.routes_runs import shown
from airflow_domino.plugin.runs import Choice, find_runs

router = APIRouter()


def task_name(dag_id: str, run_id: str, task_id: str, map_index: str = "-1") -> TaskName:
    """Which task instance is meant; for one that is not mapped, Airflow's tabs give no number for `map_index`."""
    return TaskName(dag_id, run_id, task_id, int(map_index) if map_index.isascii() and map_index.isdigit() else -1)


def task_story(
    request: Request,
    user: GetUserDep,
    session: SessionDep,
    readable: ReadableDags,
    task: Annotated[TaskName, Depends(task_name)],
) -> dict[str, Any]:
    """What the page shows of a task instance."""
    choice = Choice(airflow_run_id=task.airflow_run_id, task=(task.task_id, task.map_index), limit=1)
    seen = seen_now(find_runs(session, readable & {task.dag_id}, choice))
    attempts = find_attempts(session, task, seen.looks) if task.dag_id in readable else []
    return {
        **shown(seen, request, user),
        "task": task,
        "run": seen.runs[0] if seen.runs else None,
        "attempts": attempts,
        "now": datetime.now(UTC),
    }


TaskStory = Annotated[dict[str, Any], Depends(task_story)]


@router.get("/task", response_class=HTMLResponse)
def page(request: Request, story: TaskStory) -> HTMLResponse:
    """The whole page, complete without JavaScript."""
    return html.page(request, "task.html", "Task", live="task/live", **story)


@router.get("/task/live", response_class=HTMLResponse)
def live_part(story: TaskStory) -> HTMLResponse:
    """The part of the page that is asked for again and again while it is open."""
    return html.fragment("task_live.html", **story)
