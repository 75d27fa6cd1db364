"""Domino's own operators become DominoRunOperator, with all that surrounds them left as it is."""

from __future__ import annotations

import textwrap

import pytest

from airflow_domino.migrate import Migration, migrate
from airflow_domino.migrate.findings import Kind

IMPORT = "from domino.airflow import DominoOperator, DominoSparkOperator\n"


def converted(call: str, before: str = "") -> Migration:
    return migrate(IMPORT + before + textwrap.dedent(call))


def calls(migration: Migration) -> str:
    """What follows the imports."""
    lines = migration.after.splitlines()
    return "\n".join(line for line in lines if not line.startswith(("from ", "import "))).lstrip()


def left(migration: Migration) -> list[tuple[int, str]]:
    return [(finding.line, finding.text) for finding in migration.findings if finding.kind is Kind.LEFT]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('project="a/b", command=["a.py", "x"]', 'project="a/b", command=["a.py", "x"]'),
        ('command=["a.py"], isDirect=False', 'command=["a.py"]'),
        ('command=["python a.py"], isDirect=True', 'command="python a.py"'),
        ("command=COMMAND, isDirect=True", "command=COMMAND[0]"),
        ('command=["a.py"], host="https://d", api_key=KEY', 'command=["a.py"]'),
        ('command=["a.py"], domino_token_file="/t"', 'command=["a.py"]'),
        (f'command=["a.py"], commitId="{"a" * 40}"', f'command=["a.py"], commit_id="{"a" * 40}"'),
        ('command=["a.py"], commitId=None', 'command=["a.py"]'),
        ('command=["a.py"], tier="Large", title="T"', 'command=["a.py"], tier="Large", title="T"'),
        ('command=["a.py"], poll_freq=30', 'command=["a.py"], poll_interval=30'),
        (
            'command=["a.py"], max_poll_time=60 * WAIT',
            'command=["a.py"], execution_timeout=timedelta(seconds=60 * WAIT)',
        ),
        ('command=["a.py"], startup_delay=10, include_setup_log=False', 'command=["a.py"]'),
        ('command=["a.py"], publishApiEndpoint=False', 'command=["a.py"]'),
        ('command=["a.py"], retries=3, task_concurrency=1', 'command=["a.py"], retries=3, max_active_tis_per_dag=1'),
    ],
)
def test_each_argument_of_the_operator_gets_its_counterpart(old: str, new: str) -> None:
    migration = converted(f'DominoOperator(task_id="t", {old})\n')
    assert calls(migration) == f'DominoRunOperator(task_id="t", {new})'
    assert migration.is_complete


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('command="a.py x", hardware_tier_name="Small"', 'command="a.py x", tier="Small"'),
        ('command="a.py", environment_id=ENVIRONMENT', 'command="a.py", environment=ENVIRONMENT'),
        (
            'command="a.py", compute_cluster_properties={"clusterType": "Ray"}',
            'command="a.py", compute_cluster={"clusterType": "Ray"}',
        ),
    ],
)
def test_each_argument_of_the_spark_operator_gets_its_counterpart(old: str, new: str) -> None:
    migration = converted(f'DominoSparkOperator(task_id="t", {old})\n')
    assert calls(migration) == f'DominoRunOperator(task_id="t", {new})'
    assert migration.is_complete


def test_the_deprecated_spark_cluster_is_written_as_a_compute_cluster() -> None:
    migration = converted(
        """\
        DominoSparkOperator(
            task_id='t',
            command='a.py',
            on_demand_spark_cluster_properties={
                'computeEnvironmentId': '5f',
                'executorHardwareTierId': 'm',  # workers
                'masterHardwareTierId': 's',
                'executorStorageMB': 2000,
            },
        )
        """
    )
    assert calls(migration) == textwrap.dedent(
        """\
        DominoRunOperator(
            task_id='t',
            command='a.py',
            compute_cluster={
                'clusterType': 'Spark',
                'computeEnvironmentId': '5f',
                'workerHardwareTierId': 'm',  # workers
                'masterHardwareTierId': 's',
                'workerStorage': {'value': 2000, 'unit': 'MB'},
                'workerCount': 1,
            },
        )"""
    )
    assert migration.is_complete


