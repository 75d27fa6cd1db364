"""The tabs "Domino" of a DAG run and of a task instance, and what can be done from there: stop a run, run it again."""

from __future__ import annotations

from urllib.parse import quote

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.timeout(900)]

LONG = "e2e_domino_long"


@pytest.fixture(scope="module")
def long_run(airflow):
    """The run id of a DAG run whose tasks wait for runs that take ten minutes; ended afterwards."""
    airflow.api.wait_for_dags([LONG])
    run_id = airflow.api.trigger(LONG)
    airflow.api.wait_for_task(LONG, run_id, "deferred", ["deferred"])
    yield run_id
    airflow.api.call("PATCH", f"/dags/{LONG}/dagRuns/{quote(run_id, safe='')}", body={"state": "failed"})
    airflow.api.wait_for_dag_run(LONG, run_id)


@pytest.fixture
def open_tab(open_airflow):
    """Opens a page of Airflow, clicks one of its tabs, and gives back the page and the frame within."""

    def open_it(path, name="Domino", **look):
        page = open_airflow(path, **look)
        page.get_by_role("link", name=name, exact=True).first.click()
        return page, page.frame_locator("iframe")

    return open_it


def dag_run_path(dag_id, run_id):
    return f"/dags/{dag_id}/runs/{quote(run_id, safe='')}"


def row(frame, task_id):
    return frame.locator("table.runs tbody").filter(has=frame.get_by_role("link", name=task_id, exact=True))


def confirm(page, frame, word):
    """Clicks yes in the dialog; once more where Airflow's SQLite was busy."""
    dialog = frame.get_by_role("dialog")
    yes = dialog.get_by_role("button", name=word, exact=True)
    for _ in range(5):
        yes.click()
        page.wait_for_timeout(1500)
        if not dialog.is_visible():
            return
    raise AssertionError(dialog.inner_text())


def test_a_dag_run_has_a_tab_with_its_runs(open_tab, ensemble_run, pictures):
    page, frame = open_tab(dag_run_path("ensemble", ensemble_run))

    row(frame, "train_rforest").wait_for()

    page.screenshot(path=pictures / "dag-run-tab.png")
    assert row(frame, "score_report").count() == 0
    assert frame.locator("nav").count() == 0


def test_a_task_instance_has_a_tab_with_its_run_and_attempts(open_tab, ensemble_run, pictures):
    page, frame = open_tab(f"{dag_run_path('ensemble', ensemble_run)}/tasks/train_rforest", scheme="dark")

    card = frame.get_by_role("region", name="The latest run")
    card.wait_for()

    page.screenshot(path=pictures / "task-tab-dark.png")
    for word in ("Succeeded", "X-Large", "$"):
        assert word in card.inner_text()
    assert frame.locator("table.attempts tbody tr").count() == 1


def test_the_tab_of_a_task_without_a_run_says_so(open_tab, ensemble_run, pictures):
    page, frame = open_tab(f"{dag_run_path('ensemble', ensemble_run)}/tasks/score_report")

    frame.get_by_text("No run on Domino").wait_for()

    page.screenshot(path=pictures / "task-tab-without-run.png")


def test_a_run_is_stopped_only_after_a_yes_and_can_be_run_again(open_tab, airflow, long_run, pictures):
    page, frame = open_tab(dag_run_path(LONG, long_run))
    stop = row(frame, "deferred").get_by_role("button", name="Stop")
    stop.focus()

    page.keyboard.press("Enter")
    frame.get_by_role("dialog").get_by_text("Stop run").wait_for()
    page.screenshot(path=pictures / "stop-a-run.png")
    page.keyboard.press("Escape")

    assert airflow.api.task_instance(LONG, long_run, "deferred")["state"] == "deferred"
    key = frame.locator("body").evaluate("() => document.activeElement.dataset.key")
    assert key.startswith("stop ")

    stop.click()
    confirm(page, frame, "Stop")
    frame.get_by_text("has been marked as failed").wait_for()
    row(frame, "deferred").get_by_text("Stopped").wait_for(timeout=60_000)

    row(frame, "deferred").get_by_role("button", name="Run again").click()
    frame.get_by_role("dialog").get_by_text("Run deferred again?").wait_for()
    page.screenshot(path=pictures / "run-again.png")
    confirm(page, frame, "Run again")

    airflow.api.wait_for_task(LONG, long_run, "deferred", ["deferred"])
    assert airflow.api.task_instance(LONG, long_run, "deferred")["try_number"] == 2
    row(frame, "deferred").get_by_role("link", name="All 2 attempts").click()
    frame.locator("table.attempts tbody tr").nth(1).wait_for()
    page.screenshot(path=pictures / "attempts.png")


def test_what_airflow_refuses_is_said_and_changes_nothing(open_airflow, long_run, airflow):
    page = open_airflow(f"/domino/dag-run?dag_id={LONG}&run_id={quote(long_run, safe='')}")
    page.route("**/api/v2/**", lambda route: route.fulfill(status=403, json={"detail": "Forbidden"}))

    row(page, "on_worker").get_by_role("button", name="Stop").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop").click()

    page.get_by_text("Airflow does not let this account change the tasks of this DAG").wait_for()
    page.get_by_role("dialog").get_by_role("button", name="Not now").click()
    assert airflow.api.task_instance(LONG, long_run, "on_worker")["state"] == "running"


@pytest.mark.parametrize("path", ["timeline", "costs", "tiers", "luigi"])
def test_each_page_is_reached_from_the_first_and_fits_a_phone(open_airflow, ensemble_run, pictures, path):
    page = open_airflow("/domino/", small=True)
    page.locator("table.runs").wait_for()

    page.get_by_role("navigation").get_by_role("link", name=path.title()).click()
    page.wait_for_url(f"**/domino/{path}")
    page.locator("h1").wait_for()
    page.wait_for_load_state("networkidle")

    page.screenshot(path=pictures / f"{path}-phone.png", full_page=True)
    assert page.get_by_role("navigation").locator("[aria-current]").inner_text() == path.title()
    assert page.evaluate("document.scrollingElement.scrollWidth <= window.innerWidth")
