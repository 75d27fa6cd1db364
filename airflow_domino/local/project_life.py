"""Making, copying, changing and archiving projects, for whoever may."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pygit2

from airflow_domino.local import statuses
from airflow_domino.local.clock import now_ms
from airflow_domino.local.errors import BadRequest, Forbidden, NotFound
from airflow_domino.local.ids import new_object_id, user_id
from airflow_domino.local.memberships import COLLABORATOR_ROLES, OWNER, Permission
from airflow_domino.local.people import Person
from airflow_domino.local.project_code import set_code
from airflow_domino.local.projects import PRIVATE, VISIBILITIES, Project
from airflow_domino.local.shapes_projects import tag_id

if TYPE_CHECKING:
    from airflow_domino.local.platform import Platform

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class NewProject:
    """What is asked for of a new project.

    :param name: its name.
    :param owner: who is to own it; None is the sender.
    :param description: what it is for.
    :param visibility: one of :data:`VISIBILITIES`.
    :param collaborators: roles by name.
    :param tags: names of tags.
    :param code: arguments of :func:`~airflow_domino.local.project_code.set_code`, for a git-based project.
    """

    name: str
    owner: Person | None = None
    description: str = ""
    visibility: str = PRIVATE
    collaborators: Mapping[str, str] = field(default_factory=dict)
    tags: Sequence[str] = ()
    code: Mapping[str, Any] | None = None


# Making


def create(platform: Platform, new: NewProject) -> Project:
    """Make a project.

    :raises BadRequest: when it cannot be, such as one of a name that is taken.
    :raises Forbidden: when the sender cannot make projects of this owner.
    """
    project = _new(platform, new)
    platform.projects.save(project)
    if new.code is not None:
        try:
            project = set_code(platform, project, **new.code)
        except ValueError as error:
            platform.projects.save(replace(project, name=_archived_name(project), is_archived=True))
            raise BadRequest(str(error)) from error
    platform.repository(project.id)
    platform.ledger.note("project", project, {"name": project.full_name})
    return project


def copy(platform: Platform, project: Project, new: NewProject) -> Project:
    """Make a project with the files, their history, the tags and the description of another one.

    :param platform: the platform of both.
    :param project: the other one, whose files the sender must be allowed to read. Its collaborators are
        not for the new one.
    :param new: what is to be different.
    :raises BadRequest: when it cannot be, such as one of a name that is taken.
    :raises Forbidden: when the sender cannot make projects of this owner, or not read this one.
    """
    platform.project(project.id, Permission.READ_FILES)
    made = replace(
        _new(platform, new),
        description=new.description or project.description,
        tags=list(new.tags) or project.tags,
        results=project.results,
        main_repository=project.main_repository,
    )
    folder = platform.root / "projects"
    unfinished, whole = folder / f"{made.id}.git.new", folder / f"{made.id}.git"
    shutil.rmtree(unfinished, ignore_errors=True)
    cloned = pygit2.clone_repository(str(folder / f"{project.id}.git"), str(unfinished), bare=True)
    cloned.remotes.delete("origin")
    cloned.free()
    unfinished.rename(whole)
    platform.projects.save(made)
    platform.ledger.note("project", made, {"name": made.full_name, "copyOf": project.id})
    return made


def _new(platform: Platform, new: NewProject) -> Project:
    owner = new.owner or platform.people.ensure(platform.user)
    if not _may_own_for(platform, owner):
        raise Forbidden(f"You cannot make projects of {owner.name}")
    _check_name(platform, owner.name, new.name)
    _check_visibility(new.visibility)
    collaborators = {name: _role(role) for name, role in new.collaborators.items() if name != owner.name}
    return Project(
        new_object_id(),
        owner.name,
        new.name,
        "main",
        now_ms(),
        description=new.description,
        visibility=new.visibility,
        collaborators=collaborators,
        tags=list(dict.fromkeys(new.tags)),
    )


def _may_own_for(platform: Platform, owner: Person) -> bool:
    return platform.rights.is_admin or owner.name == platform.user


def _check_name(platform: Platform, owner: str, name: str) -> None:
    if _NAME.fullmatch(name) is None:
        raise BadRequest(f"A project is named with letters, digits and _ . -, which {name!r} is not")
    if platform.projects.named(owner, name) is not None:
        raise BadRequest(f"{owner} has a project {name} already")


def _check_visibility(visibility: str) -> None:
    if visibility not in VISIBILITIES:
        raise BadRequest(f"The visibility must be one of {', '.join(VISIBILITIES)}, not {visibility!r}")


def _role(role: str) -> str:
    if role not in COLLABORATOR_ROLES:
        raise BadRequest(f"The role must be one of {', '.join(COLLABORATOR_ROLES)}, not {role!r}")
    return role


# Changing


def change(platform: Platform, project_id: str, permission: Permission, make: Callable[[Project], Project]) -> Project:
    """Change a project.

    :param platform: the platform of the project.
    :param project_id: which one.
    :param permission: what the sender must be allowed to do with it.
    :param make: gives its new value.
    """
    platform.project(project_id, permission)
    return platform.projects.change(project_id, make)


def archive(platform: Platform, project_id: str) -> None:
    """Take a project out of everybody's sight, and stop its runs. Its name is free again."""
    project = platform.project(project_id, Permission.OWN)
    for run in platform.runs.with_status((*statuses.WAITING, *statuses.EXECUTING)):
        if run.project_id == project.id:
            platform.stop(run, keep_results=False)
    gone = replace(project, name=_archived_name(project), is_archived=True)
    platform.projects.change(project_id, lambda _: gone)
    platform.ledger.note("archive project", project, {"name": project.full_name})


