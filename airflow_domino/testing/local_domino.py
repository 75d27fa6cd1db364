"""A local Domino for tests: the shipped server in a process of its own, on a free port."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from airflow_domino.testing import server
from airflow_domino.testing.asking import PATIENCE, Asking, DominoTestError
from airflow_domino.testing.faults import OrderedFault
from airflow_domino.testing.server import Files

_LOOK_AGAIN = 0.02
_LAST_LINES = 20
_DEFAULT_PROJECT = "domino/quick-start"

Job = dict[str, Any]
Entry = dict[str, Any]


class LocalDomino(Asking):
    """A running local Domino.

    :param url: where it is.
    :param token: the token of its user.
    :param projects: ids of its projects by ``owner/name``.
    :param root: folder of all its state.
    :param process: the server.
    :param log_file: where the server's own log goes.
    :param litter: folder that is removed when the server has been stopped.
    """

    def __init__(
        self,
        url: str,
        token: str,
        projects: dict[str, str],
        root: Path,
        process: subprocess.Popen[str],
        log_file: Path,
        litter: Path | None = None,
    ) -> None:
        super().__init__(url, token)
        self.projects = projects
        self.root = root
        self.process = process
        self.log_file = log_file
        self.has_faults = False
        self._litter = litter

    @classmethod
    def serve(
        cls,
        projects: Mapping[str, Files | Path | str | None] | None = None,
        *,
        root: Path | None = None,
        tiers: Sequence[Mapping[str, Any]] | Path | None = None,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> Self:
        """Start a local Domino on a free port, and wait until it is ready.

        :param projects: its projects by ``owner/name``, each with a folder whose files it gets, or with the files
            themselves, as content by path; None has no files. Without this there is an empty ``domino/quick-start``.
        :param root: folder of all its state, which is there again for the next server; None is a temporary one.
        :param tiers: its hardware tiers, or a file of them (see ``airflow-domino serve --help``).
        :param arguments: further arguments of ``airflow-domino serve``.
        :param environment: environment variables that the server has beside those of the tests.
        :raises DominoTestError: when it does not start, with the reason that it gave.
        """
        litter = Path(tempfile.mkdtemp(prefix="local-domino-"))
        wanted = {_DEFAULT_PROJECT: None} if projects is None else projects
        try:
            words = [*server.project_arguments(wanted, litter), *server.tier_arguments(tiers, litter), *arguments]
            started = server.start(root or litter / "root", words, environment or {})
        except BaseException:
            shutil.rmtree(litter, ignore_errors=True)
            raise
        return cls(
            url=started.url,
            token=started.token,
            projects=started.projects,
            root=started.root,
            process=started.process,
            log_file=started.log_file,
            litter=litter,
        )

    def __enter__(self) -> Self:
        """Use it for as long as the ``with`` statement lasts."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it, with everything that it runs."""
        self.stop()

    # Where it is

    @property
    def project(self) -> str:
        """``owner/name`` of its first project."""
        return next(iter(self.projects))

    @property
    def project_id(self) -> str:
        """Id of its first project."""
        return next(iter(self.projects.values()))

    def connection(self, project: str | None = None) -> dict[str, Any]:
        """Give an Airflow connection to it, as ``AIRFLOW_CONN_…`` takes it in JSON.

        :param project: ``owner/name`` of the connection's project; None is the first.
        """
        extra = {"project": project or self.project}
        return {"conn_type": "domino", "host": self.url, "password": self.token, "extra": extra}

    def variables(self, project: str | None = None) -> dict[str, str]:
        """Give the environment variables by which clients find Domino where Airflow is not there.

        :param project: ``owner/name``; None is the first.
        """
        owner, _, name = (project or self.project).partition("/")
        return {
            "DOMINO_API_HOST": self.url,
            "DOMINO_USER_API_KEY": self.token,
            "DOMINO_PROJECT_OWNER": owner,
            "DOMINO_PROJECT_NAME": name,
        }

    # Runs

    def start(self, command: str, **fields: Any) -> Job:
        """Start a run, and give its job; of the first project, or of the one that `projectId` names.

        :param command: the command.
        :param fields: further fields of ``POST /v4/jobs/start``.
        """
        return dict(self.post("/v4/jobs/start", **{"projectId": self.project_id, "commandToRun": command, **fields}))

    def job(self, run_id: str) -> Job:
        """Give a run as ``GET /v4/jobs/{id}`` does."""
        return dict(self.get(f"/v4/jobs/{run_id}"))

    def wait(self, run_id: str, until: Callable[[Job], Any] | None = None) -> Job:
        """Give the job of a run once it has ended, or once something else is so.

        :param run_id: which run.
        :param until: tells of a job whether it is so.
        :raises DominoTestError: when it never is, with what the run is doing.
        """
        is_reached = until or (lambda job: job["statuses"]["isCompleted"])
        deadline = time.monotonic() + PATIENCE
        while not is_reached(job := self.job(run_id)):
            if time.monotonic() > deadline:
                lines = "\n".join(self.log(run_id)[-_LAST_LINES:])
                raise DominoTestError(
                    f"Run {run_id} is still {job['statuses']} after {PATIENCE} s. The end of its log:\n{lines}"
                )
            time.sleep(_LOOK_AGAIN)
        return job

    def wait_for_status(self, run_id: str, *words: str) -> Job:
        """Give the job of a run once it has one of these statuses."""
        return self.wait(run_id, lambda job: job["statuses"]["executionStatus"] in words)

    def run(self, command: str, **fields: Any) -> Job:
        """Start a run and wait for its end; see :meth:`start`."""
        return self.wait(self.start(command, **fields)["id"])

    def log(self, run_id: str, log_type: str = "console") -> list[str]:
        """Give the lines of a run's log.

        :param run_id: which run.
        :param log_type: ``console``, ``stdout``, ``stderr`` or ``prepareoutput``.
        """
        answer = self.get(f"/v4/jobs/{run_id}/logsWithProblemSuggestions", logType=log_type)
        return [line["log"] for line in answer["logset"]["logContent"]]

    # Files

    def head(self) -> str:
        """Give the latest commit of the first project."""
        return str(self.get(f"/v1/projects/{self.project}/commits")[0])

    def files(self, commit_id: str) -> dict[str, str]:
        """Give paths and keys of the files of the first project at a commit."""
        found = self.get(f"/v1/projects/{self.project}/files/{commit_id}//")["data"]
        return {file["path"]: file["key"] for file in found}

    def content(self, commit_id: str, path: str) -> bytes:
        """Give the content of a file of the first project at a commit."""
        where = f"/api/projects/v1/projects/{self.project_id}/files/{commit_id}/{path}/content"
        return self.answer("GET", where).content

    # What happened

    def ledger(self, **choice: Any) -> list[Entry]:
        """List everything that the server accepted and that became of it, in order.

        :param choice: ``after`` (a sequence number), ``run``, ``project`` (id or name), ``event`` (one or several),
            ``limit``, and ``wait``: seconds to wait for the first entry.
        """
        return list(self.get("/_local/ledger", **choice)["entries"])

    def starts(self, text: str = "", **choice: Any) -> list[Entry]:
        """List the starts that the server has accepted, each with ``command``, ``title``, ``runId`` and ``projectId``.

        :param text: only those with a match of this regular expression in their title or command.
        :param choice: see :meth:`ledger`.
        """
        found = self.ledger(event="start", **choice)
        return [entry for entry in found if re.search(text, f"{entry['title'] or ''}\n{entry['command']}")]

    def stops(self, **choice: Any) -> list[Entry]:
        """List the wishes to stop a run that the server has accepted, each with ``runId`` and ``commitResults``.

        :param choice: see :meth:`ledger`.
        """
        return self.ledger(event="stop", **choice)

    def statuses(self, run_id: str) -> list[str]:
        """List the statuses that a run has had, in order."""
        return [entry["to"] for entry in self.ledger(event="state", run=run_id)]

    # The whole server

    def add_project(
        self,
        name: str,
        files: Files | None = None,
        *,
        folder: Path | str | None = None,
        results: str | None = None,
    ) -> str:
        """Make a project, or bring an existing one up to date, and give its id.

        :param name: ``owner/name``.
        :param files: files that it gets, content by path.
        :param folder: a folder whose files it gets.
        :param results: ``main`` or ``isolated``: where results of its runs go.
        """
        if files is not None:
            folder = self._scratch() / "projects" / name
            shutil.rmtree(folder, ignore_errors=True)
            server.write_files(folder, files)
        order = {"name": name, "folder": None if folder is None else str(Path(folder).absolute()), "results": results}
        project_id = str(self.post("/_local/projects", **order)["id"])
        self.projects[name] = project_id
        return project_id

    def reset(self, seed: int | None = None) -> None:
        """End all runs, and let the server be again as it was when it was started.

        :param seed: makes the ids of what comes now alike every time.
        """
        listed = self.post("/_local/reset", seed=seed)["projects"]
        self.projects.clear()
        self.projects.update({f"{project['owner']}/{project['name']}": project["id"] for project in listed})
        self.has_faults = False

    def _scratch(self) -> Path:
        if self._litter is None:
            self._litter = Path(tempfile.mkdtemp(prefix="local-domino-"))
        return self._litter

    # What goes wrong

    def fault(self, action: str, *, optional: bool = False, **fields: Any) -> OrderedFault:
        """Order a fault for as long as a ``with`` statement lasts.

        :param action: ``status``, ``html``, ``drop``, ``reset``, ``half``, ``delay``; of runs ``lose``, ``no_output``,
            ``word``, ``faulty``, ``slow_log``, ``stuck_log``.
        :param optional: do not fail at the end when nothing has met it.
        :param fields: which requests or runs, how often, and more; see :class:`airflow_domino.local.faults.Fault`.
        """
        return OrderedFault(self, {"action": action, **fields}, is_optional=optional)

    def order_fault(self, action: str, **fields: Any) -> None:
        """Order a fault that stays on order until it has met as many as it says; see :meth:`fault`."""
        self.has_faults = True
        self.post("/_local/faults", action=action, **fields)

    def run_fault(self, run_id: str, action: str, **fields: Any) -> None:
        """Let a fault of runs meet a run from now on.

        :param run_id: which run.
        :param action: ``lose``, ``no_output``, ``word``, ``faulty``, ``slow_log`` or ``stuck_log``.
        :param fields: see :class:`airflow_domino.local.faults.Fault`.
        """
        self.post(f"/_local/runs/{run_id}/faults", action=action, **fields)

    def clear_faults(self) -> None:
        """Take all faults back, and thaw."""
        self.answer("DELETE", "/_local/faults")
        self.answer("DELETE", "/_local/freeze")
        self.has_faults = False

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let the server hang for as long as a ``with`` statement lasts: requests are neither carried out nor answered.

        What has come meanwhile is carried out afterwards, also where the client has given up.
        """
        self.post("/_local/freeze")
        try:
            yield
        finally:
            self.answer("DELETE", "/_local/freeze")

    # What is driven

    def simulate(self, *rules: Mapping[str, Any], default: Mapping[str, Any] | None = None, seed: int = 0) -> None:
        """Say what becomes of simulated runs that start from now on; the server has ``--depth=simulate``.

        :param rules: each with patterns of the runs that it is for (``command``, ``title``, ``project``, ``tier``) and
            what becomes of them (``pace``, ``seconds``, ``exit_code``, ``status``, ``log``, ``files`` and more).
        :param default: what becomes of all others.
        :param seed: chooses where seconds are given as a range.
        """
        self.post("/_local/simulation", rules=list(rules), default=dict(default or {}), seed=seed)

    def move(self, run_id: str, to: str | None = None) -> None:
        """Let a simulated run go on at once.

        :param run_id: which run.
        :param to: the status to go on to; None is the next one.
        """
        self.post(f"/_local/runs/{run_id}/move", to=to)

    def lose(self, run_id: str, **how: Any) -> None:
        """End a run as the loss of its machine does.

        :param run_id: which run.
        :param how: ``status`` (``Error`` or ``Faulty``), ``reason`` and ``message``.
        """
        self.post(f"/_local/runs/{run_id}/lose", **how)

    def advance(self, seconds: float) -> None:
        """Let time pass at once on the server's clock, with all that becomes due on the way."""
        self.post("/_local/clock", advance=seconds)

    def change_tier(self, tier_id: str, **changes: Any) -> None:
        """Change a hardware tier until the server ends or is reset.

        :param tier_id: which tier.
        :param changes: ``capacity``, ``archived``; ``away`` takes its machines away, and ``lose`` (``spot``, ``all`` or
            ``none``) the runs on them.
        """
        self.post(f"/_local/tiers/{tier_id}", **changes)

    def new_token(self, user: str | None = None, seconds: float | None = None) -> str:
        """Make a token.

        :param user: whose; None is the first user.
        :param seconds: how long it is accepted, on the server's clock; None for ever.
        """
        return str(self.post("/_local/tokens", user=user, seconds=seconds)["token"])

    # Its end

    def kill(self) -> None:
        """End it as a crash would; its runs go on, as processes that nobody watches."""
        self.process.kill()
        self._finish()

    def stop(self) -> int:
        """End it with everything that it runs, once or again; gives its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(PATIENCE)
        finally:
            if self.process.poll() is None:
                self.process.kill()
            self._finish()
        if self._litter is not None:
            shutil.rmtree(self._litter, ignore_errors=True)
        return self.process.returncode

    def _finish(self) -> None:
        self.process.wait(PATIENCE)
        self.session.close()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
