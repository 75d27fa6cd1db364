"""### Pivot

A pivot table of sales. How many shards it takes is known only when the table is there, so the whole Luigi pipeline is
one Airflow task, which runs its jobs side by side: one for each shard, then merges, two by two. The targets say what is
done: after a crash in the middle, the next attempt or trigger makes only what is missing.
"""

from __future__ import annotations

import os
from pathlib import Path

from airflow.sdk import Param, dag

from airflow_domino.forms import address_field, target_field, tier_field
from airflow_domino.operators.luigi import LuigiTaskOperator

PROJECT = Path(__file__).parent / "projects" / "pivot"
DATA = Path(os.environ.get("AIRFLOW_DOMINO_DATA", "~/airflow-domino-data")).expanduser()
TIERS = ["Small", "Medium", "Large", "X-Large", "GPU"]
PLACES = {"here": "here: processes on the worker", "domino": "domino: Domino runs, which need a folder on S3"}


def number(default: int, least: int, most: int, title: str, unit: str) -> Param:
    """Make a field for a whole number."""
    help_text = f"{unit}, {least:,} to {most:,}."
    return Param(default, type="integer", minimum=least, maximum=most, title=title, description_md=help_text)


FORM = {
    "rows": number(20_000, 1, 10_000_000, "Sales", "Lines of the table"),
    "shard_kib": number(64, 1, 65_536, "Size of a shard", "KiB of the table that one job reads"),
    "run_on": target_field("here", PLACES, title="Where jobs run", help_text="With `domino`, name a folder on S3."),
    "storage": address_field(help_text="Where all files are: `s3://bucket/folder`. Empty: on the worker's disk."),
    "environment": Param(
        None, type=["null", "string"], title="Domino environment", description_md="Empty: the project's own."
    ),
    "shard_tier": tier_field("Small", TIERS, title="Tier of jobs that sum a shard"),
    "merge_tier": tier_field("Medium", TIERS, title="Tier of jobs that merge sums"),
    "max_retries": number(2, 0, 10, "Retries", "Further attempts of each job"),
    "workers": number(4, 1, 64, "Jobs at once", "Jobs"),
}


@dag(schedule=None, doc_md=__doc__, params=FORM, tags=["airflow-domino", "sample"], max_active_runs=1)
def pivot() -> None:
    LuigiTaskOperator(
        task_id="pivot_table",
        task="pivot_pipeline:PivotTable",
        params={
            "rows": "{{ params.rows }}",
            "shard_kib": "{{ params.shard_kib }}",
            "storage": "{{ params.storage or 'pivot' }}",
            "run_on": "{{ params.run_on }}",
            "environment": "{{ params.environment or '' }}",
            "tiers": "{{ {'SumShard': params.shard_tier, 'MergeSums': params.merge_tier} | tojson }}",
            "max_retries": "{{ params.max_retries }}",
        },
        workers="{{ params.workers }}",
        project_path=str(PROJECT),
        working_dir=str(DATA),
        domino_conn_id="{{ 'domino_default' if params.run_on == 'domino' else '' }}",
        project="domino/pivot",
        retries=1,
    )


pivot()
