"""What the page of a run says of it, beside its log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from airflow_domino.local import statuses
from airflow_domino.local.clock import now_ms
from airflow_domino.local.page_templates import cents, duration, moment
from airflow_domino.local.platform import Platform
from airflow_domino.local.projects import Project
from airflow_domino.local.runs import Run
from airflow_domino.local.saved_results import SavedResults
from airflow_domino.local.tiers_in_use import SPOT
from airflow_domino.local.usage import run_cents


@dataclass(frozen=True)
class Fact:
    """One line of the page.

    :param link: where it leads to, if it leads anywhere.
    """

    name: str
    text: str
    link: str = ""


def facts(platform: Platform, project: Project, run: Run) -> list[Fact]:
    """Say what is known of a run."""
    return [*_place(platform, run), *_times(platform, run), *_end(run), *_origin(project, run), *_results(run)]


def _place(platform: Platform, run: Run) -> Iterator[Fact]:
    tier, environment = platform.tier_of(run), platform.environment_of(run)
    spot = ", on a spot machine" if run.capacity_type == SPOT else ""
    yield Fact("Hardware tier", f"{tier.name} ({tier.id}), {tier.cents_per_minute:g} cents a minute{spot}")
    yield Fact("Environment", f"{environment.name}, revision {platform.revision_of(run).number}")
    yield Fact("Started by", run.started_by)
    if run.simulation:
        yield Fact("Simulated", "The command is not executed; only the states move")


def _times(platform: Platform, run: Run) -> Iterator[Fact]:
    now, left_queue = now_ms(), run.started_at or run.completed_at
    yield Fact("Submitted", moment(run.submitted_at))
    yield Fact("Queued", duration((left_queue or now) - run.submitted_at) + ("" if left_queue else " until now"))
    if run.status == statuses.QUEUED:
        yield Fact("Waits", platform.queue_explanation(run))
    yield Fact("Started", moment(run.started_at))
    yield Fact("Ended", moment(run.completed_at))
    if run.started_at:
        tier = platform.tier_of(run)
        until = "" if run.completed_at else " until now"
        lasted = duration((run.completed_at or now) - run.started_at)
        yield Fact("Ran", f"{lasted}{until}, which costs {cents(run_cents(run, tier))}")
        if run.usage:
            memory = f"{run.usage['memory']:g} GiB of {tier.memory_gib:g}"
            yield Fact("Used at most", f"{run.usage['cpu']:g} % of one processor, {memory}")


def _end(run: Run) -> Iterator[Fact]:
    if run.exit_code is not None:
        yield Fact("Exit code", str(run.exit_code))
    if run.failure_reason:
        yield Fact("Failure", f"{run.failure_reason}: {run.failure_message}")
    for stat in run.stats:
        yield Fact(f"Statistic {stat['name']}", stat["value"])
    if run.is_archived:
        yield Fact("Archived", "Lists leave it out")


def _origin(project: Project, run: Run) -> Iterator[Fact]:
    if run.restarted_from:
        yield Fact(
            "Restart of", run.restarted_from, f"/jobs/{quote(project.owner)}/{quote(project.name)}/{run.restarted_from}"
        )
    if run.git_ref:
        wished = " ".join(str(run.git_ref[key]) for key in ("type", "value") if run.git_ref.get(key))
        yield Fact("Code asked for", wished)
    for entry in run.repositories:
        branch = f", branch {entry['startingBranch']}" if entry.get("startingBranch") else ""
        yield Fact("Code", f"{entry.get('name') or entry.get('uri')}: commit {entry.get('startingCommitId')}{branch}")
        finished = entry.get("finishedCommitId")
        if finished and finished != entry.get("startingCommitId"):
            yield Fact("Code at the end", f"commit {finished}")


def _results(run: Run) -> Iterator[Fact]:
    if not run.results:
        return
    told = run.results
    saved = SavedResults(
        told.get("commitId"),
        told.get("mainCommitId"),
        tuple(told.get("overwritten", ())),
        told.get("otherCommitId"),
        tuple(told.get("spared", ())),
        told.get("problem"),
    )
    for sentence in saved.sentences()[1:]:
        yield Fact("Results", sentence)
