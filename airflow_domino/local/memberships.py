"""Who may do what in a project, as Domino's table of collaborator permissions says."""

from __future__ import annotations

from enum import Enum

from airflow_domino.local.people import Person
from airflow_domino.local.projects import PRIVATE, PUBLIC, SEARCHABLE, Project

OWNER = "Owner"
ADMIN = "Admin"
CONTRIBUTOR = "Contributor"
RESULTS_CONSUMER = "ResultsConsumer"
LAUNCHER_USER = "LauncherUser"
PROJECT_IMPORTER = "ProjectImporter"
VIEWER = "Viewer"

# What a collaborator can be, the most powerful role first.
COLLABORATOR_ROLES = (OWNER, CONTRIBUTOR, RESULTS_CONSUMER, LAUNCHER_USER, PROJECT_IMPORTER)


class Permission(Enum):
    """Something that people may or may not do in a project; the value words it for a refusal."""

    DISCOVER = "find the project"
    READ_FILES = "read files of the project"
    VIEW_RUNS = "see runs of the project"
    RUN = "start and stop runs of the project"
    EDIT = "change files or tags of the project"
    CHANGE_SETTINGS = "change or read settings of the project"
    MANAGE_COLLABORATORS = "change the collaborators of the project"
    OWN = "archive the project, or make owners of it"


_ALL = frozenset(Permission)
_READ = frozenset({Permission.DISCOVER, Permission.READ_FILES, Permission.VIEW_RUNS})
_OF_ROLE = {
    OWNER: _ALL,
    ADMIN: _ALL,
    CONTRIBUTOR: _ALL - {Permission.OWN},
    RESULTS_CONSUMER: _READ,
    LAUNCHER_USER: frozenset({Permission.DISCOVER, Permission.VIEW_RUNS}),
    PROJECT_IMPORTER: frozenset({Permission.DISCOVER}),
}
_OF_EVERYBODY = {PUBLIC: _READ, SEARCHABLE: frozenset({Permission.DISCOVER}), PRIVATE: frozenset[Permission]()}
# Version 4's words for what the requesting user may do.
_OPERATIONS = {
    "ChangeProjectSettings": Permission.CHANGE_SETTINGS,
    "Run": Permission.RUN,
    "Edit": Permission.EDIT,
    "BrowseReadFiles": Permission.READ_FILES,
    "EditTags": Permission.EDIT,
    "ViewRuns": Permission.VIEW_RUNS,
    "UpdateProjectDescription": Permission.EDIT,
    "ProjectSearchPreview": Permission.DISCOVER,
}


def role_of(project: Project, person: Person) -> str:
    """Return the role of a user in a project; a user without one is a viewer."""
    if project.owner == person.name:
        return OWNER
    return project.collaborators.get(person.name) or (ADMIN if person.is_admin else VIEWER)


def permissions_of(project: Project, person: Person | None) -> frozenset[Permission]:
    """Tell what somebody may do in a project.

    :param project: the project.
    :param person: who; None for somebody who has not logged in.
    """
    if person is None:
        return frozenset()
    if person.is_admin:
        return _ALL
    return _OF_ROLE.get(role_of(project, person), frozenset()) | _OF_EVERYBODY[project.visibility]


def operations(permissions: frozenset[Permission]) -> list[str]:
    """Word permissions as version 4 of the API does."""
    return [word for word, permission in _OPERATIONS.items() if permission in permissions]
