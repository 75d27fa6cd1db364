"""``airflow-domino check``: whether a deployment has, and lets us do, what this package does."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_domino.commands.connection import (
    add_connection_arguments,
    airflow_connection,
    make_client,
    project_name,
    settings,
)
from airflow_domino.commands.failures import NOT_WELL, CommandError
from airflow_domino.commands.output import remark, say
from airflow_domino.domino.auth import from_environment
from airflow_domino.domino.errors import DominoError
from airflow_domino.domino.expiry import expiry_of

if TYPE_CHECKING:
    from airflow_domino.domino import DominoClient, HardwareTier, Project
    from airflow_domino.domino.checkup import Checked, Tried
    from airflow_domino.domino.described import Document

_ASKED = (
    "GET /version",
    "GET /v4/users/self",
    "GET /v4/gateway/projects/findProjectByOwnerAndName",
    "GET /v4/projects/{projectId}/hardwareTiers",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is to be checked, and how it is told."""
    add_connection_arguments(parser)
    parser.add_argument(
        "--launch", action="store_true", help="also start one trivial run, stop it and wait for its end"
    )
    parser.add_argument("--tier", metavar="NAME", help="hardware tier of that run (default: the cheapest)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")


@dataclass
class Report:
    """What has been found so far.

    :param is_quiet: whether it is printed as a whole at the end, instead of line by line.
    """

    is_quiet: bool
    is_well: bool = True
    steps: list[dict[str, Any]] = field(default_factory=list)
    operations: list[dict[str, Any]] = field(default_factory=list)
    tiers: list[dict[str, Any]] = field(default_factory=list)
    expiry: dict[str, Any] | None = None
    launch: dict[str, Any] | None = None

    def step(self, name: str, text: str, *, is_well: bool = True) -> None:
        """Take a step in."""
        self.steps.append({"name": name, "ok": is_well, "text": text})
        self.line("ok" if is_well else "FAILED", f"{name}: {text}")
        self.is_well = self.is_well and is_well

    def line(self, word: str, text: str) -> None:
        """Print a line for a person."""
        if not self.is_quiet:
            say(f"{word:<8}{text}")


def execute(options: argparse.Namespace) -> int:
    """Try each thing that later ones need, ending at the first that fails; then each operation that is used."""
    report = Report(is_quiet=options.json)
    client: DominoClient | None = None
    try:
        client = _through(report, "settings", lambda: make_client(options), lambda _: _address(options))
        if client is not None:
            _check(client, report, options)
    finally:
        if client is not None:
            client.close()
    if options.json:
        found = {key: value for key, value in asdict(report).items() if key not in ("is_quiet", "is_well")}
        say(json.dumps({"ok": report.is_well, **found}, indent=2))
    elif report.is_well:
        notes = sum(one["verdict"] == "note" for one in report.operations)
        say(f"All is well{f', apart from {notes} notes' if notes else ''}.")
    return 0 if report.is_well else NOT_WELL


def _check(client: DominoClient, report: Report, options: argparse.Namespace) -> None:
    from airflow_domino.domino.checkup import Access, Tried, attempt, read_documents
    from airflow_domino.domino.diagnosis import Diagnosis

    done: dict[str, Tried] = {}
    found = Diagnosis(client, _address(options), lambda: project_name(options), refusals=(CommandError,))
    for step in found.steps():
        report.step(step.name, step.sentence, is_well=step.is_well)
        if step.name == "credentials" and step.is_well:
            _tell_expiry(report, client, options)
    project, tiers = found.project, found.tiers
    if project is None or tiers is None:
        return
    for name in _ASKED:
        done[name] = Tried(Access.ALLOWED)
    report.tiers = [_tier(tier) for tier in tiers]
    documents, troubles = read_documents(client)
    _tell_documents(report, documents, troubles)
    if options.launch:
        _launch(client, project, tiers, report, options, done, attempt)
    _check_operations(client, project, documents, report, done)
    for tier in report.tiers:
        report.line("tier", _tier_line(tier))


def _through(report: Report, name: str, attempt: Callable[[], Any], tell: Callable[[Any], str]) -> Any:
    """Take a step, and give what it found; None when it failed."""
    try:
        found = attempt()
    except (DominoError, CommandError) as error:
        report.step(name, str(error), is_well=False)
        return None
    report.step(name, tell(found))
    return found


