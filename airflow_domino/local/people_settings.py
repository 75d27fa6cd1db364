"""The people that the settings of a server name: on the command line, or in a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_domino.local.memberships import COLLABORATOR_ROLES
from airflow_domino.local.people import PRACTITIONER, SYSTEM_ADMIN, Person, checked_name
from airflow_domino.local.projects import VISIBILITIES
from airflow_domino.local.root import kept_secret
from airflow_domino.local.setting_files import read_document
from airflow_domino.local.tokens import checked_text

if TYPE_CHECKING:
    from airflow_domino.local.platform import Platform

_TOKENS = "tokens"


class PeopleError(ValueError):
    """The people of the settings cannot be used; the message says why."""


@dataclass(frozen=True)
class UserSetting:
    """One user of the settings.

    :param name: the user's name.
    :param token_files: files that hold a token each, made when they do not exist; none is one in the server's folder.
    :param full_name: name for people.
    :param email: address.
    :param roles: roles in the deployment.
    """

    name: str
    token_files: tuple[Path, ...] = ()
    full_name: str = ""
    email: str = ""
    roles: tuple[str, ...] = (PRACTITIONER,)


@dataclass(frozen=True)
class ProjectSetting:
    """What the settings say of a project beside its files.

    :param full_name: ``owner/name``.
    :param visibility: who may find and see it; None leaves it as it is.
    :param collaborators: roles by name, beside those that it has.
    """

    full_name: str
    visibility: str | None = None
    collaborators: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PeopleSettings:
    """The people of the settings, and what they are to projects.

    :param users: the users; the first is the administrator.
    :param projects: collaborators and visibility of projects.
    """

    users: Sequence[UserSetting] = ()
    projects: Sequence[ProjectSetting] = ()

    def with_users(self, users: Iterable[UserSetting]) -> PeopleSettings:
        """Give these settings with more users before the others; who is named twice has the tokens of both."""
        known: dict[str, UserSetting] = {}
        for user in [*users, *self.users]:
            before = known.get(user.name)
            files = (*before.token_files, *user.token_files) if before else user.token_files
            known[user.name] = replace(user, token_files=files)
        return replace(self, users=list(known.values()))

    def with_projects(self, projects: Iterable[ProjectSetting]) -> PeopleSettings:
        """Give these settings with more said of projects."""
        return replace(self, projects=[*self.projects, *projects])


def user_of(text: str) -> UserSetting:
    """Read ``NAME`` or ``NAME=TOKEN_FILE``.

    :raises PeopleError: when nobody can have this name, or the file is missing after the sign.
    """
    name, has_file, file = text.partition("=")
    try:
        checked_name(name)
    except ValueError as error:
        raise PeopleError(f"--user {text}: {error}") from error
    if has_file and not file:
        raise PeopleError(f"--user {text}: expected NAME or NAME=TOKEN_FILE")
    return UserSetting(name, (Path(file).absolute(),) if file else ())


def collaborator_of(text: str) -> ProjectSetting:
    """Read ``OWNER/NAME=PERSON:ROLE``; without a role it is Contributor.

    :raises PeopleError: when it has another form, or there is no such role.
    """
    full_name, _, rest = text.partition("=")
    person, _, role = rest.partition(":")
    role = role or COLLABORATOR_ROLES[1]
    if not full_name or not person:
        raise PeopleError(f"--collaborator {text}: expected OWNER/NAME=PERSON:ROLE")
    return ProjectSetting(full_name, collaborators={person: _role(f"--collaborator {text}", role)})


def visibility_of(text: str) -> ProjectSetting:
    """Read ``OWNER/NAME=public``.

    :raises PeopleError: when it has another form.
    """
    full_name, _, word = text.partition("=")
    return ProjectSetting(full_name, visibility=_visibility(f"--visibility {text}", word))


def _role(where: str, role: str) -> str:
    known = {name.lower(): name for name in COLLABORATOR_ROLES}
    found = known.get(role.lower())
    if found is None:
        raise PeopleError(f"{where}: the role must be one of {', '.join(COLLABORATOR_ROLES)}, not {role!r}")
    return found


def _visibility(where: str, word: str) -> str:
    found = {name.lower(): name for name in VISIBILITIES}.get(word.lower())
    if found is None:
        raise PeopleError(f"{where}: the visibility must be one of {', '.join(VISIBILITIES)}, not {word!r}")
    return found


def load_people(path: Path) -> PeopleSettings:
    """Read people from a JSON, TOML or YAML file.

    It has ``users``: a list with ``name`` and optionally ``token_file``, ``full_name``, ``email`` and ``roles`` each;
    and optionally ``projects``: by ``owner/name`` a table with
    ``visibility`` and ``collaborators`` (roles by name).

    :param path: the file; paths in it begin at its folder.
    :raises PeopleError: when the file cannot be read or says something else.
    """
    try:
        document = read_document(path)
    except (OSError, ValueError) as error:
        raise PeopleError(f"{path}: cannot be read: {error}; correct the file, or its name") from error
    table = _table(path, "the file", document, {"users": list, "projects": dict})
    users = [_user(path, entry) for entry in table.get("users", [])]
    projects = [_project(path, name, entry) for name, entry in table.get("projects", {}).items()]
    return PeopleSettings(users, projects)


def _table(path: Path, what: str, entry: object, keys: Mapping[str, type]) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise PeopleError(f"{path}: {what} must be a table, not {entry!r}")
    for key, value in entry.items():
        if key not in keys:
            raise PeopleError(f"{path}: {what} has the unknown key {key!r}; there are {', '.join(keys)}")
        if not isinstance(value, keys[key]):
            raise PeopleError(f"{path}: {key} of {what} must be a {keys[key].__name__}, not {value!r}")
    return entry


def _user(path: Path, entry: object) -> UserSetting:
    keys = {"name": str, "token_file": str, "full_name": str, "email": str, "roles": list}
    table = _table(path, "a user", entry, keys)
    try:
        name = checked_name(table.get("name", ""))
    except ValueError as error:
        raise PeopleError(f"{path}: {error}") from error
    files = (path.absolute().parent / table["token_file"],) if "token_file" in table else ()
    roles = tuple(str(role) for role in table.get("roles", [PRACTITIONER]))
    return UserSetting(name, files, table.get("full_name", ""), table.get("email", ""), roles)


def _project(path: Path, name: str, entry: object) -> ProjectSetting:
    table = _table(path, f"project {name}", entry, {"visibility": str, "collaborators": dict})
    visibility = _visibility(f"{path}: project {name}", table["visibility"]) if "visibility" in table else None
    roles = {
        person: _role(f"{path}: project {name}", str(role)) for person, role in table.get("collaborators", {}).items()
    }
    return ProjectSetting(name, visibility, roles)


def settle_people(platform: Platform) -> dict[str, list[Path]]:
    """Bring everybody of the settings in, with their tokens.

    :param platform: its first user has the platform's own token, and is the administrator.
    :return: the files of the tokens of the other users, by name.
    :raises ValueError: when two of them have the same token.
    """
    settings = platform.people_settings
    told: dict[str, list[Path]] = {}
    platform.tokens.keep(platform.first_user, platform.secret)
    first = UserSetting(platform.first_user, roles=(PRACTITIONER, SYSTEM_ADMIN))
    for position, user in enumerate(settings.with_users([first]).users):
        roles = user.roles if position else tuple(dict.fromkeys((*user.roles, SYSTEM_ADMIN)))
        known = platform.people.named(user.name) or Person(user.name)
        full_name = user.full_name or known.full_name or user.name
        platform.people.save(replace(known, full_name=full_name, email=user.email or known.email, roles=roles))
        files = list(user.token_files)
        if position and not files:
            files = [platform.root / _TOKENS / user.name]
        for file in files:
            platform.tokens.keep(user.name, checked_text(kept_secret(file)))
        if position:
            told[user.name] = files
    return told


def settle_projects(platform: Platform) -> None:
    """Give projects the collaborators and the visibility that the settings name.

    :param platform: has all its projects already.
    :raises PeopleError: when there is no such project or person.
    """
    for project in platform.projects.all():
        platform.people.ensure(project.owner)
    for setting in platform.people_settings.projects:
        owner, _, name = setting.full_name.partition("/")
        found = platform.projects.named(owner, name)
        if found is None:
            raise PeopleError(
                f"there is no project {setting.full_name} to have collaborators or a visibility; name it by "
                "--project too"
            )
        unknown = [person for person in setting.collaborators if platform.people.named(person) is None]
        if unknown:
            raise PeopleError(f"{setting.full_name}: there is no user {', '.join(unknown)}; name them by --user too")
        changed = replace(found, collaborators={**found.collaborators, **setting.collaborators})
        platform.projects.save(replace(changed, visibility=setting.visibility or found.visibility))
