"""A whole Airflow on this machine: api-server, scheduler, dag-processor and triggerer, over SQLite by default."""

from __future__ import annotations

import base64
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from types import TracebackType

import requests

from airflow_domino.demo.airflow_api import AirflowApi
from airflow_domino.demo.processes import ManagedProcess, ProcessRegister, free_port
from airflow_domino.local.root import kept_secret

COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")
_API_SERVER = {
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS": "airflow_domino.demo.sqlite.API_CONNECT_ARGS",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS_ASYNC": "airflow_domino.demo.sqlite.API_CONNECT_ARGS",
}


class AirflowStackError(Exception):
    """Airflow did not start; the text holds the end of the guilty component's log."""


class AirflowStack:
    """A real Airflow whose whole state is in one folder, on free ports of the loopback interface.

    :param home: folder for everything that Airflow keeps (``AIRFLOW_HOME``); used again when it exists
    :param dags_folder: folder of the DAG files
    :param environment: further variables, which win over those set here
    :param api_port: wished port of the api-server; a free one is taken when it is busy
    :param parallelism: how many tasks may run at once
    :param database: SQLAlchemy address of an empty database; None for SQLite in ``home``
    :param without: components that are not started
    :param on_step: takes what is being done until all are healthy
    """

    def __init__(
        self,
        home: Path,
        dags_folder: Path,
        *,
        environment: Mapping[str, str] | None = None,
        api_port: int | None = None,
        parallelism: int = 4,
        database: str | None = None,
        without: frozenset[str] = frozenset(),
        on_step: Callable[[str], object] | None = None,
    ) -> None:
        self.home = home.resolve()
        self.dags_folder = dags_folder.resolve()
        self.port = free_port(api_port)
        self.url = f"http://127.0.0.1:{self.port}"
        self.api = AirflowApi(self.url)
        self.processes: dict[str, ManagedProcess] = {}
        self._parallelism = parallelism
        self._database = database
        self._without = without
        self._on_step = on_step or (lambda step: None)
        self._extra_environment = dict(environment or {})
        self._register = ProcessRegister(self.home / "processes.json")
        self._variables: dict[str, str] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every component."""
        if self._variables is None:
            inherited = {
                name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "_AIRFLOW"))
            }
            inherited["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{inherited.get('PATH', '')}"
            self._variables = inherited | self._settings() | self._extra_environment
        return self._variables

    def _settings(self) -> dict[str, str]:
        settings = {
            "core": {
                "dags_folder": str(self.dags_folder),
                "load_examples": "False",
                "executor": "LocalExecutor",
                "parallelism": str(self._parallelism),
                "execution_api_server_url": f"{self.url}/execution/",
                "fernet_key": self._secret("fernet_key", lambda: base64.urlsafe_b64encode(os.urandom(32)).decode()),
                "simple_auth_manager_all_admins": "True",
                "dagbag_import_timeout": "240",
                "test_connection": "Enabled",
            },
            "database": {"sql_alchemy_conn": self._database} if self._database else self._sqlite(),
            "api": {
                "base_url": self.url,
                "host": "127.0.0.1",
                "port": str(self.port),
                "log_fetch_timeout_sec": "30",
                "secret_key": self._secret("secret_key", lambda: secrets.token_urlsafe(32)),
            },
            "api_auth": {"jwt_secret": self._secret("jwt_secret", lambda: secrets.token_urlsafe(48))},
            "scheduler": {"scheduler_idle_sleep_time": "0.1"},
            "dag_processor": {
                "refresh_interval": "20",
                "min_file_process_interval": "20",
                "dag_file_processor_timeout": "300",
            },
            # Airflow's own 5 s are not enough for an answer where all its parts share a busy machine.
            "workers": {"execution_api_timeout": "30"},
            "logging": {
                "base_log_folder": str(self.home / "logs"),
                "worker_log_server_port": str(free_port()),
                "trigger_log_server_port": str(free_port()),
            },
            "usage_data_collection": {"enabled": "False"},
        }
        flat = {
            f"AIRFLOW__{s.upper()}__{key.upper()}": value for s, part in settings.items() for key, value in part.items()
        }
        return {"AIRFLOW_HOME": str(self.home), **flat}

    def _sqlite(self) -> dict[str, str]:
        return {
            "sql_alchemy_conn": f"sqlite:///{self.home / 'airflow.db'}",
            "sql_alchemy_connect_args": "airflow_domino.demo.sqlite.CONNECT_ARGS",
            "sql_alchemy_connect_args_async": "airflow_domino.demo.sqlite.ASYNC_CONNECT_ARGS",
        }

    def _secret(self, name: str, make: Callable[[], str]) -> str:
        folder = self.home / "secrets"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return kept_secret(folder / name, make)

    def run(self, *arguments: str) -> str:
        """Run an ``airflow`` command to its end.

        :return: its standard output
        :raises AirflowStackError: when it fails
        """
        command = [sys.executable, "-m", "airflow", *arguments]
        done = subprocess.run(command, env=self.environment, cwd=self.home, capture_output=True, text=True, check=False)
        if done.returncode:
            shown = " ".join(arguments[:2])
            raise AirflowStackError(
                f"`airflow {shown}` ended with {done.returncode}; correct what it "
                f"says:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
            )
        return done.stdout

    def prepare(self) -> None:
        """End what a killed owner of this folder left behind, and bring the database to this Airflow's schema."""
        self.home.mkdir(parents=True, exist_ok=True)
        self._register.end_all()
        migrated = self.home / "migrated-to"
        wanted = version("apache-airflow")
        if not migrated.exists() or migrated.read_text() != wanted:
            self._on_step("making Airflow's database")
            self.run("db", "migrate")
            migrated.write_text(wanted)

    def start(self, timeout: float = 180) -> None:
        """Start every component and wait until all report that they are healthy.

        :param timeout: seconds
        :raises AirflowStackError: when a component ends, or is not healthy in time
        """
        self.prepare()
        self._on_step("starting Airflow")
        for name in COMPONENTS:
            if name not in self._without:
                self.start_component(name)
        self.wait_until_healthy(timeout)

    def log_of(self, label: str) -> Path:
        """Return the file with the output of a component."""
        return self.home / "logs" / "components" / f"{label}.log"

    def start_component(self, name: str, label: str | None = None) -> ManagedProcess:
        """Start one component, for example again after :meth:`ManagedProcess.kill`.

        :param name: one of :data:`COMPONENTS`
        :param label: what to call it here when there is more than one of its kind
        """
        label = label or name
        command = [sys.executable, "-m", "airflow", name]
        log = self.log_of(label)
        environment = self.environment | (_API_SERVER if name == "api-server" and not self._database else {})
        process = ManagedProcess(label, command, environment, log, self.home)
        self._register.add(process.identity)
        self.processes[label] = process
        return process

    def wait_until_healthy(self, timeout: float = 180) -> None:
        """Wait until every started component is healthy.

        :param timeout: seconds
        :raises AirflowStackError: when a component ends, or is not healthy in time
        """
        wanted = {name.replace("-", "_") for name in self.processes if name in COMPONENTS} - {"api_server"}
        deadline = time.monotonic() + timeout
        health: dict[str, str] = {}
        while True:
            self._refuse_dead_components()
            try:
                health = self.api.health()
            except requests.RequestException:
                health = {}
            missing = sorted(name for name in wanted if health.get(name) != "healthy")
            if health and not missing:
                return
            if health:
                self._on_step(f"waiting for Airflow's {', '.join(missing).replace('_', '-')}")
            if time.monotonic() > deadline:
                raise AirflowStackError(
                    f"Airflow is not healthy after {timeout:.0f} s: {health or 'no answer'}; see {self.home / 'logs'}"
                )
            time.sleep(0.3)

    def _refuse_dead_components(self) -> None:
        for process in self.processes.values():
            if process.exit_code is not None:
                ended = f"Airflow's {process.name} ended with {process.exit_code}; correct what its log says"
                raise AirflowStackError(f"{ended}. The end of {process.log_path}:\n{process.log_tail()}")

    def stop(self, grace: float = 5.0) -> None:
        """End every component with all its descendants.

        :param grace: seconds until what has not ended by itself is killed (the triggerer takes ten for nothing)
        :raises ProcessesLeftError: when some go on
        """
        try:
            self._register.end_all(grace)
        finally:
            for process in self.processes.values():
                process.wait(5)
            self.processes.clear()

    def __enter__(self) -> AirflowStack:
        """Start, and stop again when that fails half way."""
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()
