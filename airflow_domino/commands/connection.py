"""The settings that all sub-commands share which talk to Domino, and how they name a project and a run."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_domino.commands.failures import REFUSED, CommandError

if TYPE_CHECKING:
    from airflow_domino.domino import DominoClient, Project, Run
    from airflow_domino.hooks.connection import ConnectionSettings


def add_connection_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the settings, each of which wins over its variable. Secrets are no arguments, since anybody can see those."""
    group = parser.add_argument_group("Domino")
    group.add_argument("--conn", metavar="ID", help="an Airflow connection of type domino, such as domino_default")
    group.add_argument("--host", metavar="URL", help="Domino's address (default: DOMINO_API_HOST)")
    group.add_argument("--token-file", metavar="FILE", help="file with a token, read anew for each request")
    group.add_argument("--api-proxy", metavar="URL", help="Domino's API proxy, which adds the credential itself")
    group.add_argument("--ca-file", metavar="FILE", help="certificates to trust (PEM)")
    group.add_argument("--insecure", action="store_true", help="do not verify the certificate of the host")
    group.add_argument("--project", metavar="OWNER/NAME", help="default: DOMINO_PROJECT_OWNER and DOMINO_PROJECT_NAME")


def settings(options: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return Domino's environment variables with the arguments put over them."""
    chosen = dict(environ)
    if options.token_file:
        chosen.pop("DOMINO_API_PROXY", None)
        chosen["DOMINO_TOKEN_FILE"] = options.token_file
    if options.api_proxy:
        chosen["DOMINO_API_PROXY"] = options.api_proxy
    if options.host:
        chosen["DOMINO_API_HOST"] = options.host
        chosen.pop("DOMINO_USER_HOST", None)
    return chosen


def make_client(options: argparse.Namespace) -> DominoClient:
    """Make the client that the arguments and the environment describe.

    :raises ConfigurationError: when there is no host or no credential
    :raises CommandError: when Airflow has no such connection
    """
    from airflow_domino.domino import DominoClient

    if options.conn:
        return airflow_connection(options).make_client()
    if options.ca_file:
        return DominoClient.from_environment(settings(options), verify=options.ca_file)
    if options.insecure:
        return DominoClient.from_environment(settings(options), verify=False)
    return DominoClient.from_environment(settings(options))


def airflow_connection(options: argparse.Namespace) -> ConnectionSettings:
    """Read the Airflow connection that ``--conn`` names.

    :raises ConfigurationError: when a field of it is missing or malformed
    :raises CommandError: when there is no such connection, or it is given beside other settings
    """
    others = ("host", "token_file", "api_proxy", "ca_file", "insecure")
    for name in others:
        if getattr(options, name):
            raise CommandError(
                f"--conn and --{name.replace('_', '-')} exclude each other: the connection says all of it; "
                "leave one of them out"
            )
    try:
        from airflow_domino.compat import AirflowException
        from airflow_domino.hooks.domino import DominoHook
    except ModuleNotFoundError as error:
        raise CommandError(
            f"--conn needs Airflow, which is not installed here ({error.name} is missing); give --host instead"
        ) from error
    try:
        with _in_airflows_own_process():
            return DominoHook(options.conn).settings
    except AirflowException as error:
        raise CommandError(
            f"Airflow has no connection {options.conn!r}: {error}; `airflow connections list` shows those that it has"
        ) from error


@contextmanager
def _in_airflows_own_process() -> Iterator[None]:
    """Airflow looks into its database only where it is told that it may, as its own command `connections` does."""
    name = "_AIRFLOW_PROCESS_CONTEXT"
    is_told = name in os.environ
    os.environ.setdefault(name, "server")
    try:
        yield
    finally:
        if not is_told:
            del os.environ[name]


def project_name(options: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> str:
    """Return the full name of the project to use.

    :raises CommandError: when none is named
    """
    if options.project:
        return str(options.project)
    if options.conn:
        if default := airflow_connection(options).project:
            return default
        raise CommandError(f"which project? The connection {options.conn!r} names none; give --project owner/name")
    owner, name = environ.get("DOMINO_PROJECT_OWNER"), environ.get("DOMINO_PROJECT_NAME")
    if not owner or not name:
        raise CommandError(
            "which project? Give --project owner/name, or set DOMINO_PROJECT_OWNER and DOMINO_PROJECT_NAME"
        )
    return f"{owner}/{name}"


def run_by_reference(client: DominoClient, project: Project, reference: str | None) -> Run:
    """Find a run of a project by its number, or any run by its id.

    :param reference: number or id; None means the project's latest run
    :raises CommandError: when the project has no run of that number, or none at all
    :raises NotFoundError: when there is no run of that id
    """
    if reference is None:
        latest = next(client.runs(project.id, limit=1), None)
        if latest is None:
            raise CommandError(f"{project.full_name} has no run yet; `airflow-domino run` starts one", REFUSED)
        return latest
    number = reference.removeprefix("#")
    if not number.isdecimal() or len(number) >= 24:
        return client.run(reference)
    for run in client.runs(project.id):
        if run.number == int(number):
            return run
        if run.number < int(number):
            # Numbers only fall from here on.
            break
    raise CommandError(f"{project.full_name} has no run {number}; `airflow-domino runs` lists them", REFUSED)
