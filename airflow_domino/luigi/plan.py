"""The graph of a Luigi task as plain values: drawn without asking what is complete, and equal at each drawing."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import tempfile
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path, PurePath
from typing import Any

from airflow_domino import __version__
from airflow_domino.luigi.engine.outcome import DRAWN
from airflow_domino.luigi.execute import EngineProcess, EngineRequest, engine_environment

Drawn = Callable[[int, int | None], object]

MOST_NODES = 1000
MOST_DEPTH = 200
MOST_SECONDS = 20.0
_LONGEST_NAME = 150
_FAMILY = re.compile(r"(\w+\.)*[A-Z]\w*")
_SOURCES = frozenset({".py", ".cfg", ".toml", ".json", ".yaml", ".yml"})
_MOST_SOURCES = 2000
# What a shell or a service manager says of each process: no pipeline's shape depends on it.
_OF_THE_PROCESS = frozenset({"_", "SHLVL", "PWD", "OLDPWD", "INVOCATION_ID", "JOURNAL_STREAM", "PYTEST_CURRENT_TEST"})


class PlanError(ValueError):
    """A Luigi task whose graph cannot be drawn; the message says why, and the way out."""


@dataclass(frozen=True)
class PlanNode:
    """One Luigi task of a plan.

    :param key: Luigi's task id
    :param params: its parameters as text; private ones are left out
    :param path: from the root: at each step the number of a requirement, and its family
    :param requires: keys of what it requires
    :param is_external: nobody here makes it
    :param is_wrapper: it only requires others
    :param is_run_wrapper: it is complete as soon as what it requires is, and has something to run all the same
    :param is_domino_run: a DominoRunTask; ``tier`` is then its hardware tier
    :param retry_count: how often it may fail, where its author says so
    :param worker_timeout: seconds that a run may take, where its author says so; 0 means any time
    :param resources: amounts of named resources that a run takes
    :param invisible: its targets that another machine cannot see, each with the reason; told where it was asked
    """

    key: str
    module: str
    family: str
    params: Mapping[str, str] = field(default_factory=dict)
    path: tuple[tuple[int, str], ...] = ()
    requires: tuple[str, ...] = ()
    is_external: bool = False
    is_wrapper: bool = False
    is_run_wrapper: bool = False
    is_domino_run: bool = False
    tier: str | None = None
    priority: float = 0.0
    retry_count: int | None = None
    worker_timeout: float | None = None
    resources: Mapping[str, float] = field(default_factory=dict)
    invisible: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The family; of a DominoRunTask whose command is a script with a Luigi task's family, such as
        ``example_ensemble.py TrainRForest``, that family.
        """
        if not self.is_domino_run:
            return self.family
        words = json.loads(self.params.get("domino_run_command", "[]"))
        return str(words[1]) if len(words) > 1 and _FAMILY.fullmatch(str(words[1])) else self.family

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PlanNode:
        """Read a node, also from a version that wrote more."""
        known = {one.name: data[one.name] for one in fields(cls) if one.name in data}
        path = tuple((int(index), str(family)) for index, family in data.get("path", ()))
        listed = {name: tuple(data.get(name, ())) for name in ("requires", "invisible")}
        return cls(**{**known, "path": path, **listed})


