"""Domino, as an Airflow connection reaches it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from airflow.sdk import BaseHook

from airflow_domino.compat import expiry_warning_days
from airflow_domino.connection_form import CONNECTION_FIELDS, FIELD_BEHAVIOUR
from airflow_domino.domino.auth import Credentials
from airflow_domino.domino.client import DominoClient
from airflow_domino.domino.diagnosis import Diagnosis, Step, role_trouble
from airflow_domino.domino.errors import ConfigurationError, DominoError
from airflow_domino.hooks.connection import ConnectionSettings
from airflow_domino.hooks.places import check_limits
from airflow_domino.provider_info import DOMINO

TEST_SECONDS = 10.0
"""How long the test of a connection waits at most for each answer: somebody watches."""


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
            settings = self.settings
            connect, read = min(settings.connect_timeout, TEST_SECONDS), min(settings.read_timeout, TEST_SECONDS)
            with replace(settings, connect_timeout=connect, read_timeout=read).make_client(retries=1) as client:
                return _diagnose(settings, client)
        except DominoError as error:
            return False, str(error)

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


def _diagnose(settings: ConnectionSettings, client: DominoClient) -> tuple[bool, str]:
    """Go through all that tasks need; return whether it is there, and what was found."""
    address = str(settings.api_proxy) if settings.credential == "api_proxy" else settings.host
    found = Diagnosis(client, address, lambda: settings.project, credential_advice=settings.credential_advice)
    well: list[Step] = []
    for step in found.steps():
        if not step.is_well:
            before = "; ".join(f"{one.name}: {one.text}" for one in well)
            return False, f"{step.name}: {step.sentence}." + (f" Before that all was well: {before}." if before else "")
        well.append(step)
    if found.project is not None and (trouble := role_trouble(found.project)):
        return False, f"project: starting runs needs another role: {trouble}"
    if found.tiers is not None:
        check_limits(settings.limits(), found.tiers)
    return True, ". ".join(_good_news(settings, client, found))


def _good_news(settings: ConnectionSettings, client: DominoClient, found: Diagnosis) -> Iterator[str]:
    words = [f"ok: Domino {found.version.version}" if found.version else "ok"]
    words += [f"user {found.user.user_name}"] if found.user else []
    if found.project is None or found.tiers is None:
        words.append("no default project")
    else:
        words.append(f"{len(found.tiers)} tiers in {found.project.full_name}")
    yield ", ".join(words)
    if (expiry := settings.expiry() or settings.expiry_by(client)) is not None:
        # Airflow tests a connection under a name that it has made up.
        unnamed = replace(expiry, what=expiry.what.replace(f" of the connection {settings.conn_id!r}", ""))
        yield unnamed.warning(expiry_warning_days()) or unnamed.sentence()


def _keep_token(token: str, folder: Path | None) -> Path:
    if folder is None:
        raise ConfigurationError("A bearer token is handed to a child process in a file: give token_folder")
    path = folder / "domino-token"
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(token)
    return path
