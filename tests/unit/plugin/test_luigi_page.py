"""The page of a DAG run's Luigi tasks, and the list of DAG runs that have some."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import insert, update

from airflow_domino.luigi.graph_record import pack
from airflow_domino.plugin import luigi_targets, routes_luigi

HOSTILE = "\"><script>alert('x')</script><b>"
BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Page(HTMLParser):
    """Tags with their attributes, and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words += data.split()

    @property
    def text(self) -> str:
        return " ".join(self.words)

    def boxes(self) -> dict[str, str]:
        """What each box of the drawing says, by the address that it leads to."""
        return {str(a["href"]): str(a["aria-label"]) for tag, a in self.tags if tag == "a" and "box" in _classes(a)}

    def links(self) -> list[str]:
        return [str(a.get("href")) for tag, a in self.tags if tag == "a"]


def _classes(attributes: dict[str, str | None]) -> list[str]:
    return (attributes.get("class") or "").split()


def row(family: str, state: str = "done", **more: Any) -> dict[str, Any]:
    return {"id": f"{family}_1", "module": "sales", "family": family, "state": state, **more}


@pytest.fixture
def luigi_run(store, permissions) -> Callable[..., None]:
    """Adds a DAG run with Luigi tasks, as their operators leave them."""
    from airflow.models.taskinstance import TaskInstance

    permissions.dag_ids |= {"sales"}
    made: list[str] = []

    def add(
        *rows: dict[str, Any],
        dag_id: str = "sales",
        run_id: str = "manual__1",
        task_id: str = "whole",
        operator: str = "LuigiTaskOperator",
        asked: str = "run",
        state: str | None = "success",
        **xcoms: Any,
    ) -> None:
        if rows:
            xcoms["luigi_graph"] = pack({"root": rows[0]["id"], "tasks": list(rows), "more": 0}, asked)
        store.add(dag_id, task_id, airflow_run_id=run_id, state=state, **xcoms)
        with store.sessions.begin() as session:
            named = (TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id, TaskInstance.task_id == task_id)
            session.execute(update(TaskInstance).where(*named).values(operator=operator))
        if f"{dag_id} {run_id}" in made:
            return
        made.append(f"{dag_id} {run_id}")
        when = BEGAN + timedelta(minutes=len(made))
        facts = {"state": "success", "run_type": "manual", "run_after": when, "start_date": when}
        store.add_dag_run(dag_id, run_id, id=store._dag_runs[dag_id, run_id], **facts)

    return add


@pytest.fixture
def read(ann):
    def read_page(path: str = "/luigi", dag_id: str = "sales", run_id: str = "manual__1", **query: Any) -> Page:
        answer = ann.get(path, params={"dag_id": dag_id, "run_id": run_id, **query})
        assert answer.status_code == 200
        return Page(answer.text)

    return read_page


# ---- one DAG run -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/luigi", "/luigi/graph"])
def test_each_task_is_shown_with_its_state_values_and_where_it_ran(read, luigi_run, path):
    luigi_run(
        row("Whole", "failed", requires=[1], message="ValueError: no luck", seconds=3.5),
        row("Part", params={"day": "2026-01-01"}),
        state="failed",
    )

    page = read(path)

    assert list(page.boxes().values()) == ["Part: made now; day=2026-01-01", "Whole: failed"]
    for words in ("ValueError: no luck", "3.5s", "day=2026-01-01", "made now"):
        assert words in page.text
    assert "/dags/sales/runs/manual__1/tasks/whole" in page.links()


def test_a_drawn_pipeline_leads_to_the_airflow_task_and_the_domino_run_of_each(read, luigi_run):
    found = [row("Whole", "pending", requires=[1], airflow_task="Whole"), row("Part", "complete", airflow_task="Part")]
    luigi_run(*found, task_id="plan", operator="LuigiPlanOperator", asked="survey", luigi_plan={"complete": ["Part"]})
    luigi_run(task_id="Whole", domino_run_link="https://domino.example.com/jobs/7", state="deferred")
    luigi_run(task_id="Part", state="skipped")

    page = read()

    assert list(page.boxes().values()) == ["Part: complete before", "Whole: running"]
    assert "/dags/sales/runs/manual__1/tasks/Whole" in page.links()
    assert "https://domino.example.com/jobs/7" in page.links()


def test_a_pipeline_that_could_not_be_asked_says_so(read, luigi_run):
    luigi_run(task_id="plan", operator="LuigiPlanOperator", state="failed")
    luigi_run(task_id="Whole", state="upstream_failed")

    page = read()

    assert "could not be asked what is complete: plan failed" in page.text
    assert list(page.boxes().values()) == ["Whole: held up"]


