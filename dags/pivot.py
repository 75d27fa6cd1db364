"""### Pivot

A pivot table of sales. How many shards it takes is known only when the table is there, so the whole Luigi pipeline is
one Airflow task, which runs its jobs side by side: one for each shard, then merges, two by two. The targets say what is
done: after a crash in the middle, the next attempt or trigger makes only what is missing.
"""

from __future__ import annotations

import os
from pathlib import Path

from airflow.sdk import Param, dag

from airflow_domino.operators.luigi import LuigiTaskOperator

PROJECT = Path(__file__).parent / "projects" / "pivot"
DATA = Path(os.environ.get("AIRFLOW_DOMINO_DATA", "~/airflow-domino-data")).expanduser()
TIERS = ["Small", "Medium", "Large", "X-Large", "GPU"]
FORM = {
    "rows": Param(20_000, type="integer", minimum=1, maximum=10_000_000, description="How many sales"),
    "shard_kib": Param(64, type="integer", minimum=1, maximum=65_536, description="How much of the table a job reads"),
    "storage": Param(
        None,
        type=["null", "string"],
        pattern="^s3://[^/]+/.*[^/]$",
        description="Where all files are: s3://bucket/prefix; by default the disk of the worker",
    ),
    "run_on": Param("here", enum=["here", "domino"], description="Jobs are processes here, or Domino runs (needs S3)"),
    "environment": Param(None, type=["null", "string"], description="Domino environment of the jobs"),
    "shard_tier": Param("Small", enum=TIERS, description="Tier of the jobs that sum shards"),
    "merge_tier": Param("Medium", enum=TIERS, description="Tier of the jobs that merge sums"),
    "max_retries": Param(2, type="integer", minimum=0, maximum=10, description="Retries of each job"),
    "workers": Param(4, type="integer", minimum=1, maximum=64, description="Jobs at once"),
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
