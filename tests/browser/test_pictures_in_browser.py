"""The pictures of how runs queued and ran, and of what they cost, as a person meets them."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.timeout(900)]


@pytest.fixture
def look(open_airflow, airflow):
    """Opens a page of ours; no page may complain, break its own rules, or ask another server."""
    complaints = []

    def opened(path, **how):
        page = open_airflow("/domino/static/icon-light.svg", **how)

        def complain(what):
            if "/domino/" in page.url:  # Airflow's own pages are its own affair
                complaints.append(what)

        page.on("console", lambda said: said.type in ("error", "warning") and complain(said.text))
        page.on("pageerror", lambda error: complain(str(error)))
        page.on("request", lambda asked: asked.url.startswith((airflow.url, "blob:")) or complain(asked.url))
        page.goto(path)
        page.locator(".js-plotly-plot .main-svg").first.wait_for()
        return page

    yield opened
    assert complaints == []


def test_the_timeline_shows_each_tier_with_bars_that_lead_to_their_tasks(look, ensemble_run, pictures):
    page = look("/domino/timeline?period=hour&dag_id=ensemble")
    tier = page.locator("figure", has_text="X-Large")
    bars = tier.locator(".barlayer path")

    page.screenshot(path=pictures / "timeline-light.png", full_page=True)
    assert "ran at once" in tier.locator("figcaption").inner_text()
    bars.last.hover(force=True)
    tier.locator(".hoverlayer").get_by_text("train_rforest").wait_for()
    page.mouse.down()
    page.mouse.up()
    page.wait_for_url("**/dags/ensemble/runs/*/tasks/train_rforest**")


def test_the_timeline_can_be_looked_at_more_closely_and_stays_so_while_it_is_live(look, ensemble_run):
    page = look("/domino/timeline?period=hour&dag_id=ensemble")
    area = page.locator("figure", has_text="X-Large").locator(".nsewdrag").first.bounding_box()
    ranges = "() => [...document.querySelectorAll('.js-plotly-plot')].map(plot => plot.layout.xaxis.range.join())"
    whole = page.evaluate(ranges)

    page.mouse.move(area["x"] + area["width"] / 2, area["y"] + 10)
    page.mouse.down()
    page.mouse.move(area["x"] + area["width"] - 5, area["y"] + 12, steps=5)
    page.mouse.up()
    page.wait_for_function(f"before => String(({ranges})()) !== before", arg=",".join(whole))
    close = page.evaluate(ranges)
    with page.expect_response("**/timeline/live**"):
        pass
    page.wait_for_timeout(200)

    assert page.evaluate(ranges) == close
    assert len(set(close)) == 1  # all tiers alike
    page.mouse.dblclick(area["x"] + 40, area["y"] + 10)
    page.wait_for_function(f"close => String(({ranges})()) !== close", arg=",".join(close))


@pytest.mark.parametrize(("scheme", "small"), [("light", False), ("dark", False), ("dark", True)])
def test_costs_are_drawn_in_airflows_colours_and_on_a_phone(look, ensemble_run, pictures, scheme, small):
    page = look("/domino/costs?period=day&by=tier", scheme=scheme, small=small)

    page.screenshot(path=pictures / f"costs-{scheme}{'-phone' if small else ''}.png", full_page=True)
    assert page.locator(".legendtext", has_text="X-Large").count() == 1
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_what_the_pictures_show_is_in_tables_that_the_keyboard_reaches(look, ensemble_run):
    page = look("/domino/costs?period=day&by=task")
    summary = page.locator("summary", has_text="Cost by hour, as a table")

    for _ in range(60):
        page.keyboard.press("Tab")
        if summary.evaluate("element => element === document.activeElement"):
            break
    page.keyboard.press("Enter")

    page.get_by_role("columnheader", name="ensemble.train_rforest").wait_for()
    assert "$" in page.get_by_role("region", name="Cost by hour").inner_text()


def test_another_choice_is_followed_at_once(look, ensemble_run):
    page = look("/domino/costs?period=day")

    page.get_by_label("Added up by").select_option("tier")

    page.wait_for_url("**by=tier**")
    page.get_by_role("heading", name="By tier").wait_for()


def test_costs_can_be_taken_into_a_spreadsheet(look, ensemble_run):
    page = look("/domino/costs?period=day&by=task")

    with page.expect_download() as taken:
        page.get_by_role("link", name="Download as CSV").click()

    assert taken.value.suggested_filename == "domino-costs-by-task.csv"
    assert "ensemble.train_rforest" in taken.value.path().read_text()
