"""Airflow's tables in a database of their own, and the page's application over them, without an api-server."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

if "AIRFLOW_HOME" not in os.environ:  # Airflow reads it once, while it is imported
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-home-")

import pytest
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, event, insert
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import StaticPool

STARTED = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
RUN_URL = "https://domino.example.com/u/ann/churn/jobs/{}"


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
        from airflow.models.xcom import XComModel

        dag_run_id = self._dag_runs.setdefault((dag_id, airflow_run_id), len(self._dag_runs) + 1)
        names = {"dag_id": dag_id, "task_id": task_id, "run_id": airflow_run_id, "map_index": map_index}
        with self.sessions.begin() as session:
            session.execute(
                insert(TaskInstance.__table__).values(
                    **names,
                    state=state,
                    start_date=started_at,
                    try_number=try_number,
                    pool="default_pool",
                    pool_slots=1,
                    span_status="not_started",
                    executor_config={},
                )
            )
            for key, value in {"domino_run": launch_record, "domino_runs": past_runs}.items():
                if value is not None:
                    kept = {"dag_run_id": dag_run_id, "key": key, "value": json.dumps(value)}
                    session.add(TaskStateStoreModel(**names, **kept, updated_at=started_at))
            for key, value in xcoms.items():
                session.add(XComModel(**names, dag_run_id=dag_run_id, key=key, value=value, timestamp=started_at))

    def add_past_attempt(self, try_number: int, state: str = "failed", started_at: datetime = STARTED) -> None:
        """Add an attempt before the present one of the task that :meth:`add` makes when it is told nothing."""
        from airflow.models.taskinstancehistory import TaskInstanceHistory

        names = {"dag_id": "ensemble", "task_id": "train", "run_id": "manual__1", "map_index": -1}
        times = {"start_date": started_at, "end_date": started_at + timedelta(minutes=1)}
        other = {"pool": "default_pool", "pool_slots": 1, "span_status": "not_started", "task_instance_id": uuid4()}
        with self.sessions.begin() as session:
            table = TaskInstanceHistory.__table__
            session.execute(insert(table).values(**names, **times, **other, try_number=try_number, state=state))

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
    from airflow.models.dagrun import DagRun
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.models.task_state_store import TaskStateStoreModel
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.taskinstancehistory import TaskInstanceHistory
    from airflow.models.xcom import XComModel
    from airflow.utils.db import import_all_models

    import_all_models()
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    models = (TaskInstance, TaskInstanceHistory, XComModel, TaskStateStoreModel, DagRun, SerializedDagModel)
    Base.metadata.create_all(engine, tables=[model.__table__ for model in models])
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
