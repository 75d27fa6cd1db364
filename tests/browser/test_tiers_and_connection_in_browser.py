"""The page "Tiers" and the form of a connection, as a person meets them inside Airflow's UI."""

from __future__ import annotations

import pytest

from airflow_domino.domino import ApiKey, DominoClient, RunMark, RunRequest, mark_title

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.timeout(900)]


@pytest.fixture
def orphan(local_domino, ensemble_run):
    """A run that a finished task has left behind; it goes on until it is stopped."""
    mark = RunMark.for_task("ensemble", ensemble_run, "train_nnet")
    with DominoClient(local_domino.url, ApiKey(local_domino.token)) as client:
        project = client.project(local_domino.project)
        tier = client.resolve_tier(project, "GPU")
        title = mark_title("ensemble.train_nnet", mark)
        run = client.start_run(RunRequest(project.id, "sleep.py 600", title=title, tier_id=tier.id))
        yield run
        client.stop_run(run.id)


def test_the_tiers_are_shown_and_a_run_that_nobody_waits_for_is_stopped(open_airflow, local_domino, orphan, pictures):
    page = open_airflow("/plugin/domino")
    frame = page.frame_locator("iframe")
    frame.get_by_role("link", name="Tiers", exact=True).click()
    gpu = frame.locator("table.machines tbody tr").filter(has_text="GPU").first
    gpu.wait_for()
    for word in ("$3.60", "8 cores", "of 4"):
        assert word in gpu.inner_text()

    button = frame.get_by_role("button", name=f"Stop run #{orphan.number}", exact=True)
    button.click()
    page.screenshot(path=pictures / "tiers-stop.png")
    frame.locator("dialog button[value=yes]").click()

    frame.get_by_text(f"Run #{orphan.number} is being stopped").wait_for()
    page.screenshot(path=pictures / "tiers.png")
    button.wait_for(state="detached", timeout=60_000)
    local_domino.wait_for_status(orphan.id, "Stopped")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_of_the_tiers_sticks_out(open_airflow, ensemble_run, pictures, scheme):
    page = open_airflow("/domino/tiers", scheme=scheme, small=True)
    page.locator("table.machines tbody tr").first.wait_for()
    page.screenshot(path=pictures / f"tiers-phone-{scheme}.png", full_page=True)
    width = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert width[0] <= width[1]


def test_the_form_of_a_connection_explains_its_fields(open_airflow, pictures):
    page = open_airflow("/connections")
    page.get_by_role("button", name="Add Connection").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("combobox").first.click()
    page.keyboard.type("Domino Data Lab")
    page.keyboard.press("Enter")
    dialog.get_by_text("Domino URL", exact=True).wait_for()
    dialog.get_by_text("Extra Fields", exact=True).click()
    dialog.get_by_text("Credential expires on", exact=True).wait_for()
    page.screenshot(path=pictures / "connection-form.png")
    assert dialog.locator("#element_expires_on").get_attribute("type") == "date"
    for section, field in (
        ("How much Airflow may run at once", "Runs in flight per tier"),
        ("A credential from elsewhere", "Token file"),
        ("Network", "CA file"),
    ):
        dialog.get_by_text(section, exact=True).click()
        dialog.get_by_text(field, exact=True).wait_for()