def test_a_tier_that_domino_chose_by_itself_has_to_be_named() -> None:
    migration = converted(
        'DominoSparkOperator(task_id="t", command="a", on_demand_spark_cluster_properties={"executorCount": 2})\n'
    )
    assert [text.split(":")[0] for _, text in left(migration)] == [
        "compute_cluster lacks computeEnvironmentId",
        "compute_cluster lacks masterHardwareTierId",
        "compute_cluster lacks workerHardwareTierId",
    ]


def test_comments_and_line_breaks_stay() -> None:
    migration = converted(
        """\
        # Trains.
        train = DominoOperator(
            task_id="train",  # its name
            # who may
            api_key="0123-4567",  # ask Anna
            # what is run
            command=["a.py"],
            startup_delay=3,
        )  # done
        """
    )
    assert calls(migration) == textwrap.dedent(
        """\
        # Trains.
        train = DominoRunOperator(
            task_id="train",  # its name
            # who may
            # what is run
            command=["a.py"],
        )  # done"""
    )


def test_an_api_key_is_not_shown_in_the_difference() -> None:
    migration = converted('DominoOperator(task_id="t", command=["a"], api_key=KEY)\n', 'KEY = "0123-4567"\n')
    shown = "\n".join(migration.diff("dag.py"))
    assert "0123" not in shown
    assert "***" in shown
    assert "0123" not in repr(migration).replace(repr(migration.before), "").replace(repr(migration.after), "")
    assert [finding.text for finding in migration.findings] == ["KEY is not used any more"]


@pytest.mark.parametrize(
    ("imports", "call"),
    [
        ("import domino.airflow\n", "domino.airflow.DominoOperator"),
        ("import domino.airflow as da\n", "da.DominoOperator"),
        ("from domino import airflow as da\n", "da.DominoOperator"),
        ("from domino.airflow import DominoOperator as Job  # ours\n", "Job"),
        ("from domino.airflow._operator import DominoOperator\n", "DominoOperator"),
    ],
)
def test_the_operator_is_known_by_whatever_name_it_is_imported(imports: str, call: str) -> None:
    migration = migrate(f'{imports}{call}(task_id="t", command=["a"])\n')
    remark = "  # ours" if "#" in imports else ""
    assert migration.after == (
        f"from airflow_domino.operators.domino import DominoRunOperator{remark}\n"
        'DominoRunOperator(task_id="t", command=["a"])\n'
    )


def test_an_import_in_a_function_is_replaced_there() -> None:
    migration = migrate(
        "def make():\n    from domino.airflow import DominoOperator\n"
        "    return DominoOperator(task_id='t', command=['a'])\n"
    )
    assert migration.after == (
        "def make():\n    from airflow_domino.operators.domino import DominoRunOperator\n"
        "    return DominoRunOperator(task_id='t', command=['a'])\n"
    )


def test_arguments_from_a_dict_of_the_file_are_converted_where_they_stand() -> None:
    migration = converted(
        'a = DominoOperator(task_id="a", command=["a"], **COMMON)\n'
        'b = DominoOperator(task_id="b", command=["b"], **MORE)\n',
        'COMMON = dict(project="a/b", poll_freq=5, host="h")\nMORE = {"project": "c/d", "max_poll_time": 9}\n',
    )
    assert calls(migration) == (
        'COMMON = dict(project="a/b", poll_interval=5)\n'
        'MORE = {"project": "c/d", "execution_timeout": timedelta(seconds=9)}\n'
        'a = DominoRunOperator(task_id="a", command=["a"], **COMMON)\n'
        'b = DominoRunOperator(task_id="b", command=["b"], **MORE)'
    )
    assert migration.is_complete


