"""``airflow-domino files``: list, get and put files of a project."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from airflow_domino.commands.connection import add_connection_arguments, make_client, project_name, run_by_reference
from airflow_domino.commands.failures import REFUSED, CommandError
from airflow_domino.commands.output import local_time, say, show_table
from airflow_domino.domino import DominoClient, Project
from airflow_domino.progress import Count, counting

# Bytes from which Domino takes noticeable time to store what has been sent.
_LARGE = 10_000_000
_LEFT_OUT = {".git", "__pycache__", ".DS_Store"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the three actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list the files")
    listing.add_argument("path", nargs="?", default="", help="only below this folder")
    get = actions.add_parser("get", help="download a file, or a folder with all that is in it")
    get.add_argument("path", help="file of the project; a folder with / at its end; / for all files")
    get.add_argument("local", nargs="?", help="where to (default: its name, in the current folder)")
    for parser_at_commit in (listing, get):
        at = parser_at_commit.add_mutually_exclusive_group()
        at.add_argument("--commit", metavar="ID", help="as of this commit (default: latest)")
        at.add_argument("--run", metavar="RUN", help="as this run (number or id) left them")
    put = actions.add_parser("put", help="upload a file, or the files of a folder; each makes a new commit")
    put.add_argument("local", help="file or folder on this machine")
    put.add_argument("path", nargs="?", help="its path in the project (default: its name)")
    for action, execute_action in ((listing, _list), (get, _get), (put, _put)):
        add_connection_arguments(action)
        action.set_defaults(execute_action=execute_action)


def execute(options: argparse.Namespace) -> int:
    """Carry out the action."""
    with make_client(options) as client:
        options.execute_action(client, client.project(project_name(options)), options)
    return 0


def _commit(client: DominoClient, project: Project, options: argparse.Namespace) -> str:
    if options.commit:
        return str(options.commit)
    if not options.run:
        return client.head_commit(project)
    run = run_by_reference(client, project, options.run)
    if run.results_commit is None:
        raise CommandError(f"run {run.number} names no commit ({run.status}); name one by --commit")
    return run.results_commit


def _list(client: DominoClient, project: Project, options: argparse.Namespace) -> None:
    files = client.files(project, _commit(client, project, options), options.path)
    show_table(
        ("File", "Bytes", "Modified"), [(file.path, file.size, local_time(file.last_modified)) for file in files]
    )


def _get(client: DominoClient, project: Project, options: argparse.Namespace) -> None:
    commit = _commit(client, project, options)
    if options.path in (".", "") or options.path.endswith("/"):
        _get_folder(client, project, commit, options)
        return
    local = Path(options.local or PurePosixPath(options.path).name)
    if local.is_dir():
        local = local / PurePosixPath(options.path).name
    with counting(options.path, "bytes") as count:
        size = client.download_file(project, commit, options.path, local, on_moved=count.reach)
    say(f"{options.path} -> {local} ({size} bytes)")


def _get_folder(client: DominoClient, project: Project, commit: str, options: argparse.Namespace) -> None:
    folder = "" if options.path == "." else options.path.strip("/")
    local = Path(options.local or PurePosixPath(folder).name or ".")
    if local.is_file():
        raise CommandError(f"{local} is a file; name a folder for the files of a folder")
    files = client.files(project, commit, folder)
    with counting(folder, "bytes", sum(file.size for file in files)) as count:
        for file in files:
            target = local / PurePosixPath(file.path).relative_to(folder)
            moved = _after(count, file.path)
            size = client.download_file(project, commit, file.path, target, within=local, on_moved=moved)
            say(f"{file.path} -> {target} ({size} bytes)")
    if not files:
        raise CommandError(
            f"{project.full_name} has no files in {folder or 'it'} at commit {commit}; `airflow-domino files "
            "list` shows what there is",
            REFUSED,
        )


def _put(client: DominoClient, project: Project, options: argparse.Namespace) -> None:
    local = Path(options.local)
    if local.is_dir():
        _put_folder(client, project, local, options.path)
        return
    if not local.is_file():
        raise CommandError(f"{local} is not there; name a file or a folder of this machine")
    with counting(local.name, "bytes", local.stat().st_size) as count:
        moved = _after(count, local.name, local.stat().st_size)
        uploaded = client.upload_file(project, options.path or local.name, local, on_moved=moved)
    say(f"{local} -> {uploaded.path} ({uploaded.size} bytes)")


def _put_folder(client: DominoClient, project: Project, local: Path, path: str | None) -> None:
    name = local.resolve().name if path is None else path.strip("/")
    top = "" if name in (".", "") else f"{name}/"
    files = sorted(file for file in local.rglob("*") if file.is_file() and not _LEFT_OUT & set(file.parts))
    if not files:
        raise CommandError(f"{local} has no files in it; name a folder that has some")
    with counting(str(local), "bytes", sum(file.stat().st_size for file in files)) as count:
        for file in files:
            name = f"{top}{file.relative_to(local).as_posix()}"
            moved = _after(count, name, file.stat().st_size)
            uploaded = client.upload_file(project, name, file, on_moved=moved)
            say(f"{file} -> {uploaded.path} ({uploaded.size} bytes)")


def _after(count: Count, name: str, to_send: int | None = None) -> Callable[[int, int | None], None]:
    """Count the bytes of one file on top of those of the files before it.

    :param to_send: how many of it are sent; what has been sent is not yet a file of the project
    """
    before = count.done
    stored = f"{name}: being stored" if (to_send or 0) >= _LARGE else name
    return lambda moved, _: count.reach(before + moved, text=stored if moved == to_send else name)
