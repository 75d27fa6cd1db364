"""Launching the run of a task instance exactly once: on a worker and in the triggerer alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from airflow_domino.domino.climbing import parse_tiers, tier_index
from airflow_domino.domino.errors import DominoError
from airflow_domino.domino.launch import STALE_SECONDS, MarkedRuns, RunMark, launch_once, scan_marked, work_title
from airflow_domino.domino.run_request import GitRef, RunRequest, command_line
from airflow_domino.hooks.arguments import cluster_properties, given, volume_ids
from airflow_domino.hooks.commits import DAG_RUN, git_reference, input_commit
from airflow_domino.hooks.identity import (
    LaunchRecord,
    TaskIdentity,
    active_of_other_generations,
    find_earlier,
    find_twin,
    runs_of,
)
from airflow_domino.hooks.places import Claim, Limits, check_limits
from airflow_domino.hooks.runs import Logger, RunHandle, stop_quietly

if TYPE_CHECKING:
    from airflow_domino.domino.client import DominoClient
    from airflow_domino.domino.models import Project, Run
    from airflow_domino.domino.tiers import HardwareTier


@dataclass(frozen=True)
class WantedRun:
    """The run that a task asks for, in the values that its author gave (rendered); a trigger carries them as they are.

    See :class:`~airflow_domino.operators._domino_run.BaseDominoRunOperator` for most of them.

    :param staged_commit: commit into which files were put for this run; it comes before `commit_id`.
    :param work: key of what the run makes (:func:`~airflow_domino.domino.launch.work_key`), where no two runs may make
        the same at the same time; None for a run that goes its own way.
    """

    command: str | Sequence[str]
    project: str | None = None
    tier: str | Sequence[str] | None = None
    commit_id: str | None = None
    branch: str | None = None
    git_ref: Any = None
    environment: str | None = None
    environment_revision: str | None = None
    title: str | None = None
    compute_cluster: Any = None
    external_volumes: Any = None
    staged_commit: str | None = None
    work: str | None = None

    @classmethod
    def of(cls, source: Any, **values: Any) -> WantedRun:
        """Read it from an operator or a trigger that has attributes of these names.

        :param values: what to take instead of an attribute.
        """
        attributes = {entry.name: getattr(source, entry.name) for entry in fields(cls) if hasattr(source, entry.name)}
        return cls(**attributes | values)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for a trigger."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        if isinstance(self.git_ref, GitRef):
            values["git_ref"] = {"type": self.git_ref.type, "value": self.git_ref.value}
        return values

    def tiers(self) -> tuple[str | None, ...]:
        """Return the tiers to climb, one after the other; a single None means the project's default."""
        return parse_tiers(self.tier)


@dataclass(frozen=True)
class LaunchRules:
    """What becomes of runs that are there already, and how many there may be.

    :param on_clear: what to do with the run that goes on although its task was cleared: "stop", "reattach" or "leave".
    :param keep_results: whether a run that is stopped keeps what it wrote.
    :param queue_timeout: seconds after which a run that is still queued is stopped.
    """

    on_clear: str = "stop"
    keep_results: bool = True
    queue_timeout: float | None = None
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Launched:
    """A run of a task instance.

    :param number: of the launch within the task instance's generation.
    :param was_there: whether an earlier attempt had launched it.
    """

    run: Run
    handle: RunHandle
    number: int
    was_there: bool


