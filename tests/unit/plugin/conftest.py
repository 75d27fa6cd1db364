"""Airflow's tables in a database of their own, and the page's application over them, without an api-server."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

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
        self.forbidden: set[DagAccessEntity] = set()

    def get_authorized_dag_ids(self, *, user: Any, method: str = "GET") -> set[str]:
        assert (user, method) == ("ann", "GET")
        return set(self.dag_ids)

    def is_authorized_dag(self, *, method: str, user: Any, access_entity: Any = None, details: Any = None) -> bool:
        named = details.id if details else None
        return access_entity not in self.forbidden and (named is None or named in self.dag_ids)


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
        launch_record: dict[str, Any] | None = None,
        **xcoms: Any,
    ) -> None:
        """Add a task instance with its XComs.

        :param launch_record: what the operator keeps in the task state store.
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
                    try_number=1,
                    pool="default_pool",
                    pool_slots=1,
                    span_status="not_started",
                    executor_config={},
                )
            )
            if launch_record is not None:
                kept = {"dag_run_id": dag_run_id, "key": "domino_run", "value": json.dumps(launch_record)}
                session.add(TaskStateStoreModel(**names, **kept, updated_at=started_at))
            for key, value in xcoms.items():
                session.add(XComModel(**names, dag_run_id=dag_run_id, key=key, value=value, timestamp=started_at))

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
    from airflow.models.task_state_store import TaskStateStoreModel
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XComModel
    from airflow.utils.db import import_all_models

    import_all_models()
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    models = (TaskInstance, XComModel, TaskStateStoreModel)
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
def plugin_app(sessions: sessionmaker[Session], permissions: Permissions) -> FastAPI:
    from airflow_domino.plugin.app import create_app

    return create_app()


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