@dataclass(frozen=True)
class Plan:
    """The graph below one root task, breadth first; the root is the first node of a whole plan."""

    nodes: tuple[PlanNode, ...]

    @property
    def root(self) -> PlanNode:
        """The task that everything is for; in a part of a plan the one nearest to that."""
        return self.nodes[0]

    @property
    def ends(self) -> tuple[str, ...]:
        """Keys of the tasks that no other requires: the root, or what a part of a plan is for."""
        required = {key for node in self.nodes for key in node.requires}
        return tuple(node.key for node in self.nodes if node.key not in required)

    def part(self, keys: Collection[str]) -> Plan:
        """The same plan with some of its tasks only; their paths still begin at the root."""
        if len(keys) == len(self.nodes):
            return self
        kept = [node for node in self.nodes if node.key in keys]
        return Plan(tuple(replace(node, requires=tuple(key for key in node.requires if key in keys)) for node in kept))

    def to_json(self) -> str:
        """Write the plan; equal plans give equal texts."""
        return json.dumps({"nodes": [asdict(node) for node in self.nodes]}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Read what :meth:`to_json` wrote."""
        return cls(tuple(PlanNode.from_dict(node) for node in json.loads(text)["nodes"]))

    @classmethod
    def from_file(cls, path: str | Path) -> Plan:
        """Read a plan file, as ``airflow-domino luigi plan`` writes it.

        :raises PlanError: there is no such file, or it holds no plan
        """
        try:
            return cls.from_json(Path(path).read_text("utf-8"))
        except OSError as error:
            raise PlanError(
                f"The plan file {str(path)!r} cannot be read: {error.strerror or error}; write it "
                "with `airflow-domino luigi plan MODULE:FAMILY --output FILE`"
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise PlanError(
                f"{str(path)!r} is no plan file ({type(error).__name__}: {error}): write one with"
                " `airflow-domino luigi plan MODULE:FAMILY --output FILE`"
            ) from error

    def names(self) -> dict[str, str]:
        """A short readable name for each key: the family (and the file of a DominoRunTask), numbered if needed.

        Letters, digits, ``_`` and ``-`` only: what Airflow takes for tasks and groups.
        """
        families: dict[str, list[str]] = {}
        for node in self.nodes:
            families.setdefault(_readable(node), []).append(node.key)
        return {
            key: family if len(keys) == 1 else f"{family}__{number}"
            for family, keys in families.items()
            for number, key in enumerate(keys, 1)
        }

    def priorities(self) -> dict[str, float]:
        """Each task's priority in Luigi's way: the highest of its own and of all that require it."""
        found = {node.key: node.priority for node in self.nodes}
        by_key = {node.key: node for node in self.nodes}
        waiting = [node.key for node in self.nodes]
        for key in waiting:  # grows while it is walked: whoever was raised raises others
            for required in by_key[key].requires:
                if found[required] < found[key]:
                    found[required] = found[key]
                    waiting.append(required)
        return found


def _readable(node: PlanNode) -> str:
    name = node.label
    if node.is_domino_run and name == node.family:
        name = f"{name}_{PurePath(node.params['output_file_path']).stem}"
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:_LONGEST_NAME]


def make_plan(
    task: str,
    params: Mapping[str, Any] | None = None,
    *,
    templated: tuple[str, ...] = (),
    project_path: str | Path | None = None,
    python: str | None = None,
    config: str | Path | None = None,
    env: Mapping[str, str | int | float] | None = None,
    visible_below: str | Path | None = None,
    most_nodes: int = MOST_NODES,
    most_depth: int = MOST_DEPTH,
    most_seconds: float = MOST_SECONDS,
    on_drawn: Drawn | None = None,
) -> Plan:
    """Draw the graph of a task in a fresh process.

    :param task: ``module:Family`` of the root
    :param params: the root's parameters
    :param templated: names of parameters whose values are known at run time only; a sample stands for each
    :param project_path: folder that is put first on the import path; the current one by default
    :param python: interpreter that has the pipeline's dependencies
    :param config: the ``luigi.cfg`` to use
    :param env: variables to add
    :param visible_below: the folder whose files are those of the Domino project: each node then tells its targets that
        no other machine can see (``output()`` is asked only then)
    :param on_drawn: takes how many tasks are drawn so far, and of how many where that is known
    :raises PlanError: the graph cannot be drawn
    """
    request = EngineRequest(
        action="plan",
        task=task,
        params=params or {},
        project_path=None if project_path is None else str(project_path),
        templated=templated,
        limits={"nodes": most_nodes, "depth": most_depth, "seconds": most_seconds},
        visible_below=None if visible_below is None else str(visible_below),
    )
    engine_env = engine_environment(env, config=config)
    known = _cache_file(request, python, engine_env)
    if known is not None and (kept := _kept(known)) is not None:
        return kept
    plan = _draw(request, python, engine_env, on_drawn)
    if known is not None:
        _keep(plan, known)
    return plan


def _draw(request: EngineRequest, python: str | None, env: Mapping[str, str], on_drawn: Drawn | None) -> Plan:
    said: deque[str] = deque(maxlen=20)

    def hear(line: str) -> None:
        if not line.startswith(DRAWN):
            said.append(line)
        elif on_drawn is not None:
            tasks, _, total = line.removeprefix(DRAWN).partition(" ")
            on_drawn(int(tasks), int(total) if total else None)

    answer = EngineProcess(request, python=python, env=env).run(hear)
    if not answer.is_good:
        heard = "\n".join(said)
        shown = f"\n{heard}" if heard and "in the log" in answer.message else ""
        raise PlanError(f"{request.task}: {answer.message}{shown}")
    return Plan(tuple(PlanNode.from_dict(node) for node in answer.facts["nodes"]))


def _cache_file(request: EngineRequest, python: str | None, env: Mapping[str, str]) -> Path | None:
    """Where the plan of exactly these sources, parameters and settings is kept; None where that cannot be told.

    Only the shape of a kept plan is used, and its nodes are found again from the real root at run time: values that
    change by the day, such as a default of today's date, do not make it stale.
    """
    if request.project_path is None:
        return None
    variables = {name: value for name, value in env.items() if name not in _OF_THE_PROCESS}
    asked = [__version__, asdict(request), python, variables]
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode())
    config = env.get("LUIGI_CONFIG_PATH")
    sources = _sources(Path(request.project_path))
    if sources is None:
        return None
    try:
        for path in [*sources, *([Path(config)] if config else [])]:
            digest.update(str(path).encode() + b"\0" + path.read_bytes() + b"\0")
    except OSError:
        return None
    folder = _cache_folder()
    return folder / f"{digest.hexdigest()}.json" if folder else None


def _sources(project: Path) -> list[Path] | None:
    found: list[Path] = []
    for folder, folders, files in os.walk(project):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__pycache__")))
        found += [Path(folder, name) for name in sorted(files) if Path(name).suffix in _SOURCES]
        if len(found) > _MOST_SOURCES:
            return None
    return found


def _cache_folder() -> Path | None:
    """A folder that only this user can write; None where there can be none."""
    folder = Path(tempfile.gettempdir(), f"airflow-domino-plans-{os.getuid()}")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError:
        return None
    return folder if stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() else None


def _kept(path: Path) -> Plan | None:
    try:
        return Plan.from_json(path.read_text("utf-8"))
    except (OSError, ValueError, KeyError, TypeError):
        return None  # never drawn, or kept by another version


def _keep(plan: Plan, path: Path) -> None:
    try:
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        part.write_text(plan.to_json(), "utf-8")
        part.replace(path)
    except OSError:
        return
