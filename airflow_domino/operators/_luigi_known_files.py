"""Where the files are that a Luigi task rests on: here, in the project's latest commit, or in that of a run above."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_domino.operators._luigi_arguments import project_name
from airflow_domino.operators._luigi_project import ProjectCommit

if TYPE_CHECKING:
    from airflow.sdk import Context


@dataclass(frozen=True)
class Origin:
    """Where an upstream task's Domino run has left a target.

    :param commit: perhaps beside the main line (isolated results)
    :param task_id: Airflow's, for the log
    """

    commit: str
    task_id: str


class KnownFiles:
    """The files of a project that a task may count on, though they are not on this worker.

    :param latest: the project's latest commit
    :param origins: what upstream tasks of the same DAG run have made, by names in the project; it comes first, since
        the latest commit may have an older version, or one of somebody else
    """

    def __init__(self, latest: ProjectCommit, origins: Mapping[str, Origin] | None = None) -> None:
        self.latest = latest
        self.origins = dict(origins or {})
        self._commits: dict[str, ProjectCommit] = {}

    @property
    def names(self) -> list[str]:
        """Names of all these files, from the project's root."""
        return [*self.latest.files, *self.origins]

    def is_in(self, base: ProjectCommit, name: str) -> bool:
        """Whether a commit has a target as the upstream task has made it; or at all, where none has."""
        origin = self.origins.get(name)
        if origin is None or not base.holds(name):
            return base.holds(name)
        return base.keys(name) == self._commit(origin).keys(name)

    def bring(self, name: str, destination: Path) -> str | None:
        """Bring one target here, if it is one of these.

        :returns: where it came from, for the log; None when it is not known
        :raises NotFoundError: the upstream run has left no such file after all
        """
        if origin := self.origins.get(name):
            self._commit(origin).bring(name, destination)
            return f"what the task {origin.task_id} has left in commit {origin.commit}"
        if self.latest.holds(name):
            self.latest.bring(name, destination)
            return f"the project's commit {self.latest.commit}"
        return None

    def _commit(self, origin: Origin) -> ProjectCommit:
        if origin.commit not in self._commits:
            latest = self.latest
            self._commits[origin.commit] = ProjectCommit(latest.client, latest.project, origin.commit, latest.here)
        return self._commits[origin.commit]


def makers(operator: BaseOperator) -> list[Any]:
    """The tasks above that make their Luigi task in a Domino run, nearest first."""
    return [task for task in _upstream(operator) if _is_maker(task)]


def argument_of(task: Any, name: str) -> Any:
    """What a task was given, also one that is mapped; None for nothing."""
    return getattr(task, name, None) or getattr(task, "partial_kwargs", {}).get(name)


def _is_maker(task: Any) -> bool:
    return bool(argument_of(task, "run_on") == "domino")


def _upstream(operator: BaseOperator) -> Iterator[Any]:
    """All tasks above, breadth first; what is above a task that runs on Domino has reached it there."""
    if not operator.upstream_task_ids:
        return
    waiting: list[Any] = [operator]
    seen = {operator.task_id}
    for task in waiting:  # grows while it is walked
        for above in task.upstream_list:
            if above.task_id in seen:
                continue
            seen.add(above.task_id)
            yield above
            if not _is_maker(above):
                waiting.append(above)


def origins_of(tasks: Sequence[Any], context: Context, project: str, here: Path) -> dict[str, Origin]:
    """What these tasks say they have left in commits of the project, by names in the project.

    :param tasks: of the same DAG run
    :param project: `owner/name`; what is in another one is none of its files
    :param here: the working folder, below which targets are files of the project
    """
    found: dict[str, Origin] = {}
    for task in tasks:
        told = context["ti"].xcom_pull(task_ids=task.task_id, key="return_value")
        for result in told if isinstance(told, list) else [told]:
            commit = result.get("output_commit") if isinstance(result, Mapping) else None
            if not commit or result.get("project") not in (None, project):
                continue
            names = (project_name(str(path), here) for path in result.get("outputs") or ())
            found |= {name: Origin(str(commit), task.task_id) for name in names if name}
    return found
