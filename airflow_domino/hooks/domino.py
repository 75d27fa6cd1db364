"""Domino, as an Airflow connection reaches it."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Any

from airflow.sdk import BaseHook

from airflow_domino.domino.auth import Credentials
from airflow_domino.domino.client import DominoClient
from airflow_domino.domino.errors import AuthenticationError, ConfigurationError, DominoError
from airflow_domino.hooks.connection import ConnectionSettings
from airflow_domino.provider_info import CONNECTION_FIELDS, DOMINO, FIELD_BEHAVIOUR


class DominoHook(BaseHook):
    """Reach Domino with the host and credentials of an Airflow connection.

    :param domino_conn_id: id of a connection of type `domino`.
    """

    conn_name_attr = "domino_conn_id"
    default_conn_name = "domino_default"
    conn_type = "domino"
    hook_name = DOMINO

    def __init__(self, domino_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.domino_conn_id = domino_conn_id

    @cached_property
    def settings(self) -> ConnectionSettings:
        """The connection, read and checked.

        :raises ConfigurationError: when a field is missing or malformed.
        """
        return ConnectionSettings.from_connection(self.get_connection(self.domino_conn_id))

    @cached_property
    def client(self) -> DominoClient:
        """A client that is kept for the life of this hook."""
        return self.settings.make_client()

    def get_conn(self) -> DominoClient:
        """Return :attr:`client` (Airflow's name for it)."""
        return self.client

    def renew(self) -> Credentials:
        """Read the connection again, and return what signs the requests from now on.

        :raises ConfigurationError: when a field is missing or malformed by now.
        """
        return ConnectionSettings.from_connection(self.get_connection(self.domino_conn_id)).credentials()

    def close(self) -> None:
        """Close the client, if one was made."""
        if (client := self.__dict__.pop("client", None)) is not None:
            client.close()

    @property
    def default_project(self) -> str | None:
        """`owner/name` for tasks that name no project."""
        return self.settings.project

    def project_name(self, project: str | None) -> str:
        """Return the project named, or else the connection's default.

        :param project: `owner/name` or None.
        :raises ConfigurationError: when neither names one.
        """
        return self.settings.project_name(project)

    def environment(self, project: str | None = None, *, token_folder: Path | None = None) -> dict[str, str]:
        """Return the `DOMINO_*` variables by which a child process reaches the same Domino as the same user.

        Credentials that are not used are given as empty variables, so that none is inherited from this process.

        :param project: `owner/name`; None means the connection's default, if it has one.
        :param token_folder: folder of the caller's (deleted by it) in which a bearer token is kept with mode 0600.
        :raises ConfigurationError: when there is a bearer token and no folder to keep it in.
        """
        settings = self.settings
        variables = {
            "DOMINO_API_HOST": settings.host,
            "DOMINO_USER_HOST": settings.ui_host or settings.host,
            "DOMINO_API_PROXY": "",
            "DOMINO_TOKEN_FILE": "",
            "DOMINO_USER_API_KEY": "",
        }
        if settings.credential == "api_proxy":
            variables["DOMINO_API_PROXY"] = str(settings.api_proxy)
        elif settings.credential == "token_file":
            variables["DOMINO_TOKEN_FILE"] = str(settings.token_file)
        elif settings.credential == "api_key":
            variables["DOMINO_USER_API_KEY"] = settings.secret
        else:
            variables["DOMINO_TOKEN_FILE"] = str(_keep_token(settings.secret, token_folder))
        if settings.verify is False:
            variables["DOMINO_VERIFY_CERTIFICATE"] = "false"
        elif isinstance(settings.verify, str):
            variables["DOMINO_CA_FILE"] = settings.verify
        name = project or settings.project
        if name:
            owner, _, short = name.partition("/")
            variables |= {"DOMINO_PROJECT_OWNER": owner, "DOMINO_PROJECT_NAME": short}
        return variables

    def test_connection(self) -> tuple[bool, str]:
        """Say whether the connection works, and if not, what is wrong (Airflow's "Test" button)."""
        try:
            return True, self._describe()
        except AuthenticationError as error:
            return False, f"{error} (the connection says that its credential is: {self.settings.credential})"
        except DominoError as error:
            return False, str(error)
        finally:
            self.close()

    def _describe(self) -> str:
        version, user = self.client.version(), self.client.current_user()
        found = f"ok: Domino {version.version}, user {user.user_name}"
        if not self.default_project:
            return f"{found}, no default project"
        project = self.client.project(self.default_project)
        tiers = [tier for tier in self.client.tiers(project.id) if not tier.is_archived]
        return f"{found}, {len(tiers)} tiers in {project.full_name}"

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the form fields for Airflow 3.1; later versions read them from the provider's info."""
        from wtforms import BooleanField, StringField  # type: ignore[import-untyped]

        return {
            name: (BooleanField if field["schema"]["type"] == "boolean" else StringField)(
                field["label"], description=field.get("description", "")
            )
            for name, field in CONNECTION_FIELDS.items()
        }

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return which standard fields the form of Airflow 3.1 hides and renames."""
        return {name.replace("-", "_"): value for name, value in FIELD_BEHAVIOUR.items()}


def _keep_token(token: str, folder: Path | None) -> Path:
    if folder is None:
        raise ConfigurationError("A bearer token is handed to a child process in a file: give token_folder")
    path = folder / "domino-token"
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(token)
    return path
