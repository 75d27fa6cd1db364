"""Each DAG of the documentation that names a day is run for a past day, and asks for that day, not for today.

By `airflow dags test`, by `airflow dags trigger` and over REST. What counts is what arrived: the commands and titles
that Domino got, and the parameters that Luigi tasks got.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_domino.demo.airflow_api import AirflowApiError
from airflow_domino.demo.airflow_stack import AirflowStack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "llms.txt", *sorted((ROOT / "docs").rglob("*.md"))]
SNIPPET = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMES_A_DAY = re.compile(r"\| ds\b|\{\{ ds \}\}|:%Y-%m-%d\}")
DAY = re.compile(r"20\d\d-\d\d-\d\d")
ID = re.compile(r"^def (\w+)\(\):|LuigiDag\(\s*\"(\w+)\"", re.MULTILINE)
LUIGI_TASK = re.compile(r"task=\"(\w+):(\w+)\"")
PARAMETER = re.compile(r"\{\"(\w+)\": \"[^\"]*(?:run_after|\{\{ ds)")
OTHER_FAMILY = re.compile(r"overrides=\{\"(\w+)\"")
#: Days of DAG runs by how they are made.
TESTED, TRIGGERED, POSTED = "2026-03-02", "2026-04-03", "2026-05-04"
#: A task of each kind, which are triggered without a logical date too, and in every way.
OF_EACH_KIND = {
    "launched by the triggerer": "daily_forecast_docs_how_to_backfill_0",
    "in Python": "report",
    "of Luigi": "daily_totals",
}
#: What takes long, or needs a machine that tests lack; and what stands in its place.
ELSEWHERE = {
    'since="{{ dag_run.start_date }}"': 'since="2020-01-01T00:00:00Z"',
    "s3://models@bucket/": "{folder}/",
    "/opt/airflow/": "{folder}/",
    "/shared/": "{folder}/",
}
CONF = {"time_gate": {"closing_time": "2020-01-01 00:00"}}
PATIENCE = 600
# A Luigi task that is complete as soon as somebody asks, and notes what it was asked for.
ASKED = """\
from pathlib import Path

import luigi


class {family}(luigi.{kind}):
    {parameter} = luigi.Parameter()

    def requires(self):
        return [cls(self.{parameter}) for name in {others!r} if (cls := globals()[name])]

    def complete(self):
        asked = Path(__file__).parent / "asked"
        asked.mkdir(exist_ok=True)
        (asked / self.{parameter}.replace("/", "_")).touch()
        return True
"""
CLI = """\
import json, sys, traceback
from airflow.cli.cli_parser import get_parser

for words in json.load(sys.stdin):
    try:
        arguments = get_parser().parse_args(words)
        arguments.func(arguments)
    except SystemExit as ended:
        print(words, ended)
    except Exception:
        traceback.print_exc()
