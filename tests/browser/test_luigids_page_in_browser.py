"""luigid's own graph page, as somebody sees it who looks at a pipeline that Airflow runs."""

from __future__ import annotations

import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_domino.luigi.execute import EngineProcess, EngineRequest

pytestmark = [pytest.mark.browser]

PIPELINE = """
import os, pathlib, time
import luigi

class Made(luigi.Task):
    def output(self):
        return luigi.LocalTarget(type(self).__name__)
    def run(self):
        pathlib.Path(self.output().path).touch()

class Customers(luigi.ExternalTask):
    def output(self):
        return luigi.LocalTarget("Customers")

class Orders(Made):
    pass

class Broken(Made):
    def run(self):
        raise ValueError("no luck today")

class TrainForest(Made):
    def requires(self):
        return [Customers(), Orders()]
    def run(self):
        self.set_tracking_url("https://domino.example.com/jobs/7")
        self.set_progress_percentage(40)
        while not os.path.exists("go-on"):
            time.sleep(0.05)
        super().run()

class Report(Made):
    def requires(self):
        return [TrainForest(), Broken()]
"""
GREEN, BLUE, RED, YELLOW = "#00DD00", "#0044DD", "#DD0000", "#EEBB00"
PATIENCE = 60
# Read at once, since the page draws its graph anew now and then.
COLOURS = """
number => {
    const shown = [...document.querySelectorAll("svg > g")].filter(group => group.querySelector("a.graph-node-a"));
    const nameOf = group => group.querySelector("a.graph-node-a").textContent.split("(")[0].trim();
    const found = shown.map(group => [nameOf(group), group.querySelector("circle").getAttribute("fill")]);
    return found.length == number && Object.fromEntries(found);
}
"""


@pytest.fixture
def root(luigid: Any, tmp_path: Path) -> Iterator[str]:
    """The Luigi id of the root of a pipeline that is halfway."""
    work = tmp_path / "work"
    work.mkdir()
    (tmp_path / "seen.py").write_text(textwrap.dedent(PIPELINE))
    (work / "Customers").touch()
    scheduler = {"url": luigid.url, "worker": "Airflow(dag_id=daily, run_id=manual__1)"}
    request = EngineRequest(
        action="run", task="seen:Report", project_path=str(tmp_path), scheduler=scheduler, workers=3, locks=str(work)
    )
    engine = EngineProcess(request, working_dir=work, grace=5)
    thread = threading.Thread(target=engine.run, args=(lambda _: None,))
    thread.start()
    wanted = {"Report": "PENDING", "TrainForest": "RUNNING", "Orders": "DONE", "Customers": "DONE", "Broken": "FAILED"}
    deadline = time.monotonic() + PATIENCE
    while luigid.states() != {f"{name}()": state for name, state in wanted.items()}:
        assert time.monotonic() < deadline, luigid.states()
        time.sleep(0.1)
    yield next(key for key, task in luigid.ask("task_list").items() if task["name"] == "Report")
    (work / "go-on").touch()
    thread.join(PATIENCE)


def test_the_graph_has_each_task_in_the_colour_of_its_state(browser, luigid, root, pictures):
    page = browser.new_page(viewport={"width": 1366, "height": 850})
    page.goto(f"{luigid.url}/static/visualiser/index.html#tab=graph&taskId={root}&visType=svg")
    colours = page.wait_for_function(COLOURS, arg=5).json_value()
    page.screenshot(path=pictures / "luigid-graph.png")
    page.close()
    assert colours == {"Report": YELLOW, "TrainForest": BLUE, "Orders": GREEN, "Customers": GREEN, "Broken": RED}


def test_a_running_task_leads_to_its_own_page(browser, luigid, root, pictures):
    page = browser.new_page(viewport={"width": 1366, "height": 850})
    page.goto(f"{luigid.url}/static/visualiser/index.html")
    row = page.locator("#taskTable tbody tr", has_text="TrainForest")
    address = row.locator("a[title='Track Progress']").get_attribute("href")
    page.screenshot(path=pictures / "luigid-tasks.png")
    page.close()
    assert address == "https://domino.example.com/jobs/7"
