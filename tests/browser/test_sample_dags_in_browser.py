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


@pytest.fixture
def open_form(open_airflow, airflow, ensemble_run):
    """Opens the trigger form of a sample DAG: the page, and the form in it."""

    def open_it(dag_id):
        airflow.api.wait_for_dags([dag_id])
        page = open_airflow(f"/dags/{dag_id}")
        page.get_by_role("button", name="Trigger").first.click()
        form = page.get_by_role("dialog")
        form.get_by_text("Advanced Options").wait_for()
        return page, form

    return open_it


def refusal(page, form, pictures, name):
    """What the form says when it is sent."""
    form.get_by_role("button", name="Trigger").click()
    said = form.get_by_text("Invalid input for param").first
    said.wait_for()
    page.screenshot(path=pictures / name)
    return said.inner_text()


def test_the_form_offers_targets_tiers_and_retraining_in_words(open_form, pictures):
    page, form = open_form("ensemble")

    page.screenshot(path=pictures / "trigger-form.png")
    words = form.inner_text()
    labels = (
        "What to make",
        "Train again",
        "Tier of the random forest",
        "Tier of the neural network",
        "Commit to start from",
    )
    assert all(label in words for label in labels)
    assert "ScoreReport: both models and the report" in words
    assert "GPU: 1 GPU, 8 cores, 60 GiB" in words
    form.get_by_role("combobox").nth(1).click()
    page.get_by_role("option", name="Medium: 4 cores, 15 GiB").wait_for()
    offered = [option.inner_text().partition(":")[0] for option in page.get_by_role("option").all()]
    assert offered == ["Small", "Medium", "Large", "X-Large", "GPU"]


def test_the_form_refuses_a_commit_that_is_none_and_says_what_it_wants(open_form, pictures):
    page, form = open_form("ensemble")
    form.locator("#element_commit").fill("main")

    said = refusal(page, form, pictures, "trigger-form-refuses.png")

    assert "param commit: 'main'" in said
    assert "The full SHA of a commit of the Domino project" in said
    assert form.locator("#element_commit").input_value() == "main"


def test_the_form_refuses_a_tier_that_is_not_offered(open_form, pictures):
    page, form = open_form("ensemble_luigi")
    form.get_by_text("Advanced Options").click()
    form.locator(".monaco-editor .view-lines").first.click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text('{"nnet_tier": "Gigantic"}')
    page.keyboard.press("Control+Shift+End")
    page.keyboard.press("Delete")  # the quotation mark and the bracket that the editor has added itself
    page.keyboard.press("Tab")

    said = refusal(page, form, pictures, "trigger-form-refuses-tier.png")

    assert "param nnet_tier: 'Gigantic' is not one of ['Small', 'Medium', 'Large', 'X-Large', 'GPU']" in said


def test_the_form_keeps_numbers_within_their_bounds(open_form):
    _, form = open_form("numbers")
    number = form.get_by_role("spinbutton")
    for typed, kept in (("0", "1"), ("2000000", "1000000")):
        number.fill(typed)
        number.press("Tab")
        assert number.input_value() == kept


def test_the_form_has_calendars_for_the_day_and_the_closing_time(open_form, pictures):
    page, form = open_form("time_gate")
    form.locator("#element_day").fill("2026-11-20")
    form.get_by_text("Select date and time").click()

    page.screenshot(path=pictures / "trigger-form-dates.png")
    assert form.locator("#element_day").input_value() == "2026-11-20"