def test_default_args_count_and_are_converted() -> None:
    migration = migrate(
        "from airflow import DAG\nfrom domino.airflow import DominoOperator\n"
        'ours = {"retries": 2, "isDirect": True, "api_key": KEY}\n'
        'with DAG("d", default_args=ours):\n    DominoOperator(task_id="t", command=["python a.py"])\n'
    )
    assert 'ours = {"retries": 2}\n' in migration.after
    assert 'DominoRunOperator(task_id="t", command="python a.py")' in migration.after


def test_a_mapped_operator_is_converted_with_what_it_is_mapped_over() -> None:
    migration = converted(
        'DominoOperator.partial(task_id="t", project="a/b", host="h").expand(command=[["a"], ["b"]], commitId=IDS)\n'
    )
    assert calls(migration) == (
        'DominoRunOperator.partial(task_id="t", project="a/b").expand(command=[["a"], ["b"]], commit_id=IDS)'
    )
    assert migration.is_complete


@pytest.mark.parametrize(
    ("call", "why"),
    [
        ('DominoOperator("t", command=["a"])', "arguments without names"),
        ('DominoOperator(task_id="t", **common())', "no dict that is written in this file"),
        ('DominoOperator(task_id="t", command=C, isDirect=D)', "isDirect is decided elsewhere"),
        ('DominoOperator(task_id="t", command=["a", "b"], isDirect=True)', "one text in the list"),
        ('DominoSparkOperator(task_id="t", command="a", on_demand_spark_cluster_properties=P)', "built elsewhere"),
        ("class Mine(DominoOperator):\n    pass", "named here and not called"),
    ],
)
def test_what_cannot_be_converted_stays_and_is_named_with_its_line(call: str, why: str) -> None:
    migration = converted(call + "\n", "\n")
    assert not migration.has_changed
    ((line, text),) = left(migration)
    assert line == 3
    assert why in text


def test_a_dict_that_others_use_too_is_not_touched() -> None:
    migration = converted(
        'DominoOperator(task_id="t", command=["a"], **COMMON)\n', 'COMMON = {"host": "h"}\nprint(COMMON["host"])\n'
    )
    assert not migration.has_changed
    assert "used for other things too" in left(migration)[0][1]


def test_an_import_stays_as_long_as_something_needs_it() -> None:
    migration = converted('class Mine(DominoOperator):\n    pass\nDominoOperator(task_id="t", command=["a"])\n')
    assert migration.after.startswith(
        "from domino.airflow import DominoOperator\nfrom airflow_domino.operators.domino import DominoRunOperator\n"
    )


def test_dominos_client_is_named_as_left() -> None:
    migration = migrate("from domino import Domino\ndef start():\n    Domino('a/b').runs_start(['x'])\n")
    assert [(line, text.split()[0]) for line, text in left(migration)] == [(3, "domino.Domino")]


def test_a_second_domino_needs_a_connection_of_its_own() -> None:
    migration = converted(
        'DominoOperator(task_id="a", command=["a"], host="https://one")\n'
        'DominoOperator(task_id="b", command=["b"], host="https://two")\n'
    )
    assert [line for line, _ in left(migration)] == [3]
    assert migration.hosts == ("https://one", "https://two")


def test_the_connection_can_be_named() -> None:
    migration = migrate(IMPORT + 'DominoOperator(task_id="t", command=["a"])\n', conn_id="prod")
    assert calls(migration) == 'DominoRunOperator(task_id="t", command=["a"], domino_conn_id="prod")'


def test_what_a_run_tells_is_named_anew() -> None:
    migration = converted(
        """\
        DominoOperator(task_id="b", command=["b", "{{ ti.xcom_pull(task_ids='a')['runId'] }}"])
        print(ti.xcom_pull("a")["runId"])
        """
    )
    assert "{{ ti.xcom_pull(task_ids='a')['run_id'] }}" in migration.after
    assert left(migration) == [(3, "runId of a run's result is run_id now")]


