"""Tags of runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_domino.local.clock import now_ms
from airflow_domino.local.errors import NotFound
from airflow_domino.local.ids import named_object_id, user_id
from airflow_domino.local.memberships import Permission
from airflow_domino.local.runs import Run

if TYPE_CHECKING:
    from airflow_domino.local.platform import Platform


def tag(platform: Platform, run: Run, name: str) -> dict[str, Any]:
    """Give a run a tag, and give the tag; a run has a tag of one name only once.

    :raises Forbidden: when this user may not start runs of the project.
    """
    platform.rights.require_of_run(run, Permission.RUN, f"There is no job with the id {run.id}")
    given = {
        "tagId": named_object_id("tag", f"{run.project_id}/{name}"),
        "name": name,
        "createdBy": user_id(platform.user),
        "createdAt": now_ms(),
        "projectId": run.project_id,
    }

    def change(run: Run) -> Run:
        return replace(run, tags=[*(known for known in run.tags if known["tagId"] != given["tagId"]), given])

    platform.runs.change(run.id, change)
    platform.ledger.enter("tag", run, {"tag": name})
    return given


def untag(platform: Platform, run: Run, tag_id: str) -> dict[str, Any]:
    """Take a tag from a run, and give the tag.

    :raises NotFound: when the run has no such tag.
    :raises Forbidden: when this user may not start runs of the project.
    """
    platform.rights.require_of_run(run, Permission.RUN, f"There is no job with the id {run.id}")
    found = next((known for known in run.tags if known["tagId"] == tag_id), None)
    if found is None:
        raise NotFound(f"Job {run.id} has no tag with the id {tag_id}")

    def change(run: Run) -> Run:
        return replace(run, tags=[known for known in run.tags if known["tagId"] != tag_id])

    platform.runs.change(run.id, change)
    platform.ledger.enter("untag", run, {"tag": found["name"]})
    return found
