"""The engine's program: reads a request, answers it, writes the answer."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from .masking import MaskedStream, keep_secret, kept_text, secrets_in
from .outcome import COMPLETE, ENGINE_FAILED, INCOMPLETE, PLANNED, REQUEST_WRONG, TERMINATED, Problem, Terminated
from .quick_import import import_luigi

_GRACE_SECONDS = 30


def main(request_path: str, answer_path: str) -> int:
    """Answer one request.

    :param request_path: JSON file with ``action`` (check or run), ``task``, ``params``, ``workers``, ``force``,
        ``force_downstream``, ``only_self``, ``run_wrapper``, ``project_path``, ``command``, ``masked_variables``
    :param answer_path: JSON file to write: ``outcome``, ``message`` and what is known beside it
    """
    signal.signal(signal.SIGTERM, _terminate)
    request = json.loads(Path(request_path).read_text(encoding="utf-8"))
    starter = _Starter(_take_stdin(), request["private_folders"])
    code = 0
    try:
        answer = _answer(request, answer_path + ".journal")
    except Problem as problem:
        answer = problem.answer()
    except KeyboardInterrupt:
        code, answer = 128 + signal.SIGTERM, {"outcome": TERMINATED, "message": "The task was told to end"}
    except Exception as error:
        traceback.print_exc()
        message = f"{type(error).__name__}: {kept_text(error)} (traceback in the log)"
        answer = {"outcome": ENGINE_FAILED, "message": message}
    _write(answer_path, answer)
    starter.clean_up_if_gone()
    return code


def _answer(request: dict[str, Any], journal_path: str) -> dict[str, Any]:
    sys.argv[:] = ["luigi"]
    keep_secret(secrets_in(os.environ, request.get("masked_variables") or ()))
    for name in ("stdout", "stderr"):
        if isinstance(stream := getattr(sys, name), io.TextIOWrapper):
            setattr(sys, name, MaskedStream(stream))  # a line shows when it is printed, and stays one line
    sys.path.insert(0, request.get("project_path") or str(Path.cwd()))
    # Luigi is imported only now: it reads its configuration then, and a project may bring a Luigi of its own.
    try:
        import_luigi()
        from . import (
            command,
            completion,
            inputs,
            lineage,
            loading,
            planned,
            planning,
            privacy,
            project_files,
            race,
            run_anyway,
        )
    except ImportError as error:
        raise Problem(
            REQUEST_WRONG,
            f"Luigi cannot be imported by {sys.executable}: {error}; install it there, or name another python",
        ) from error

    privacy.hide_private_values()
    race.notice_races()
    run_anyway.share(request.get("dag_run"))
    params = request.get("params") or {}
    if request["action"] == "plan":
        plan = planning.make_plan(
            request["task"],
            params,
            request["templated"],
            request["limits"],
            visible_below=request.get("visible_below"),
        )
        return {"outcome": PLANNED, "message": f"{request['task']}: {len(plan['nodes'])} tasks", **plan}
    project_files.count_as_existing(request)
    if request["action"] == "survey":
        root = loading.load_task(request["task"], params)
        with _telling(request, root, journal_path) as (journal, drawn):
            survey = planned.survey_plan(
                root,
                request["nodes"],
                request["targets"],
                forced=request["forced"],
                threads=request["threads"],
                journal=journal,
                picture=drawn,
            )
        return {"task_id": root.task_id, "task": str(root), "graph": drawn.facts(root), **survey}
    root = loading.load_task(request["task"], params)
    imported = loading.known_classes()
    task = planning.find_node(root, request.get("node") or [])
    facts: dict[str, Any] = {
        "task_id": task.task_id,
        "task": str(task),
        "module": type(task).__module__,
        "family": task.task_family,
        "reference": loading.reference_to(task, request["task"], imported),
    }
    try:
        facts |= command.command_facts(task, facts["reference"], request)
        if request["action"] == "check":
            answer = {**_check(task, completion), "lineage": lineage.describe(task)}
            answer["private"] = loading.private_among(request)
            answer |= inputs.describe_if_asked(task, request, answer["already_complete"])
        else:
            answer = _run(request, task, journal_path)
        return {"outputs": completion.describe_outputs(task), **facts, **answer}
    except Problem as problem:
        problem.details = {**facts, **problem.details}
        raise


def _run(request: dict[str, Any], task: Any, journal_path: str) -> dict[str, Any]:
    from . import running

    with _telling(request, task, journal_path) as (journal, drawn):
        try:
            answer = running.run(
                task,
                journal,
                workers=int(request.get("workers") or 1),
                force=request.get("force") or False,
                force_downstream=bool(request.get("force_downstream")),
                only_self=bool(request.get("only_self")),
                run_wrapper=bool(request.get("run_wrapper")),
                planned=bool(request.get("planned")),
                plan=request.get("plan"),
                check=request.get("check") or "strict",
                threads=request.get("threads"),
                locks=request.get("locks"),
                domino_runs=request.get("domino_runs"),
            )
        except Problem as problem:
            drawn.add(task, (), "scheduling_failed")  # unless it is known better
            problem.details["graph"] = drawn.facts(task)
            raise
        return {**answer, "graph": drawn.facts(task)}


@contextlib.contextmanager
def _telling(request: dict[str, Any], task: Any, journal_path: str) -> Iterator[tuple[Any, Any]]:
    """A journal whose news are in the log, and on luigid's page where there is one; and the picture drawn of them."""
    from . import journal, picture, reporter, said

    news = journal.Journal(journal_path)
    news.subscribe(said.Said().note)
    drawn = picture.Picture(request.get("picture"))
    news.subscribe(drawn.note)
    try:
        with reporter.reporting(request.get("scheduler"), news, task, int(request.get("workers") or 1)):
            yield news, drawn
    finally:
        drawn.close()


def _check(task: Any, completion: Any) -> dict[str, Any]:
    complete = completion.is_complete(task)
    return {
        "outcome": COMPLETE if complete else INCOMPLETE,
        "message": f"{task} is {'complete' if complete else 'not complete'}",
        "already_complete": complete,
        "external": completion.is_external(task),
        "runs_each_time": completion.runs_each_time(task),
    }


def _terminate(signum: int, frame: FrameType | None) -> None:
    # Once: what was interrupted now cleans up, and must not be interrupted in that.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Terminated.is_under_way = True
    raise Terminated("asked to end")


def _take_stdin() -> int:
    """Keep the pipe that came as stdin for ourselves; the pipeline reads from nothing."""
    lifeline = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return lifeline


class _Starter:
    """The process that started this one; when it is gone, this process group ends.

    :param lifeline: a pipe whose other end it holds
    :param private_folders: what it would have removed itself: requests, answers, tokens
    """

    def __init__(self, lifeline: int, private_folders: list[str]) -> None:
        self._lifeline = lifeline
        self._private_folders = private_folders
        self._is_gone = False
        threading.Thread(target=self._watch, name="watch-starter", daemon=True).start()

    def _watch(self) -> None:
        while os.read(self._lifeline, 1024):
            pass
        self._is_gone = True
        os.killpg(0, signal.SIGTERM)
        time.sleep(_GRACE_SECONDS)
        self.clean_up_if_gone()
        os.killpg(0, signal.SIGKILL)

    def clean_up_if_gone(self) -> None:
        """Remove the private folders when nobody else is left to do it."""
        if self._is_gone:
            for folder in self._private_folders:
                shutil.rmtree(folder, ignore_errors=True)


def _write(path: str, answer: dict[str, Any]) -> None:
    part = Path(path + ".part")
    part.write_text(json.dumps(answer), encoding="utf-8")
    part.replace(path)
