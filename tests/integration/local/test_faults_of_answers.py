"""Answers can be ordered to be halved, reset, bad by chance, late as a whole server; and it is counted what was met."""

from __future__ import annotations

import socket
import threading
from urllib.parse import urlsplit

import pytest
import requests

from airflow_domino.testing import DominoTestError

PATH = "/v4/users/self"


def statuses(domino, count: int) -> list[int]:
    return [domino.request("GET", PATH).status_code for _ in range(count)]


def test_half_a_body_comes_with_the_length_of_the_whole(local_domino):
    whole = local_domino.request("GET", PATH)
    with (
        local_domino.fault("half", path=PATH),
        pytest.raises(requests.exceptions.ChunkedEncodingError, match="Incomplete"),
    ):
        local_domino.request("GET", PATH)
    with local_domino.fault("half", path=PATH):
        raw = asked_raw(local_domino, PATH)
    head, _, body = raw.partition(b"\r\n\r\n")
    assert f"content-length: {len(whole.content)}".encode() in head.lower()
    assert body == whole.content[: len(body)]
    assert 0 < len(body) < len(whole.content)


def asked_raw(domino, path: str) -> bytes:
    """Everything that comes until the connection is closed."""
    where = urlsplit(domino.url)
    with socket.create_connection((where.hostname, where.port), timeout=30) as connection:
        lines = [f"GET {path} HTTP/1.1", f"Host: {where.netloc}", f"X-Domino-Api-Key: {domino.token}", "", ""]
        connection.sendall("\r\n".join(lines).encode())
        pieces = []
        while piece := connection.recv(65536):
            pieces.append(piece)
    return b"".join(pieces)


def test_what_is_answered_by_half_was_carried_out(local_domino):
    with local_domino.fault("half", path="/v4/jobs/start"), pytest.raises(requests.RequestException):
        local_domino.start("true", title="by half")
    assert len(local_domino.starts("by half")) == 1


@pytest.mark.parametrize(("moment", "count"), [("before", 0), ("after", 1)])
def test_a_reset_connection_says_so(local_domino, moment, count):
    title = f"reset {moment}"
    with (
        local_domino.fault("reset", path="/v4/jobs/start", moment=moment),
        pytest.raises(requests.ConnectionError, match="reset by peer"),
    ):
        local_domino.start("true", title=title)
    assert len(local_domino.starts(title)) == count


def test_retry_after_is_a_header(local_domino):
    with local_domino.fault("status", path=PATH, status=429, retry_after=3):
        answer = local_domino.request("GET", PATH)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "3")


def test_a_fault_by_chance_is_the_same_chance_for_the_same_seed(local_domino):
    seen = []
    for _ in range(2):
        with local_domino.fault("status", path=PATH, status=500, times=None, probability=0.4, seed=7) as fault:
            seen.append(statuses(local_domino, 20))
            assert fault.met == seen[-1].count(500)
    assert seen[0] == seen[1]
    assert {200, 500} == set(seen[0])


def test_a_fault_may_let_some_pass_first_and_then_stay(local_domino):
    with local_domino.fault("status", path=PATH, status=503, skip=2, times=None):
        assert statuses(local_domino, 5) == [200, 200, 503, 503, 503]
    assert statuses(local_domino, 1) == [200]


def test_a_frozen_server_carries_out_afterwards_what_came_meanwhile_even_when_nobody_waits_for_it(local_domino):
    body = {"projectId": local_domino.project_id, "commandToRun": "true", "title": "while frozen"}
    last = local_domino.get("/_local/ledger/totals")["last"]
    with local_domino.frozen():
        with pytest.raises(requests.Timeout):
            local_domino.request("POST", "/v4/jobs/start", json=body, timeout=0.2)
        assert local_domino.get("/_local/freeze")["isFrozen"]
        assert local_domino.starts(after=last) == []
    assert len(local_domino.starts("while frozen", after=last, wait=10)) == 1
    assert local_domino.request("GET", PATH).ok


def test_a_freeze_of_some_seconds_ends_by_itself(local_domino):
    local_domino.post("/_local/freeze", seconds=0.2)
    assert statuses(local_domino, 1) == [200]
    assert not local_domino.get("/_local/freeze")["isFrozen"]


def test_a_frozen_server_does_not_hold_up_the_control_plane_or_one_request_another(local_domino):
    with local_domino.frozen():
        waiting = threading.Thread(target=local_domino.request, args=("GET", "/version"))
        waiting.start()
        assert "entries" in local_domino.get("/_local/ledger", limit=1)
    waiting.join(30)
    assert not waiting.is_alive()


def test_each_fault_that_is_met_is_in_the_ledger(local_domino):
    last = local_domino.get("/_local/ledger/totals")["last"]
    with local_domino.fault("status", path=PATH):
        statuses(local_domino, 2)
    (entry,) = local_domino.ledger(event="fault", after=last)
    assert (entry["action"], entry["method"], entry["path"]) == ("status", "GET", PATH)


def test_a_fault_that_nothing_has_met_fails_the_test_and_tells_what_came_instead(local_domino):
    with (
        pytest.raises(
            DominoTestError, match=r"Nothing has met the fault.*/v4/users/other(.|\n)*GET /v4/users/self -> 200"
        ),
        local_domino.fault("status", path="/v4/users/other"),
    ):
        statuses(local_domino, 1)


def test_an_optional_fault_need_not_be_met_and_an_error_inside_is_not_hidden(local_domino):
    with local_domino.fault("status", path="/never", optional=True) as fault:
        pass
    assert fault.met == 0
    with pytest.raises(ZeroDivisionError), local_domino.fault("status", path="/never"):
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ({"action": "lose", "path": "/v4"}, "has no path"),
        ({"action": "status", "run": "x"}, "has no run"),
        ({"action": "status", "word": "x"}, "has no word"),
        ({"action": "word", "word": ""}, "word"),
        ({"action": "status", "probability": 0}, "probability"),
        ({"action": "status", "times": 0}, "times"),
        ({"action": "lose", "run": "("}, "no regular expression"),
    ],
)
def test_an_order_that_does_not_fit_together_is_refused_with_the_reason(local_domino, order, reason):
    answer = local_domino.request("POST", "/_local/faults", json=order)
    assert answer.status_code == 400
    assert reason in answer.json()["message"]


def test_a_fault_that_is_not_on_order_cannot_be_taken_back(local_domino):
    assert local_domino.request("DELETE", "/_local/faults/999999").status_code == 404
