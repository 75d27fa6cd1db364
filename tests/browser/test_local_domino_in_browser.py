"""The pages of the local Domino as a person meets them who follows a link."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = [pytest.mark.browser]

TELL = """\
import pathlib, sys, time
print("first line", flush=True)
while not pathlib.Path(sys.argv[1]).exists():
    time.sleep(0.05)
print("<b>last line</b>", flush=True)
"""


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page of a browser that has never been here; it must not complain about anything."""
    window = browser.new_context(color_scheme="dark")
    opened = window.new_page()
    complaints: list[str] = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    yield opened
    window.close()
    assert complaints == []


def log_in(page: Any, domino: Any) -> None:
    page.locator("input[name=token]").fill(domino.token)
    page.get_by_role("button", name="Log in").click()


def test_a_link_to_files_leads_there_after_the_login_and_the_login_is_remembered(page, start_local_domino):
    domino = start_local_domino()
    job = domino.run("hello.py")
    commit = job["commitDetails"]["outputCommitId"]
    address = f"{domino.url}/u/{domino.project}/browse?commitId={commit}"
    page.goto(address)
    log_in(page, domino)
    page.wait_for_url(address)
    with page.expect_download() as download:
        page.get_by_role("link", name="hello.txt").click()
    assert download.value.path().read_text() == "hello\nworld\n"
    page.goto(f"{domino.url}/jobs/{domino.project}")
    page.get_by_role("cell", name="Succeeded").wait_for()


def test_the_log_of_a_job_grows_on_its_page_until_the_job_ends(page, start_local_domino, tmp_path):
    domino = start_local_domino({"tell.py": TELL})
    job = domino.start(f"tell.py {tmp_path / 'go'}")
    page.goto(f"{domino.url}/jobs/{domino.project}/{job['id']}/logs?status=all")
    log_in(page, domino)
    page.get_by_text("first line").wait_for()
    page.get_by_text("The job goes on").wait_for()
    (tmp_path / "go").touch()
    page.get_by_text("<b>last line</b>").wait_for()
    page.get_by_text("End of the log.").wait_for()
    assert page.locator("#status").inner_text() == "Succeeded"
