"""The command ``airflow-domino serve``: its arguments and what it does."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

TOKEN_VARIABLE = "DOMINO_LOCAL_TOKEN"  # noqa: S105 - the name of a variable
_WRONG_SETTINGS = 2
_DEFAULT_ROOT = Path(".airflow-domino/domino")


def add_serve_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``serve`` to a parser."""
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=int, default=8890, help="port to listen on; 0 takes a free one (default: %(default)s)")
    add("--root", type=Path, default=_DEFAULT_ROOT, help="folder of all state (default: %(default)s)")
    add(
        "--project",
        action="append",
        default=[],
        metavar="OWNER/NAME[=FOLDER]",
        help="make the project, with the folder's files; on a restart, bring changed files of the folder into it",
    )
    add(
        "--repository",
        action="append",
        default=[],
        metavar="OWNER/NAME=GIT_URL_OR_FOLDER[#BRANCH]",
        help="make the project a git-based one: its code comes from this git repository, and its own files are the "
        "artifacts of its runs; a login is better given by --git-credentials than in the address",
    )
    add(
        "--git-credentials",
        type=Path,
        metavar="FILE",
        help="logins for private repositories, one address with a login in each line, as git's credential store has "
        "them (https://USER:TOKEN@HOST)",
    )
    add(
        "--install-requirements",
        action="store_true",
        help="install what a project's requirements.txt names, into a virtual environment over the environment of the "
        "run, made once for each content (default: off, which the log of such a run says)",
    )
    add(
        "--largest-file",
        type=float,
        default=8,
        metavar="GIB",
        help="size that a file of a project may have (default: %(default)s GiB, as on Domino)",
    )
    add(
        "--most-files",
        type=int,
        default=10_000,
        metavar="NUMBER",
        help="how many files a project may have (default: %(default)s, as on Domino)",
    )
    add(
        "--results",
        action="append",
        default=[],
        metavar="[OWNER/NAME=]main|isolated",
        help="merge results of runs into the project's main line, or keep them apart (default: main)",
    )
    add(
        "--tiers", type=Path, metavar="FILE", help="hardware tiers, as JSON, TOML or YAML, in place of the default ones"
    )
    add("--python", type=Path, help="interpreter of the default environment (default: the one that runs this)")
    add(
        "--environment",
        action="append",
        default=[],
        metavar="NAME[@REVISION]=PYTHON",
        help="a further environment: its name, and its interpreter or the folder of a virtual environment; the same "
        "name with another interpreter is its next revision, and the last one named is the active one",
    )
    add(
        "--user",
        action="append",
        metavar="NAME[=TOKEN_FILE]",
        help="a user, and the file of the user's token, which is made when it does not exist (default: "
        "ROOT/tokens/NAME); the first one is the administrator, has the token of --token and --token-file, and is "
        "named domino where none is named",
    )
    add("--users", type=Path, metavar="FILE", help="users and collaborators, as JSON, TOML or YAML")
    add(
        "--collaborator",
        action="append",
        default=[],
        metavar="OWNER/NAME=USER[:ROLE]",
        help="let a user work in a project, as Contributor, ResultsConsumer, LauncherUser, "
        "ProjectImporter or Owner (default: Contributor)",
    )
    add(
        "--visibility",
        action="append",
        default=[],
        metavar="OWNER/NAME=private|searchable|public",
        help="who may see a project beside its collaborators (default: private)",
    )
    add("--token", help=f"the user's token, which the list of processes shows; better a file, or {TOKEN_VARIABLE}")
    add("--token-file", type=Path, help="file of the user's token, made when it does not exist (default: ROOT/token)")
    add("--url", help="address under which people reach the server, for links (default: where it listens)")
    add(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a further host name under which the server may be asked",
    )
    add("--open-pages", action="store_true", help="let the pages be read without login; the API always needs the token")
    add(
        "--limits",
        choices=("enforce", "off"),
        default="enforce",
        help="hold runs to the cores and memory of their tier, as far as this machine allows (default: %(default)s)",
    )
    add(
        "--depth",
        choices=("execute", "simulate"),
        help="execute the commands of runs, or only move their states as a simulation says (default: execute, or "
        "simulate when --simulation is given)",
    )
    add(
        "--simulation",
        type=Path,
        metavar="FILE",
        help="what becomes of simulated runs, as JSON, TOML or YAML; without it each runs for a second and succeeds",
    )
    add("--stop-grace", type=float, default=10.0, metavar="SECONDS", help="time a stopped run has to end by itself")
    add("--max-queued-runs", type=int, default=50_000, metavar="RUNS", help="runs that may wait (default: %(default)s)")
    add("--until-eof", action="store_true", help="end when the standard input ends, and so with whoever holds it")
    add("--seed", type=int, help="make ids that are alike every time, for tests")
    add("--log-level", default="WARNING", choices=("DEBUG", "INFO", "WARNING", "ERROR"), help=argparse.SUPPRESS)


def serve(args: argparse.Namespace) -> int:
    """Carry ``serve`` out.

    :param args: what the arguments of :func:`add_serve_arguments` were parsed to.
    :return: exit status.
    """
    try:
        # The server's packages are an extra, and this module is imported by the whole command line.
        from airflow_domino.local import start
    except ImportError as error:
        sys.stderr.write(f"The local Domino needs more packages: pip install 'airflow-domino[local]' ({error})\n")
        return _WRONG_SETTINGS
    try:
        start.serve(args)
    except start.CANNOT_START as error:
        sys.stderr.write(f"The local Domino cannot start: {error}\n")
        return _WRONG_SETTINGS
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run ``python -m airflow_domino.local``.

    :param arguments: command-line arguments; None takes those of the process.
    """
    parser = argparse.ArgumentParser(prog="python -m airflow_domino.local", description=__doc__)
    add_serve_arguments(parser)
    return serve(parser.parse_args(arguments))
