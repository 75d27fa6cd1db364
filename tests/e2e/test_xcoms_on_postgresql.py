"""XComs have the same values and types wherever a task ended, on a real Airflow over PostgreSQL."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from airflow_domino.demo.airflow_api import AirflowApi
from airflow_domino.demo.airflow_stack import AirflowStack
from airflow_domino.demo.processes import free_port
from airflow_domino.domino.storable import storable
from airflow_domino.testing import LocalDomino

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

DAGS = Path(__file__).parent / "xcom_dags"
PROJECT = "domino/xcoms"
WAYS = ("st", "df", "wk")
RUNS = {"xcoms": None, "неделя": None, "xcoms_of_a_run": "manual__ü"}
TYPES = {"return_value": "dict", "run_id": "str", "output_commit": "str", "domino_run_link": "str"}
PATIENCE = 300.0
PLAIN = {"auc": 0.93, "label": "gut"}
RESERVED = {"__classname__": "os.system", "__version__": 1, "__data__": "x", "__type": "set", "__var": [1]}
HOSTILE = {"label": "a\0b", "nan": float("nan"), "long": "x" * 500_000, "a\0key": 1, **RESERVED}
STORED = {
    "label": "a\ufffdb",
    "nan": "NaN",
    "long": "x" * 500_000,
    "a\ufffdkey": "1",
    **{f"_{key}": value if isinstance(value, str) else json.dumps(value) for key, value in RESERVED.items()},
}


def leaving(stats: dict[str, Any], exit_code: int = 0) -> str:
    """A program that leaves these statistics, and still runs when its task has looked for the first time."""
    return f"""\
import pathlib, sys, time
pathlib.Path("dominostats.json").write_text({json.dumps(stats)!r})
time.sleep(4)
sys.exit({exit_code})
"""


FILES = {
    "plain.py": leaving(PLAIN),
    "hostile.py": leaving(HOSTILE),
    "fails.py": leaving(HOSTILE, 3),
    "write.py": 'import pathlib, sys\npathlib.Path(sys.argv[1]).write_text("1")\n',
    "needs.py": "import pathlib, sys\nprint(pathlib.Path(sys.argv[1]).read_text())\n",
}


def _program(name: str) -> str | None:
    newest = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    return str(newest[-1]) if newest else shutil.which(name)


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """SQLAlchemy's address of an empty PostgreSQL of its own."""
    initdb, server = _program("initdb"), _program("postgres")
    if initdb is None or server is None:
        pytest.skip("PostgreSQL is not installed here: apt-get install postgresql (.ci/run does)")
    folder = Path(tempfile.mkdtemp(prefix="airflow-domino-postgresql-"))
    account: dict[str, Any] = {"cwd": folder}
    if os.getuid() == 0:  # as whom PostgreSQL refuses to run
        account |= {"user": "postgres", "group": "postgres", "extra_groups": ()}
        shutil.chown(folder, "postgres", "postgres")
    options = ["-U", "airflow", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]
    subprocess.run([initdb, "-D", folder / "data", *options], check=True, stdout=subprocess.DEVNULL, **account)
    port = free_port()
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "fsync": "off",
        "max_connections": "200",
    }
    command = [server, "-D", folder / "data", "-p", str(port)]
    command += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, **account)
    try:
        _wait_until_it_answers(port, process, folder / "log")
        yield f"postgresql+psycopg2://airflow@127.0.0.1:{port}/postgres"
    finally:
        process.send_signal(signal.SIGQUIT)
        process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_it_answers(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    import psycopg2

    deadline = time.monotonic() + 60
    while True:
        try:
            psycopg2.connect(host="127.0.0.1", port=port, user="airflow", dbname="postgres").close()
            return
        except psycopg2.OperationalError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)


@pytest.fixture(scope="module")
def domino(tmp_path_factory: pytest.TempPathFactory, serve_domino: Callable[..., LocalDomino]) -> Iterator[LocalDomino]:
    folder = tmp_path_factory.mktemp("xcoms-domino")
    (folder / "files").mkdir()
    for name, content in FILES.items():
        (folder / "files" / name).write_text(content)
    served = serve_domino(folder / "root", {PROJECT: folder / "files"})
    yield served
    served.stop()


@pytest.fixture(scope="module")
def airflow(domino: LocalDomino, postgresql: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowStack]:
    connection = {"conn_type": "domino", "host": domino.url, "password": domino.token, "extra": {"project": PROJECT}}
    environment = {
        "AIRFLOW_CONN_DOMINO_DEFAULT": json.dumps(connection),
        "AIRFLOW__SCHEDULER__ALLOWED_RUN_ID_PATTERN": ".+",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "120",
    }
    home = tmp_path_factory.mktemp("xcoms-airflow")
    with AirflowStack(home, DAGS, environment=environment, parallelism=6, database=postgresql) as stack:
        stack.api.wait_for_dags(list(RUNS))
        yield stack


