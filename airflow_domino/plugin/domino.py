"""Airflow plugin: the page "Domino" in Airflow's UI.

Airflow imports this module in each of its components, so only the standard library and Airflow's own plugin
base are imported here; the web application is built where somebody asks for it, which is the api-server.
"""

from __future__ import annotations

import logging
from functools import cached_property
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from airflow_domino import listener
from airflow_domino.plugin.addresses import URL_PREFIX, base_path

log = logging.getLogger(__name__)


class DominoPlugin(AirflowPlugin):
    """Adds the page "Domino": the runs that Airflow started on Domino, and what they cost."""

    name = "domino"
    listeners: list[Any] = [listener]  # noqa: RUF012  declared without ClassVar by Airflow

    @cached_property
    def external_views(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """A navigation entry, and tabs on the pages of a DAG run and of a task instance, in Airflow's own frame.

        What Airflow's UI puts in for the braces is quoted by it. A tab is shown for every DAG run and task instance.
        There are none where the application was to be built and could not.
        """
        if self.__dict__.get("fastapi_apps") == []:
            return []
        dag_run = "dag_id={DAG_ID}&run_id={RUN_ID}"
        task = f"{dag_run}&task_id={{TASK_ID}}&map_index={{MAP_INDEX}}"
        return [
            {**_view("Domino", "nav", "domino", ""), "category": "browse"},
            _view("Domino", "dag_run", "domino-dag-run", f"dag-run?{dag_run}&tab=1"),
            _view("Luigi", "dag_run", "domino-luigi", f"luigi?{dag_run}&tab=1"),
            _view("Domino", "task_instance", "domino-task", f"task?{task}&tab=1"),
        ]

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The page's own web application; read by the api-server alone, so built there alone.

        Where Airflow lacks what a page needs, the application says so at that page's address.
        """
        try:
            from airflow_domino.plugin.app import create_app
        except ImportError:
            log.exception("The page 'Domino' is not served: this Airflow lacks what it is built on")
            return []
        return [{"app": create_app(), "url_prefix": URL_PREFIX, "name": "Domino"}]


def _view(name: str, destination: str, url_route: str, page: str) -> dict[str, Any]:
    served_at = base_path() + URL_PREFIX
    return {
        "name": name,
        "href": f"{served_at}/{page}",
        "destination": destination,
        "url_route": url_route,
        "icon": f"{served_at}/static/icon-light.svg",
        "icon_dark_mode": f"{served_at}/static/icon-dark.svg",
    }
