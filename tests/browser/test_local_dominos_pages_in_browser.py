"""The pages of the local Domino as they are read: without JavaScript, by keyboard, in both colour schemes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.browser]

WORK = """\
import pathlib, sys, time
print("<b>begun</b>", flush=True)
pathlib.Path("scores.csv").write_text("model,score\\nforest,0.97\\n")
pathlib.Path("work.py").open("a").write("# worked\\n")
while len(sys.argv) > 1 and not pathlib.Path(sys.argv[1]).exists():
    time.sleep(0.05)
"""


@pytest.fixture(scope="module")
def domino(serve_domino: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A local Domino of this module's own."""
    folder = tmp_path_factory.mktemp("pages-in-browser")
    (folder / "files").mkdir()
    (folder / "files" / "work.py").write_text(WORK)
    served = serve_domino(folder / "root", {"domino/quick-start": folder / "files"})
    yield served
    served.stop()


@pytest.fixture
def look(browser: Any, domino: Any) -> Iterator[Callable[..., Any]]:
    """Opens a page as somebody who is logged in; no page may complain, or ask another server."""
    windows, complaints = [], []

    def opened(path: str, **options: Any) -> Any:
        window = browser.new_context(base_url=domino.url, **options)
        windows.append(window)
        page = window.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        page.on("request", lambda asked: asked.url.startswith(domino.url) or complaints.append(asked.url))
        page.goto(path)
        page.locator("input[name=token]").fill(domino.token)
        page.keyboard.press("Enter")
        page.wait_for_url(lambda url: "/login" not in url)
        return page

    yield opened
    for window in windows:
        window.close()
    assert complaints == []


def test_a_run_is_followed_without_javascript(look, domino, tmp_path: Path, pictures: Path) -> None:
    job = domino.start(f"work.py {tmp_path / 'go'}", title="followed")
    domino.wait_for_status(job["id"], "Running")
    page = look(f"/jobs/{domino.project}/{job['id']}/logs", java_script_enabled=False)
    assert page.locator("noscript meta[http-equiv=refresh], meta[http-equiv=refresh]").count() == 1
    (tmp_path / "go").touch()
    domino.wait(job["id"])
    page.get_by_text("End of the log.").wait_for()
    assert "<b>begun</b>" in page.locator("#log").inner_text()
    assert page.get_by_role("row", name="scores.csv added").count() == 1
    page.screenshot(path=str(pictures / "local-run.png"), full_page=True)


def test_from_a_run_to_the_files_of_its_output(look, domino, pictures: Path) -> None:
    job = domino.run("work.py")
    page = look(f"/jobs/{domino.project}/{job['id']}/logs", color_scheme="dark")
    page.get_by_role("link", name=job["commitDetails"]["outputCommitId"]).click()
    page.get_by_role("link", name="scores.csv").wait_for()
    page.screenshot(path=str(pictures / "local-files.png"), full_page=True)


def test_the_runs_are_filtered_by_keyboard_alone(look, domino) -> None:
    domino.run("work.py", title="the wanted one")
    domino.run("work.py", title="another")
    page = look(f"/jobs/{domino.project}")
    page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "Skip to the content"
    page.get_by_label("Title or command").focus()
    page.keyboard.type("wanted")
    page.keyboard.press("Enter")
    page.wait_for_url("**text=wanted**")
    assert page.locator("tbody tr").count() == 1
    assert "the wanted one" in page.locator("tbody").inner_text()
