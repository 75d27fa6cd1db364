"""The graph of Luigi tasks as it is kept in an XCom."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib

import pytest

from airflow_domino.luigi import graph_record
from airflow_domino.luigi.graph_record import MOST_BYTES, pack, unpack


def graph_of(count: int, state: str = "done") -> dict:
    """Tasks that compress as badly as real ones: each has values and targets of its own."""

    def task(number: int) -> dict:
        digest = hashlib.sha256(str(number).encode()).hexdigest()
        return {
            "id": f"Part_{number}_{digest[:10]}",
            "family": "Part",
            "state": "failed" if number == count - 1 else state,
            "params": {"key": digest},
            "targets": [{"kind": "LocalTarget", "path": f"/data/{digest}"}],
            "requires": [number + 1] if number + 1 < count else [],
        }

    return {"root": "Part_0", "tasks": [task(number) for number in range(count)], "more": 0, "folders": {"/d": [1, 2]}}


@pytest.mark.parametrize("count", [1, 3, 500])
def test_a_graph_comes_back_as_it_was(count):
    graph = graph_of(count)

    record = json.loads(json.dumps(pack(graph, "run")))

    assert unpack(record) == graph
    assert record["asked"] == "run"


def test_a_short_one_can_be_read_in_airflow():
    assert pack(graph_of(1), "run")["graph"]["tasks"][0]["family"] == "Part"


def test_states_are_counted_outside():
    assert pack(graph_of(500), "run")["counts"] == {"done": 499, "failed": 1}


@pytest.mark.parametrize("state", ["done", "pending"])
def test_a_large_one_stays_small_and_keeps_the_tasks_and_their_states(state):
    record = pack(graph_of(5_000, state), "run")

    kept = unpack(record)
    assert len(json.dumps(record)) < MOST_BYTES + 1_000
    assert len(kept["tasks"]) == 5_000
    assert [one["state"] for one in kept["tasks"]] == [state] * 4_999 + ["failed"]


def test_of_a_large_one_what_failed_keeps_its_values_longest():
    kept = unpack(pack(graph_of(5_000), "run"))["tasks"]

    assert "params" in kept[-1]
    assert "params" not in kept[0]


def test_of_a_huge_one_the_tasks_that_were_asked_for_are_kept_and_the_others_counted(monkeypatch):
    monkeypatch.setattr(graph_record, "MOST_BYTES", 10_000)

    kept = unpack(pack(graph_of(2_000), "run"))

    count = len(kept["tasks"])
    assert 200 < count < 2_000
    assert kept["more"] == 2_000 - count
    assert kept["tasks"][0]["id"].startswith("Part_0_")
    assert all(place < count for one in kept["tasks"] for place in one.get("requires", ()))


BOMB = base64.b64encode(zlib.compress(b"[" * 40_000_000)).decode()


@pytest.mark.parametrize(
    "record",
    [
        None,
        "s3://bucket/where/a/custom/backend/keeps/it",
        [],
        {},
        {"version": 2, "graph": {"tasks": []}},
        {"version": 1},
        {"version": 1, "graph": {"tasks": "none"}},
        {"version": 1, "packed": "no base64!"},
        {"version": 1, "packed": base64.b64encode(b"not compressed").decode()},
        {"version": 1, "packed": base64.b64encode(zlib.compress(b"{}")[:-3]).decode()},
        {"version": 1, "packed": BOMB},
    ],
    ids=lambda record: str(record)[:40],
)
def test_what_is_no_record_is_none(record):
    assert unpack(record) is None