"""


@dataclass(frozen=True)
class Documented:
    """A DAG file that stands in the documentation, or is a sample.

    :param folder: of its own, in the DAGs' folder.
    :param ids: of its DAGs.
    """

    folder: Path
    ids: tuple[str, ...]

    def asked(self) -> set[str]:
        """The days that Luigi tasks were asked for: in their parameters, and in the names of what they made."""
        found = [DAY.search(path.name) for path in self.folder.rglob("*20*") if path.suffix not in (".py", ".pyc")]
        return {day[0] for day in found if day}


def name_of(page: Path) -> str:
    return re.sub(r"\W", "_", str(page.relative_to(ROOT).with_suffix("")))


def documented(dags: Path) -> Iterator[Documented]:
    """Write down each snippet that names a day, as one DAG file beside what stands in for its pipeline."""
    taken: set[str] = set()
    for page in PAGES:
        for number, code in enumerate(SNIPPET.findall(page.read_text())):
            if NAMES_A_DAY.search(code) and ID.search(code):
                folder = dags / f"{name_of(page)}_{number}"
                folder.mkdir()
                for here, there in ELSEWHERE.items():
                    code = code.replace(here, there.replace("{folder}", str(folder)))
                code, ids = with_own_ids(code, folder.name, taken)
                (folder / "dags.py").write_text(code)
                for stand_in in re.findall(r"\"(?:/.*)?/?(pipeline|pivot)\"", code):
                    write_pipeline(folder / stand_in, code)
                yield Documented(folder, ids)
    for sample in sorted((ROOT / "dags").glob("*.py")):
        if NAMES_A_DAY.search(sample.read_text()):
            folder = dags / sample.stem
            folder.mkdir()
            code = sample.read_text().replace("parent /", "parent.parent /")
            (folder / "dags.py").write_text(code.replace("~/airflow-domino-data", str(folder / "data")))
            yield Documented(folder, (ID.search(code)[2],))


def with_own_ids(code: str, suffix: str, taken: set[str]) -> tuple[str, tuple[str, ...]]:
    """Let no two DAGs have the same id, as those of different pages may."""
    ids = []
    for function, drawn in ID.findall(code):
        name = own = function or drawn
        if name in taken:
            own = f"{name}_{suffix}"
            code = re.sub(rf"(?<=^def ){name}(?=\()|^{name}(?=\(\)$)", own, code, flags=re.MULTILINE)
            code = code.replace(f'LuigiDag("{name}"', f'LuigiDag("{own}"')
        taken.add(own)
        ids.append(own)
    return code, tuple(ids)


def write_pipeline(folder: Path, code: str) -> None:
    folder.mkdir(exist_ok=True)
    (parameter,) = set(PARAMETER.findall(code))
    for module, family in LUIGI_TASK.findall(code):
        others = OTHER_FAMILY.findall(code)
        tasks = [ASKED.format(family=name, kind="ExternalTask", parameter=parameter, others=[]) for name in others]
        root = ASKED.format(family=family, kind="Task", parameter=parameter, others=others)
        (folder / f"{module}.py").write_text("\n\n".join([root, *tasks]))


@pytest.fixture(scope="module")
def domino(tmp_path_factory: pytest.TempPathFactory, serve_domino: Callable[..., Any]) -> Iterator[Any]:
    """A local Domino whose project has each program that the documentation names."""
    files = tmp_path_factory.mktemp("project")
    for page in PAGES:
        for name in re.findall(r"\"(\w+\.(?:py|R))\b", page.read_text()):
            (files / name).write_text('open("model.zip", "w").write("a model")\n')
    root = tmp_path_factory.mktemp("domino")
    domino = serve_domino(root, {"domino/days": files}, [f"--environment=R={sys.executable}"])
    domino.start("train.py", title="nightly export")
    yield domino
    domino.stop()


@dataclass
class Days:
    """An Airflow with the documented DAGs."""

    airflow: AirflowStack
    domino: Any
    files: list[Documented]

    @property
    def ids(self) -> list[str]:
        return [dag_id for file in self.files for dag_id in file.ids]

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        return list(self.airflow.api.call("GET", f"/dags/{dag_id}/dagRuns")["dag_runs"])

    def asked_of_domino(self, dag_id: str, run: Mapping[str, Any]) -> set[str]:
        """The days in the command and the title of each Domino run of a DAG run."""
        days: set[str] = set()
        for task in self.airflow.api.task_instances(dag_id, run["dag_run_id"]):
            try:
                launched = self.airflow.api.xcom(dag_id, run["dag_run_id"], task["task_id"], key="run_id")
            except AirflowApiError:
                continue
            job = self.domino.job(launched)
            days |= set(DAY.findall(f"{job['jobRunCommand']} {job['title']}"))
        return days

    def states(self) -> dict[str, list[tuple[str, str]]]:
        return {dag_id: [(day_of(run), run["state"]) for run in self.runs(dag_id)] for dag_id in self.ids}

    def command_line(self, commands: list[list[str]]) -> str:
        """Carry out commands of `airflow`, which takes seconds to load, in one process."""
        done = subprocess.run(
            [sys.executable, "-c", CLI],
            input=json.dumps(commands),
            env=self.airflow.environment,
            cwd=self.airflow.home,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return f"{done.stdout}\n{done.stderr}"


def with_conf(dag_id: str, *words: str) -> list[str]:
    return [*words, "--conf", json.dumps(CONF.get(dag_id, {}))]


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory, domino: Any) -> Iterator[Days]:
    """All DAG runs, over or not."""
    folder = tmp_path_factory.mktemp("days")
    dags = folder / "dags"
    dags.mkdir()
    (dags / "projects").symlink_to(ROOT / "dags" / "projects")
    (dags / ".airflowignore").write_text("projects\npipeline\npivot\n")
    files = list(documented(dags))
    connection = {"conn_type": "domino", "host": domino.url, "password": domino.token}
    environment = {
        "AIRFLOW_CONN_DOMINO_DEFAULT": json.dumps(connection | {"extra": {"project": "domino/days"}}),
        "AIRFLOW_CONN_SALES_BUCKET": json.dumps({"conn_type": "aws", "login": "l", "password": "p"}),
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",  # the day for which each DAG is due is not asked for here
        "AIRFLOW__DOMINO__POLL_INTERVAL": "1",
    }
    with AirflowStack(folder / "home", dags, environment=environment, parallelism=4) as airflow:
        found = Days(airflow, domino, files)
        airflow.api.wait_for_dags(found.ids)
        make_runs(found)
        yield found


def make_runs(days: Days) -> None:
    """Try each DAG as a person does, and run it once by the scheduler, in turn by each way; some in all ways."""
    by_cli, over_rest = days.ids[::2], days.ids[1::2]
    triggers = [
        with_conf(dag_id, "dags", "trigger", dag_id, "--logical-date", TRIGGERED)
        for dag_id in dict.fromkeys([*by_cli, *OF_EACH_KIND.values()])
    ]
    tests = [with_conf(dag_id, "dags", "test", dag_id, TESTED) for dag_id in days.ids]
    print(days.command_line(triggers + tests))
    for dag_id in dict.fromkeys([*over_rest, *OF_EACH_KIND.values()]):
        body = {"logical_date": f"{POSTED}T00:00:00Z", "conf": CONF.get(dag_id, {})}
        days.airflow.api.call("POST", f"/dags/{dag_id}/dagRuns", body=body)
    for dag_id in OF_EACH_KIND.values():
        days.airflow.api.trigger(dag_id)
    # Only now, so that SQLite has fewer who write at once.
    for dag_id in days.ids:
        days.airflow.api.call("PATCH", f"/dags/{dag_id}", body={"is_paused": False})


def day_of(run: Mapping[str, Any]) -> str:
    return str(run["logical_date"] or run["run_after"])[:10]


def test_every_page_that_names_a_day_is_among_them(days: Days) -> None:
    named = [page for page in PAGES if any(NAMES_A_DAY.search(code) for code in SNIPPET.findall(page.read_text()))]
    assert {name_of(page) for page in named} == {file.folder.name.rpartition("_")[0] for file in days.files} - {"time"}
    assert "time_gate" in days.ids


def test_each_documented_dag_asks_for_the_day_of_its_dag_run(days: Days) -> None:
    wanted = {
        file.folder.name: {day_of(run) for dag_id in file.ids for run in days.runs(dag_id)} for file in days.files
    }
    assert all({TESTED} < asked <= {TESTED, TRIGGERED, POSTED, today(days)} for asked in wanted.values()), wanted

    def asked() -> dict[str, set[str]]:
        return {
            file.folder.name: file.asked()
            | {day for dag_id in file.ids for run in days.runs(dag_id) for day in days.asked_of_domino(dag_id, run)}
            for file in days.files
        }

    def missing() -> dict[str, set[str]]:
        return {name: wanted[name] - found for name, found in asked().items() if not wanted[name] <= found}

    until(lambda: not missing(), lambda: f"missing: {missing()}\n{days.states()}")
    assert asked() == wanted


@pytest.mark.parametrize("dag_id", OF_EACH_KIND.values(), ids=OF_EACH_KIND)
def test_each_way_to_run_a_dag_gives_its_day_and_one_without_a_logical_date_the_day_of_the_trigger(
    days: Days, dag_id: str
) -> None:
    ways = {run["logical_date"] and run["logical_date"][:10]: run for run in days.runs(dag_id)}
    assert set(ways) == {TESTED, TRIGGERED, POSTED, None}
    (file,) = (file for file in days.files if dag_id in file.ids)

    def asked() -> set[str]:
        return file.asked() | {day for run in ways.values() for day in days.asked_of_domino(dag_id, run)}

    until(lambda: len(asked()) == len(ways), lambda: str(asked()))
    assert asked() == {TESTED, TRIGGERED, POSTED, ways[None]["run_after"][:10]}


def test_a_task_whose_template_has_the_day_needs_no_worker(days: Days) -> None:
    dag_id = OF_EACH_KIND["launched by the triggerer"]
    (run,) = (run for run in days.runs(dag_id) if day_of(run) == POSTED)
    (task,) = days.airflow.api.task_instances(dag_id, run["dag_run_id"])
    assert (task["state"], task["hostname"]) == ("success", ""), task


def today(days: Days) -> str:
    (run,) = (run for run in days.runs(OF_EACH_KIND["in Python"]) if run["logical_date"] is None)
    return str(run["run_after"])[:10]


def until(condition: Callable[[], bool], complaint: Callable[[], str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, complaint()
        time.sleep(1)