def _tell_expiry(report: Report, client: DominoClient, options: argparse.Namespace) -> None:
    """Say when the credentials expire, as a note where that is soon."""
    if options.conn:
        connection = airflow_connection(options)
        expiry = connection.expiry() or connection.expiry_by(client)
    else:
        expiry = expiry_of(from_environment(settings(options)))
    if expiry is None:
        return
    warning = expiry.warning()
    report.expiry = {"at": expiry.at.isoformat(), "what": expiry.what, "warning": warning}
    report.line("note" if warning else "ok", f"expiry: {warning or expiry.sentence()}")


def _tell_documents(report: Report, documents: dict[str, Document], troubles: dict[str, str]) -> None:
    for path, document in documents.items():
        report.step("description", f"{path}, {len(document.content['paths'])} paths")
    for path, trouble in troubles.items():
        report.line("note", f"description: {path} cannot be read, since {trouble}; what it would tell is only tried")


def _check_operations(
    client: DominoClient, project: Project, documents: dict[str, Document], report: Report, done: dict[str, Tried]
) -> None:
    from airflow_domino.domino.checkup import Checkup, Verdict

    for checked in Checkup(client, project, documents).checked(done):
        report.operations.append(_as_json(checked))
        report.is_well = report.is_well and checked.verdict != Verdict.FAILED
        for sentence in checked.sentences():
            report.line(checked.verdict, f"{checked.operation.name}: {sentence}")


def _as_json(checked: Checked) -> dict[str, Any]:
    found, operation = checked.found, checked.operation
    return {
        "operation": operation.name,
        "purpose": operation.purpose,
        "verdict": str(checked.verdict),
        "described": None if found is None else found.is_there,
        "lacks": [{"field": one.path, "loss": one.loss or None} for one in checked.lacks]
        + [{"parameter": name} for name in (found.lacks_query if found else ())],
        "access": str(checked.tried.access),
        "why": checked.tried.why or None,
    }


def _launch(
    client: DominoClient,
    project: Project,
    tiers: list[HardwareTier],
    report: Report,
    options: argparse.Namespace,
    done: dict[str, Tried],
    attempt: Callable[[Callable[[], object]], Tried],
) -> None:
    from airflow_domino.commands.check_launch import launch_and_stop

    def tell(text: str) -> None:
        if not report.is_quiet:
            remark(text)

    tier = _through(
        report, "tier of the run", lambda: _chosen(client, project, tiers, options.tier), lambda one: one.name
    )
    if tier is None:
        return
    launched = launch_and_stop(client, project, tier, attempt, tell)
    done |= launched.done
    report.launch = launched.as_json()
    report.step("launch", launched.text, is_well=launched.is_well)


def _chosen(client: DominoClient, project: Project, tiers: list[HardwareTier], name: str | None) -> HardwareTier:
    if name:
        return client.resolve_tier(project, name)
    return min(tiers, key=lambda tier: (tier.capacity_level == "FULL", tier.cents_per_minute))


def _tier(tier: HardwareTier) -> dict[str, Any]:
    return {name: getattr(tier, name) for name in _TIER_FIELDS}


_TIER_FIELDS = ("id", "name", "cores", "memory_gib", "gpus", "cents_per_minute", "capacity_level", "is_default")


def _tier_line(tier: dict[str, Any]) -> str:
    def pieces() -> Iterator[str]:
        yield f"{tier['cores']:g} cores, {tier['memory_gib']:g} GiB"
        if tier["gpus"]:
            yield f"{tier['gpus']} GPUs"
        yield f"${tier['cents_per_minute'] * 0.6:.2f} an hour"
        if tier["capacity_level"]:
            yield tier["capacity_level"].lower().replace("_", " ")
        if tier["is_default"]:
            yield "default"

    return f"{tier['name']} ({tier['id']}): {', '.join(pieces())}"


def _address(options: argparse.Namespace) -> str:
    if options.conn:
        connection = airflow_connection(options)
        return connection.api_proxy or connection.host
    chosen = settings(options)
    return chosen.get("DOMINO_API_PROXY") or chosen.get("DOMINO_API_HOST", "")
