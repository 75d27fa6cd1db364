"""Check or run a Luigi task in a fresh process of its own: the starting side of ``airflow_domino.luigi.engine``.

Imports neither Luigi nor Airflow. The engine may run under another interpreter, in which airflow_domino is not
installed: it is started by its path.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from airflow_domino.domino.errors import ConfigurationError
from airflow_domino.domino.storable import storable
from airflow_domino.luigi.engine import outcome as words

_ENGINE = Path(__file__).parent / "engine"
# Loads the engine under a name of its own, and keeps both its folder and the current one off sys.path.
_START = """
import sys
sys.path[:] = [entry for entry in sys.path if entry]
import importlib, importlib.util, os
folder, request, answer = sys.argv[1:4]
spec = importlib.util.spec_from_file_location(
    "airflow_domino_luigi_engine", os.path.join(folder, "__init__.py"), submodule_search_locations=[folder])
sys.modules[spec.name] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules[spec.name])
sys.exit(importlib.import_module(spec.name + ".main").main(request, answer))
"""
_LONGEST_LINE = 16_384
_SECONDS_BETWEEN_LOOKS = 1.0
# A scheduler's own settings (database, encryption key, other people's connections) are not the pipeline's business.
_AIRFLOW_ONLY = ("AIRFLOW__", "AIRFLOW_CONN_", "AIRFLOW_VAR_", "_AIRFLOW_", "__AIRFLOW_")


@dataclass(frozen=True)
class EngineRequest:
    """What the engine is asked.

    :param action: ``check`` asks complete(); ``run`` also makes the task when it is not complete; ``plan`` draws its
        graph without asking complete(); ``survey`` asks what is to be done for the tasks of a plan
    :param task: ``module:Family``
    :param params: parameter values; strings are parsed by Luigi's own parameter types
    :param workers: how many tasks may run at once, each in a process of its own if it is more than one
    :param force: True to make the task again although complete, or the families to make again
    :param force_downstream: with families: make all that requires them again too
    :param only_self: never make what the task requires: fail when that is not complete
    :param run_wrapper: run a wrapper that has a ``run()`` of its own although all that it requires is complete
    :param planned: for ``run``: a plan found the task incomplete, so that it is run although it is complete by now,
        unless another process of that plan has run it
    :param plan: for ``run``: names that plan; its processes note what they have run
    :param project_path: folder that is put first on the import path; the working directory by default
    :param command: also answer the task as arguments of Luigi's command line; with ``force``, which that does not know,
        as parameters in text, and as arguments too where to move its outputs aside is enough
    :param node: do all that for the task that this path leads to from ``task`` (see ``plan.PlanNode.path``)
    :param templated: for ``plan``: parameters whose values are known at run time only
    :param limits: for ``plan``: the most ``nodes``, ``depth`` and ``seconds``
    :param nodes: for ``survey``: key and path of each planned task
    :param targets: for ``survey``: keys of the tasks that are wanted
    :param forced: for ``survey``: keys of the tasks to make again
    :param threads: how many ``complete()`` may be asked at once where they take long
    :param check: for ``run``: "strict" asks complete() right after each run; "luigi" does what Luigi does by default
    :param locks: for ``run``: folder of the locks by which engines on this machine leave a running task to each other;
        by default that of ``$AIRFLOW_DOMINO_LUIGI_LOCKS``, or this user's own
    :param domino_runs: for ``run``: how many Domino runs of ``DominoRunTask`` may be under way at once
    :param inputs: for ``check``: also answer which targets the task is going to read, unless it is complete
    :param project_files: names of files of the Domino project that count as existing below the working directory,
        though they are not on this machine; not for ``run``, which would open them
    :param visible_below: for ``plan``: also answer which targets no other machine can see; those below this folder are
        files of the Domino project
    :param dag_run: names the DAG run that this is for, such as ``dag_id/run_id``: its processes share what
        ``RunAnywayTarget`` remembers
    :param masked_variables: names of environment variables whose values are masked in all texts, beside those whose
        names say so
    :param scheduler: for ``run`` and ``survey``: the central Luigi scheduler to tell, as ``url`` and ``worker`` (how
        this DAG run is called there), and perhaps ``tracking_url`` (where to follow tasks that do not say so)
    """

    action: Literal["check", "run", "plan", "survey"]
    task: str
    params: Mapping[str, Any] = field(default_factory=dict)
    workers: int = 1
    force: bool | Sequence[str] = False
    force_downstream: bool = False
    only_self: bool = False
    run_wrapper: bool = False
    planned: bool = False
    plan: str | None = None
    project_path: str | None = None
    command: bool = False
    node: Sequence[tuple[int, str]] = ()
    templated: Sequence[str] = ()
    limits: Mapping[str, float] = field(default_factory=dict)
    nodes: Sequence[tuple[str, Sequence[tuple[int, str]]]] = ()
    targets: Sequence[str] = ()
    forced: Sequence[str] = ()
    threads: int = 8
    check: Literal["strict", "luigi"] = "strict"
    locks: str | None = None
    domino_runs: int | None = None
    inputs: bool = False
    project_files: Sequence[str] = ()
    visible_below: str | None = None
    dag_run: str | None = None
    masked_variables: Sequence[str] = ()
    scheduler: Mapping[str, str] | None = field(default=None, repr=False)  # its URL may hold a password


@dataclass(frozen=True)
class EngineAnswer:
    """What the engine answered.

    :param outcome: one of the words of ``engine.outcome``
    :param message: the same for people
    :param facts: everything else: task_id, family, already_complete, ran, failed, tasks, counts, graph, outputs,
        summary, command, params
    """

    outcome: str
    message: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_good(self) -> bool:
        """Whether the question was answered, and for ``run``: the task is complete now."""
        return self.outcome in words.GOOD

    @property
    def is_request_wrong(self) -> bool:
        """Whether asking the same again is useless."""
        return self.outcome in words.WRONG

    @property
    def is_complete(self) -> bool:
        """Whether the task is complete."""
        return self.outcome in (words.COMPLETE, words.DONE)

    @property
    def result(self) -> dict[str, Any]:
        """What a scheduler keeps of it: the part of the XCom ``return_value`` that is about the Luigi task."""
        result = {
            "task_id": self.facts.get("task_id"),
            "already_complete": bool(self.facts.get("already_complete")),
            "ran": list(self.facts.get("ran", ())),
            "outputs": [output["path"] for output in self.facts.get("outputs", ())],
        }
        return dict(storable({**result, "absent": True} if self.outcome == words.NODE_ABSENT else result))


class EngineProcess:
    """One engine in a process group of its own.

    :param request: what to ask
    :param python: the interpreter that has the pipeline's dependencies; this one by default
    :param working_dir: where relative targets live and ``luigi.cfg`` is looked for; made when it is not there
    :param env: the whole environment of the process (see :func:`engine_environment`)
    :param grace: seconds between asking the group to end and ending it
    :param private_folders: folders of the caller, with tokens perhaps, that the engine removes if the caller is killed
    """

    def __init__(
        self,
        request: EngineRequest,
        *,
        python: str | None = None,
        working_dir: str | Path | None = None,
        env: Mapping[str, str] | None = None,
        grace: float = 30.0,
        private_folders: Sequence[Path] = (),
    ) -> None:
        self._request = request
        self._python = python or sys.executable
        self._working_dir = Path(working_dir or request.project_path or Path.cwd()).absolute()
        self._env = dict(engine_environment() if env is None else env)
        self._grace = grace
        self._private_folders = private_folders
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = False

    def run(
        self, on_line: Callable[[str], None], on_graph: Callable[[Mapping[str, Any]], None] | None = None
    ) -> EngineAnswer:
        """Start, hand each line of output to ``on_line`` as it is written, wait for the end, answer.

        Whatever the task left running is ended with the engine.

        :param on_graph: for ``run`` and ``survey``: is given how all tasks stand (``engine.picture.Picture.facts``),
            every few seconds while that changes, and not at the end: the answer has it as ``graph``
        """
        problem = self._refusal()
        if problem:
            return EngineAnswer(words.REQUEST_WRONG, problem)
        folder = Path(tempfile.mkdtemp(prefix="airflow-domino-luigi-"))
        try:
            return self._run_in(folder, on_line, on_graph)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _refusal(self) -> str | None:
        project = self._request.project_path
        if project is not None and not Path(project).is_dir():
            return f"The project folder {project!r} (project_path) does not exist; relative ones begin at {Path.cwd()}"
        if shutil.which(self._python) is None:
            return f"The interpreter {self._python!r} (python) does not exist"
        return None

    def _run_in(
        self, folder: Path, on_line: Callable[[str], None], on_graph: Callable[[Mapping[str, Any]], None] | None
    ) -> EngineAnswer:
        request, answer, graph = (folder / f"{name}.json" for name in ("request", "answer", "graph"))
        asked = asdict(self._request)
        asked["picture"] = str(graph) if on_graph is not None else None
        asked["project_path"] = str(Path(self._request.project_path or self._working_dir).absolute())
        asked["private_folders"] = [str(one) for one in (folder, *self._private_folders)]
        request.write_text(json.dumps(asked), encoding="utf-8")
        self._working_dir.mkdir(parents=True, exist_ok=True)
        if self._ended:
            return EngineAnswer(words.TERMINATED, "The task was told to end")
        self._process = process = subprocess.Popen(
            [self._python, "-c", _START, str(_ENGINE), str(request), str(answer)],
            cwd=self._working_dir,
            env=self._configured(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        with process.stdin, process.stdout:  # type: ignore[union-attr]
            try:
                _follow(process, on_line, _Watched(graph, on_graph))
            finally:
                self.end()
                process.wait()
        return _read_answer(answer, process.returncode)

    def _configured(self) -> dict[str, str]:
        """The environment, with the project's ``luigi.cfg`` where Luigi finds none in the working directory."""
        project = self._request.project_path
        ours = Path(project or self._working_dir) / "luigi.cfg"
        if "LUIGI_CONFIG_PATH" in self._env or (self._working_dir / "luigi.cfg").exists() or not ours.is_file():
            return self._env
        return {**self._env, "LUIGI_CONFIG_PATH": str(ours.absolute())}

    def end(self) -> None:
        """End the whole process group: SIGTERM, and SIGKILL for what is left after the grace. Safe to repeat."""
        self._ended = True
        process = self._process
        if process is None:
            return
        if not _is_over(process):
            _signal_group(process.pid, signal.SIGTERM)
            deadline = time.monotonic() + self._grace
            while not _is_over(process) and time.monotonic() < deadline:
                time.sleep(0.05)
        _signal_group(process.pid, signal.SIGKILL)