def test_before_its_first_task_has_run_a_pipeline_is_drawn_by_the_edges_of_its_dag(read, luigi_run, sessions):
    from uuid import uuid4

    from airflow.models.dagrun import DagRun
    from airflow.models.serialized_dag import SerializedDagModel

    luigi_run(task_id="plan", operator="LuigiPlanOperator", state=None)
    luigi_run(task_id="Whole", state=None)
    luigi_run(task_id="Part", state=None)
    tasks = [{"__var": {"task_id": "Part", "downstream_task_ids": ["Whole"]}}, {"__var": {"task_id": "Whole"}}, "x"]
    version = uuid4()
    with sessions.begin() as session:
        kept = {"id": uuid4(), "dag_id": "sales", "dag_hash": "x", "dag_version_id": version}
        times = {"created_at": BEGAN, "last_updated": BEGAN}
        session.execute(insert(SerializedDagModel.__table__).values(**kept, **times, data={"dag": {"tasks": tasks}}))
        session.execute(update(DagRun).values(created_dag_version_id=version))

    page = read()

    assert list(page.boxes().values()) == ["Part: waiting", "Whole: waiting"]
    assert page.html.count("marker-end") == 1


def test_a_chosen_task_is_shown_with_everything_that_is_known_of_it(read, luigi_run):
    luigi_run(
        row("Whole", requires=[1]),
        row("Part", params={"day": "2026-01-01"}, targets=[{"path": "/data/part.csv", "kind": "LocalTarget"}]),
        row("Other", url="https://domino.example.com/jobs/3", tier="GPU"),
    )

    page = read(task="sales:Part_1")
    words = page.text.partition("Part_1")

    assert "Luigi id" in words[0]
    assert "Targets, now" in words[2]
    assert "/data/part.csv" in words[2]
    assert "Required by Whole" in words[2]
    assert "https://domino.example.com/jobs/3" in read(task="sales:Other_1").links()


def test_a_task_that_does_not_exist_any_more_closes_its_details(read, luigi_run):
    luigi_run(row("Whole"))

    assert "Luigi id" not in read(task="sales:Gone_1").text


def test_a_choice_keeps_what_else_was_chosen(read, luigi_run):
    luigi_run(row("Whole"), row("Part", "failed"))

    page = read(state="failed", tab="1")

    queries = [parse_qs(urlsplit(link).query) for link in page.boxes()]
    assert all(query["state"] == ["failed"] and query["tab"] == ["1"] for query in queries)
    assert [query["task"] for query in queries] == [["sales:Whole_1"], ["sales:Part_1"]]


@pytest.mark.parametrize(
    ("query", "listed"),
    [
        ({}, {"Whole", "Part", "Other"}),
        ({"state": "failed"}, {"Part"}),
        ({"family": "Whole"}, {"Whole"}),
        ({"q": "PART"}, {"Part"}),
        ({"q": "2026"}, {"Other"}),
        ({"q": "nothing"}, set()),
        ({"start": 50}, set()),
    ],
)
def test_the_list_can_be_narrowed(read, luigi_run, query, listed):
    luigi_run(row("Whole"), row("Part", "failed"), row("Other", params={"day": "2026-01-01"}))

    keys = [str(a.get("data-key")) for tag, a in read(**query).tags if tag == "a"]
    assert {key[len("row sales:") : -len("_1")] for key in keys if re.fullmatch(r"row sales:\w+_1", key)} == listed


def test_a_running_task_tells_how_far_it_is(read, luigi_run):
    luigi_run(row("Whole", "running", progress=42), state="running")

    assert "running 42 %" in read().text


@pytest.mark.parametrize("query", [{"state": "nonsense"}, {"start": -1}, {"start": "x"}, {"unfold": ["x"] * 21}])
def test_a_choice_that_does_not_exist_is_refused_by_name(ann, luigi_run, query):
    luigi_run(row("Whole"))

    answer = ann.get("/luigi", params={"dag_id": "sales", "run_id": "manual__1", **query})

    assert answer.status_code == 422
    assert next(iter(query)) in answer.text


def test_five_thousand_tasks_are_drawn_by_family_and_listed_in_parts(ann, read, luigi_run, count_statements):
    rows = [row("Whole", requires=list(range(1, 5_000)))]
    rows += [{**row("Part", "failed" if n == 7 else "done"), "id": f"Part_{n}"} for n in range(4_999)]
    luigi_run(*rows)
    before = count_statements()

    page = read()

    assert count_statements() - before <= 5
    assert sorted(page.boxes().values()) == [
        "4,998 more of Part: 4,998 made now",
        "Part: failed",
        "Whole: made now",
    ]
    assert "1 to 50 of 5,000" in page.text
    assert len(page.html) < 200_000
    unfolded = read(unfold="Part")
    assert 50 < len(unfolded.boxes()) < 100


def test_a_dag_run_without_luigi_tasks_says_what_would_be_there(read, luigi_run):
    luigi_run(operator="BashOperator")

    assert "No Luigi tasks here" in read().text


# ---- targets, now ----------------------------------------------------------------------------------------------------


