"""Git-based projects: which repository a project's code is in, and what a start may say about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_domino.local.code_repository import CodeRepositories, CodeRepository
from airflow_domino.local.errors import BadRequest
from airflow_domino.local.ids import is_commit_id
from airflow_domino.local.projects import Project
from airflow_domino.local.workplace import Code

if TYPE_CHECKING:
    from airflow_domino.local.platform import Platform


def set_code(
    platform: Platform,
    project: Project,
    uri: str,
    *,
    name: str | None = None,
    service_provider: str | None = None,
    default_ref: Mapping[str, Any] | None = None,
) -> Project:
    """Make a project a git-based one, or give it another repository.

    :param platform: the platform of the project.
    :param project: the project.
    :param uri: where the repository is; a login in it is kept apart and never shown.
    :param name: the name that people see; None is the last part of the address.
    :param service_provider: who hosts it, in Domino's words; None is what the address tells.
    :param default_ref: the code of runs that name none, as version 4's ``{type, value}``; None is the HEAD.
    :raises ValueError: when it is no address of a git repository.
    """
    known = project.main_repository and CodeRepository.of_document(project.main_repository)
    repository = platform.code_repositories.add(
        uri, name=name, service_provider=service_provider, default_ref=default_ref, known=known or None
    )
    return platform.projects.change(project.id, lambda old: replace(old, main_repository=repository.as_document()))


def code_of(repositories: CodeRepositories, project: Project) -> Code | None:
    """Give where the code of a project comes from; None where its files are all in Domino's own file system."""
    if project.main_repository is None:
        return None
    repository = CodeRepository.of_document(project.main_repository)
    return Code(repository, repositories.copy(repository))


def input_commit(platform: Platform, project: Project, commit_id: str | None, git_ref: Mapping[str, Any] | None) -> str:
    """Give the commit of a project's own files that a run starts from.

    In a git-based project these are the artifacts, whatever the reference says of the code, which is looked up when
    the run begins.

    :param platform: the platform of the project.
    :param project: the project.
    :param commit_id: the commit that a start names; None is the latest one.
    :param git_ref: the reference that it names, in version 4's words.
    :raises BadRequest: when the project has no such commit or reference.
    """
    repository = platform.repository(project.id)
    if commit_id is not None:
        if not repository.has_commit(commit_id):
            raise BadRequest(_no_commit(project, commit_id))
        return commit_id
    if project.main_repository is None and git_ref is not None:
        return _of_own_files(platform, project, git_ref.get("type"), git_ref.get("value"))
    return repository.head()


def _no_commit(project: Project, commit_id: str) -> str:
    if project.main_repository is None:
        return f"Commit {commit_id} not found in project {project.full_name}"
    return (
        f"Commit {commit_id} not found among the artifacts of project {project.full_name}. commitId names a commit of "
        "the artifacts alone; a commit of the code is named by mainRepoGitRef, with the type commitId"
    )


def _of_own_files(platform: Platform, project: Project, kind: Any, value: Any) -> str:
    repository = platform.repository(project.id)
    if kind == "commitId":
        if not (isinstance(value, str) and is_commit_id(value) and repository.has_commit(value)):
            raise BadRequest(f"Commit {value} not found in project {project.full_name}")
        return value
    known = {"branches": (None, "main"), "ref": (None, "main", "refs/heads/main"), "tags": ()}
    if kind in known and value not in known[kind]:
        raise BadRequest(f"Git reference {kind} {value!r} not found in project {project.full_name}")
    return repository.head()