def engine_environment(
    extra: Mapping[str, str | int | float] | None = None,
    *,
    config: str | Path | None = None,
    base: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The environment of an engine: this process's, without Airflow's own settings, with the pipeline's additions.

    :param extra: variables to add; numbers and truth values become text
    :param config: path of the ``luigi.cfg`` to use
    :param base: instead of this process's environment
    :raises ConfigurationError: a variable holds something else
    """
    env = {
        name: value
        for name, value in (os.environ if base is None else base).items()
        if not name.startswith(_AIRFLOW_ONLY)
    }
    if config is not None:
        env["LUIGI_CONFIG_PATH"] = str(Path(config).absolute())
    # Requirements given as a set come in one order everywhere, so that a node of a plan is found again.
    env.setdefault("PYTHONHASHSEED", "0")
    env.update({name: _variable(name, value) for name, value in (extra or {}).items()})
    return env


def _variable(name: str, value: Any) -> str:
    if not isinstance(value, str | int | float | os.PathLike):
        raise ConfigurationError(f"The environment variable {name!r} (env) holds a {type(value).__name__}: give text")
    return str(value)


class _Watched:
    """A file that is handed over whenever it is a new one; whoever writes it replaces it as a whole.

    :param receiver: takes what the file holds
    """

    def __init__(self, path: Path, receiver: Callable[[Mapping[str, Any]], None] | None) -> None:
        self._path = path
        self._receiver = receiver
        self._seen: int | None = None
        self._looked = time.monotonic()

    def look(self) -> None:
        """Look at most once a second."""
        now = time.monotonic()
        if self._receiver is None or now - self._looked < _SECONDS_BETWEEN_LOOKS:
            return
        self._looked = now
        with contextlib.suppress(FileNotFoundError):
            written = self._path.stat().st_mtime_ns
            if written != self._seen:
                self._seen = written
                self._receiver(json.loads(self._path.read_text(encoding="utf-8")))


def _follow(process: subprocess.Popen[bytes], on_line: Callable[[str], None], graph: _Watched) -> None:
    """Hand over the lines until the process has ended. A child left behind may hold the pipe open: not waited for."""
    assert process.stdout is not None  # noqa: S101
    descriptor = process.stdout.fileno()
    os.set_blocking(descriptor, False)
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while True:
            ended = process.poll() is not None
            graph.look()
            if not selector.select(timeout=0 if ended else 0.2):
                if ended:
                    break
                continue
            data = os.read(descriptor, 65_536)
            if not data:
                process.wait()
                break
            rest = _hand_over(rest + data, on_line)
    if rest:
        on_line(_text(rest))


def _hand_over(data: bytes, on_line: Callable[[str], None]) -> bytes:
    *lines, rest = data.split(b"\n")
    for line in lines:
        on_line(_text(line))
    while len(rest) > _LONGEST_LINE:
        on_line(_text(rest[:_LONGEST_LINE]))
        rest = rest[_LONGEST_LINE:]
    return rest


def _text(line: bytes) -> str:
    return line.decode("utf-8", errors="replace").rstrip("\r")


def _is_over(process: subprocess.Popen[bytes]) -> bool:
    """Like ``poll() is not None``, but fit for a signal handler, whose thread may hold the lock that poll() takes."""
    if process.returncode is not None:
        return True
    try:
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def _signal_group(group: int, signum: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signum)


def _read_answer(path: Path, code: int | None) -> EngineAnswer:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        how = f"was ended by {signal.Signals(-code).name}" if code and code < 0 else f"ended with exit code {code}"
        hint = " (out of memory?)" if code == -signal.SIGKILL else ""
        return EngineAnswer(words.ENGINE_FAILED, f"The process that ran the Luigi task {how}{hint} without an answer")
    return EngineAnswer(facts.pop("outcome"), facts.pop("message"), facts)
