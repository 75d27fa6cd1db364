"""Lines of a shell that run Luigi become LuigiTaskOperators."""

from __future__ import annotations

import textwrap

import pytest

from airflow_domino.migrate import Migration, migrate
from airflow_domino.migrate.findings import Kind

IMPORT = "from airflow.operators.bash import BashOperator\n"


def converted(line: str, *arguments: str) -> Migration:
    given = "".join(f",\n    {argument}" for argument in arguments)
    return migrate(f'{IMPORT}BashOperator(\n    task_id="t",\n    bash_command={line}{given},\n)\n')


def arguments(migration: Migration) -> list[str]:
    """Those of the operator, but for its task_id."""
    assert "LuigiTaskOperator(" in migration.after
    inside = migration.after.partition("LuigiTaskOperator(\n")[2].splitlines()[1:-1]
    return [line.strip().rstrip(",") for line in inside]


def left(migration: Migration) -> list[str]:
    return [finding.text for finding in migration.findings if finding.kind is Kind.LEFT]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('"luigi --module a.b Daily --local-scheduler"', ['task="a.b:Daily"']),
        ('"luigi Daily --module=a --date {{ ds }}"', ['task="a:Daily"', 'params={"date": "{{ ds }}"}']),
        (
            "\"luigi --module a ns.Daily --n-days -5 --is-test --name 'a b'\"",
            ['task="a:ns.Daily"', 'params={"n_days": "-5", "is_test": "true", "name": "a b"}'],
        ),
        (
            '"luigi --module a T --workers 4 --scheduler-host luigid"',
            ['task="a:T"', "workers=4", 'luigi_scheduler_url="http://luigid:8082"'],
        ),
        (
            '"luigi --module a T --scheduler-host h --scheduler-port 99"',
            ['task="a:T"', 'luigi_scheduler_url="http://h:99"'],
        ),
        (
            '"luigi --module a T --scheduler-url https://h/luigi"',
            ['task="a:T"', 'luigi_scheduler_url="https://h/luigi"'],
        ),
        ('"luigi --module a T --T-date {{ ds }}"', ['task="a:T"', 'params={"date": "{{ ds }}"}']),
        ('"cd /srv/p && luigi --module a T"', ['task="a:T"', 'project_path="/srv/p"']),
        ('"cd /srv/p && PYTHONPATH=. luigi --module a T"', ['task="a:T"', 'project_path="/srv/p"']),
        (
            '"cd /data; PYTHONPATH=/srv/p python3 -m luigi --module a T"',
            ['task="a:T"', 'project_path="/srv/p"', 'working_dir="/data"'],
        ),
        (
            '"source /opt/v/bin/activate && exec luigi --module a T"',
            ['task="a:T"', 'python="/opt/v/bin/python"'],
        ),
        ('"/opt/v/bin/luigi --module a T"', ['task="a:T"', 'python="/opt/v/bin/python"']),
        (
            '"LUIGI_CONFIG_PATH=/etc/l.cfg A=1 luigi --module a T"',
            ['task="a:T"', 'config="/etc/l.cfg"', 'env={"A": "1"}'],
        ),
        (
            '"python /srv/p/pipe.py T --local-scheduler"',
            ['task="pipe:T"', 'project_path="/srv/p"'],
        ),
        ("\"bash -c 'luigi --module a T --local-scheduler'\"", ['task="a:T"']),
        (
            'f"luigi --module {M} T{N} --n {N} --d {{{{ ds }}}}"',
            ['task=f"{M}:T{N}"', 'params={"n": N, "d": "{{ ds }}"}'],
        ),
        ('"luigi --module " + M + " T"', ['task=f"{M}:T"']),
        ('"luigi --module a T --lock-pid-dir /x --no-lock --log-level INFO --retcode-task-failed 1"', ['task="a:T"']),
    ],
)
def test_a_line_becomes_arguments(line: str, expected: list[str]) -> None:
    migration = converted(line)
    assert arguments(migration) == expected
    assert migration.is_complete


def test_a_script_of_several_lines_is_read_as_one() -> None:
    migration = converted('"""\n    set -e\n    cd /srv/p\n    luigi --module a T \\\\\n      --date {{ ds }}\n    """')
    assert arguments(migration) == ['task="a:T"', 'params={"date": "{{ ds }}"}', 'project_path="/srv/p"']


def test_the_other_arguments_of_the_operator_are_taken_over() -> None:
    migration = converted(
        '"A=1 luigi --module a T"', "cwd=FOLDER", 'env={"B": "2"}', "append_env=True", 'pool="luigi"', "retries=2"
    )
    assert arguments(migration) == [
        'task="a:T"',
        "project_path=FOLDER",
        'env={"B": "2", "A": "1"}',
        'pool="luigi"',
        "retries=2",
    ]


def test_what_was_printed_into_a_file_is_in_the_tasks_log() -> None:
    for ending in (">> /var/log/l 2>&1", "2>&1 | tee -a /var/log/l", "2>/var/log/l"):
        migration = converted(f'"cd /p && luigi --module a T --workers 2 {ending}"')
        assert "workers=2" in arguments(migration)
        assert [finding.text for finding in migration.findings] == [
            "what Luigi prints is in the task's log, no longer in /var/log/l"
        ]


def test_a_line_kept_in_a_constant_is_read() -> None:
    migration = migrate(f'{IMPORT}LINE = "cd /p && luigi --module a T"\nBashOperator(task_id="t", bash_command=LINE)\n')
    assert 'LuigiTaskOperator(task_id="t", task="a:T", project_path="/p")' in migration.after
    assert [finding.text for finding in migration.findings] == ["LINE is not used any more"]