@dataclass
class Ended:
    """A DAG run that is over.

    :param pulled: name of the type and value of each XCom, by task and key, as the task at its end pulled them.
    """

    api: AirflowApi
    dag_id: str
    run_id: str
    states: dict[str, str]
    pulled: dict[str, dict[str, tuple[str, Any]]]

    def values(self, task_id: str) -> dict[str, Any]:
        return {key: value for key, (_, value) in self.pulled[task_id].items()}

    def log(self, task_id: str) -> str:
        return self.api.task_log(self.dag_id, self.run_id, task_id)


@pytest.fixture(scope="module")
def ended(airflow: AirflowStack) -> Callable[[str], Ended]:
    """Wait for the end of a DAG's run; all are started at once."""
    runs = {dag_id: airflow.api.trigger(dag_id, run_id=run_id) for dag_id, run_id in RUNS.items()}

    @cache
    def of(dag_id: str) -> Ended:
        where = (dag_id, runs[dag_id])
        state = airflow.api.wait_for_task(*where, "read", ["success", "failed"], PATIENCE)
        states = {one["task_id"]: one["state"] for one in airflow.api.task_instances(*where)}
        assert state == "success", airflow.api.task_log(*where, "read")
        return Ended(airflow.api, *where, states, airflow.api.xcom(*where, "read"))

    return of


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("dag_id", "prefix", "stats"),
    [
        ("xcoms", "plain_", {"auc": "0.93", "label": "gut"}),
        ("xcoms", "hostile_", STORED),
        ("неделя", "группа.žlu_", {"auc": "0.93", "label": "gut"}),
        ("xcoms_of_a_run", "", {"auc": "0.93", "label": "gut"}),
    ],
    ids=["plain", "hostile_statistics", "ids_beyond_latin_1", "run_id_in_latin_1"],
)
def test_the_xcoms_of_a_success_are_the_same_in_each_way(
    ended: Callable[[str], Ended], dag_id: str, prefix: str, stats: dict[str, str], way: str
) -> None:
    run, task_id = ended(dag_id), f"{prefix}{way}"
    assert run.states[task_id] == "success", run.log(task_id)
    assert {key: run.pulled[task_id][key][0] for key in TYPES} == TYPES
    pulled = run.values(task_id)
    result = pulled["return_value"]
    assert (result["status"], result["tier"], result["stats"]) == ("Succeeded", "Small", stats)
    assert pulled["run_id"] == result["run_id"]
    assert pulled["output_commit"] == result["output_commit"]
    assert pulled["domino_run_link"] == result["url"]
    assert run.api.links(dag_id, run.run_id, task_id) == {"Domino run": result["url"]}


@pytest.mark.parametrize(
    ("dag_id", "prefix"), [("неделя", "группа.žlu_"), ("xcoms_of_a_run", "")], ids=["dag_and_task", "run"]
)
def test_a_run_begins_with_the_files_of_the_one_before_whatever_the_ids_are(
    ended: Callable[[str], Ended], dag_id: str, prefix: str
) -> None:
    run = ended(dag_id)
    assert run.states[f"{prefix}train"] == "success", run.log(f"{prefix}train")
    before = run.values(f"{prefix}prepare")["output_commit"]
    assert run.values(f"{prefix}train")["return_value"]["input_commit"] == before


def test_a_mapped_task_with_such_an_id_has_its_result(ended: Callable[[str], Ended]) -> None:
    run = ended("неделя")
    result = run.api.xcom("неделя", run.run_id, "žlu_mapped", map_index=0)
    assert result["stats"] == {"auc": "0.93", "label": "gut"}


@pytest.mark.parametrize("way", WAYS)
def test_a_failure_keeps_its_class_and_its_reason_whatever_the_run_left(
    ended: Callable[[str], Ended], way: str
) -> None:
    run, task_id = ended("xcoms"), f"fails_{way}"
    log = run.log(task_id)
    assert run.states[task_id] == "failed", log
    assert "RunFailedError: Domino run" in log
    assert "UserCodeFailed: The command ended with exit code 3" in log
    kept = run.values(task_id)["domino_run"]
    assert (kept["status"], kept["reason"]) == ("Failed", "UserCodeFailed: The command ended with exit code 3")
    assert kept["stats"] == STORED


@pytest.mark.parametrize("way", WAYS)
def test_a_refusal_keeps_its_class_and_its_reason(ended: Callable[[str], Ended], way: str) -> None:
    run, task_id = ended("xcoms"), f"refused_{way}"
    log = run.log(task_id)
    assert run.states[task_id] == "failed", log
    assert "AirflowFailException: " in log
    assert "'Nowhere'" in log
    assert "Small" in log


def test_postgresql_gives_back_what_is_storable_as_it_was(postgresql: str) -> None:
    import psycopg2

    deep: Any = 1
    for _ in range(200):
        deep = [deep]
    numbers = [1e15, 1e16, 3e18, 1e300, -1e300, 5e-324, 0.1, 2**63, 10**30, float("inf")]
    kept = [storable(one) for one in (*numbers, *HOSTILE.values(), *HOSTILE, deep)]
    connection = psycopg2.connect(postgresql.replace("+psycopg2", ""))
    with connection.cursor() as cursor:
        cursor.execute("select %s::jsonb", [json.dumps(kept)])
        (found,) = cursor.fetchone()
    connection.close()
    assert repr(found) == repr(kept)
