"""DAGs for the tests of a daily Luigi pipeline: over days, and other DAGs that wait for its outputs."""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import Any

from airflow.sdk import Asset, AssetAlias, dag, task

from airflow_domino.luigi_dag import LuigiDag
from airflow_domino.operators.luigi import LuigiTaskOperator

DATA = Path(os.environ["AIRFLOW_DOMINO_DATA"])
PROJECT = Path(__file__).parent / "luigi_project"
OPTIONS = {"schedule": None, "default_args": {"retries": 0}}

LuigiDag(
    "e2e_luigi_days",
    task="e2e_days:DailyReport",
    params={"date": "{{ ds }}"},
    project_path=PROJECT,
    working_dir=DATA / "days",
    schedule="@daily",
    start_date=datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC),
    # No day is due by itself.
    end_date=datetime.datetime(2026, 3, 5, tzinfo=datetime.UTC),
    catchup=False,
    default_args={"retries": 0},
)


@dag(**OPTIONS)
def e2e_luigi_makes() -> None:
    where = {"project_path": str(PROJECT), "working_dir": str(DATA / "assets")}
    LuigiTaskOperator(task_id="report", task="e2e_days:DailyReport", params={"date": "2026-03-01"}, **where)
    LuigiTaskOperator.partial(task_id="numbers", task="e2e_days:Numbers", **where).expand(
        luigi_params=[{"date": "2026-04-01"}, {"date": "2026-04-02"}]
    )
    LuigiTaskOperator(
        task_id="named_late", task="e2e_days:{{ 'Numbers' }}", params={"date": "2026-05-01"}, emit_assets=True, **where
    )
    LuigiTaskOperator(
        task_id="on_domino",
        task="e2e_days:Numbers",
        params={"date": "2026-07-01"},
        run_on="domino",
        tier="Small",
        poll_interval=1,
        **where,
    )
    LuigiTaskOperator(
        task_id="silent", task="e2e_days:Numbers", params={"date": "2026-06-01"}, emit_assets=False, **where
    )


@task
def tell(triggering_asset_events: Any = None) -> dict[str, Any]:
    """What has triggered this DAG run: parameters of the Luigi tasks by address."""
    told = {}
    for asset, events in triggering_asset_events.items():
        if isinstance(asset, Asset):
            told[asset.uri] = [[event.extra["luigi_task"], event.extra["params"]["date"]] for event in events]
    return told


@dag(**{**OPTIONS, "schedule": [Asset(f"file://{DATA}/assets/DailyReport-2026-03-01.txt")]})
def e2e_luigi_after_report() -> None:
    tell()


@dag(**{**OPTIONS, "schedule": AssetAlias("luigi:e2e_days:DailyReport")})
def e2e_luigi_after_any_report() -> None:
    tell()


e2e_luigi_makes()
e2e_luigi_after_report()
e2e_luigi_after_any_report()
