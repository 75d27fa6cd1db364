"""From the arguments of ``serve`` to a running server."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from airflow_domino.local import server
from airflow_domino.local.code_repository import parted
from airflow_domino.local.command import TOKEN_VARIABLE
from airflow_domino.local.environments import EnvironmentSetting, interpreter
from airflow_domino.local.gate import Access, host_name
from airflow_domino.local.ids import IDS
from airflow_domino.local.people_settings import (
    PeopleSettings,
    UserSetting,
    collaborator_of,
    load_people,
    settle_projects,
    user_of,
    visibility_of,
)
from airflow_domino.local.platform import RESULTS_SETTINGS, Platform
from airflow_domino.local.project_code import set_code
from airflow_domino.local.root import RootInUseError, kept_secret
from airflow_domino.local.saved_results import FileLimits
from airflow_domino.local.simulation import Simulation, load_simulation
from airflow_domino.local.tiers import DEFAULT_TIERS, load_tiers
from airflow_domino.local.tokens import MADE_TOKEN, checked_text

# What is wrong with the settings, the folder or the port; each with a message for the person who starts the server.
CANNOT_START = (ValueError, OSError, RootInUseError)
_MASK = "***"
_SHORTEST_SECRET = 8
_LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
_SHOWN_TOKEN = (
    "Whoever is on this machine can read --token in the list of processes; "
    f"better give it by --token-file or in {TOKEN_VARIABLE}"
)
_SHOWN_LOGIN = (
    "Whoever is on this machine can read the login in --repository in the list of processes; "
    "better give it by --git-credentials"
)


def serve(args: argparse.Namespace) -> None:
    """Serve until a signal ends it.

    :param args: what the arguments of :func:`airflow_domino.local.command.add_serve_arguments` were parsed to.
    :raises ValueError: when a setting cannot be used.
    :raises OSError: when the folder or the port cannot be used.
    :raises RootInUseError: when another server works in the folder.
    """
    logging.basicConfig(level=args.log_level, stream=sys.stderr, format=_LOG_FORMAT)
    IDS.seed(args.seed)
    platform = _platform(args)
    _keep_secrets_from_logs(platform)
    platform.faults.seed(args.seed)
    if args.until_eof:
        threading.Thread(target=_end_with_input, daemon=True).start()
    try:
        names = [*args.allow_host, host_name(urlsplit(args.url).netloc) if args.url else args.host]
        access = Access(frozenset(name.lower() for name in names), args.open_pages)
        told = _told_of_token(args, platform)
        server.serve(
            platform,
            access,
            host=args.host,
            port=args.port,
            public_url=args.url,
            token=told,
        )
    finally:
        platform.close()


def _keep_secrets_from_logs(platform: Platform) -> None:
    class WithoutSecrets(logging.Formatter):
        """Formats entries of the log without the tokens of people and runs, also in traces of errors."""

        def format(self, record: logging.LogRecord) -> str:
            text = super().format(record)
            for secret in (platform.secret, *platform.runner.keys()):
                # A shorter one is too often part of another word.
                text = text.replace(secret, _MASK) if len(secret) >= _SHORTEST_SECRET else text
            return MADE_TOKEN.sub(_MASK, text)

    for handler in logging.getLogger().handlers:
        handler.setFormatter(WithoutSecrets(_LOG_FORMAT))


def _end_with_input() -> None:
    # Python's own file would not let the server end while somebody reads from it.
    while os.read(sys.stdin.fileno(), 1 << 16):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _platform(args: argparse.Namespace) -> Platform:
    projects = [_project(text) for text in args.project]
    results = [_results(text) for text in args.results]
    environments = [_environment(text) for text in args.environment]
    people = _people(args)
    first, *_ = people.users
    platform = Platform(
        root=args.root,
        token=_token(args, first),
        first_user=first.name,
        people_settings=people,
        tiers=load_tiers(args.tiers) if args.tiers else DEFAULT_TIERS,
        environment_settings=environments,
        python=interpreter(args.python) if args.python else None,
        stop_grace=args.stop_grace,
        limits_are_enforced=args.limits == "enforce",
        simulation=_simulation(args),
        most_queued=args.max_queued_runs,
        install_requirements=args.install_requirements,
        git_credentials=args.git_credentials and args.git_credentials.absolute(),
        file_limits=FileLimits(int(args.largest_file * 2**30), args.most_files),
    )
    try:
        for full_name, folder in projects:
            platform.add_project(full_name, folder)
        for full_name, uri, ref in map(_repository, args.repository):
            set_code(platform, platform.add_project(full_name), uri, default_ref=ref)
        known = [project.full_name for project in platform.projects.all()]
        for name, setting in results:
            if name is not None and name not in known:
                raise ValueError(f"--results {name}={setting}: there is no project {name}; name it by --project too")
            for full_name in known if name is None else [name]:
                platform.add_project(full_name, results=setting)
        settle_projects(platform)
    except BaseException:
        platform.close()
        raise
    return platform


def _simulation(args: argparse.Namespace) -> Simulation | None:
    if args.simulation is None:
        return Simulation() if args.depth == "simulate" else None
    if args.depth == "execute":
        raise ValueError(
            "--simulation is for --depth simulate, and with --depth execute no run is simulated; leave one of them out"
        )
    return load_simulation(args.simulation)


def _people(args: argparse.Namespace) -> PeopleSettings:
    users = [user_of(text) for text in args.user or ["domino"]]
    of_file = load_people(args.users) if args.users else PeopleSettings()
    collaborators = [collaborator_of(text) for text in args.collaborator]
    visibilities = [visibility_of(text) for text in args.visibility]
    return of_file.with_users(users if args.user or not of_file.users else []).with_projects(
        [*collaborators, *visibilities]
    )


def _token(args: argparse.Namespace, first: UserSetting) -> str | None:
    if args.token is not None and args.token_file is not None:
        raise ValueError("--token and --token-file exclude each other; leave one of them out")
    token: str | None = args.token if args.token is not None else os.environ.get(TOKEN_VARIABLE)
    file = _token_file(args, first)
    if file is not None:
        token = kept_secret(file)
    if token is not None:
        checked_text(token)
    if args.token is not None:
        sys.stderr.write(f"{_SHOWN_TOKEN}\n")
    return token


def _token_file(args: argparse.Namespace, first: UserSetting) -> Path | None:
    """Give the file of the first user's token; None where it is given in another way, or not at all."""
    if args.token_file is not None:
        file: Path = args.token_file
        return file.absolute()
    is_given = args.token is not None or TOKEN_VARIABLE in os.environ
    return None if is_given or not first.token_files else first.token_files[0]


