"""The files of one run: put in place before its program begins, and saved after it.

A project in Domino's own file system has one folder, where its program works. A git-based project has two: its code,
a clone of a git repository, where its program works; and its artifacts, the files in Domino's own file system, where
its results belong.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_domino.local import processes, requirements
from airflow_domino.local.code_copy import REF_TYPES, CodeCommit
from airflow_domino.local.git_credentials import CodeError
from airflow_domino.local.repository import Checkout
from airflow_domino.local.requirements import Installation
from airflow_domino.local.runs import Run, stat_text
from airflow_domino.local.saved_results import SavedResults
from airflow_domino.local.workplace import Code, PlatformFaultError, Workplace

STATS_FILE = "dominostats.json"
OUTPUT_FILE = "results/stdout.txt"
_LARGEST_STATS = 1 << 20


@dataclass
class RunFiles:
    """The files of one run.

    :param run: the run.
    :param place: where and for whom it is executed.
    :param say: says a line of the server's own in the run's log.
    :param wake: is set when the run is to be stopped.
    """

    run: Run
    place: Workplace
    say: Callable[[str], None]
    wake: threading.Event
    _checkout: Checkout | None = None
    _code: CodeCommit | None = None
    _python: Path | None = None
    _repositories: list[dict[str, Any]] = field(default_factory=list)

    # Where things are

    @property
    def folder(self) -> Path:
        """Folder that the program works in."""
        return self.place.folder if self.place.code is None else self.place.folder / "code"

    @property
    def artifacts(self) -> Path:
        """Folder of the files that are in Domino's own file system."""
        return self.place.folder if self.place.code is None else self.place.folder / "artifacts"

    @property
    def python(self) -> Path:
        """Interpreter of the program."""
        return self._python or self.place.revision.python

    @property
    def repositories(self) -> list[dict[str, Any]]:
        """The git repositories of the run, as version 4 words ``dependentRepositories``."""
        return list(self._repositories)

    def base_variables(self) -> dict[str, str]:
        """Give the variables that programs need to work at all, such as the PATH."""
        base = processes.base_environment(self.place.revision.python)
        if self._python is not None:
            base["PATH"] = os.pathsep.join([str(self._python.parent), base["PATH"]])
            base["VIRTUAL_ENV"] = str(self._python.parent.parent)
        return base

    def variables(self) -> dict[str, str]:
        """Give Domino's variables that say where things are."""
        variables = {
            "DOMINO_WORKING_DIR": str(self.folder),
            "DOMINO_DATASETS_DIR": str(self.place.datasets),
            "DOMINO_IS_GIT_BASED": "false" if self.place.code is None else "true",
        }
        if self.place.code is not None:
            imported = self.place.folder / "imported"
            variables |= {
                "DOMINO_ARTIFACTS_DIR": str(self.artifacts),
                "DOMINO_IMPORTED_CODE_DIR": str(imported / "code"),
                "DOMINO_IMPORTED_ARTIFACTS_DIR": str(imported / "artifacts"),
                "DOMINO_IMPORTED_DATA_DIR": str(imported / "data"),
            }
        return variables

    # Before the program

    def prepare(self) -> None:
        """Put everything in place.

        :raises PlatformFaultError: when something that is needed cannot be had.
        :raises RequirementsError: when what the project requires cannot be installed.
        """
        place, run = self.place, self.run
        kind = (run.git_ref or {}).get("type", "head")
        if kind not in REF_TYPES:
            words = ", ".join(REF_TYPES)
            raise PlatformFaultError(f"unknown reference type: {kind}; there are {words}", "UnknownReferenceType")
        if not os.access(place.revision.python, os.X_OK):
            message = f"revision {place.revision.number} of environment {place.environment.name} is not there any more"
            raise PlatformFaultError(f"{message}: {place.revision.python}", "EnvironmentNotAvailable")
        shutil.rmtree(place.folder, ignore_errors=True)
        self.artifacts.mkdir(parents=True)
        place.datasets.mkdir(parents=True, exist_ok=True)
        if place.code is not None:
            self._prepare_code(place.code)
        self._checkout = place.repository.check_out(run.input_commit, self.artifacts)
        (self.artifacts / STATS_FILE).unlink(missing_ok=True)
        self.say(f"Files of commit {run.input_commit}: {len(self._checkout.stamps)}")
        self._install()

    def take_up(self) -> None:
        """Take up the folders of a run whose program an earlier server has executed."""
        self._checkout = Checkout(self.run.input_commit, self.artifacts, {})
        self._repositories = list(self.run.repositories)
        if self.place.code is not None and self._repositories:
            entry = self._repositories[0]
            self._code = CodeCommit(entry["startingCommitId"], entry.get("startingBranch"), "")

    def _prepare_code(self, code: Code) -> None:
        for name in ("code", "artifacts", "data"):
            (self.place.folder / "imported" / name).mkdir(parents=True)
        ref = self.run.git_ref or code.repository.default_ref
        try:
            found = code.copy.find(ref, self.wake.is_set)
            code.copy.check_out(found, self.folder)
        except CodeError as error:
            raise PlatformFaultError(str(error), error.reason) from None
        self._code = found
        self.say(f"Code: commit {found.id}, {found.found_by} of {code.repository.uri}")
        if note := code.copy.note_of_changes():
            self.say(note)
        for note in _notes_of_missing(self.folder):
            self.say(note)
        entry = dict(repository_entry(code, ref), startingCommitId=found.id)
        self._repositories = [entry | ({"startingBranch": found.branch} if found.branch else {})]

    def _install(self) -> None:
        if not (self.folder / requirements.FILE).is_file():
            return
        if self.place.layers is None:
            self.say(
                f"{requirements.FILE} is there, and nothing of it is installed: "
                "the server was started without --install-requirements"
            )
            return
        installation = Installation(self.run.id, self.base_variables(), self.say, self._say_lines, self.wake)
        layer = self.place.layers.layer(self.place.revision.python, self.folder, self._own_layer, installation)
        self._python = None if layer is None else layer.python

    @property
    def _own_layer(self) -> Path:
        return self.place.folder.with_name(f"{self.place.folder.name}.layer")

    def _say_lines(self, lines: list[bytes]) -> None:
        for line in lines:
            self.say(line.decode(errors="backslashreplace").rstrip("\r\n"))

    # After the program

    def stats(self) -> tuple[list[dict[str, str]], bool]:
        """Read the statistics that the program left; tell too whether it left some that cannot be used."""
        path = self.artifacts / STATS_FILE
        if path.is_symlink() or not path.is_file():
            if self.folder != self.artifacts and (self.folder / STATS_FILE).is_file():
                self.say(f"{STATS_FILE} is among the code and not used; it belongs in DOMINO_ARTIFACTS_DIR")
            return [], False
        try:
            if path.stat().st_size > _LARGEST_STATS:
                raise ValueError("the file is too large")
            values = json.loads(path.read_bytes())
            if not isinstance(values, dict):
                raise ValueError("it must hold one JSON object")
            return [{"name": name, "value": stat_text(value)} for name, value in values.items()], False
        except (OSError, ValueError, RecursionError) as error:
            self.say(f"{STATS_FILE} cannot be used: {error}")
            return [], True

    def save(self, output: Path) -> SavedResults:
        """Save what the program wrote, and say where it is.

        :param output: file with everything that the program printed.
        """
        run, place, notes = self.run, self.place, list[str]()
        if self._checkout is None:
            return SavedResults(None)
        if place.code is not None and self._code is not None:
            self._save_code(place.code, self._code)
        saved = place.repository.commit_run(
            self._checkout,
            run.id,
            f"Results of run {run.number}: {run.title or run.command}",
            run.started_by,
            extra={OUTPUT_FILE: output} if output.stat().st_size > 0 else {},
            isolated=place.project.results == "isolated",
            notes=notes,
        )
        for note in (*notes, *saved.sentences()):
            self.say(note)
        return saved

    def _save_code(self, code: Code, start: CodeCommit) -> None:
        finished = code.copy.keep(self.folder, start, self.run.id, self.run.started_by)
        for note in finished.notes:
            self.say(note)
        if finished.is_kept:
            self.say(
                f"What the run left among its code is in commit {finished.commit} of this server's copy of the "
                f"repository ({code.copy.path}). It is not pushed; results belong in DOMINO_ARTIFACTS_DIR"
            )
        entry = self._repositories[0] | {"finishedCommitId": finished.commit}
        self._repositories = [entry | ({"finishedBranch": finished.branch} if finished.branch else {})]

    def remove(self) -> None:
        """Remove the run's own folders."""
        for folder in (self.place.folder, self._own_layer):
            shutil.rmtree(folder, ignore_errors=True)


def _notes_of_missing(folder: Path) -> list[str]:
    """Say what of its code a clone does not have here, although it would on Domino."""
    notes = []
    if (folder / ".gitmodules").is_file():
        notes.append("The repository has submodules, and the local Domino fetches none: their folders are empty")
    attributes = folder / ".gitattributes"
    if attributes.is_file() and "filter=lfs" in attributes.read_text(encoding="utf-8", errors="replace"):
        notes.append("The repository keeps files in git LFS, and the local Domino fetches none: they are pointers here")
    return notes


def repository_entry(code: Code, ref: dict[str, Any]) -> dict[str, Any]:
    """Make the entry of a run's ``dependentRepositories`` that its code has, as far as it is known before the run."""
    repository = code.repository
    return {
        "id": repository.id,
        "name": repository.name,
        "uri": repository.uri,
        "ref": str(ref.get("value") or "HEAD"),
        "serviceProvider": repository.service_provider,
    }
