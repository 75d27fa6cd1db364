"""The demo from the first process to the last: a local Domino, a real Airflow, the sample DAGs, and their results."""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from urllib.parse import quote

from rich.console import Console

from airflow_domino.demo.airflow_api import FINISHED_STATES, AirflowApi
from airflow_domino.demo.airflow_stack import AirflowStack
from airflow_domino.demo.local_domino import PROJECT, LocalDomino
from airflow_domino.demo.reasons import reason_of
from airflow_domino.demo.rows import RowReader, TaskRow
from airflow_domino.demo.screen import progress_on, show_results, write
from airflow_domino.demo.state import StateFolder
from airflow_domino.domino import DominoClient
from airflow_domino.domino.auth import BearerToken
from airflow_domino.progress import changing

DAGS = ("hello_world", "ensemble")
RESULTS = ("data/hello_world.txt", "report/score_report.json")
CONNECTION_ID = "domino_default"
INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class DemoError(Exception):
    """The demo could not be carried out; the text says why."""


@dataclass(frozen=True)
class DemoOptions:
    """What is asked of a demo.

    :param state: folder for everything that it keeps
    :param dags: folder of the DAG files, with the Domino project below ``projects/``
    :param once: end when the DAG runs have, instead of at Ctrl-C
    :param results: folder for the files that the DAG runs made
    :param airflow_port: wished port of Airflow
    :param domino_port: wished port of the local Domino
    :param timeout: seconds that the DAG runs may take
    """

    state: Path
    dags: Path
    once: bool = False
    results: Path | None = None
    airflow_port: int = 8080
    domino_port: int = 8890
    timeout: float = 900


def run_demo(options: DemoOptions, console: Console) -> int:
    """Start everything, run the DAGs, show what they did, end everything.

    :return: 0 when the DAG runs succeeded, otherwise 1
    :raises DemoError: when the DAG runs did not end in time, or their results are missing
    :raises StateInUseError: when another demo has the folder
    :raises AirflowStackError: when Airflow does not start
    :raises LocalDominoError: when the local Domino does not start
    """
    with _interruptible_once(), StateFolder(options.state) as state:
        write(console, f"Starting a local Domino and Airflow; all state is in {state.path}")
        began, began_at = time.monotonic(), datetime.now(UTC)
        with contextlib.ExitStack() as started:
            with changing("starting a local Domino", has_clock=True, is_told=False) as show:
                domino = started.enter_context(_local_domino(options, state, console))
                airflow = started.enter_context(_airflow(options, state, console, show))
                show("waiting for the local Domino")
                domino.wait_until_ready()
            write(console, f"Airflow:      {airflow.url}")
            write(console, f"Local Domino: {domino.url}  (token: {state.token_file})")
            write(console, f"Both were ready in {time.monotonic() - began:.0f} s.")
            _connect(airflow.api, domino.url, state.token())
            try:
                _end_what_a_killed_demo_left(airflow.api, began_at, console)
                succeeded = _run_dags(options, airflow, domino, state, console)
                if not options.once:
                    _stay(airflow, domino, state, console)
            finally:
                _ignore_interrupts()
                write(console, "Ending what was started")
        return 0 if succeeded else 1


def _local_domino(options: DemoOptions, state: StateFolder, console: Console) -> LocalDomino:
    domino = LocalDomino(state, options.dags / "projects" / PROJECT.partition("/")[2], port=options.domino_port)
    _say_if_busy(console, "local Domino", options.domino_port, domino.port)
    return domino


def _airflow(
    options: DemoOptions, state: StateFolder, console: Console, on_step: Callable[[str], object]
) -> AirflowStack:
    environment = {"AIRFLOW_DOMINO_DATA": str(state.data), "AIRFLOW__DOMINO__POLL_INTERVAL": "1"}
    airflow = AirflowStack(
        state.airflow_home, options.dags, environment=environment, api_port=options.airflow_port, on_step=on_step
    )
    _say_if_busy(console, "Airflow", options.airflow_port, airflow.port)
    return airflow


def _say_if_busy(console: Console, who: str, wished: int, taken: int) -> None:
    if wished and wished != taken:
        write(console, f"Port {wished} is busy: {who} takes {taken}")


def _connect(airflow: AirflowApi, host: str, token: str) -> None:
    """Create the connection, or correct it: the local Domino may have another port than the last time."""
    connection = {
        "connection_id": CONNECTION_ID,
        "conn_type": "domino",
        "description": "The local Domino of the demo",
        "host": host,
        "password": token,
        "extra": json.dumps({"credential": "bearer", "project": PROJECT}),
    }
    known = airflow.call("GET", "/connections", query={"limit": 1000})["connections"]
    if any(entry["connection_id"] == CONNECTION_ID for entry in known):
        airflow.call("PATCH", f"/connections/{CONNECTION_ID}", body=connection)
    else:
        airflow.call("POST", "/connections", body=connection)