def test_what_airflow_3_calls_otherwise_is_renamed() -> None:
    migration = migrate(
        textwrap.dedent(
            """\
            from datetime import datetime
            from airflow import DAG
            from airflow.operators.dummy_operator import DummyOperator
            from airflow.operators.python_operator import PythonOperator
            from airflow.utils.dates import days_ago
            from airflow.contrib.operators.x import Y
            from domino.airflow import DominoOperator
            with DAG("d", schedule_interval=None, concurrency=2, start_date=days_ago(2)) as dag:
                DummyOperator(task_id="a")
                DominoOperator(task_id="b", command=["{{ execution_date }}", "{{ next_ds }}"], max_poll_time=W)
            """
        )
    )
    assert migration.after == textwrap.dedent(
        """\
            from datetime import datetime, timedelta
            from airflow import DAG
            from airflow.providers.standard.operators.empty import EmptyOperator
            from airflow.providers.standard.operators.python import PythonOperator
            import pendulum
            from airflow.contrib.operators.x import Y
            from airflow_domino.operators.domino import DominoRunOperator
            with DAG("d", schedule=None, max_active_tasks=2, start_date=pendulum.today("UTC").add(days=-2)) as dag:
                EmptyOperator(task_id="a")
                DominoRunOperator(
                    task_id="b",
                    command=["{{ logical_date }}", "{{ next_ds }}"],
                    execution_timeout=timedelta(seconds=W),
                )
            """
    )
    assert [line for line, _ in left(migration)] == [6, 10]


def test_a_file_without_any_of_it_stays_byte_by_byte() -> None:
    source = "from airflow import DAG\r\nDAG('d', schedule_interval=None)  # old\r\n"
    assert migrate(source) == Migration(source, source)


def test_converting_again_changes_nothing() -> None:
    once = converted('DominoOperator(task_id="t", command=["a"], max_poll_time=5, poll_freq=1)\n')
    assert not migrate(once.after).has_changed


def test_each_function_that_imports_the_operator_gets_the_new_import() -> None:
    make = (
        "def {0}():\n    from domino.airflow import DominoOperator\n"
        "    return DominoOperator(task_id='{0}', command=['a'])\n"
    )
    migration = migrate(make.format("one") + make.format("two"))
    assert migration.after.count("    from airflow_domino.operators.domino import DominoRunOperator\n") == 2
    assert "from domino" not in migration.after


def test_two_imports_become_one() -> None:
    migration = migrate(
        "from domino.airflow import DominoOperator\nfrom domino.airflow import DominoSparkOperator\n"
        'DominoOperator(task_id="a", command=["a"])\nDominoSparkOperator(task_id="b", command="b")\n'
    )
    assert migration.after.count("import DominoRunOperator") == 1
    assert "from domino" not in migration.after


def test_an_import_among_other_statements_of_its_line_is_replaced_there() -> None:
    migration = migrate(
        'from domino.airflow import DominoOperator; X = 1\nDominoOperator(task_id="t", command=["a"])\n'
    )
    assert migration.after.startswith("from airflow_domino.operators.domino import DominoRunOperator; X = 1\n")


def test_what_is_left_of_an_import_keeps_its_form() -> None:
    migration = migrate(
        "from domino.airflow import (\n    DominoOperator,\n    DominoSparkOperator,\n)\n"
        'class Mine(DominoSparkOperator):\n    pass\nDominoOperator(task_id="t", command=["a"])\n'
    )
    assert migration.after.startswith("from domino.airflow import (\n    DominoSparkOperator,\n)\nfrom airflow_domino.")


def test_an_annotation_is_renamed() -> None:
    migration = converted('def make() -> DominoOperator:\n    return DominoOperator(task_id="t", command=["a"])\n')
    assert "def make() -> DominoRunOperator:" in migration.after
    assert "from domino" not in migration.after
    assert migration.is_complete


def test_a_star_import_is_named() -> None:
    migration = migrate('from domino.airflow import *\nDominoOperator(task_id="t", command=["a"])\n')
    assert left(migration) == [(1, "domino.airflow.* hides which of its names are used: import them one by one")]


def test_a_token_file_is_named_for_the_connection() -> None:
    migration = converted('DominoOperator(task_id="t", command=["a"], domino_token_file="/run/token")\n')
    assert [finding.text for finding in migration.findings] == [
        "the connection has the token file now: its credential is token_file, its path /run/token"
    ]
