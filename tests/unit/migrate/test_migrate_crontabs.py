"""A crontab that runs Luigi becomes a file of DAGs; so does a script."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_domino import cli
from airflow_domino.migrate import Migration, migrate_lines
from airflow_domino.migrate.findings import Kind

CRONTAB = r"""
# Reports.
MAILTO=me@example.com
LUIGI_CONFIG_PATH=/etc/luigi.cfg
0 3 * * *  cd /srv/p && luigi --module reports Daily --date $(date -d yesterday +\%F) --local-scheduler
*/5 * * * * /usr/bin/backup
@midnight luigi_user /opt/v/bin/luigi --module reports Daily --n 2 --local-scheduler
30 4 * * 1-5 cd /srv/p && luigi --module reports Weekly --week $(date +\%V)
@reboot cd /srv/p && luigi --module reports Weekly
"""


def told(migration: Migration, kind: Kind) -> list[int]:
    return [finding.line for finding in migration.findings if finding.kind is kind]


def test_each_line_that_runs_luigi_becomes_a_dag_with_its_schedule() -> None:
    migration = migrate_lines(CRONTAB, "etc/nightly-jobs.cron")
    assert migration.adds == "etc/nightly_jobs_dags.py"
    assert (
        migration.after
        == '''\
"""Lines of nightly-jobs.cron that ran Luigi."""

from airflow.sdk import DAG

from airflow_domino.operators.luigi import LuigiTaskOperator

with DAG("Daily", schedule="0 3 * * *"):
    LuigiTaskOperator(
        task_id="Daily",
        task="reports:Daily",
        params={"date": "{{ macros.ds_add((dag_run.logical_date or dag_run.run_after) | ds, -1) }}"},
        project_path="/srv/p",
        config="/etc/luigi.cfg",
    )

with DAG("Daily_2", schedule="@daily"):
    LuigiTaskOperator(
        task_id="Daily",
        task="reports:Daily",
        params={"n": "2"},
        python="/opt/v/bin/python",
        config="/etc/luigi.cfg",
    )
'''
    )
    assert told(migration, Kind.LEFT) == [8, 9]


def test_the_dags_are_ones_that_airflow_takes() -> None:
    made: dict[str, object] = {}
    exec(compile(migrate_lines(CRONTAB, "crontab").after, "crontab_dags.py", "exec"), made)
    dag = made["DAG"]
    assert dag.__module__.startswith("airflow.sdk")


def test_a_script_becomes_a_dag_without_a_schedule() -> None:
    migration = migrate_lines("#!/bin/bash\nset -e\n# Reports.\ncd /srv/p\nluigi --module reports Daily\n", "run.sh")
    assert 'with DAG("Daily", schedule=None):' in migration.after
    assert 'project_path="/srv/p"' in migration.after


def test_a_time_zone_of_the_crontab_is_left_to_be_named() -> None:
    migration = migrate_lines("CRON_TZ=Europe/Berlin\n0 3 * * * cd /p && luigi --module a T\n", "crontab")
    assert told(migration, Kind.LEFT) == [1]
    assert 'timezone="Europe/Berlin"' in migration.findings[0].text


def test_a_file_without_luigi_makes_no_dag() -> None:
    assert migrate_lines("0 3 * * * /usr/bin/backup\n", "crontab") == Migration("", "")


def test_the_dags_are_written_beside_it_and_overwrite_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    crontab = tmp_path / "crontab"
    crontab.write_text("0 3 * * * cd /p && luigi --module a T\n")
    assert cli.main(["migrate", str(crontab)]) == 0
    assert capsys.readouterr().out.startswith("--- /dev/null\n+++ ")
    assert cli.main(["migrate", "--write", str(crontab)]) == 0
    made = tmp_path / "crontab_dags.py"
    assert capsys.readouterr().out == f"{made}\n"
    assert 'task="a:T"' in made.read_text()
    assert cli.main(["migrate", "--write", str(crontab)]) == 2
    assert f"{made} is there already" in capsys.readouterr().err