def _end_what_a_killed_demo_left(airflow: AirflowApi, began_at: datetime, console: Console) -> None:
    airflow.wait_for_dags(DAGS)
    for dag_id in DAGS:
        for run_id in airflow.end_dag_runs(dag_id, queued_before=began_at):
            write(console, f"An earlier demo was ended in the middle of {dag_id}; its DAG run {run_id} is failed now.")


def _run_dags(
    options: DemoOptions, stack: AirflowStack, domino: LocalDomino, state: StateFolder, console: Console
) -> bool:
    airflow = stack.api
    runs = {dag_id: airflow.trigger(dag_id) for dag_id in DAGS}
    write(console, f"Triggered {' and '.join(runs)}.\n")
    with DominoClient(domino.url, BearerToken(state.token())) as client:
        rows, states = _watch(runs, options.timeout, stack, RowReader(airflow, client), console)
    write(console, "")
    show_results(console, rows)
    write(console, "")
    _explain(rows, runs, stack, console)
    for dag_id, dag_run_id in runs.items():
        write(console, f"{dag_id}: {states[dag_id]}  {airflow.url}/dags/{dag_id}/runs/{quote(dag_run_id)}")
    succeeded = all(word == "success" for word in states.values())
    if succeeded and options.results:
        _deliver(state, options.results, console)
    return succeeded


def _explain(rows: Sequence[TaskRow], runs: Mapping[str, str], stack: AirflowStack, console: Console) -> None:
    complete = [row.name for row in rows if row.already_complete]
    if complete:
        write(console, f"Already complete, so nothing was run for: {', '.join(complete)}")
    for row in rows:
        if row.state == "failed":
            write(console, f"{reason_of(row, runs[row.dag_id], stack.api, stack.log_of('scheduler'))}\n")


def _watch(
    runs: Mapping[str, str], timeout: float, stack: AirflowStack, reader: RowReader, console: Console
) -> tuple[list[TaskRow], dict[str, str]]:
    airflow = stack.api
    deadline = time.monotonic() + timeout
    with progress_on(console) as progress:
        while True:
            # States first: what is over then is over in the rows too.
            states = {dag_id: str(airflow.dag_run(dag_id, run_id)["state"]) for dag_id, run_id in runs.items()}
            rows = [row for dag_id, run_id in runs.items() for row in reader.read(dag_id, run_id)]
            progress.show(rows)
            if FINISHED_STATES.issuperset(states.values()):
                return rows, states
            for process in stack.processes.values():
                if process.exit_code is not None:
                    raise DemoError(
                        f"Airflow's {process.name} has ended; start the demo again, and look what its log "
                        f"says:\n{process.log_tail()}"
                    )
            if time.monotonic() > deadline:
                waiting = ", ".join(f"{row.name} is {row.state}" for row in rows if row.state != "success")
                raise DemoError(
                    f"the DAG runs have not ended in {timeout:.0f} s: {waiting}; start the demo again, what is "
                    "complete is kept"
                )
            time.sleep(0.5)


def _deliver(state: StateFolder, results: Path, console: Console) -> None:
    results.mkdir(parents=True, exist_ok=True)
    for name in RESULTS:
        source = state.data / name
        if not source.is_file():
            raise DemoError(f"the DAG runs succeeded, and yet {source} is not there; start the demo again")
        shutil.copyfile(source, results / source.name)
        write(console, f"Result: {results / source.name}")


def _stay(airflow: AirflowStack, domino: LocalDomino, state: StateFolder, console: Console) -> None:
    owner, _, name = PROJECT.partition("/")
    variables = {
        "DOMINO_API_HOST": domino.url,
        "DOMINO_TOKEN_FILE": str(state.token_file),
        "DOMINO_PROJECT_OWNER": owner,
        "DOMINO_PROJECT_NAME": name,
    }
    settings = " ".join(f"{variable}={shlex.quote(value)}" for variable, value in variables.items())
    write(console, f"\nFor `airflow-domino runs` and its like in another terminal:\nexport {settings}")
    write(console, f"\nAirflow ({airflow.url}) and the local Domino ({domino.url}) stay up; Ctrl-C ends both.")
    dead: set[str] = set()
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            ended = {name: process.exit_code for name, process in airflow.processes.items()}
            ended["local Domino"] = domino.exit_code
            for name, exit_code in ended.items():
                if exit_code is not None and name not in dead:
                    dead.add(name)
                    write(console, f"{name} has ended with exit code {exit_code}")
            time.sleep(1)


@contextlib.contextmanager
def _interruptible_once() -> Iterator[None]:
    """Let SIGTERM, and the end of the terminal, end the demo as Ctrl-C does; what comes later disturbs no clean-up."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        _ignore_interrupts()
        raise KeyboardInterrupt

    # Under nohup the end of the terminal is ignored, and stays so.
    heard = [number for number in INTERRUPTS if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, interrupt) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ignore_interrupts() -> None:
    for number in INTERRUPTS:
        signal.signal(number, signal.SIG_IGN)
