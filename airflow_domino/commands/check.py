"""``airflow-domino check``: what is wrong between here and Domino, if anything."""

from __future__ import annotations

import argparse
import socket
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from airflow_domino.commands.connection import add_connection_arguments, make_client, project_name, settings
from airflow_domino.commands.failures import NOT_WELL, CommandError
from airflow_domino.commands.output import say
from airflow_domino.domino import DominoClient, DominoError, Project

Step = tuple[str, Callable[[], str]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the settings to be checked."""
    add_connection_arguments(parser)


def execute(options: argparse.Namespace) -> int:
    """Try each thing that later ones need, and end at the first that fails."""
    for name, attempt in _steps(options):
        try:
            say(f"ok      {name}: {attempt()}")
        except (DominoError, CommandError, OSError) as error:
            say(f"FAILED  {name}: {error}")
            return NOT_WELL
    return 0


def _steps(options: argparse.Namespace) -> Iterator[Step]:
    clients: list[DominoClient] = []
    projects: list[Project] = []

    def connect() -> str:
        clients.append(make_client(options))
        return _address(options)

    def open_project() -> str:
        projects.append(clients[0].project(project_name(options)))
        role = projects[0].role
        return projects[0].full_name + (f", as {role}" if role else "")

    yield "settings", connect
    try:
        yield "host name", lambda: _resolve(_address(options))
        yield "connection", lambda: f"Domino {clients[0].version().version}"
        yield "credentials", lambda: f"user {clients[0].current_user().user_name}"
        yield "project", open_project
        yield "tiers", lambda: ", ".join(tier.name for tier in clients[0].tiers(projects[0].id) if not tier.is_archived)
    finally:
        for client in clients:
            client.close()


def _address(options: argparse.Namespace) -> str:
    chosen = settings(options)
    return chosen.get("DOMINO_API_PROXY") or chosen.get("DOMINO_API_HOST", "")


def _resolve(address: str) -> str:
    parts = urlsplit(address if "://" in address else f"//{address}")
    name = parts.hostname or ""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise CommandError(
            f"the name {name!r} does not resolve ({error.strerror}); is it spelt right, is a VPN needed?"
        ) from None
    return f"{name} is {found[0][4][0]}"
