"""A daily Luigi pipeline in a real Airflow: DAGs that wait for its outputs, a backfill, and a day made again later."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pytest

from airflow_domino.demo.airflow_api import AirflowApiError
from airflow_domino.domino.auth import ApiKey
from airflow_domino.domino.client import DominoClient

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]

MAKES, ONE_REPORT, ANY_REPORT, DAYS = (
    "e2e_luigi_makes",
    "e2e_luigi_after_report",
    "e2e_luigi_after_any_report",
    "e2e_luigi_days",
)
MODULE = Path(__file__).parent / "dags" / "luigi_project" / "e2e_days.py"
REPORT = "DailyReport-2026-03-01.txt"
PATIENCE = 200


@pytest.fixture(scope="module")
def days(data_folder):
    """The folder of the daily pipeline, where two days are complete, one of them without what it rests on."""
    folder = data_folder / "days"
    folder.mkdir()
    for name in ("DailyReport-2026-03-02.txt", "DailyReport-2026-03-04.txt", "Numbers-2026-03-04.txt"):
        (folder / name).write_text("from before")
    return folder


@pytest.fixture(scope="module")
def backfill(airflow, days):
    """Five days of the daily pipeline, asked for at once."""
    airflow.api.wait_for_dags([MAKES, ONE_REPORT, ANY_REPORT, DAYS])
    # While the DAG is paused: a scheduler that has seen runs which SQLite then could not keep ends by an error.
    wait_until(lambda: ask_for_days(airflow.api), "Airflow takes no backfill")
    for dag_id in (ONE_REPORT, ANY_REPORT, DAYS):
        airflow.api.call("PATCH", f"/dags/{dag_id}", body={"is_paused": False})


@pytest.fixture(scope="module")
def first_and_second(airflow, local_domino, backfill):
    """Two runs, one after the other, of the DAG whose outputs others wait for."""
    with DominoClient(local_domino.url, ApiKey(local_domino.token)) as client:
        client.upload_file(client.project(local_domino.project), MODULE.name, MODULE.read_bytes())
    runs = []
    for _ in range(2):
        runs.append(airflow.api.trigger(MAKES))
        assert airflow.api.wait_for_dag_run(MAKES, runs[-1], timeout=PATIENCE) == "success"
    return runs


@pytest.fixture(scope="module")
def days_run(airflow, backfill):
    """The DAG runs of the backfill by date, when they are over."""

    def all_over():
        runs = airflow.api.call("GET", f"/dags/{DAYS}/dagRuns")["dag_runs"]
        return {run["logical_date"][:10]: run for run in runs if run["state"] in ("success", "failed")}

    wait_until(lambda: len(all_over()) == 5, "the backfill does not end")
    return all_over()


@pytest.fixture
def events(airflow):
    """The asset events of a DAG, by task: file names."""

    def ask(dag_id, run_id=None):
        query = {"source_dag_id": dag_id, "limit": 100} | ({"source_run_id": run_id} if run_id else {})

        def answer():
            try:
                return airflow.api.call("GET", "/assets/events", query=query)
            except AirflowApiError as error:
                if "answered 500" in str(error):
                    return None  # Airflow 3.3 cannot list an event while a DAG run that it caused has no start date
                raise

        found = wait_until(answer, "Airflow cannot list the events")["asset_events"]
        return Counter((event["source_task_id"], Path(event["uri"]).name) for event in found)

    return ask


def test_what_really_ran_is_told_and_what_was_complete_is_not(events, first_and_second):
    first, second = first_and_second
    assert events(MAKES, first) == {
        ("report", REPORT): 1,
        ("report", "Numbers-2026-03-01.txt"): 1,
        ("numbers", "Numbers-2026-04-01.txt"): 1,
        ("numbers", "Numbers-2026-04-02.txt"): 1,
        ("named_late", "Numbers-2026-05-01.txt"): 1,
        ("on_domino", "Numbers-2026-07-01.txt"): 1,
    }
    assert events(MAKES, second) == {}


def test_a_dag_scheduled_on_an_output_runs_when_it_was_made_and_not_when_it_was_complete(
    airflow, data_folder, first_and_second
):
    run = wait_until(lambda: dag_runs(airflow, ONE_REPORT), "the DAG that waits for the report has not run")[0]
    assert airflow.api.wait_for_dag_run(ONE_REPORT, run, timeout=PATIENCE) == "success"
    uri = f"file://{data_folder}/assets/{REPORT}"
    assert airflow.api.xcom(ONE_REPORT, run, "tell") == {uri: [["DailyReport", "2026-03-01"]]}
    assert len(dag_runs(airflow, ONE_REPORT)) == 1


def test_a_backfill_makes_only_the_days_that_are_missing_and_each_task_once(days, days_run):
    assert {date: run["state"] for date, run in days_run.items()} == {f"2026-03-0{n}": "success" for n in range(1, 6)}
    missing = ("2026-03-01", "2026-03-03", "2026-03-05")
    ran = Counter((days / "ran.log").read_text().splitlines()[: 2 * len(missing)])
    assert ran == {f"{family} {date}": 1 for family in ("Numbers", "DailyReport") for date in missing}
    for date in missing:
        assert (days / f"DailyReport-{date}.txt").read_text() == f"made for {date}"
    assert (days / "DailyReport-2026-03-02.txt").read_text() == "from before"
    assert not (days / "Numbers-2026-03-02.txt").exists()


def test_the_days_that_were_complete_start_no_task(airflow, days_run):
    for date in ("2026-03-02", "2026-03-04"):
        assert airflow.api.task_instance(DAYS, days_run[date]["dag_run_id"], "DailyReport")["state"] == "skipped"


def test_each_day_of_a_drawn_pipeline_is_told_by_its_own_tasks(events, days_run):
    told = events(DAYS)
    for date in ("2026-03-01", "2026-03-03", "2026-03-05"):
        assert told[("DailyReport", f"DailyReport-{date}.txt")] == 1
        assert told[("Numbers", f"Numbers-{date}.txt")] == 1
    assert not [name for _, name in told if "03-02" in name or "03-04" in name]


def test_a_dag_scheduled_on_a_family_runs_for_its_outputs_in_whatever_dag_they_are_made(
    airflow, days_run, first_and_second
):
    wanted = {("days", f"DailyReport-2026-03-0{day}.txt") for day in (1, 3, 5)} | {("assets", REPORT)}

    def told():
        ended = [
            run for run in dag_runs(airflow, ANY_REPORT) if airflow.api.dag_run(ANY_REPORT, run)["state"] == "success"
        ]
        paths = [Path(uri) for run in ended for uri in airflow.api.xcom(ANY_REPORT, run, "tell")]
        return {(path.parent.name, path.name) for path in paths}

    wait_until(lambda: wanted <= told(), "the DAG that waits for all reports has not run for all of them")
    assert told() == wanted


def test_a_day_made_again_later_is_still_that_day(airflow, days, days_run):
    report, before = days / "DailyReport-2026-03-03.txt", {path.name for path in days.iterdir()}
    report.unlink()
    run_id = days_run["2026-03-03"]["dag_run_id"]
    airflow.api.call("POST", f"/dags/{DAYS}/dagRuns/{run_id}/clear", body={"dry_run": False})
    wait_until(report.exists, "the report is not made again")
    assert airflow.api.wait_for_dag_run(DAYS, run_id, timeout=PATIENCE) == "success"
    assert report.read_text() == "made for 2026-03-03"
    assert {path.name for path in days.iterdir()} == before
    assert (days / "ran.log").read_text().splitlines()[6:] == ["DailyReport 2026-03-03"]


def ask_for_days(api):
    """Create the backfill, unless SQLite is too busy for it: Airflow may leave half a backfill then."""
    body = {"dag_id": DAYS, "from_date": "2026-03-01T00:00:00Z", "to_date": "2026-03-05T00:00:00Z"}
    try:
        return api.call("POST", "/backfills", body=body | {"reprocess_behavior": "failed"})
    except AirflowApiError as error:
        if "answered 503" not in str(error) and "answered 409" not in str(error):
            raise
    for half in api.call("GET", "/backfills", query={"dag_id": DAYS})["backfills"]:
        if half["completed_at"] is None:
            api.call("PUT", f"/backfills/{half['id']}/cancel")
    return None


def dag_runs(airflow, dag_id):
    """The run ids of a DAG."""
    return [run["dag_run_id"] for run in airflow.api.call("GET", f"/dags/{dag_id}/dagRuns")["dag_runs"]]


def wait_until(condition, complaint):
    """Wait some minutes for something that is true, and return it."""
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, complaint
        time.sleep(0.5)
    return value
