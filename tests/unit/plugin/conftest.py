"""Airflow's tables in a database of their own, and the page's application over them, without an api-server."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from typing import Any
from uuid import uuid4

if "AIRFLOW_HOME" not in os.environ:  # Airflow reads it once, while it is imported
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-home-")

import pytest
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, event, insert, select, update
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import StaticPool

STARTED = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
RUN_URL = "https://domino.example.com/u/ann/churn/jobs/{}"


IS_ROW_PER_ATTEMPT = find_spec("airflow.models.taskinstancehistory") is None
"""Whether each attempt is a task instance of its own (Airflow 3.4)."""


def put(session: Session, model: Any, **values: Any) -> Any:
    """Insert a row with those of the values for which this version of Airflow has a column; return its key."""
    table = model.__table__
    known = {("region_index" if name == "map_index" and name not in table.c else name): values[name] for name in values}
    made = session.execute(insert(table).values({name: value for name, value in known.items() if name in table.c}))
    return made.inserted_primary_key[0]


def put_dag_run(session: Session, dag_id: str, run_id: str, **values: Any) -> None:
    """Insert a DAG run, or change the one that is there."""
    from airflow.models.dagrun import DagRun

    table = DagRun.__table__
    which = (table.c.dag_id == dag_id, table.c.run_id == run_id)
    if session.execute(select(table.c.id).where(*which)).first() is None:
        needed = {
            "run_type": "manual",
            "run_after": STARTED,
            "span_status": "",
            "clear_number": 0,
            "log_template_id": 1,
        }
        put(session, DagRun, dag_id=dag_id, run_id=run_id, **{**needed, **values})
    else:
        known = {name: value for name, value in values.items() if name in table.c and name != "id"}
        session.execute(update(table).where(*which).values(known))


def table_of_past_attempts() -> Any:
    if IS_ROW_PER_ATTEMPT:
        from airflow.models.taskinstance import TaskInstance

        return TaskInstance
    from airflow.models.taskinstancehistory import TaskInstanceHistory

    return TaskInstanceHistory


TABLES = {"task_instance", "task_instance_history", "task_state_store", "dag_run", "serialized_dag"}
TABLES |= {"xcom", "xcom_v1", "xcom_v2", "legacy_task_data_owner"}


class Permissions:
    """Stands where Airflow's auth manager stands: says which DAGs, and which kinds of facts, a user may read."""

    def __init__(self) -> None:
        self.dag_ids: set[str] = set()
        self.unchangeable: set[str] = set()
        self.forbidden: set[DagAccessEntity] = set()

    def get_authorized_dag_ids(self, *, user: Any, method: str = "GET") -> set[str]:
        assert user == "ann"
        return set(self.dag_ids) if method == "GET" else self.dag_ids - self.unchangeable

    def is_authorized_dag(self, *, method: str, user: Any, access_entity: Any = None, details: Any = None) -> bool:
        named = details.id if details else None
        if access_entity in self.forbidden or (method != "GET" and named in self.unchangeable):
            return False
        return named is None or named in self.dag_ids


