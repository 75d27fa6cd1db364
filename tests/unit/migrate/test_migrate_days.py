"""A converted DAG keeps the days that it had on Airflow 2, where a DAG run was for the interval before it began.

What is expected is what Airflow 2 documents: the logical date (``execution_date``, ``ds``) is the start of the interval
of data, and the DAG run begins when the interval is over.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import DagRunInfo, TimeRestriction
from pendulum import DateTime

from airflow_domino.migrate import Migration, migrate, migrate_lines
from airflow_domino.migrate.findings import Kind

HEAD = """\
import datetime
from datetime import timedelta
import pendulum
from airflow import DAG
from airflow.operators.bash import BashOperator
"""
LUIGI = 'BashOperator(task_id="t", bash_command="cd /p && luigi --module a T --date {day}")'
START = "start_date=datetime.datetime(2026, 11, 10)"


def in_a_dag(arguments: str, day: str = "{{ ds }}", before: str = "") -> Migration:
    return migrate(f'{HEAD}{before}with DAG("d", {arguments}) as made:\n    {LUIGI.replace("{day}", day)}\n')


def schedule(migration: Migration) -> str:
    """The line of the DAG, without the rest of its arguments."""
    line = " ".join(migration.after.partition("schedule=")[2].split())
    return line.partition(", start_date")[0].partition(") as made:")[0].partition("):")[0]


def told(migration: Migration, kind: Kind) -> list[str]:
    return [
        finding.text for finding in migration.findings if finding.kind is kind and "project_path" not in finding.text
    ]


def made(migration: Migration) -> DAG:
    """The DAG of a converted file, as Airflow reads it."""
    names: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Airflow 3 still knows names of Airflow 2
        exec(compile(migration.after, "dags.py", "exec"), names)
    return next(value for value in names.values() if isinstance(value, DAG))


def first_run(dag: DAG) -> DagRunInfo | None:
    """The first DAG run that the scheduler makes."""
    scheduled = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    only = TimeRestriction(
        earliest=scheduled.start_date or DateTime(2026, 11, 10, tzinfo=UTC), latest=None, catchup=True
    )
    return scheduled.timetable.next_dagrun_info(last_automated_data_interval=None, restriction=only)


@pytest.mark.parametrize(
    ("arguments", "begins", "logical_date"),
    [
        (f'schedule_interval="@daily", {START}', "2026-11-11 00:00", "2026-11-10 00:00"),
        (f'schedule="@daily", {START}', "2026-11-11 00:00", "2026-11-10 00:00"),
        (f'schedule="0 3 * * *", {START}', "2026-11-11 03:00", "2026-11-10 03:00"),
        (f'schedule="@hourly", {START}', "2026-11-10 01:00", "2026-11-10 00:00"),
        (f'schedule="@weekly", {START}', "2026-11-22 00:00", "2026-11-15 00:00"),
        (f'schedule="@monthly", {START}', "2027-01-01 00:00", "2026-12-01 00:00"),
        (f'schedule="0 6 * * 1-5", {START}', "2026-11-11 06:00", "2026-11-10 06:00"),
        (f"schedule=timedelta(days=1), {START}", "2026-11-11 00:00", "2026-11-10 00:00"),
        (f"schedule=datetime.timedelta(hours=6), {START}", "2026-11-10 06:00", "2026-11-10 00:00"),
        (f'schedule="@once", {START}', "2026-11-10 00:00", "2026-11-10 00:00"),
        (
            'schedule="0 3 * * *", start_date=pendulum.datetime(2026, 11, 10, tz="Europe/Berlin")',
            "2026-11-11 02:00",
            "2026-11-10 02:00",
        ),
        (
            'schedule="0 3 * * *", default_args={"start_date": pendulum.datetime(2026, 11, 10, tz="Asia/Tokyo")}',
            "2026-11-10 18:00",
            "2026-11-09 18:00",
        ),
        (f"schedule=DAILY, {START}", "2026-11-11 04:00", "2026-11-10 04:00"),
        (f'schedule="@daily" if DAILY else None, {START}', "2026-11-11 00:00", "2026-11-10 00:00"),
        (f'schedule=f"{{4}} 3 * * *", {START}', "2026-11-11 03:04", "2026-11-10 03:04"),
        (
            f'timetable=interval.CronDataIntervalTimetable("@daily", timezone="UTC"), {START}',
            "2026-11-11 00:00",
            "2026-11-10 00:00",
        ),
        (
            f'schedule=trigger.CronTriggerTimetable("@daily", timezone="UTC"), {START}',
            "2026-11-10 00:00",
            "2026-11-10 00:00",
        ),
    ],
)
def test_the_day_of_a_scheduled_dag_run_stays_what_it_was(arguments: str, begins: str, logical_date: str) -> None:
    migration = in_a_dag(arguments, before='from airflow.timetables import interval, trigger\nDAILY = "0 4 * * *"\n')
    assert told(migration, Kind.LEFT) == []
    info = first_run(made(migration))
    assert info is not None
    assert info.logical_date is not None
    assert (f"{info.run_after:%Y-%m-%d %H:%M}", f"{info.logical_date:%Y-%m-%d %H:%M}") == (begins, logical_date)


@pytest.mark.parametrize(
    "day",
    [
        "{{ ds_nodash }}",
        "{{ execution_date }}",
        "{{ data_interval_start | ds }}",
        "{{ macros.ds_add(ds, -7) }}",
        "{{ yesterday_ds }}",
        "{% if ts %}x{% endif %}",
        "{{ prev_ds }}",
    ],
)
def test_each_date_of_a_dag_run_counts_as_one(day: str) -> None:
    task = f'\n    BashOperator(task_id="u", bash_command="echo {day}")\n'
    migration = migrate(f'{HEAD}with DAG("d", schedule="@daily"):\n    {LUIGI.replace("{day}", "2026-01-01")}{task}')
    assert schedule(migration).startswith('CronDataIntervalTimetable("@daily", timezone="UTC")')


@pytest.mark.parametrize(
    "code",
    [
        "def f(ds, **context):\n    print(ds)\n",
        'def f(**context):\n    print(context["execution_date"])\n',
        "def f(dag_run):\n    print(dag_run.execution_date)\n",
        'QUERY = "totals.sql"\n',
        'def f():\n    return f"{1} {{{{ ds }}}}"\n',
        "def f():\n    ExternalTaskSensor(task_id='other', external_dag_id='d')\n",
    ],
)
def test_a_date_in_python_code_counts_too(code: str) -> None:
    migration = in_a_dag(f'schedule="@daily", {START}', "2026-01-01", before=code)
    assert schedule(migration) == 'CronDataIntervalTimetable("@daily", timezone="UTC")'


def test_a_dag_that_names_no_date_keeps_its_schedule() -> None:
    migration = in_a_dag(f'schedule="@daily", {START}', "2026-01-01")
    assert migration.has_changed
    assert f'with DAG("d", schedule="@daily", {START}) as made:' in migration.after
    assert told(migration, Kind.NOTE) == told(migration, Kind.LEFT) == []


def test_only_the_dag_that_names_a_date_is_changed() -> None:
    plain, dated = LUIGI.replace("{day}", "2026-01-01"), LUIGI.replace("{day}", "{{ ds }}")
    migration = migrate(
        f'{HEAD}with DAG("plain", schedule="@daily"):\n    {plain}\n'
        f'with DAG("dated", schedule="@daily"):\n    {dated}\n'
        f'@dag(schedule="@daily")\ndef decorated():\n    {plain}\n'
    )
    assert 'DAG("plain", schedule="@daily")' in migration.after
    assert 'DAG("dated", schedule=CronDataIntervalTimetable("@daily", timezone="UTC"))' in migration.after
    assert '@dag(schedule="@daily")' in migration.after


def test_a_decorated_dag_keeps_its_days() -> None:
    migration = migrate(
        f"{HEAD}from airflow.decorators import dag\n"
        f'@dag(schedule="@daily", {START})\ndef d():\n    {LUIGI.replace("{day}", "{{ ds }}")}\nmade = d()\n'
    )
    info = first_run(made(migration))
    assert info is not None
    assert (info.logical_date, info.run_after) == (
        datetime(2026, 11, 10, tzinfo=UTC),
        datetime(2026, 11, 11, tzinfo=UTC),
    )


def test_a_dag_without_a_block_keeps_its_days() -> None:
    migration = migrate(
        f'{HEAD}made = DAG("d", schedule="@daily", {START})\n{LUIGI.replace("{day}", "{{ ds }}")[:-1]}, dag=made)\n'
    )
    assert schedule(migration).startswith("CronDataIntervalTimetable")


def test_what_is_kept_is_said_and_what_else_changes() -> None:
    catchup, note = told(in_a_dag(f'schedule="@daily", {START}'), Kind.NOTE)
    assert "in the time zone of start_date (UTC" in note
    assert "so that {{ ds }} stays their start, as on Airflow 2" in note
    assert "catchup=True" in catchup
    assert len(told(in_a_dag(f'schedule="@daily", {START}, catchup=False'), Kind.NOTE)) == 1


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (f"schedule=Variable.get('when'), {START}", "the days shift"),
        (f"schedule='@daily' if DAILY else Variable.get('when'), {START}", "the days shift"),
        (f"**ARGUMENTS, {START}", "the days shift"),
        (f"schedule=[Dataset('s3://a/b')], {START}", "has no logical date"),
        (f"schedule=Dataset('s3://a/b'), {START}", "has no logical date"),
        (START, "daily on Airflow 2"),
        ('schedule="@daily", start_date=Variable.get("start")', "timezone="),
        ('schedule="@daily", start_date=datetime.datetime(2026, 1, 1, tzinfo=ZONE)', "timezone="),
        ('schedule="@daily", start_date=datetime.datetime(2026, 1, 1, 0, 0, 0, 0, ZONE)', "timezone="),
        ('schedule="@daily", start_date=datetime.datetime(2026, 1, 1).astimezone()', "timezone="),
        ('schedule="@daily", start_date=datetime.datetime.strptime("2026-01-01 +0100", "%Y-%m-%d %z")', "timezone="),
        ('schedule="@daily", default_args=SHARED', "timezone="),
        ('schedule="@daily", **SHARED', "timezone="),
        ('schedule="@daily", default_args={**SHARED, "retries": 1}', "timezone="),
    ],
)
def test_what_cannot_be_kept_is_left_with_the_reason(arguments: str, why: str) -> None:
    migration = in_a_dag(arguments)
    (left,) = told(migration, Kind.LEFT)
    assert why in left
    assert not any("in the time zone of" in note for note in told(migration, Kind.NOTE))
    assert ("import CronDataIntervalTimetable" in migration.after) is ("timezone=" in why)


@pytest.mark.parametrize(
    "zone",
    ['pendulum.timezone("Europe/Berlin")', 'pytz.timezone("Europe/Berlin")', 'ZoneInfo("Europe/Berlin")', "ZONE"],
)
def test_the_time_zone_of_the_start_date_is_that_of_the_schedule(zone: str) -> None:
    before = 'ZONE = pendulum.timezone("Europe/Berlin")\n'
    migration = in_a_dag(f'schedule="@daily", start_date=datetime.datetime(2026, 1, 1, tzinfo={zone})', before=before)
    assert schedule(migration) == 'CronDataIntervalTimetable("@daily", timezone="Europe/Berlin")'


@pytest.mark.parametrize(
    "start",
    [
        'pendulum.datetime(2026, 11, 10, 0, 0, 0, 0, "Asia/Tokyo")',
        'pendulum.datetime(2026, 11, 9, 15).in_timezone("Asia/Tokyo")',
        'pendulum.datetime(2026, 11, 9, 15).astimezone(tz=pendulum.timezone("Asia/Tokyo"))',
        'datetime.datetime(2026, 11, 10, 0, 0, 0, 0, pendulum.timezone("Asia/Tokyo"))',
        'datetime.datetime(2026, 11, 10).replace(tzinfo=pendulum.timezone("Asia/Tokyo"))',
        'pytz.timezone("Asia/Tokyo").localize(datetime.datetime(2026, 11, 10))',
        'pytz.timezone("Asia/Tokyo").localize(datetime.datetime(2026, 11, 9)) + timedelta(days=1)',
    ],
)
def test_the_time_zone_of_the_start_date_counts_in_whichever_way_it_is_given(start: str) -> None:
    migration = in_a_dag(f'schedule="0 3 * * *", start_date={start}')
    assert told(migration, Kind.LEFT) == []
    assert schedule(migration) == 'CronDataIntervalTimetable("0 3 * * *", timezone="Asia/Tokyo")'


def test_a_start_date_without_a_time_zone_has_that_of_airflows_configuration() -> None:
    note = told(in_a_dag(f'schedule="@daily", {START}, catchup=False'), Kind.NOTE)[0]
    assert "in the time zone of start_date (UTC, unless [core] default_timezone is another one)" in note
    aware = 'start_date=pendulum.datetime(2026, 11, 10, tz="UTC")'
    note = told(in_a_dag(f'schedule="@daily", {aware}, catchup=False'), Kind.NOTE)[0]
    assert "in the time zone of start_date (UTC)" in note


@pytest.mark.parametrize("constant", ['"@daily"', "None", '"@once"', "timedelta(days=1)"])
def test_a_schedule_that_a_function_is_given_is_not_the_constant_of_its_name(constant: str) -> None:
    migration = migrate(
        f"{HEAD}schedule = {constant}\n"
        f"def make(name, schedule):\n    with DAG(name, schedule_interval=schedule, {START}) as made:\n"
        f"        {LUIGI.replace('{day}', '{{ ds }}')}\n    return made\n"
    )
    (left,) = told(migration, Kind.LEFT)
    assert "decided elsewhere" in left
    assert f"DAG(name, schedule=schedule, {START})" in migration.after


@pytest.mark.parametrize(
    ("task", "is_dated"),
    [
        ("PythonOperator(task_id='f', python_callable=run)", True),
        ("PythonOperator(task_id='f', python_callable=jobs.run)", True),
        ("OwnOperator(task_id='f')", True),
        ("PythonOperator(task_id='f', python_callable=lambda **context: run(context))", True),
        ("PythonOperator(task_id='f', python_callable=lambda **context: run(**context))", True),
        ("KubernetesPodOperator(task_id='f', pod_template_file='pods/day.yaml')", True),
        ("PythonOperator(task_id='f', python_callable=lambda **context: run(context['params']))", False),
        ("PythonOperator(task_id='f', python_callable=shown)", False),
    ],
)
def test_a_date_may_be_named_by_code_and_templates_that_the_file_does_not_show(task: str, is_dated: bool) -> None:
    before = (
        "from airflow.operators.python import PythonOperator\nfrom jobs import OwnOperator, run\nimport jobs\n"
        "def shown(**context):\n    print(context['params'])\n"
    )
    migration = in_a_dag(f'schedule="@daily", {START}', "2026-01-01", before=before)
    assert schedule(migration) == '"@daily"'
    migration = migrate(
        f'{HEAD}{before}with DAG("d", schedule="@daily"):\n    {LUIGI.replace("{day}", "1")}\n    {task}\n'
    )
    assert schedule(migration).startswith("CronDataIntervalTimetable") is is_dated


def test_a_function_that_hands_its_context_on_counts_as_one_that_names_a_date() -> None:
    code = "from jobs import run\ndef f(ti, **context):\n    run(context)\n"
    migration = in_a_dag(f'schedule="@daily", {START}', "2026-01-01", before=code)
    assert schedule(migration) == 'CronDataIntervalTimetable("@daily", timezone="UTC")'


def test_a_dag_for_airflow_3_keeps_its_schedule() -> None:
    migration = migrate(
        f"{HEAD.replace('from airflow import', 'from airflow.sdk import')}"
        f'with DAG("d", schedule="@daily", {START}):\n    {LUIGI.replace("{day}", "{{ ds }}")}\n'
    )
    assert migration.has_changed
    assert schedule(migration) == '"@daily"'


def test_the_day_of_the_clock_stays_the_day_on_which_the_dag_runs() -> None:
    alone = in_a_dag(f'schedule="@daily", {START}', "$(date +%F)")
    assert schedule(alone) == '"@daily"'
    assert '"date": "{{ (dag_run.logical_date or dag_run.run_after) | ds }}"' in alone.after
    beside = in_a_dag(f'schedule="@daily", {START}', "$(date +%F) --since {{ ds }}")
    assert schedule(beside).startswith("CronDataIntervalTimetable")
    assert '"date": "{{ (dag_run.data_interval_end or dag_run.run_after) | ds }}", "since": "{{ ds }}"' in beside.after


def test_a_line_of_a_crontab_is_for_the_day_on_which_it_runs() -> None:
    migration = migrate_lines("0 3 * * * cd /p && luigi --module a T --date $(date +\\%F)\n", "crontab")
    dag = made(replace(migration, after=migration.after.replace('"0 3 * * *"):', '"0 3 * * *") as made:')))
    info = first_run(dag)
    assert info is not None
    assert info.logical_date == info.run_after
    assert dag.tasks[0].luigi_params == {"date": "{{ (dag_run.logical_date or dag_run.run_after) | ds }}"}


def test_a_renamed_date_is_renamed_in_a_constant_and_in_an_f_string() -> None:
    line = 'LINE = "luigi --module a T --date {{ execution_date }}"\n'
    migration = migrate(f'{HEAD}{line}BashOperator(task_id="t", bash_command=LINE)\n')
    assert 'params={"date": "{{ logical_date }}"}' in migration.after
    block = "{% if execution_date.day == 1 %}x{% endif %}"
    beside = f'{HEAD}BashOperator(task_id="u", bash_command="echo {block}")\n'
    assert "{% if logical_date.day == 1 %}x" in migrate(beside + LUIGI.replace("{day}", "1") + "\n").after
    code = 'N = 1\nBashOperator(task_id="t", bash_command=f"luigi --module a T --n {N} --d {{{{ execution_date }}}}")\n'
    assert '"d": "{{ logical_date }}"' in migrate(HEAD + code).after


@pytest.mark.parametrize(
    "text", ['"echo {{ prev_ds }}"', 'f"echo {1} {{{{ prev_ds }}}}"', '"{% if prev_ds %}x{% endif %}"']
)
def test_a_date_that_airflow_3_lacks_is_told_in_each_kind_of_text(text: str) -> None:
    task = f'BashOperator(task_id="u", bash_command={text})'
    migration = migrate(f"{HEAD}{task}\n{LUIGI.replace('{day}', '1')}\n")
    assert [left for left in told(migration, Kind.LEFT) if "has no {{ prev_ds }}" in left]
