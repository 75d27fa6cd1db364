"""``airflow-domino run``: launch a run, follow its log, bring its files back."""

from __future__ import annotations

import argparse
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from airflow_domino.commands.connection import add_connection_arguments, make_client, project_name
from airflow_domino.commands.failures import CommandError
from airflow_domino.commands.following import check_end, follow
from airflow_domino.commands.output import cents, remark, say, seconds
from airflow_domino.domino import (
    DominoClient,
    GitRef,
    HardwareTier,
    Project,
    Run,
    RunRequest,
    command_line,
)
from airflow_domino.domino.launch import RunMark, launch_once
from airflow_domino.progress import counting

_INTERRUPTIONS = ("ask", "stop", "leave")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the choices of a run."""
    parser.usage = "airflow-domino run [options] SCRIPT [ARGUMENT ...]"
    parser.epilog = (
        "Options stand before the script: whatever follows it belongs to the command, whether it looks like an option "
        "or not. One exception, unless `--` stands before the script: `--tier NAME` as the last words of all names "
        "the run's tier. Ends with the command's exit code: 137 when it ran out of memory, 143 when it was stopped."
    )
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
    parser.add_argument(
        "--on-interrupt",
        choices=_INTERRUPTIONS,
        default="ask",
        help="at Ctrl-C: ask whether to stop the run (where nobody can be asked, leave it), stop it, or leave it",
    )
    parser.add_argument("script", metavar="SCRIPT", help="the run's command, or the first word of it")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENT", help="the words after it")


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

    :raises CommandError: when the run ends badly, with the exit code of its command
    """
    outputs = [Output.parse(text) for text in options.output]
    if outputs and options.detach:
        raise CommandError("--output needs the end of the run, which --detach does not wait for; leave one of them out")
    words, tier_name = words_and_tier(options)
    with make_client(options) as client:
        project = client.project(project_name(options))
        tier = client.resolve_tier(project, tier_name)
        run = _launch(client, project, tier, command_line(words[0] if len(words) == 1 else words), options)
        url = client.run_url(project, run.id)
        remark(f"Run {run.number} on {tier.name}: {url}")
        if options.detach:
            say(str(run.number))
            return 0
        followed = follow(client, project, run, tier=tier, on_interrupt=options.on_interrupt)
        run = followed.run
        price = cents(None if run.run_seconds is None else tier.cost_cents(run.run_seconds))
        remark(f"Run {run.number} {run.status}: ran {seconds(run.run_seconds)}, {price}")
        check_end(followed, url)
        for output in outputs:
            _bring(client, project, run, output)
    return 0


def words_and_tier(options: argparse.Namespace) -> tuple[list[str], str | None]:
    """Part the words of the command from a tier that is named at their very end, as people write it."""
    words = [options.script, *options.arguments]
    given: Sequence[str] = getattr(options, "given", ())
    is_strict = "--" in given[: len(given) - len(words)]
    if options.tier or is_strict:
        return words, options.tier
    if len(words) > 2 and words[-2] == "--tier":
        words, tier = words[:-2], words[-1]
    elif len(words) > 1 and words[-1].startswith("--tier="):
        words, tier = words[:-1], words[-1].removeprefix("--tier=")
    else:
        return words, None
    remark(f"--tier {tier} names the tier of the run; put -- before {options.script} to hand it to the command")
    return words, tier


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


def _bring(client: DominoClient, project: Project, run: Run, output: Output) -> None:
    if run.results_commit is None:
        raise CommandError(
            f"run {run.number} names no commit that would hold {output.file}; "
            "`airflow-domino logs` tells what the run did",
            exit_code=1,
        )
    output.local.parent.mkdir(parents=True, exist_ok=True)
    with counting(output.file, "bytes") as count:
        size = client.download_file(project, run.results_commit, output.file, output.local, on_moved=count.reach)
    remark(f"{output.file} -> {output.local} ({size} bytes)")
