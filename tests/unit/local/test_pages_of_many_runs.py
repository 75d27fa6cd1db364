"""The pages over a server's data as a whole: filters; also with ten thousand runs."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from airflow_domino.local.gate import Access
from airflow_domino.local.ids import new_object_id
from airflow_domino.local.platform import Platform
from airflow_domino.local.runs import Run
from airflow_domino.local.server import create_app

MINUTE = 60_000
MANY = 10_000
BASE = "/jobs/domino/quick-start"


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A local Domino whose runs are only remembered, none of them executed."""
    made = Platform(root=tmp_path_factory.mktemp("pages") / "root", token="secret")
    made.add_project("domino/quick-start")
    made.add_project("domino/other")
    yield made
    made.close()


@pytest.fixture(scope="module")
def client(platform: Platform) -> TestClient:
    return TestClient(
        create_app(platform, Access()), base_url="http://127.0.0.1", headers={"X-Domino-Api-Key": "secret"}
    )


@pytest.fixture(scope="module")
def remember(platform: Platform) -> Callable[..., Run]:
    """Remembers a run that was submitted an hour ago, waited a minute and ran for ten, unless told otherwise."""
    project = platform.projects.all()[0]
    plain = Run(
        id="",
        project_id=project.id,
        number=0,
        command="train.py",
        arguments=["train.py"],
        tier_id="small-k8s",
        environment_id=platform.environments[0].id,
        input_commit=platform.repository(project.id).head(),
        started_by="domino",
        submitted_at=0,
        status="Succeeded",
    )
    begin = int(time.time() * 1000) - 58 * MINUTE

    def remembered(minute: float = 0, wait: float = 1, lasted: float = 10, **values: object) -> Run:
        submitted = begin + int(minute * MINUTE)
        started = submitted + int(wait * MINUTE)
        run = replace(
            plain,
            id=new_object_id(),
            submitted_at=submitted,
            started_at=started,
            completed_at=started + int(lasted * MINUTE),
        )
        return platform.runs.add(replace(run, **values))  # type: ignore[arg-type]

    return remembered


@pytest.fixture(scope="module")
def odd(remember: Callable[..., Run]) -> Run:
    """A run that differs in everything that can be filtered by."""
    remember(cents_per_minute=3.0)
    return remember(5, 2, 20, tier_id="gpu-small-k8s", started_by="ada", title="The <odd> & one", status="Failed")


def rows(text: str) -> int:
    return len(re.findall(r'<td class="number"><a href="/jobs/', text))


@pytest.mark.parametrize("query", ["tier=gpu-small-k8s", "user=ada", "text=%3CODD%3E", "user=ada&text=odd"])
def test_the_list_of_runs_is_filtered(client: TestClient, odd: Run, query: str) -> None:
    text = client.get(f"{BASE}?{query}").text
    assert rows(text) == 1
    assert f"{BASE}/{odd.id}/logs" in text
    assert "The &lt;odd&gt; &amp; one" in text
    assert "<odd>" not in text


def test_a_filter_that_nothing_passes_says_so_and_can_be_cleared(client: TestClient, odd: Run) -> None:
    text = client.get(f"{BASE}?tier=large-k8s").text
    assert "No job is like that." in text
    assert f'<a href="{BASE}?status=all">Clear</a>' in text


def test_the_links_of_a_filtered_list_keep_the_filter(client: TestClient, odd: Run) -> None:
    text = html.unescape(client.get(f"{BASE}?user=ada&text=%26").text)
    assert f'href="{BASE}?status=completed&user=ada&text=%26"' in text


def test_the_page_of_a_run_tells_all_that_is_remembered_of_it(
    client: TestClient, platform: Platform, remember: Callable[..., Run]
) -> None:
    run = remember(
        lasted=0,
        project_id=platform.projects.all()[1].id,
        tier_id="medium-k8s",
        started_by="grace",
        capacity_type="spot",
        restarted_from="0" * 24,
        usage={"cpu": 120.5, "memory": 1.25},
        exit_code=137,
        failure_reason="OutOfMemory",
        failure_message="<too much>",
        repositories=[{"name": "code", "startingCommitId": "a" * 40, "startingBranch": "main"}],
        results={"commitId": "b" * 40, "mainCommitId": "c" * 40, "overwritten": ["x.txt"], "otherCommitId": "d" * 40},
    )
    text = html.unescape(client.get(f"/jobs/domino/other/{run.id}").text)
    for told in (
        "on a spot machine",
        "revision 1",
        f'<a href="/jobs/domino/other/{"0" * 24}">',
        "120.5 % of one processor, 1.25 GiB of 15",
        "OutOfMemory: <too much>",
        f"code: commit {'a' * 40}, branch main",
        f"'x.txt' changed on the main line too while the run executed: the main line now has this run's version, and "
        f"commit {'d' * 40} the other one",
    ):
        assert told in text


def test_a_page_is_loaded_anew_only_where_that_is_wished(client: TestClient, odd: Run) -> None:
    plain = client.get(BASE).text
    assert "http-equiv" not in plain
    assert "refresh=10" in plain
    watched = client.get(f"{BASE}?refresh=10").text
    assert '<meta http-equiv="refresh" content="10">' in watched
    assert "stop loading anew" in watched
    assert client.get(f"{BASE}?refresh=-1").status_code == 400


def test_the_pages_of_ten_thousand_runs_are_still_small(
    client: TestClient, platform: Platform, remember: Callable[..., Run], odd: Run
) -> None:
    # In one transaction of the database, since its making is not what is tried.
    with platform.database.transaction() as connection:
        connection.execute(
            "WITH RECURSIVE counted (n) AS (SELECT 3 UNION ALL SELECT n + 1 FROM counted WHERE n < :many) "
            "INSERT INTO runs SELECT printf('%024x', n), project_id, n, status, tier_id, title, command, started_by, "
            "is_archived, submitted_at + n * 100, started_at + n * 100, completed_at + n * 100, "
            "json_set(document, '$.id', printf('%024x', n), '$.number', n) FROM runs, counted "
            "WHERE number = 1 AND tier_id = 'small-k8s'",
            {"many": MANY},
        )
    listed = client.get(f"{BASE}?page=200").text
    assert f"{MANY} jobs, page 200 of 200" in listed
    assert rows(listed) == 50
    for path in ("/", BASE, f"{BASE}?text=train&user=domino"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert len(answer.content) < 100_000, path