class Store:
    """Airflow's own store: task instances and what they have pushed."""

    def __init__(self, sessions: sessionmaker[Session]) -> None:
        self.sessions = sessions
        self._dag_runs: dict[tuple[str, str], int] = {}

    def add(
        self,
        dag_id: str = "ensemble",
        task_id: str = "train",
        *,
        airflow_run_id: str = "manual__1",
        map_index: int = -1,
        state: str | None = "success",
        started_at: datetime | None = STARTED,
        try_number: int = 1,
        launch_record: dict[str, Any] | None = None,
        past_runs: list[dict[str, Any]] | None = None,
        **xcoms: Any,
    ) -> None:
        """Add a task instance with its XComs.

        :param launch_record: what the operator keeps of the launch in the task state store.
        :param past_runs: what it keeps there of all its runs.
        """
        from airflow.models.task_state_store import TaskStateStoreModel
        from airflow.models.taskinstance import TaskInstance

        dag_run_id = self._dag_runs.setdefault((dag_id, airflow_run_id), len(self._dag_runs) + 1)
        names = {"dag_id": dag_id, "task_id": task_id, "run_id": airflow_run_id, "map_index": map_index}
        with self.sessions.begin() as session:
            task = put(
                session,
                TaskInstance,
                **names,
                state=state,
                start_date=started_at,
                try_number=try_number,
                pool="default_pool",
                pool_slots=1,
                span_status="not_started",
                executor_config={},
            )
            for key, value in {"domino_run": launch_record, "domino_runs": past_runs}.items():
                if value is not None:
                    kept = {"dag_run_id": dag_run_id, "key": key, "value": json.dumps(value)}
                    put(session, TaskStateStoreModel, **names, **kept, updated_at=started_at)
            for key, value in xcoms.items():
                self._add_xcom(
                    session, task, key=key, value=value, timestamp=started_at, dag_run_id=dag_run_id, **names
                )

    def _add_xcom(self, session: Session, task: Any, *, dag_run_id: int, **values: Any) -> None:
        if IS_ROW_PER_ATTEMPT:
            from airflow.models.xcom import XComModelV2

            put_dag_run(session, values["dag_id"], values["run_id"], id=dag_run_id, state="success")
            put(session, XComModelV2, task_instance_id=task, **values)
        else:
            from airflow.models.xcom import XComModel

            put(session, XComModel, dag_run_id=dag_run_id, **values)

    def add_dag_run(self, dag_id: str, run_id: str, **values: Any) -> None:
        """Add a DAG run, or change the one that is there."""
        with self.sessions.begin() as session:
            put_dag_run(session, dag_id, run_id, **values)

    def add_past_attempt(self, try_number: int, state: str = "failed", started_at: datetime = STARTED) -> None:
        """Add an attempt before the present one of the task that :meth:`add` makes when it is told nothing."""
        names = {"dag_id": "ensemble", "task_id": "train", "run_id": "manual__1", "map_index": -1}
        times = {"start_date": started_at, "end_date": started_at + timedelta(minutes=1)}
        other = {"pool": "default_pool", "pool_slots": 1, "span_status": "not_started", "task_instance_id": uuid4()}
        with self.sessions.begin() as session:
            put(
                session,
                table_of_past_attempts(),
                **names,
                **times,
                **other,
                try_number=try_number,
                state=state,
                working_set=None,
            )

    def add_finished(self, dag_id: str = "ensemble", task_id: str = "train", number: int = 1, **facts: Any) -> None:
        """Add a task that succeeded, whose operator has stored everything about its run."""
        run_id = f"65f0c0ffee{number:014d}"
        result = {
            "run_id": run_id,
            "number": number,
            "status": "Succeeded",
            "tier": "Small",
            "project": "ann/churn",
            "url": RUN_URL.format(run_id),
            "queued_seconds": 3.0,
            "run_seconds": 61.0,
            "cost_cents": 12.5,
        } | facts
        self.add(dag_id, task_id, return_value=result, run_id=run_id, domino_run_link=RUN_URL.format(run_id))


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> Iterator[sessionmaker[Session]]:
    from airflow import settings
    from airflow.models.base import Base
    from airflow.utils.db import import_all_models

    import_all_models()
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    Base.metadata.create_all(engine, tables=[Base.metadata.tables[name] for name in TABLES & set(Base.metadata.tables)])
    made = sessionmaker(engine, expire_on_commit=False)
    monkeypatch.setattr(settings, "Session", made)
    monkeypatch.setattr(settings, "NonScopedSession", made)
    yield made
    engine.dispose()


@pytest.fixture
def store(sessions: sessionmaker[Session]) -> Store:
    return Store(sessions)


@pytest.fixture
def count_statements(sessions: sessionmaker[Session]) -> Callable[[], int]:
    """Tells how many statements the database has been sent so far."""
    sent: list[str] = []
    engine = sessions.kw["bind"]
    event.listen(engine, "before_cursor_execute", lambda _c, _cur, statement, *_rest: sent.append(statement))
    return lambda: len(sent)


@pytest.fixture
def permissions(monkeypatch: pytest.MonkeyPatch) -> Permissions:
    from airflow.api_fastapi.app import _AuthManagerState
    from airflow.models.dag import DagModel

    granted = Permissions()
    monkeypatch.setattr(_AuthManagerState, "instance", granted)
    monkeypatch.setattr(DagModel, "get_team_name", staticmethod(lambda dag_id: None))
    return granted


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], Any]:
    """What Domino said last at each connection and project: nothing, where a test does not say."""
    from airflow_domino.plugin import look

    said: dict[tuple[str, str], Any] = {}
    monkeypatch.setattr(look, "latest", lambda *place: said.get(place) or look.Look(*place))
    return said


@pytest.fixture(scope="session")
def built_app() -> FastAPI:
    """The application: building it takes long, and it keeps nothing from one request to the next."""
    from airflow_domino.plugin.app import create_app

    return create_app()


@pytest.fixture
def plugin_app(
    built_app: FastAPI, sessions: sessionmaker[Session], permissions: Permissions, looks: dict[Any, Any]
) -> Iterator[FastAPI]:
    yield built_app
    built_app.dependency_overrides.clear()


@pytest.fixture
def anonymous(plugin_app: FastAPI) -> Iterator[TestClient]:
    """Somebody who has not signed in."""
    with TestClient(plugin_app) as client:
        yield client


@pytest.fixture
def ann(plugin_app: FastAPI) -> Iterator[TestClient]:
    """A user who has signed in; ``permissions`` says what she may read."""
    from airflow.api_fastapi.core_api.security import get_user

    plugin_app.dependency_overrides[get_user] = lambda: "ann"
    with TestClient(plugin_app) as client:
        yield client
