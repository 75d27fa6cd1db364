"""Bad answers can be ordered, and the ledger tells what the server really accepted."""

from __future__ import annotations

import pytest
import requests


def starts(domino) -> list[str]:
    return [entry["title"] for entry in domino.ledger() if entry["event"] == "start"]


def start(domino, title: str) -> requests.Response:
    body = {"projectId": domino.project_id, "commandToRun": "true", "title": title}
    return domino.request("POST", "/v4/jobs/start", json=body)


def test_an_ordered_status_comes_as_often_as_ordered_and_with_its_headers(local_domino):
    local_domino.order_fault("status", path="/v4/users", status=429, times=2, headers={"Retry-After": "7"})
    answers = [local_domino.request("GET", "/v4/users/self") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert answers[0].headers["Retry-After"] == "7"
    assert "message" in answers[0].json()


def test_a_fault_meets_only_its_method_and_path(local_domino):
    local_domino.order_fault("status", method="POST", path="^/v4/jobs/start$", status=500)
    assert local_domino.request("GET", "/v4/users/self").ok
    assert start(local_domino, "unlucky").status_code == 500
    assert "unlucky" not in starts(local_domino)


def test_a_login_page_comes_as_200_and_html(local_domino):
    local_domino.order_fault("html", path="/v4/users/self")
    answer = local_domino.request("GET", "/v4/users/self")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize(("moment", "is_started"), [("before", False), ("after", True)])
def test_a_dropped_connection_loses_the_request_or_only_its_answer(local_domino, moment, is_started):
    title = f"dropped {moment}"
    local_domino.order_fault("drop", path="/v4/jobs/start", moment=moment)
    with pytest.raises(requests.ConnectionError):
        start(local_domino, title)
    assert (title in starts(local_domino)) is is_started
    assert local_domino.request("GET", "/v4/users/self").ok


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_delayed_answer_still_comes(local_domino, moment):
    local_domino.order_fault("delay", path="/v4/jobs/start", seconds=0.3, moment=moment)
    title = f"delayed {moment}"
    assert start(local_domino, title).ok
    assert starts(local_domino).count(title) == 1


def test_a_timeout_of_the_client_does_not_undo_a_start(local_domino):
    local_domino.order_fault("delay", path="/v4/jobs/start", seconds=2, moment="after")
    body = {"projectId": local_domino.project_id, "commandToRun": "true", "title": "too slow"}
    headers = {"X-Domino-Api-Key": local_domino.token}
    with pytest.raises(requests.Timeout):
        requests.post(f"{local_domino.url}/v4/jobs/start", json=body, headers=headers, timeout=0.5)
    assert "too slow" in starts(local_domino)


def test_orders_can_be_listed_and_taken_back(local_domino):
    local_domino.order_fault("status", path="/never", status=500)
    assert [fault["path"] for fault in local_domino.get("/_local/faults")["faults"]] == ["/never"]
    assert local_domino.request("DELETE", "/_local/faults").json() == {"faults": []}


@pytest.mark.parametrize(
    "order", [{"action": "explode"}, {"action": "status", "path": "("}, {"action": "status", "x": 1}]
)
def test_an_order_that_makes_no_sense_is_refused(local_domino, order):
    assert local_domino.request("POST", "/_local/faults", json=order).status_code == 400


def test_the_ledger_can_be_read_from_a_point_on(local_domino):
    last = local_domino.ledger()[-1]["sequence"]
    start(local_domino, "newest")
    entries = local_domino.get("/_local/ledger", after=last)["entries"]
    assert entries[0]["title"] == "newest"
    assert all(entry["sequence"] > last for entry in entries)
