"""The page *Domino* in the newest pre-release of Airflow, where there is one: a real Airflow with the demo's runs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
from packaging.version import Version

from airflow_domino.demo.airflow_api import AirflowApi

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.deep, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def next_python(make_environment: Callable[..., Path]) -> Path:
    """An interpreter with a later Airflow than the one that all else is tested with."""
    command = [sys.executable, "-m", "pip", "index", "versions", "apache-airflow", "--pre"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    newest = re.match(r"apache-airflow \((\S+)\)", listed)
    if newest is None or Version(newest[1]) <= Version(version("apache-airflow")):
        pytest.skip("there is no later Airflow than the one that is installed")
    asked = {"extras": "[local,samples]", "options": ["--prerelease=allow"]}
    try:
        return make_environment(f"apache-airflow=={newest[1]}", free=("airflow-domino", "apache-airflow"), **asked)
    except subprocess.CalledProcessError:  # it needs other versions of other packages too
        return make_environment(f"apache-airflow=={newest[1]}", free="", **asked)


@pytest.fixture(scope="module")
def demo(next_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """What a demo has said when its DAG runs have ended; it stays up."""
    state = tmp_path_factory.mktemp("next") / "state"
    command = [str(next_python), "-m", "airflow_domino.cli", "demo", f"--state={state}", f"--dags={ROOT / 'dags'}"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "DOMINO_"))}
    command += ["--airflow-port=0", "--domino-port=0"]
    with subprocess.Popen(command, env=kept, cwd=state.parent, stdout=subprocess.PIPE, text=True) as running:
        try:
            said: list[str] = []
            for line in running.stdout or ():
                said.append(line)
                if "stay up" in line:
                    break
            yield said
        finally:
            running.send_signal(signal.SIGINT)
            running.communicate(timeout=120)


@pytest.fixture(scope="module")
def airflow(demo: list[str]) -> Any:
    found = re.search(r"^Airflow: +(\S+)$", "".join(demo), re.MULTILINE)
    assert found, "".join(demo)
    return SimpleNamespace(url=found[1], api=AirflowApi(found[1]))


def run_of(airflow: Any, dag_id: str) -> str:
    return str(airflow.api.call("GET", f"/dags/{dag_id}/dagRuns")["dag_runs"][0]["dag_run_id"])


def test_both_sample_pipelines_succeed(demo: list[str]) -> None:
    assert any(line.startswith("hello_world: success") for line in demo), "".join(demo)
    assert any(line.startswith("ensemble: success") for line in demo), "".join(demo)


def test_the_entry_in_the_navigation_leads_to_every_page(
    airflow: Any, open_airflow: Callable[..., Any], pictures: Path
) -> None:
    page = open_airflow("/dags")
    failed: list[str] = []
    page.on("response", lambda answer: failed.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None)
    page.get_by_role("button", name="Browse").click()
    page.get_by_role("menuitem", name="Domino").click()
    frame = page.frame_locator("iframe")
    for name in ("Timeline", "Costs", "Tiers", "Luigi", "Runs"):
        frame.get_by_role("navigation").get_by_role("link", name=name, exact=True).click()
        frame.get_by_role("heading", level=1, name=name).wait_for()
        page.screenshot(path=pictures / f"next-airflow-{name.lower()}.png")
        assert frame.locator(".notice.odd").count() == 0
    frame.locator("table.runs tbody").get_by_role("link", name="train_nnet", exact=True).wait_for()
    assert failed == []


def test_the_tab_of_a_task_shows_all_its_attempts(
    airflow: Any, open_airflow: Callable[..., Any], pictures: Path
) -> None:
    run_id = run_of(airflow, "hello_world")
    airflow.api.clear("hello_world", run_id, ["hello"])
    assert airflow.api.wait_for_dag_run("hello_world", run_id) == "success"

    page = open_airflow(f"/dags/hello_world/runs/{quote(run_id, safe='')}/tasks/hello")
    page.get_by_role("link", name="Domino", exact=True).first.click()
    attempts = page.frame_locator("iframe").locator("table.attempts tbody tr")
    attempts.nth(1).wait_for()

    page.screenshot(path=pictures / "next-airflow-task.png")
    assert [row.locator("td").first.inner_text() for row in attempts.all()] == ["2", "1"]
    assert all("Succeeded" in row.inner_text() for row in attempts.all())


def test_the_tab_of_a_dag_run_draws_its_luigi_tasks(
    airflow: Any, open_airflow: Callable[..., Any], pictures: Path
) -> None:
    page = open_airflow(f"/dags/ensemble/runs/{quote(run_of(airflow, 'ensemble'), safe='')}")
    page.get_by_role("link", name="Luigi", exact=True).first.click()
    page.frame_locator("iframe").locator("a.box").filter(has_text="ScoreReport").wait_for()
    page.screenshot(path=pictures / "next-airflow-luigi-tab.png")
