"""DAGs whose tasks end in each way, under plain and other names, after runs that leave plain and hostile values."""

from __future__ import annotations

from airflow.sdk import DAG, TaskGroup, task

from airflow_domino.operators.domino import DominoRunOperator

KEYS = ("return_value", "run_id", "output_commit", "domino_run_link", "domino_run")
OPTIONS = {"schedule": None, "default_args": {"poll_interval": 1, "retries": 0, "tier": "Small"}}
# Started in the triggerer, deferred by a worker, waiting on a worker.
WAYS = {"st": {}, "df": {"start_from_trigger": False}, "wk": {"deferrable": False}}


@task(trigger_rule="all_done")
def read(**context):
    """Return each XCom of this DAG run's other tasks as a task that pulls it gets it, after the name of its type."""
    ti = context["ti"]
    found = {}
    for task_id in sorted(set(context["dag"].task_ids) - {ti.task_id}):
        pulled = {key: ti.xcom_pull(task_ids=task_id, key=key, map_indexes=-1) for key in KEYS}
        found[task_id] = {key: [type(value).__name__, value] for key, value in pulled.items() if value is not None}
    return found


def launch(prefix: str, command: str, **options: str) -> list[DominoRunOperator]:
    return [DominoRunOperator(task_id=f"{prefix}{way}", command=command, **how, **options) for way, how in WAYS.items()]


def chain(prefix: str) -> list[DominoRunOperator]:
    """The README's chain: the second run begins with the files that the first one left."""
    prepare = DominoRunOperator(task_id=f"{prefix}prepare", command="write.py data.txt")
    commit = prepare.output["output_commit"]
    return [DominoRunOperator(task_id=f"{prefix}train", command="needs.py data.txt", commit_id=commit)]


with DAG("xcoms", **OPTIONS):
    refused = launch("refused_", "plain.py", tier="Nowhere")
    [
        *launch("plain_", "plain.py"),
        *launch("hostile_", "hostile.py"),
        *launch("fails_", "fails.py"),
        *refused,
    ] >> read()

with DAG("неделя", **OPTIONS):
    with TaskGroup("группа"):
        tasks = [*launch("žlu_", "plain.py"), *chain("žlu_")]
    mapped = DominoRunOperator.partial(task_id="žlu_mapped").expand(command=["plain.py"])
    [*tasks, mapped] >> read()

with DAG("xcoms_of_a_run", **OPTIONS):
    [*launch("", "plain.py"), *chain("")] >> read()