def _told_of_token(args: argparse.Namespace, platform: Platform) -> dict[str, Any]:
    """Say what the line of readiness tells of tokens, which often lands in a log: never one given in confidence."""
    others = [
        {"name": name, "token_files": [str(file) for file in files]} for name, files in platform.token_files.items()
    ]
    users = {"users": others} if others else {}
    file = _token_file(args, platform.people_settings.users[0])
    if file is not None:
        return {"token_file": str(file), **users}
    if args.token is None and TOKEN_VARIABLE in os.environ:
        return users
    return {"token": platform.secret, **users}


def _project(text: str) -> tuple[str, Path | None]:
    full_name, has_folder, folder = text.partition("=")
    if has_folder and not Path(folder).is_dir():
        raise ValueError(f"--project {text}: {folder} is not a folder; name the folder of the project's files")
    return full_name, Path(folder).absolute() if has_folder else None


def _repository(text: str) -> tuple[str, str, dict[str, str] | None]:
    full_name, _, address = text.partition("=")
    uri, _, branch = address.rpartition("#") if "#" in address else (address, "", "")
    if not full_name or not uri:
        # The address is not repeated: it may hold a password.
        raise ValueError(f"--repository {full_name}: expected OWNER/NAME=GIT_URL_OR_FOLDER")
    if parted(uri)[1] is not None:
        sys.stderr.write(f"{_SHOWN_LOGIN}\n")
    return full_name, uri, {"type": "branches", "value": branch} if branch else None


def _results(text: str) -> tuple[str | None, str]:
    name, has_name, setting = text.rpartition("=")
    if setting not in RESULTS_SETTINGS:
        raise ValueError(f"--results {text}: expected one of {', '.join(RESULTS_SETTINGS)}")
    return (name if has_name else None), setting


def _environment(text: str) -> EnvironmentSetting:
    name, _, python = text.partition("=")
    name, _, number = name.partition("@")
    if not name or not python or (number and not (number.isascii() and number.isdigit() and int(number))):
        raise ValueError(f"--environment {text}: expected NAME=PYTHON, or NAME@REVISION=PYTHON")
    return EnvironmentSetting(name, interpreter(Path(python)), int(number) if number else None)
