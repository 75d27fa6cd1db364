"""What the page says about runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest

HOSTILE = "<script>alert('x')</script>"


class Elements(HTMLParser):
    """The start tags of a page with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
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

    def links(self) -> list[str]:
        return [attributes.get("href") or "" for tag, attributes in self.tags if tag == "a"]


@pytest.fixture
def read(ann, permissions, store):
    """Reads the page as somebody who may read every DAG used here."""
    permissions.dag_ids = {"ensemble", "hello_world", HOSTILE}

    def read_page(path="/", **query) -> Elements:
        answer = ann.get(path, params=query)
        assert answer.status_code == 200
        return Elements(answer.text)

    return read_page


def test_a_finished_run_is_shown_with_all_that_is_known(read, store):
    store.add_finished(number=42, tier="X-Large", queued_seconds=3, run_seconds=200, cost_cents=130)

    page = read()

    for word in ("train", "ensemble", "success", "#42", "Succeeded", "X-Large", "3.0s", "3m 20s", "$1.30"):
        assert word in page.text
    assert "/dags/ensemble/runs/manual__1/tasks/train" in page.links()
    assert "https://domino.example.com/u/ann/churn/jobs/65f0c0ffee00000000000042" in page.links()


def test_a_run_that_goes_on_is_shown_before_its_end_with_the_time_since_its_start(read, store):
    started = datetime.now(UTC) - timedelta(minutes=5, seconds=2)
    store.add(
        state="deferred",
        started_at=started,
        run_id="65f0c0ffee00000000abcdef",
        domino_run_link="http://localhost:9/jobs/1",
    )

    page = read()

    assert "deferred" in page.text
    assert "…abcdef" in page.text
    assert "task: 5m" in page.text
    assert ("div", {"class": "tile live", "data-live-count": "1"}) in page.tags


def test_a_run_whose_operator_stored_facts_early_is_shown_with_them_whatever_became_of_the_task(read, store):
    store.add(
        state="failed",
        run_id="65f0c0ffee00000000abcdef",
        domino_run_link="http://localhost:9/jobs/1",
        domino_run={"number": 9, "status": "Failed", "tier": "GPU", "cost_cents": 250},
    )

    page = read()

    for word in ("failed", "#9", "Failed", "GPU", "$2.50"):
        assert word in page.text


def test_what_the_operator_noted_at_the_launch_is_shown_while_the_run_goes_on(read, store):
    record = {"generation": 0, "launch": 0, "run_id": "a" * 24, "run": {"project": "ann/churn", "tier": "X-Large"}}
    store.add(state="deferred", launch_record=record, run_id="a" * 24, domino_run_link="http://localhost:9/jobs/1")

    assert "X-Large" in read("/runs").text


def test_without_a_task_state_store_the_page_shows_what_it_knows(ann, permissions, store, monkeypatch):
    monkeypatch.setattr("airflow_domino.plugin.runs.TaskStateStoreModel", None)
    permissions.dag_ids = {"ensemble"}
    store.add_finished(number=42)

    assert ann.get("/api/runs").json()["runs"][0]["number"] == 42


def test_a_failed_run_of_which_only_the_id_is_known_is_counted(read, store):
    store.add(state="failed", run_id="65f0c0ffee00000000abcdef", domino_run_link="http://localhost:9/jobs/1")

    page = read()

    assert "status not known" in page.text
    assert ("div", {"class": "tile failed", "data-count": "1"}) in page.tags


@pytest.mark.parametrize("state", [None, "removed", "a_state_of_the_future"])
def test_a_state_that_is_new_to_the_page_is_shown_as_it_is(read, store, state):
    store.add(state=state, run_id="65f0c0ffee00000000abcdef", domino_run_link="http://localhost:9/jobs/1")

    assert (state or "no status").replace("_", " ") in read().text


def test_what_tasks_have_stored_is_text_and_never_markup(read, store):
    store.add_finished(HOSTILE, HOSTILE, tier=HOSTILE, status=HOSTILE, url=f"https://x/{HOSTILE}")

    page = read()

    assert [attributes.get("src", "")[:7] for tag, attributes in page.tags if tag == "script"] == ["static/"] * 2
    assert HOSTILE in page.text
    assert all("<" not in link for link in page.links() if link.startswith("/dags"))


@pytest.mark.parametrize("address", ["javascript:alert(1)", "data:text/html,x", "//elsewhere", "", "http://[", 7, None])
def test_an_address_that_is_none_becomes_no_link(read, store, address):
    store.add(run_id="65f0c0ffee00000000abcdef", domino_run_link=address)

    links = read("/runs").links()

    assert links == ["/dags/ensemble/runs/manual__1/tasks/train"]


def test_a_mapped_task_is_linked_by_its_index(read, store):
    store.add("ensemble", "train", map_index=3, run_id="a" * 24, domino_run_link="http://localhost:9/jobs/1")

    page = read("/runs")

    assert "/dags/ensemble/runs/manual__1/tasks/train/mapped/3" in page.links()
    assert "[3]" in page.text


def test_ids_are_quoted_in_addresses_inside_airflow(read, store):
    store.add(
        airflow_run_id="scheduled__2026-03-01T00:00:00+00:00", run_id="a" * 24, domino_run_link="http://localhost:9/1"
    )

    assert "/dags/ensemble/runs/scheduled__2026-03-01T00%3A00%3A00%2B00%3A00/tasks/train" in read("/runs").links()


def test_the_page_leads_below_the_path_that_airflow_is_served_under(read, store, monkeypatch):
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://company.example.com/airflow/")
    store.add_finished()

    assert "/airflow/dags/ensemble/runs/manual__1/tasks/train" in read("/runs").links()


