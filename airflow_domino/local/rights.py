"""Who sends a request, and what is refused to whom.

A project that somebody may not even find is answered for as if it did not exist (404); whoever may find it and not do
what was asked is told so (403).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from airflow_domino.local.errors import Forbidden, NotFound
from airflow_domino.local.memberships import Permission, permissions_of, role_of
from airflow_domino.local.people import Caller, People, Person, caller
from airflow_domino.local.projects import Project, Projects
from airflow_domino.local.runs import Run, Runs
from airflow_domino.local.tokens import Tokens


@dataclass(frozen=True)
class Rights:
    """The rights of whoever sends the request that is being answered. The server itself may do everything.

    :param people: knows everybody.
    :param tokens: knows their tokens.
    :param projects: knows the projects.
    :param runs: knows the runs.
    :param run_of_key: gives the id of the executing run that has a key.
    """

    people: People
    tokens: Tokens
    projects: Projects
    runs: Runs
    run_of_key: Callable[[str], str | None]

    def authenticate(self, text: str) -> Caller | None:
        """Tell who sends a request, by its token or the key of an executing run; None where it proves nothing."""
        token = self.tokens.of_text(text)
        if token is not None:
            person = self.people.named(token.owner)
            return Caller(person) if token.is_accepted and person is not None else None
        run_id = self.run_of_key(text)
        run = None if run_id is None else self.runs.find(run_id)
        if run is None:
            return None
        return Caller(self.people.named(run.started_by) or Person(run.started_by), run.id)

    def why_refused(self, text: str) -> str:
        """Say for the sender of a token that is not accepted why that is."""
        token = self.tokens.of_text(text)
        if token is not None and token.is_expired:
            return "The token has expired"
        return "The request needs a valid token, as X-Domino-Api-Key or as Authorization: Bearer"

    @property
    def is_admin(self) -> bool:
        """Whether the sender may do everything."""
        sender = caller()
        return sender is None or (sender.person is not None and sender.person.is_admin)

    def of(self, project: Project) -> frozenset[Permission]:
        """Tell what the sender may do in a project."""
        sender = caller()
        return frozenset(Permission) if sender is None else permissions_of(project, sender.person)

    def role(self, project: Project, default: str) -> str:
        """Tell what the sender is in a project.

        :param default: what the server itself is.
        """
        sender = caller()
        if sender is None or sender.person is None:
            return default
        return role_of(project, sender.person)

    def require(self, project: Project, permission: Permission, missing: str) -> None:
        """Refuse what the sender may not do in a project.

        :param project: the project.
        :param permission: what is to be done.
        :param missing: says that there is no such thing, for people who must not know that there is.
        :raises NotFound: when the sender may not know of the project, or it is archived.
        :raises Forbidden: when the sender may know of it, but not do this.
        """
        held = self.of(project)
        if Permission.DISCOVER not in held or project.is_archived:
            raise NotFound(missing)
        if permission not in held:
            raise Forbidden(f"You must have the permission to {permission.value} ({project.full_name})")

    def require_of_run(self, run: Run, permission: Permission, missing: str) -> None:
        """Refuse what the sender may not do with a run; see :meth:`require`."""
        if self.is_admin:
            return
        project = self.projects.find(run.project_id)
        if project is None:
            raise NotFound(missing)
        self.require(project, permission, missing)

    def visible(self, permission: Permission = Permission.DISCOVER) -> list[Project]:
        """List the projects that the sender may find, or may do something in."""
        return [project for project in self.projects.all() if permission in self.of(project)]
