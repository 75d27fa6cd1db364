"""Which files a run begins with: its input commit."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow_domino.domino.errors import ConfigurationError, NotFoundError
from airflow_domino.domino.run_request import GitRef

if TYPE_CHECKING:
    from airflow_domino.domino.client import DominoClient
    from airflow_domino.domino.launch import MarkedRuns
    from airflow_domino.domino.models import Project
    from airflow_domino.hooks.identity import TaskIdentity

DAG_RUN = "dag_run"
FULL_SHA = re.compile(r"[0-9a-f]{40}")


def git_reference(project: Project, commit_id: str | None, branch: str | None, git_ref: Any) -> GitRef | None:
    """Return the code that a run of a git-based project checks out; None means the project's default branch.

    :param commit_id: pins the project's *files*; a branch cannot be combined with it.
    :param branch: name of a branch; short for `git_ref=("branches", branch)`.
    :raises ConfigurationError: when the combination has no meaning.
    """
    if branch is None and git_ref is None:
        return None
    if branch is not None and git_ref is not None:
        raise ConfigurationError("Give either branch or git_ref, not both")
    if branch is not None and commit_id is not None:
        raise ConfigurationError(
            "branch says which code to run and commit_id which project files: for both, give git_ref with commit_id"
        )
    if not project.is_git_based:
        raise ConfigurationError(
            f"The project {project.full_name} is not git-based: branch and git_ref have no meaning there, use commit_id"
        )
    return GitRef.parse(git_ref if branch is None else ("branches", branch))


def input_commit(
    client: DominoClient,
    project: Project,
    commit_id: str | None,
    identity: TaskIdentity,
    read_marked: Callable[[], MarkedRuns],
) -> str | None:
    """Return the commit to launch at; None leaves the latest to Domino.

    :param commit_id: None, the full SHA of a commit of the project's files, or "dag_run".
    :param read_marked: reads the project's runs since the DAG run began.
    :raises ConfigurationError: when it is neither.
    :raises NotFoundError: when the project has no such commit.
    """
    if commit_id is None:
        return None
    if commit_id == DAG_RUN:
        return _commit_of_dag_run(client, project, identity, read_marked())
    if not FULL_SHA.fullmatch(commit_id):
        raise ConfigurationError(
            f"Not a commit: {commit_id!r}; give the full SHA (40 hexadecimal digits), 'dag_run', "
            "or nothing for the latest"
        )
    if all(commit.id != commit_id for commit in client.commits(project)):
        _refuse_unknown(client, project, commit_id)
    return commit_id


def _refuse_unknown(client: DominoClient, project: Project, commit_id: str) -> None:
    # Commits of isolated results are not on the main line that Domino lists, but their files can be listed.
    try:
        client.files(project, commit_id)
    except NotFoundError as error:
        message = (
            f"The project {project.full_name} has no commit {commit_id}; choose one of its files' history in Domino, "
            "or leave commit_id out for the latest"
        )
        raise NotFoundError(message, status=error.status) from None


def _commit_of_dag_run(client: DominoClient, project: Project, identity: TaskIdentity, marked: MarkedRuns) -> str:
    """Return the one input commit of all tasks of a DAG run on a project.

    A run of this DAG run that was pinned before says it; otherwise it is the newest commit at the DAG run's start, so
    that tasks which start side by side agree without asking each other.
    """
    for run, mark in marked.with_owner_key(identity.mark(0).owner_key):
        is_of_before = identity.since and run.submitted_at and run.submitted_at < identity.since
        if mark.pinned and run.input_commit and identity.is_of_dag_run(mark) and not is_of_before:
            return run.input_commit
    if identity.dag_run_start is None:
        return client.head_commit(project)
    for commit in client.dated_commits(project):
        if commit.time is not None and commit.time <= identity.dag_run_start:
            return commit.id
    return client.head_commit(project)
