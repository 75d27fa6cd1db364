"""``airflow-domino run``: launch a run, follow its log, bring its files back."""

from __future__ import annotations

import argparse
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

from airflow_domino.commands.connection import add_connection_arguments, make_client, project_name
from airflow_domino.commands.failures import CommandError
from airflow_domino.commands.output import cents, remark, say, seconds
from airflow_domino.domino import (
    DominoClient,
    GitRef,
    HardwareTier,
    LogLine,
    Project,
    Run,
    RunRequest,
    command_line,
    run_error,
)
from airflow_domino.domino.launch import RunMark, launch_once
from airflow_domino.domino.watch import wait_for_run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the choices of a run."""
    add_connection_arguments(parser)
    parser.add_argument("--tier", metavar="NAME", help="name or id of the hardware tier (default: the project's)")
    parser.add_argument("--commit", metavar="ID", help="commit of the project's files to start from (default: latest)")
    parser.add_argument("--branch", help="branch of a git-based project's code")
    parser.add_argument("--environment", metavar="NAME", help="name or id of the compute environment")
    parser.add_argument("--title", help="title that people see")
    parser.add_argument(
        "--output",
        action="append",
        default=[],
        metavar="FILE[=LOCAL]",
        help="bring this file of the run back, to the same place below the current folder or to LOCAL; may be repeated",
    )
    parser.add_argument("--detach", action="store_true", help="print the run's number and do not wait for it")
    parser.add_argument("words", nargs="+", metavar="COMMAND", help="the run's command, best after --")


@dataclass(frozen=True)
class Output:
    """A file of the run and where it goes on this machine."""

    file: str
    local: Path

    @classmethod
    def parse(cls, text: str) -> Output:
        """Read ``file`` or ``file=local``.

        :raises CommandError: when one of the two is empty
        """
        file, equals, local = text.partition("=")
        if not file or (equals and not local):
            raise CommandError(f"--output {text!r}: write FILE or FILE=LOCAL")
        return cls(file, Path(local or file))


def execute(options: argparse.Namespace) -> int:
    """Launch; unless detached, wait for the end.

    :raises RunError: when the run ends badly
    """
    outputs = [Output.parse(text) for text in options.output]
    if outputs and options.detach:
        raise CommandError("--output needs the end of the run, which --detach does not wait for")
    words = options.words[0] if len(options.words) == 1 else options.words
    with make_client(options) as client:
        project = client.project(project_name(options))
        tier = client.resolve_tier(project, options.tier)
        run = _launch(client, project, tier, command_line(words), options)
        url = client.run_url(project, run.id)
        remark(f"Run {run.number} on {tier.name}: {url}")
        if options.detach:
            say(str(run.number))
            return 0
        run = _follow(client, run)
        price = cents(None if run.run_seconds is None else tier.cost_cents(run.run_seconds))
        remark(f"Run {run.number} {run.status}: ran {seconds(run.run_seconds)}, {price}")
        if not run.status.succeeded:
            raise run_error(run, url)
        for output in outputs:
            _bring(client, project, run, output)
    return 0


def _launch(
    client: DominoClient, project: Project, tier: HardwareTier, command: str, options: argparse.Namespace
) -> Run:
    environment = client.resolve_environment(project, options.environment) if options.environment else None
    request = RunRequest(
        project_id=project.id,
        command=command,
        title=options.title,
        tier_id=tier.id,
        commit_id=options.commit,
        git_ref=GitRef.parse(options.branch) if options.branch else None,
        environment_id=environment.id if environment else None,
    )
    # Unique to this call: it finds the run again when the answer to its start is lost.
    mark = RunMark.for_task("airflow-domino run", uuid.uuid4().hex, "", -1, 0)
    return launch_once(client, request, mark, look_first=False).run


def _follow(client: DominoClient, run: Run) -> Run:
    try:
        return wait_for_run(client, run.id, interval=1, on_log=print_log_line).run
    except KeyboardInterrupt:
        remark(f"Run {run.number} goes on; `airflow-domino stop {run.number}` stops it")
        raise


def print_log_line(line: LogLine) -> None:
    """Print a line of a run where the run printed it."""
    stream = sys.stderr if line.stream == "stderr" else sys.stdout
    stream.write(f"{line.text}\n")
    stream.flush()


def _bring(client: DominoClient, project: Project, run: Run, output: Output) -> None:
    if run.results_commit is None:
        raise CommandError(f"run {run.number} names no commit that would hold {output.file}", exit_code=1)
    output.local.parent.mkdir(parents=True, exist_ok=True)
    size = client.download_file(project, run.results_commit, output.file, output.local)
    remark(f"{output.file} -> {output.local} ({size} bytes)")