class RunLaunch:
    """One launch, step by step: :meth:`look`, and unless that finds a run, :meth:`prepare` and :meth:`start`.

    The steps block; they may be taken in different threads, one after the other.

    :param project: in which it takes place.
    :param record: what an earlier attempt remembered.
    :param conn_id: the Airflow connection, to be remembered with the run.
    """

    def __init__(
        self,
        client: DominoClient,
        project: Project,
        wanted: WantedRun,
        identity: TaskIdentity,
        rules: LaunchRules,
        logger: Logger,
        record: LaunchRecord | None = None,
        conn_id: str | None = None,
    ) -> None:
        self.project = project
        self.wanted = wanted
        self.identity = identity
        self.rules = rules
        self._client = client
        self._log = logger
        self._record = record
        self._conn_id = conn_id
        self._marked: MarkedRuns | None = None
        self._looked_at = time.monotonic()
        self._number = 0
        self._ended_badly: tuple[Run, ...] = ()
        self._request: RunRequest | None = None
        self._tier: HardwareTier | None = None

    # ---- looking for what is there -----------------------------------------------------------------------------------

    def scan(self) -> MarkedRuns:
        """Read the runs among which :meth:`look` looks."""
        return scan_marked(self._client, self.project.id, self.identity.since)

    def scan_active(self) -> MarkedRuns:
        """Read the runs of the project that go on."""
        return MarkedRuns(self._client.runs(self.project.id, status="active"))

    def look(self, marked: MarkedRuns) -> Launched | None:
        """Find the run of an earlier attempt to go on with; stop those that nobody waits for any more.

        :param marked: read after this launch was begun.
        """
        self._marked, self._looked_at = marked, time.monotonic()
        found = find_earlier(marked, self.identity, self._record, self._client)
        self._number, self._ended_badly = found.launch, found.ended_badly
        for double in found.doubles:
            self._stop(double, "it was launched twice by mistake")
        others = active_of_other_generations(marked, self.identity, self._record, self._client)
        if self.rules.on_clear == "reattach" and found.run is None and others:
            return self._was_there(others[0])
        if self.rules.on_clear == "stop":
            for run in others:
                self._stop(run, "its task was cleared, and now runs again")
        return None if found.run is None else self._was_there(found.run)

    def _was_there(self, run: Run) -> Launched:
        return Launched(run, self._by_connection(self.handle_of(run)), self._number, was_there=True)

    def earlier_runs(self) -> list[Run]:
        """Return the runs of this task instance that the last look has found, oldest first."""
        return [] if self._marked is None else runs_of(self._marked, self.identity)

    def handle_of(self, run: Run, noted: Mapping[str, Any] | None = None) -> RunHandle:
        """Describe a run of this task instance; Domino is asked for its tier only where nobody has noted it.

        :param noted: see :mod:`airflow_domino.hooks.past_runs`.
        """
        known = self._record.handle if self._record is not None else None
        if known is not None and known.run_id == run.id:
            return known
        with suppress(ValueError):
            return RunHandle.from_dict(noted or {})
        return RunHandle.asked(self._client, self.project, run)

    def _by_connection(self, handle: RunHandle) -> RunHandle:
        return replace(handle, conn_id=self._conn_id or handle.conn_id)

    def _stop(self, run: Run, why: str) -> None:
        handle = RunHandle(run.id, self._client.run_url(self.project, run.id), self.project.full_name, self.project.id)
        stop_quietly(self._client, handle, self._log, why, keep_results=self.rules.keep_results)

    # ---- launching ---------------------------------------------------------------------------------------------------

    def prepare(self, stage: Callable[[str | None], str | None] | None = None) -> None:
        """Settle what is to be launched.

        :param stage: puts files into the project, given the commit that is asked for (None for the latest); returns the
            commit that holds them, None when there are none.
        :raises RequestError: when Domino has no such tier, commit, environment …
        :raises ConfigurationError: when the values cannot be meant.
        """
        wanted, client, project = self.wanted, self._client, self.project
        command = command_line(wanted.command)
        self._tier = client.resolve_tier(project, self._wanted_tier())
        check_limits(self.rules.limits, client.tiers(project.id))
        name = given(wanted.environment)
        environment = client.resolve_environment(project, name) if name else None
        commit_id = given(wanted.commit_id)
        git_ref = git_reference(project, commit_id, given(wanted.branch), given(wanted.git_ref))
        commit = wanted.staged_commit or input_commit(client, project, commit_id, self.identity, self._read_marked)
        staged = stage(commit) if stage else None
        title = given(wanted.title) or f"{self.identity.dag_id}.{self.identity.task_id}"
        self._request = RunRequest(
            project_id=project.id,
            command=command,
            title=work_title(title, wanted.work) if wanted.work else title,
            tier_id=self._tier.id,
            commit_id=staged or commit,
            git_ref=git_ref,
            environment_id=environment.id if environment else None,
            environment_revision=given(wanted.environment_revision),
            compute_cluster=cluster_properties(wanted.compute_cluster),
            external_volumes=volume_ids(wanted.external_volumes),
        )

    def _wanted_tier(self) -> str | None:
        tiers = self.wanted.tiers()
        names = [tier for tier in tiers if tier is not None]
        if len(names) < 2 or not self._ended_badly:
            return tiers[0]
        tier = names[tier_index(self._ended_badly, names, self.rules.queue_timeout, self._log_tail)]
        self._log.info("This attempt uses tier %s of %s", tier, ", ".join(names))
        return tier

    def _log_tail(self, run: Run) -> Sequence[str]:
        try:
            return self._client.log_tail(run.id)
        except DominoError:
            return ()

    def _read_marked(self) -> MarkedRuns:
        return self.scan() if self._marked is None else self._marked

    @property
    def request(self) -> RunRequest:
        """What is to be launched, once it is settled."""
        if self._request is None:
            raise RuntimeError("prepare() comes first")
        return self._request

    @property
    def mark(self) -> RunMark:
        """The mark of this launch."""
        return self.identity.mark(self._number, pinned=given(self.wanted.commit_id) == DAG_RUN)

    def claim(self) -> Claim:
        """Return what this launch takes of the places for runs in flight."""
        tier = self._tier
        if tier is None:
            raise RuntimeError("prepare() comes first")
        return Claim(
            project_id=self.project.id,
            tier_id=tier.id,
            tier_name=tier.name,
            group_key=self.identity.group_key,
            mark_text=self.mark.text,
        )

    def start(self) -> Launched:
        """Start the run, after another look if the last one is long past.

        :raises DominoError: see :func:`~airflow_domino.domino.launch.launch_once`.
        """
        request = self.request
        if self._is_stale() and (found := self.look(self.scan())) is not None:
            return found
        since = self.identity.since
        launch = launch_once(self._client, request, self.mark, since=since, look_first=False)
        run = self._only_one(launch.run) if self._is_stale() else launch.run
        if run.id != launch.run.id:
            return self._was_there(run)
        handle = self._by_connection(RunHandle.of(self._client, self.project, run, self._tier))
        return Launched(run, handle, self._number, was_there=False)

    # ---- runs of others that make the same ---------------------------------------------------------------------------

    def twin(self, marked: MarkedRuns, launched: Launched | None = None) -> Run | None:
        """Find the run of another task that makes the same at this moment; None where nobody does.

        :param marked: runs that go on, read after `launched` was launched.
        :param launched: the run of this task; only those that were there before it count then, so that of two tasks
            that look at each other one goes on.
        """
        if self.wanted.work is None:
            return None
        found = find_twin(marked, self.identity, self.wanted.work)
        return found if found is not None and (launched is None or found.number < launched.run.number) else None

    def give_way(self, launched: Launched, twin: Run) -> None:
        """Stop the run of this task, since another one makes the same."""
        self._stop(launched.run, f"run {twin.number} makes the same already")

    def _is_stale(self) -> bool:
        return time.monotonic() - self._looked_at > STALE_SECONDS

    def _only_one(self, run: Run) -> Run:
        """Return the oldest active run of this launch, and stop the others.

        A process that was frozen in the middle of a launch may have been replaced by one that launched too.
        """
        runs = [each for each in self.scan().of_launch(self.mark) if not each.status.is_completed]
        oldest = min([run, *runs], key=lambda each: each.number)
        for double in {each.id: each for each in [run, *runs]}.values():
            if double.id != oldest.id:
                self._stop(double, "it was launched twice by mistake")
        return oldest


def next_tier(wanted_tiers: Sequence[str | None], handle: RunHandle) -> str | None:
    """Return the tier to climb to after a run, None when it was on the last one.

    :param handle: the run that could not end well where it was.
    """
    names = [tier for tier in wanted_tiers if tier is not None]
    for position, name in enumerate(names[:-1]):
        if name in (handle.tier, handle.tier_id):
            return names[position + 1]
    return None


def tell_launch(logger: Logger, launched: Launched) -> None:
    """Write the line by which people find the run from the task's log."""
    handle = launched.handle
    what = (
        "Going on with Domino run %s, which an earlier attempt launched,"
        if launched.was_there
        else "Launched Domino run %s"
    )
    logger.info(
        what + " in %s on tier %s: %s", launched.run.number, handle.project, handle.tier or "unknown", handle.url
    )
