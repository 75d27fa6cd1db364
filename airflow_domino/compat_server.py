"""The private parts of Airflow that the page *Domino* in the api-server needs, each looked up in this one place.

None of it is public: a version of Airflow may lack any part. Then the part is a :class:`Missing`: whatever is done with
it raises :class:`MissingInAirflowError`, so that an import does not fail and only what needs the part says so. This is
apart from :mod:`airflow_domino.compat`, since no worker and no DAG file has use for Airflow's tables.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

from airflow import __version__ as airflow_version
from sqlalchemy import Select, literal, null, select, union_all

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

XCOM_RETURN_KEY = "return_value"


class MissingInAirflowError(ImportError):
    """This version of Airflow lacks what a page is built on; the text names both."""


class Missing:
    """Stands where this version of Airflow has nothing.

    :param where: module and name
    """

    def __init__(self, where: str) -> None:
        self._where = where

    def _refuse(self, *arguments: object, **named: object) -> NoReturn:
        raise MissingInAirflowError(
            f"Airflow {airflow_version} has no {self._where}, which this is built on; install a newer airflow-domino, "
            "or a version of Airflow that it is tested with"
        )

    __getattr__ = _refuse
    __call__ = _refuse


def _part(module: str, name: str) -> Any:
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError):
        return Missing(f"{module}.{name}")


def is_missing(part: Any) -> bool:
    """Say whether this version of Airflow lacks a part."""
    return isinstance(part, Missing)


if TYPE_CHECKING:
    from airflow.api_fastapi.app import get_auth_manager as get_auth_manager
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity as DagAccessEntity
    from airflow.api_fastapi.common.db.common import SessionDep as SessionDep
    from airflow.api_fastapi.core_api.security import GetUserDep as GetUserDep
    from airflow.api_fastapi.core_api.security import get_user as get_user
    from airflow.api_fastapi.core_api.security import requires_access_dag as requires_access_dag
    from airflow.models.dagbag import DBDagBag as DBDagBag
    from airflow.models.dagrun import DagRun as DagRun
    from airflow.models.serialized_dag import SerializedDagModel as SerializedDagModel
    from airflow.models.taskinstance import TaskInstance as TaskInstance
    from airflow.models.xcom import XComModel as XComModel
    from airflow.utils.session import create_session as create_session
else:
    DagRun = _part("airflow.models.dagrun", "DagRun")
    DBDagBag = _part("airflow.models.dagbag", "DBDagBag")
    SerializedDagModel = _part("airflow.models.serialized_dag", "SerializedDagModel")
    TaskInstance = _part("airflow.models.taskinstance", "TaskInstance")
    XComModel = _part("airflow.models.xcom", "XComModel")
    create_session = _part("airflow.utils.session", "create_session")


def __getattr__(name: str) -> Any:
    """Find what belongs to the api-server alone; a command has no need of that, and it takes long.

    :raises MissingInAirflowError: where this version of Airflow has it not: FastAPI can do without none of these
    """
    if name not in _OF_API_SERVER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    part = _part(_OF_API_SERVER[name], name)
    return part._refuse() if is_missing(part) else part


_OF_API_SERVER = {
    "DagAccessEntity": "airflow.api_fastapi.auth.managers.models.resource_details",
    "GetUserDep": "airflow.api_fastapi.core_api.security",
    "SessionDep": "airflow.api_fastapi.common.db.common",
    "get_auth_manager": "airflow.api_fastapi.app",
    "get_user": "airflow.api_fastapi.core_api.security",
    "requires_access_dag": "airflow.api_fastapi.core_api.security",
}
_HISTORY = _part("airflow.models.taskinstancehistory", "TaskInstanceHistory")  # up to Airflow 3.3
_STATE_STORE = _part("airflow.models.task_state_store", "TaskStateStoreModel")  # since Airflow 3.3
TaskStateStoreModel: Any = None if is_missing(_STATE_STORE) else _STATE_STORE


def instance_column(model: Any, name: str) -> Any:
    """Return the column of a table that names a task instance.

    :param model: a table, or an alias of it
    :param name: ``dag_id``, ``run_id``, ``dag_run_id``, ``task_id`` or ``map_index`` (in Airflow 3.4 ``region_index``)
    """
    is_renamed = name == "map_index" and not hasattr(model, name)
    return getattr(model, "region_index" if is_renamed else name).label(name)


def _has(model: Any, *names: str) -> bool:
    return not is_missing(model) and all(hasattr(model, name) for name in names)


def column_or_null(model: Any, name: str) -> Any:
    """Return a column that this version of Airflow may lack: there, nothing is read."""
    return getattr(model, name) if _has(model, name) else null()


def serialized_dag_columns() -> tuple[Any, ...]:
    """Return the columns that hold a serialized DAG, as it is and compressed; none where Airflow lacks them."""
    names = ("_data", "_data_compressed")
    has_them = _has(SerializedDagModel, "dag_version_id", *names) and _has(DagRun, "created_dag_version_id")
    return tuple(getattr(SerializedDagModel, name) for name in names) if has_them else ()


def lacks(page: str) -> list[str]:
    """Return what a page does not show in this version of Airflow.

    :param page: its name
    """
    knows_attempts = not is_missing(_HISTORY) or _has(TaskInstance, "working_set")
    parts = {
        "Task": {
            "the attempts before the latest one cannot be read, so they are not listed": knows_attempts,
            "there is no task state store, so runs of attempts before the latest one are shown for as long as Domino "
            "lists them": TaskStateStoreModel,
        },
        "Luigi": {
            "the edges of a DAG cannot be read, so tasks that have not run yet are drawn without "
            "arrows": serialized_dag_columns(),
        },
        "Tiers": {
            "the retries of tasks cannot be read, so a run of an earlier attempt may be missing among those that no "
            "task waits for": not is_missing(DBDagBag),
            "the database cannot be asked which runs tasks wait for, so none is listed that no task waits "
            "for": not is_missing(create_session),
        },
    }
    return [f"In Airflow {airflow_version} {words}." for words, is_there in parts.get(page, {}).items() if not is_there]


def attempts_of(names: dict[str, Any], columns: Sequence[str]) -> Select[Any]:
    """Ask for the attempts of a task instance, each with ``is_past``.

    Since Airflow 3.4 each attempt is a row of the task instances; before, those that are past have a table of their
    own. Where there is neither, only the present one is found.

    :param names: which task instance
    :param columns: what is asked for
    """

    def rows(table: Any, is_past: Callable[[Any], Any]) -> Select[Any]:
        statement = select(*(getattr(table, name) for name in columns), is_past(table).label("is_past"))
        return statement.where(*(instance_column(table, name) == value for name, value in names.items()))

    if not is_missing(_HISTORY):
        present, past = (rows(TaskInstance, lambda _: literal(0)), rows(_HISTORY, lambda _: literal(1)))
        return select(union_all(present, past).subquery("attempts"))
    if _has(TaskInstance, "working_set"):
        every = rows(TaskInstance, lambda table: table.working_set.is_(None))
        return select(every.subquery("attempts")).execution_options(include_all_attempts=True)
    return select(rows(TaskInstance, lambda _: literal(0)).subquery("attempts"))
