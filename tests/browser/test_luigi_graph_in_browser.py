"""The graph of Luigi tasks as a person meets it: a tab of a DAG run in Airflow's UI."""

from __future__ import annotations

from urllib.parse import quote

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.timeout(900)]


def tab_of(run_id):
    return f"/dags/ensemble/runs/{quote(run_id)}/plugin/domino-luigi"


def alone(run_id):
    return f"/domino/luigi?dag_id=ensemble&run_id={quote(run_id)}"


def box(page, name):
    return page.locator("a.box").filter(has_text=name).first


def width(page):
    return int(page.locator("svg.graph").get_attribute("width"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_dag_run_has_a_tab_with_the_graph_of_its_luigi_tasks(open_airflow, ensemble_run, pictures, scheme):
    page = open_airflow(tab_of(ensemble_run), scheme=scheme)
    frame = page.frame_locator("iframe")

    report = frame.locator("a.box").filter(has_text="ScoreReport")
    report.wait_for()

    page.screenshot(path=pictures / f"luigi-graph-{scheme}.png")
    assert "made now" in report.get_attribute("aria-label")
    assert frame.locator(".luigi-list .target.exists").count() > 0


def test_a_box_shows_all_about_its_task_and_leads_out_of_the_frame_to_airflows(open_airflow, ensemble_run, pictures):
    page = open_airflow(tab_of(ensemble_run))
    frame = page.frame_locator("iframe")

    frame.locator("a.box").filter(has_text="ScoreReport").click()
    details = frame.locator("#task")
    details.get_by_text("Targets, now").wait_for()
    page.screenshot(path=pictures / "luigi-task.png")
    assert "score_report.json" in details.inner_text()

    details.locator("a[data-opens=here]").click()
    page.wait_for_url("**/dags/ensemble/runs/*/tasks/score_report")


def test_the_drawing_is_walked_through_and_made_larger_by_the_keyboard(open_airflow, ensemble_run):
    page = open_airflow(alone(ensemble_run))
    box(page, "CombinePredictions").focus()

    page.keyboard.press("ArrowRight")
    focused = page.evaluate("document.activeElement.getAttribute('aria-label')")
    before = width(page)
    page.keyboard.press("+")
    larger = width(page)
    page.keyboard.press("Enter")
    page.locator("#task").wait_for()

    assert focused.startswith("ScoreReport")
    assert larger > before
    assert width(page) == larger, "the size is kept when something is chosen"
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == focused

    page.keyboard.press("Escape")
    page.locator("#task").wait_for(state="detached")


def test_the_wheel_zooms_about_the_pointer(open_airflow, ensemble_run):
    page = open_airflow(alone(ensemble_run))
    target = box(page, "ScoreReport").locator(".body")
    before = target.bounding_box()
    point = before["x"] + before["width"] / 2, before["y"] + before["height"] / 2

    drawn = width(page)
    page.mouse.move(*point)
    page.mouse.wheel(0, -300)
    page.wait_for_function("drawn => +document.querySelector('svg.graph').getAttribute('width') > drawn", arg=drawn)
    after = target.bounding_box()

    assert after["width"] > before["width"]
    assert after["x"] < point[0] < after["x"] + after["width"]


def test_the_list_follows_the_tiles_and_the_form_in_place(open_airflow, ensemble_run):
    page = open_airflow(alone(ensemble_run))

    page.locator("a[data-key='state done']").click()
    page.get_by_role("heading", name="made now").wait_for()
    assert page.locator("select[name=state]").input_value() == "done"

    page.locator("select[name=state]").select_option("failed")
    page.get_by_text("No task fits this choice.").wait_for()
    page.locator("a.all").click()

    page.locator(".luigi-list").get_by_text("ScoreReport").wait_for()
    assert page.locator("select[name=state]").input_value() == ""


def test_it_is_readable_on_a_phone(open_airflow, ensemble_run, pictures):
    page = open_airflow(alone(ensemble_run), small=True)
    box(page, "ScoreReport").wait_for()

    page.screenshot(path=pictures / "luigi-graph-phone.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_from_the_list_of_dag_runs_one_comes_to_each(open_airflow, ensemble_run):
    page = open_airflow("/domino/luigi?dag_id=ensemble")

    page.get_by_role("link", name=ensemble_run).click()

    box(page, "ScoreReport").wait_for()