def _archived_name(project: Project) -> str:
    return f"{project.name} {project.id}"


# Collaborators


def set_role(platform: Platform, project_id: str, person: Person, role: str) -> Project:
    """Let somebody work in a project, or give him another role there.

    :raises BadRequest: when there is no such role, or the person owns the project.
    """
    _role(role)
    if platform.project(project_id, Permission.MANAGE_COLLABORATORS).owner == person.name:
        raise BadRequest(f"{person.name} owns the project")
    if role == OWNER:
        platform.project(project_id, Permission.OWN)
    return platform.projects.change(
        project_id, lambda project: replace(project, collaborators={**project.collaborators, person.name: role})
    )


def remove_collaborator(platform: Platform, project_id: str, person_id: str) -> Project:
    """Let somebody work in a project no longer.

    :raises NotFound: when he does not.
    """
    project = platform.project(project_id)
    name = next((name for name in project.collaborators if user_id(name) == person_id), None)
    if name is None:
        raise NotFound(f"{person_id} is no collaborator of the project")
    # Everybody may leave.
    if name != platform.user:
        platform.project(project_id, Permission.MANAGE_COLLABORATORS)

    def without(known: Project) -> Project:
        return replace(known, collaborators={one: role for one, role in known.collaborators.items() if one != name})

    return platform.projects.change(project_id, without)


def collaborators(platform: Platform, project: Project) -> list[Person]:
    """List who works in a project beside its owner."""
    return [platform.people.ensure(name) for name in project.collaborators]


# Tags


def add_tags(platform: Platform, project_id: str, names: Sequence[str]) -> Project:
    """Give a project tags; one that it has already stays as it is."""
    if not all(name.strip() for name in names):
        raise BadRequest("A tag must have a name")
    return change(
        platform,
        project_id,
        Permission.EDIT,
        lambda project: replace(project, tags=list(dict.fromkeys([*project.tags, *names]))),
    )


def remove_tag(platform: Platform, project_id: str, removed: str) -> Project:
    """Take a tag from a project.

    :param removed: id of the tag.
    :raises NotFound: when the project has no such tag.
    """
    project = platform.project(project_id, Permission.EDIT)
    left = [name for name in project.tags if tag_id(name) != removed]
    if len(left) == len(project.tags):
        raise NotFound(f"Project {project.full_name} has no tag with the id {removed}")
    return platform.projects.change(project_id, lambda known: replace(known, tags=left))
