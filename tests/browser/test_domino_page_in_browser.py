"""The page "Domino" as a person meets it inside Airflow's UI."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.timeout(900)]

PAGE = "/plugin/domino"


def rows(page):
    return page.frame_locator("iframe").locator("table.runs tbody tr:not(.why)")


def row_of(page, task_id):
    return rows(page).filter(has_text=task_id).first


def test_the_navigation_leads_to_the_runs_with_their_tiers_and_costs(open_airflow, ensemble_run, pictures):
    page = open_airflow("/")

    page.get_by_role("button", name="Browse").click()
    page.get_by_text("Domino", exact=True).click()

    forest = row_of(page, "train_rforest")
    forest.wait_for()
    page.screenshot(path=pictures / "domino-page-light.png")
    for word in ("success", "#", "Succeeded", "X-Large", "$"):
        assert word in forest.inner_text()
    assert "GPU" in row_of(page, "train_nnet").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_as_light_or_dark_as_airflow(open_airflow, ensemble_run, pictures, scheme):
    page = open_airflow(PAGE, scheme=scheme)
    rows(page).first.wait_for()
    page.frame_locator("iframe").get_by_text("Live", exact=True).wait_for()

    body = page.frame_locator("iframe").locator("body")
    colours = body.evaluate("body => [getComputedStyle(body).colorScheme, document.documentElement.dataset.theme]")

    page.screenshot(path=pictures / f"domino-page-{scheme}.png")
    assert colours == [scheme, scheme]


def test_the_link_to_domino_opens_the_run_in_a_tab_of_its_own(open_airflow, ensemble_run, local_domino, pictures):
    page = open_airflow(PAGE)
    link = row_of(page, "train_rforest").locator("a[data-opens=tab]")
    address = link.get_attribute("href")

    with page.context.expect_page() as opened:
        link.click()
    tab = opened.value
    tab.locator("input[name=token]").fill(local_domino.token)
    tab.get_by_role("button", name="Log in").click()
    tab.wait_for_url(f"{local_domino.url}/jobs/**")

    tab.screenshot(path=pictures / "run-on-local-domino.png")
    assert address.startswith(local_domino.url)
    assert urlsplit(tab.url).path == urlsplit(address).path
    assert urlsplit(page.url).path.startswith(PAGE)


def test_the_link_to_the_task_leaves_the_frame(open_airflow, ensemble_run):
    page = open_airflow(PAGE)

    row_of(page, "train_rforest").locator("a[data-opens=here]").click()

    page.wait_for_url("**/dags/ensemble/runs/*/tasks/train_rforest")
    page.get_by_text("Domino run").first.wait_for()


def test_everything_can_be_reached_and_done_from_the_keyboard(open_airflow, ensemble_run):
    page = open_airflow("/domino/?dag_id=ensemble")
    page.locator("table.runs a").first.wait_for()
    reached = []

    for _ in range(10):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "() => (it => it.name || it.dataset.opens || it.textContent.trim())(document.activeElement)",
            )
        )

    pages = ["Runs", "Timeline", "Costs", "Tiers", "Luigi"]
    assert reached == ["Skip to the content", *pages, "dag_id", "state", "here", "tab"]
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"


def test_a_new_run_appears_by_itself_and_the_focus_stays(open_airflow, airflow, ensemble_run):
    page = open_airflow(PAGE)
    link = row_of(page, "train_nnet").locator("a[data-opens=here]")
    link.focus()
    key = link.get_attribute("data-key")

    run_id = airflow.api.trigger("hello_world")
    row_of(page, "hello_world").wait_for(timeout=120_000)

    focused = page.frame_locator("iframe").locator("body").evaluate("() => document.activeElement.dataset.key")
    assert focused == key
    airflow.api.wait_for_dag_run("hello_world", run_id)


def test_a_choice_narrows_the_list_in_place(open_airflow, ensemble_run):
    page = open_airflow(PAGE)
    rows(page).first.wait_for()
    frame = page.frame_locator("iframe")

    frame.locator("select[name=dag_id]").select_option("ensemble")
    frame.locator("select[name=state]").select_option("failed")
    frame.get_by_text("No run fits this choice").wait_for()
    frame.locator("select[name=state]").select_option("success")

    row_of(page, "train_rforest").wait_for()


def test_it_fits_a_phone(open_airflow, ensemble_run, pictures):
    page = open_airflow("/domino/", scheme="dark", small=True)
    page.locator("table.runs tbody tr:not(.why)").first.wait_for()

    page.screenshot(path=pictures / "domino-page-phone.png", full_page=True)

    assert page.evaluate("document.scrollingElement.scrollWidth <= window.innerWidth")


def test_nothing_is_asked_of_the_outside_and_nothing_is_complained_about(open_airflow, airflow, ensemble_run):
    page = open_airflow("/")
    asked, complaints = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))

    page.goto("/domino/")
    page.locator("table.runs tbody tr:not(.why)").first.wait_for()
    with page.expect_response("**/domino/runs*"):
        pass

    assert {urlsplit(address).netloc for address in asked} == {urlsplit(airflow.url).netloc}
    assert complaints == []


def test_a_silent_airflow_is_told_of_and_the_list_stays(open_airflow, ensemble_run):
    page = open_airflow("/domino/")
    page.locator("table.runs tbody tr:not(.why)").first.wait_for()
    page.route("**/domino/runs*", lambda route: route.abort())

    page.get_by_text("Airflow does not answer").wait_for()

    assert page.locator("table.runs tbody tr:not(.why)").count() >= 1
    page.unroute_all()
    page.get_by_text("Live", exact=True).wait_for()
