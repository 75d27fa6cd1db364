"""The sample DAGs in Airflow's own UI: form, log, link, results."""

from __future__ import annotations

from urllib.parse import quote, urljoin

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.timeout(900)]


def task_path(run_id, task_id):
    return f"/dags/ensemble/runs/{quote(run_id, safe='')}/tasks/{task_id}"


def test_a_tasks_log_shows_what_its_run_said(open_airflow, ensemble_run, pictures):
    page = open_airflow(task_path(ensemble_run, "train_rforest"))

    page.get_by_text("Launched Domino run").first.wait_for()

    page.screenshot(path=pictures / "task-log.png")


def test_the_task_has_a_link_to_its_run(open_airflow, ensemble_run, airflow, pictures):
    address = airflow.api.links("ensemble", ensemble_run, "train_rforest")["Domino run"]
    page = open_airflow(f"{task_path(ensemble_run, 'train_rforest')}/details")
    link = page.get_by_role("link", name="Domino run")
    link.wait_for()
    page.screenshot(path=pictures / "task-link.png")

    with page.context.expect_page() as opened:
        link.click()

    assert link.get_attribute("href") == address
    assert opened.value.url.startswith(urljoin(address, "/"))


def test_the_results_of_a_run_can_be_read_among_the_xcoms(open_airflow, ensemble_run, pictures):
    page = open_airflow(f"{task_path(ensemble_run, 'train_rforest')}/xcom")

    page.get_by_text("return_value").first.wait_for()
    page.get_by_role("button", name="Expand all extra JSON").click()
    page.get_by_text("output_commit").first.wait_for()

    page.screenshot(path=pictures / "task-xcom.png")


def test_the_form_offers_targets_tiers_and_retraining(open_airflow, airflow, ensemble_run, pictures):
    page = open_airflow("/dags/ensemble")

    page.get_by_role("button", name="Trigger").first.click()
    form = page.get_by_role("dialog")
    form.get_by_text("nnet_tier").first.wait_for()

    page.screenshot(path=pictures / "trigger-form.png")
    words = form.inner_text()
    for field in ("target", "retrain", "forest_tier", "nnet_tier", "commit"):
        assert field in words