def test_a_call_that_grows_too_long_for_its_line_is_broken() -> None:
    line = "cd /srv/pipelines/sales && luigi --module sales.reports Daily --date {{ ds }} --scheduler-host luigid"
    migration = migrate(f'{IMPORT}if True:\n    a = BashOperator(task_id="t", bash_command="{line}")\n')
    assert migration.after == textwrap.dedent(
        """\
        from airflow_domino.operators.luigi import LuigiTaskOperator
        if True:
            a = LuigiTaskOperator(
                task_id="t",
                task="sales.reports:Daily",
                params={"date": "{{ ds }}"},
                project_path="/srv/pipelines/sales",
                luigi_scheduler_url="http://luigid:8082",
            )
        """
    )


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('"luigi T --local-scheduler"', "no --module"),
        ('"luigi --module a --local-scheduler"', "no task"),
        ('"luigi --module a T --week $(date +%V)"', "the shell fills in '$(date +%V)'"),
        ('"luigi --module a T --name $NAME"', "the shell fills in '$NAME'"),
        ('"luigi --module a T && rm -r x"', "goes on with `rm -r x`"),
        ('"make x && luigi --module a T"', "begins with `make x`"),
        ('"luigi --module a T || true"', "'||'"),
        ('"luigi --module a T; luigi --module a U"', "runs Luigi 2 times"),
        ('"cd p && luigi --module a T"', "relative folder 'p'"),
        ('"luigi --module a T --Other-n 3"', "another task"),
        ('"conda run -n x luigi --module a T --local-scheduler"', "`conda`"),
        ('"{% if params.x %}luigi --module a T{% endif %}"', "{% … %}"),
        ('"luigi --module %s T" % MODULE', "% or format()"),
        ('"luigi --module {} T".format(MODULE)', "% or format()"),
        ('"luigi --module a \'T"', "shell would not read it"),
    ],
)
def test_a_line_without_a_counterpart_stays_and_is_named_with_the_reason(line: str, why: str) -> None:
    migration = converted(line)
    assert not migration.has_changed
    (text,) = left(migration)
    assert text.startswith("this Luigi line stays: ")
    assert why in text


def test_an_exit_code_that_skips_has_no_counterpart() -> None:
    migration = converted('"luigi --module a T"', "skip_on_exit_code=99")
    assert not migration.has_changed
    assert "skip_on_exit_code" in left(migration)[0]


def test_a_setting_of_luigi_itself_is_left_for_its_configuration() -> None:
    migration = converted('"cd /p && luigi --module a T --worker-keep-alive"')
    assert arguments(migration) == ['task="a:T"', 'project_path="/p"']
    assert left(migration) == [
        "--worker-keep-alive is a setting of Luigi itself: write `keep_alive = true` below [worker] in the luigi.cfg "
        "that config= names"
    ]


@pytest.mark.parametrize(
    "line", ['"ls /srv/luigi"', '"echo luigi"', '"luigid --background"', "COMMAND", '"make luigi"']
)
def test_other_commands_are_let_alone(line: str) -> None:
    migration = converted(line)
    assert not migration.has_changed
    assert not migration.findings


def test_luigi_that_is_run_otherwise_is_named() -> None:
    migration = migrate(
        '''"""Like luigi --module a T --local-scheduler."""
import luigi, subprocess
def make():
    luigi.build([T()], local_scheduler=True)
    subprocess.run(["luigi", "--module", "a", "T"])
    subprocess.run("luigi --module a T --local-scheduler", shell=True)
TAGS = ["luigi"]
'''
    )
    assert [finding.line for finding in migration.findings] == [4, 5, 6]


def test_an_operator_that_runs_something_else_keeps_its_import() -> None:
    migration = migrate(
        f'{IMPORT}BashOperator(task_id="a", bash_command="cd /p && luigi --module a T")\n'
        'BashOperator(task_id="b", bash_command="ls")\n'
    )
    assert migration.after.startswith(f"{IMPORT}from airflow_domino.operators.luigi import LuigiTaskOperator\n")


@pytest.mark.parametrize(
    ("shell", "template"),
    [
        ("$(date +%F)", "{{ (dag_run.logical_date or dag_run.run_after) | ds }}"),
        ("`date '+%Y-%m-%d'`", "{{ (dag_run.logical_date or dag_run.run_after) | ds }}"),
        ("$(date -d yesterday +%F)", "{{ macros.ds_add((dag_run.logical_date or dag_run.run_after) | ds, -1) }}"),
        (
            "$(date --date='3 days ago' +%Y%m%d)",
            "{{ (macros.ds_add((dag_run.logical_date or dag_run.run_after) | ds, -3)).replace('-', '') }}",
        ),
        ("$(date -d '-1 day' +%F)", "{{ macros.ds_add((dag_run.logical_date or dag_run.run_after) | ds, -1) }}"),
    ],
)
def test_a_day_by_the_clock_becomes_the_day_of_the_dag_run(shell: str, template: str) -> None:
    migration = converted(f'"cd /p && luigi --module a T --date {shell}"')
    assert arguments(migration)[1] == f'params={{"date": "{template}"}}'
    assert [finding.text for finding in migration.findings] == [
        "the date is the day (UTC) for which the DAG run is, no longer that of the machine's clock"
    ]
