"""``airflow-domino migrate``: DAG files that use Domino's own operators, or run Luigi in a shell, as this package's."""

from __future__ import annotations

import argparse
import io
import os
import shutil
import sys
import tempfile
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_domino.commands.failures import NOT_WELL, CommandError
from airflow_domino.commands.output import remark, say

if TYPE_CHECKING:
    from airflow_domino.migrate import Migration

_COLOURS = {"+": "green", "-": "red", "@": "cyan"}
DEFAULT_CONNECTION = "domino_default"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the files and what becomes of them."""
    parser.epilog = (
        "Without --write nothing is changed: the difference is shown, fit for `patch -p0`, and each line that is left "
        "to be done by hand is named with the reason. Exit code 0: all is converted; 1: something is left to be done "
        "by hand, or with --check a file would be changed; 2: wrong arguments."
    )
    parser.add_argument(
        "files", nargs="+", metavar="FILE", type=Path, help="DAG file, or a folder of them; a crontab, or a script"
    )
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--write", action="store_true", help="write the files, instead of showing the difference")
    action.add_argument("--check", action="store_true", help="end with 1 where a file would be changed (for CI)")
    parser.add_argument(
        "--conn-id",
        metavar="ID",
        help=f"connection of the converted Domino tasks (default: {DEFAULT_CONNECTION}, which needs no argument)",
    )


@dataclass
class _Tally:
    """How it went, over all files."""

    files: int = 0
    changed: int = 0
    left: int = 0
    uses_connection: bool = False
    hosts: dict[str, None] | None = None


def execute(options: argparse.Namespace) -> int:
    """Convert, file by file.

    :raises CommandError: when a file is not there
    """
    from airflow_domino import migrate as migrating  # noqa: F401  (says at once when libcst is missing)

    tally = _Tally()
    for path in _files(options.files):
        tally.files += 1
        _convert(path, options, tally)
    _sum_up(tally, options)
    return NOT_WELL if tally.left or (options.check and tally.changed) else 0


def _files(given: Iterable[Path]) -> Iterator[Path]:
    for path in given:
        if path.is_dir():
            yield from sorted(file for file in path.rglob("*.py") if not _is_hidden(file.relative_to(path)))
        elif path.is_file():
            yield path
        else:
            raise CommandError(f"there is no file {path}; name a DAG file, or a folder of them")


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") or part in ("__pycache__", "node_modules") for part in path.parts)


def _convert(path: Path, options: argparse.Namespace, tally: _Tally) -> None:
    from libcst import ParserSyntaxError

    from airflow_domino.migrate import migrate, migrate_lines
    from airflow_domino.migrate.findings import Kind

    try:
        source, encoding = _read(path)
        migration = (
            migrate(source, conn_id=options.conn_id) if path.suffix == ".py" else migrate_lines(source, str(path))
        )
    except (ParserSyntaxError, SyntaxError, UnicodeDecodeError) as error:
        line = getattr(error, "raw_line", None) or getattr(error, "lineno", None) or 1
        tally.left += 1
        remark(f"{path}:{line}: {Kind.LEFT}: this is not Python 3: {_first_line(error)}")
        return
    for finding in migration.findings:
        remark(f"{path}:{finding.line}: {finding.kind}: {migration.hidden(finding.text)}")
    tally.left += sum(finding.kind is Kind.LEFT for finding in migration.findings)
    tally.uses_connection = tally.uses_connection or migration.uses_connection
    tally.hosts = {**(tally.hosts or {}), **dict.fromkeys(migration.hosts)}
    if not migration.has_changed:
        return
    tally.changed += 1
    target = path if migration.adds is None else Path(migration.adds)
    if not options.write:
        _show(migration, target)
    elif migration.adds is not None and target.exists():
        raise CommandError(f"{target} is there already: remove it, or take what is shown without --write")
    else:
        if migration.adds is not None:
            target.touch()
        _write(target, migration.after, encoding)
        say(str(target))


def _first_line(error: Exception) -> str:
    text = getattr(error, "message", None) or getattr(error, "msg", None) or str(error)
    return str(text).splitlines()[0] if str(text) else type(error).__name__


def _read(path: Path) -> tuple[str, str]:
    content = path.read_bytes()
    encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
    return content.decode(encoding), encoding


def _write(path: Path, text: str, encoding: str) -> None:
    """Write a file whole or not at all; it stays the same file for whom a link leads to it."""
    target = path.resolve()
    descriptor, part = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode(encoding))
        shutil.copymode(target, part)
        Path(part).replace(target)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def _show(migration: Migration, path: Path) -> None:
    lines = migration.diff(str(path))
    if not sys.stdout.isatty():
        for line in lines:
            say(line)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console()
    for line in lines:
        is_heading = line.startswith(("---", "+++"))
        style = "bold" if is_heading else _COLOURS.get(line[:1], "")
        console.print(Text(line, style=style), soft_wrap=True, highlight=False)


def _sum_up(tally: _Tally, options: argparse.Namespace) -> None:
    done = "converted" if options.write else "would be changed; --write does it"
    files = f"{tally.changed} of {tally.files} files"
    remark(f"{files} {done}" if tally.changed else f"nothing to convert in {_counted(tally.files, 'file')}")
    if tally.left:
        remark(f"{_counted(tally.left, 'place')} left to be done by hand (see above)")
    if tally.changed and tally.uses_connection:
        host = next((host for host in tally.hosts or () if host.startswith("http")), "of your Domino")
        remark(
            f"The tasks find Domino by the Airflow connection {options.conn_id or DEFAULT_CONNECTION}: make one of the "
            f"type domino, with the host {host} and the API key or token as its password"
        )


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