def test_a_target_that_vanished_after_the_run_is_shown_as_missing_now(read, luigi_run, tmp_path):
    targets = [{"path": str(tmp_path / name), "kind": "LocalTarget"} for name in ("kept.csv", "lost.csv")]
    (tmp_path / "kept.csv").touch()
    folder = tmp_path.stat()
    graph = {"root": "Whole_1", "tasks": [row("Whole", targets=targets)], "more": 0}
    graph["folders"] = {str(tmp_path): [folder.st_ino, int(folder.st_mtime)]}
    luigi_run(luigi_graph=json.loads(json.dumps(pack(graph, "run"))))

    page = read()

    assert list(page.boxes().values()) == ["Whole: made now, but its target is missing now"]
    assert f"exists {tmp_path}/kept.csv missing {tmp_path}/lost.csv" in page.text


def test_a_target_that_cannot_be_seen_from_here_is_not_called_missing(read, luigi_run):
    luigi_run(row("Whole", targets=[{"path": "/data/report.csv", "kind": "LocalTarget"}, {"kind": "MockTarget"}]))

    page = read(task="sales:Whole_1")

    assert "not visible from here /data/report.csv not visible from here MockTarget" in page.text
    assert "does not share" in page.text
    assert list(page.boxes().values()) == ["Whole: made now"]


def test_targets_that_nobody_has_answered_for_yet_hold_nothing_up(read, luigi_run, monkeypatch):
    asked: list[luigi_targets.Place] = []

    class Slow:
        def answers(self, places):
            asked.extend(places)
            return {place: luigi_targets.Answer("asked") for place in places}

    monkeypatch.setattr(routes_luigi, "eyes", Slow())
    luigi_run(row("Whole", targets=[{"path": "/data/report.csv", "kind": "LocalTarget"}]))

    assert "being looked for /data/report.csv" in read().text
    assert {place.path for place in asked} == {"/data/report.csv"}


# ---- who may see it, and what it is made of --------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/luigi", "/luigi/graph"])
def test_luigi_tasks_of_a_dag_that_one_may_not_read_are_refused(ann, luigi_run, permissions, path):
    luigi_run(row("Steal"), dag_id="theirs")

    answer = ann.get(path, params={"dag_id": "theirs", "run_id": "manual__1"})

    assert answer.status_code == 403
    assert "Steal" not in answer.text


@pytest.mark.parametrize("path", ["/luigi", "/luigi/graph"])
def test_a_dag_run_cannot_be_read_by_naming_another_dag(ann, luigi_run, path):
    luigi_run(row("Steal"), dag_id="theirs")
    luigi_run(row("Whole"), run_id="manual__2")

    assert ann.get(path, params={"run_id": "manual__1"}).status_code == 403 or path == "/luigi"
    assert ann.get(path, params={"dag_id": "sales", "run_id": "manual__1"}).status_code == 404


def test_what_tasks_have_stored_is_text_and_never_markup(read, luigi_run):
    hostile = row(
        HOSTILE, "failed", params={HOSTILE: HOSTILE}, message=HOSTILE, tier=HOSTILE, url=f"https://x/{HOSTILE}"
    )
    hostile["targets"] = [{"path": f"/data/{HOSTILE}", "kind": HOSTILE}]
    luigi_run(hostile)

    page = read(task=f"sales:{HOSTILE}_1", family=HOSTILE, q=HOSTILE)

    assert [tag for tag, _ in page.tags].count("b") == 0
    assert all("src" in a for tag, a in page.tags if tag == "script")
    assert not any(name.startswith("on") or name == "style" for _, a in page.tags for name in a)


def test_a_tracking_url_of_another_kind_is_no_link(read, luigi_run):
    luigi_run(row("Whole", url="javascript:alert(1)", tier="GPU"))

    assert not any("javascript" in link for link in read(task="sales:Whole_1").links())


# ---- the list of DAG runs --------------------------------------------------------------------------------------------


def test_dag_runs_with_luigi_tasks_are_listed_the_latest_first(ann, luigi_run, permissions):
    luigi_run(row("Whole"), run_id="manual__1")
    luigi_run(row("Whole"), run_id="manual__2")
    luigi_run(operator="BashOperator", run_id="manual__3")
    luigi_run(row("Steal"), dag_id="theirs", run_id="secret")
    luigi_run(row("Whole"), dag_id="other", run_id="manual__5")
    permissions.dag_ids |= {"other"}

    def listed(**query: Any) -> list[str]:
        links = Page(ann.get("/luigi", params=query).text).links()
        return [parse_qs(urlsplit(link).query)["run_id"][0] for link in links if "run_id" in link]

    assert listed() == ["manual__5", "manual__2", "manual__1"]
    assert listed(dag_id="sales") == ["manual__2", "manual__1"]


def test_without_any_the_list_says_how_they_come_about(ann, permissions):
    assert "LuigiTaskOperator" in ann.get("/luigi").text
