"""A DAG as people had it on Airflow 2; the tests convert it before Airflow sees it."""

import os
from datetime import datetime
from pathlib import Path

from airflow import DAG
from airflow.operators.bash_operator import BashOperator
from airflow.operators.dummy_operator import DummyOperator
from airflow.utils.dates import days_ago
from domino.airflow import DominoOperator, DominoSparkOperator

DATA = os.environ["AIRFLOW_DOMINO_DATA"]
PIPELINE = Path(__file__).parent / "luigi_project"
COMMON = {
    "project": "domino/luigi-multi-run",
    "host": "https://domino.example.com",
    "api_key": os.environ.get("DOMINO_USER_API_KEY"),
    "poll_freq": 1,
}

with DAG(
    "e2e_moved",
    schedule_interval=None,
    start_date=days_ago(1),
    default_args={"retries": 0, "max_poll_time": 300},
) as dag:
    begin = DummyOperator(task_id="begin")
    words = DominoOperator(
        task_id="words",
        command=["write.py", "moved.txt={{ execution_date.year }} and more"],  # two words
        tier="Small",
        startup_delay=0,
        **COMMON,
    )
    line = DominoOperator(task_id="line", command=["python hello.py"], isDirect=True, title="Moved", **COMMON)
    spark = DominoSparkOperator(
        task_id="spark",
        command="write.py after={{ ti.xcom_pull(task_ids='words')['runId'] }}",
        hardware_tier_name="Small",
        **COMMON,
    )
    luigi = BashOperator(
        task_id="luigi",
        bash_command=f"cd {DATA}/moved && PYTHONPATH={PIPELINE} luigi --module e2e_pipeline Writes --name {{{{ ds }}}}"
        " --local-scheduler --workers 2 >> luigi.log 2>&1",
    )
    begin >> [words, line] >> spark >> luigi

with DAG(
    "e2e_moved_nightly",
    schedule_interval="0 3 * * *",
    start_date=datetime(2026, 3, 1),
    end_date=datetime(2026, 3, 1, 12),
    catchup=True,
    default_args={"retries": 0},
):
    DominoOperator(task_id="ds", command=["write.py", "moved_day.txt={{ ds }}"], tier="Small", **COMMON)
    BashOperator(
        task_id="clock",
        bash_command=f"cd {DATA}/moved && PYTHONPATH={PIPELINE} luigi --module e2e_pipeline Writes"
        " --name of-the-clock-$(date +%F) --local-scheduler",
    )