def test_costs_are_added_up_per_tier_the_most_expensive_first(ann, permissions, store):
    permissions.dag_ids = {"ensemble"}
    store.add_finished(task_id="a", number=1, tier="Small", cost_cents=1, run_seconds=10)
    store.add_finished(task_id="b", number=2, tier="GPU", cost_cents=100, run_seconds=20)
    store.add_finished(task_id="c", number=3, tier="GPU", cost_cents=50, run_seconds=None)
    store.add_finished(task_id="d", number=4, tier="GPU", cost_cents=None)

    assert ann.get("/api/runs").json()["tiers"] == [
        {"tier": "GPU", "runs": 3, "run_seconds": 81.0, "cost_cents": 150.0, "without_cost": 1},
        {"tier": "Small", "runs": 1, "run_seconds": 10.0, "cost_cents": 1.0, "without_cost": 0},
    ]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({}, {"a", "b", "c", "d"}),
        ({"state": ""}, {"a", "b", "c", "d"}),
        ({"state": "live"}, {"b"}),
        ({"state": "failed"}, {"c"}),
        ({"state": "success"}, {"a", "d"}),
        ({"dag_id": "hello_world"}, {"d"}),
        ({"dag_id": "hello_world", "state": "failed"}, set()),
        ({"limit": "1"}, {"d"}),
    ],
)
def test_the_list_can_be_narrowed(ann, permissions, store, chosen, expected):
    permissions.dag_ids = {"ensemble", "hello_world"}
    link = {"run_id": "a" * 24, "domino_run_link": "http://localhost:9/1"}
    for minute, (task_id, state) in enumerate([("a", "success"), ("b", "deferred"), ("c", "failed")]):
        store.add("ensemble", task_id, state=state, started_at=datetime(2026, 3, 1, 12, minute, tzinfo=UTC), **link)
    store.add("hello_world", "d", started_at=datetime(2026, 3, 1, 13, tzinfo=UTC), **link)

    answer = ann.get("/api/runs", params=chosen)

    assert {run["task_id"] for run in answer.json()["runs"]} == expected


@pytest.mark.parametrize("query", [{"state": "nonsense"}, {"limit": "0"}, {"limit": "1001"}, {"limit": "many"}])
def test_a_choice_that_does_not_exist_is_refused_by_name(ann, permissions, query):
    answer = ann.get("/runs", params=query)

    assert answer.status_code == 422
    assert next(iter(query)) in answer.text


def test_a_full_list_says_that_it_is_cut(read, store):
    for number in range(3):
        store.add_finished(task_id=f"task_{number}", number=number)

    assert "Only the latest 2 runs" in read("/runs", limit=2).text
    assert "Only the latest" not in read("/runs", limit=4).text


def test_without_runs_the_page_tells_how_they_come_about(read):
    assert "DominoRunOperator" in read().text


def test_a_choice_that_fits_nothing_leads_back_to_all(read):
    page = read(state="failed")

    assert "No run fits this choice" in page.text
    assert "?" in page.links()


def test_the_choice_offers_the_dags_that_have_runs(read, store):
    store.add_finished("ensemble")
    store.add("hello_world", "no_domino", return_value=1)

    offered = [attributes["value"] for tag, attributes in read().tags if tag == "option"]

    assert "ensemble" in offered
    assert "hello_world" not in offered


def test_tasks_that_started_no_run_are_not_listed(ann, permissions, store):
    permissions.dag_ids = {"ensemble"}
    store.add(task_id="plain", return_value={"run_id": "x", "status": "y"})
    store.add(task_id="refused_before_launch", state="failed", domino_run_link="")

    assert ann.get("/api/runs").json()["runs"] == []


@pytest.mark.parametrize(
    "result",
    [
        "s3://bucket/where/a/custom/backend/keeps/it",
        ["a", "list"],
        {"number": "seven", "status": 3, "tier": None, "cost_cents": "much", "run_seconds": -1, "queued_seconds": True},
        {"cost_cents": float("inf")},
        '{"broken',
        None,
    ],
)
def test_results_of_another_shape_break_nothing(ann, permissions, store, result):
    permissions.dag_ids = {"ensemble"}
    store.add(return_value=result, run_id="123456789012345678901234", domino_run_link="http://localhost:9/1")

    (run,) = ann.get("/api/runs").json()["runs"]

    assert run["run_id"] == "123456789012345678901234"
    assert (run["number"], run["status"], run["tier"], run["cost_cents"]) == (None, None, None, None)


def test_a_result_stored_as_json_text_is_read(ann, permissions, store):
    permissions.dag_ids = {"ensemble"}
    store.add(return_value='{"number": 5}', run_id='"abc"', domino_run_link='"http://localhost:9/1"')

    (run,) = ann.get("/api/runs").json()["runs"]

    assert (run["number"], run["run_id"], run["url"]) == (5, "abc", "http://localhost:9/1")


def test_the_number_of_look_ups_does_not_grow_with_the_runs(ann, permissions, store, count_statements):
    permissions.dag_ids = {"ensemble"}
    for number in range(30):
        store.add_finished(task_id=f"task_{number}", number=number)
    before = count_statements()

    assert len(ann.get("/api/runs").json()["runs"]) == 30

    assert count_statements() - before == 2


def test_the_page_asks_nothing_of_the_outside(read, store):
    store.add_finished()

    loaded = [a.get("src") or a.get("href") for tag, a in read().tags if tag in {"script", "link", "img", "iframe"}]

    assert loaded
    assert all(address.startswith("static/") for address in loaded)
