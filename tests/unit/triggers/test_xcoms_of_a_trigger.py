"""XComs of a task that its trigger ends: as they were meant, or else pushed by a worker."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_domino.triggers._xcoms import ended_well, is_addressable, push_xcoms, read_xcom

TASK_INSTANCE = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=None)
XCOMS = {"run_id": "5f", "return_value": {"run_id": "5f"}}


def test_they_are_pushed_as_they_are_and_not_with_the_event(supervisor: Any) -> None:
    event = asyncio.run(ended_well(TASK_INSTANCE, XCOMS))
    assert event is not None
    assert supervisor.pushed == XCOMS
    assert not event.xcoms


@pytest.mark.parametrize("refused", [True, "return_value"], ids=["all", "half_way"])
def test_where_airflow_does_not_take_them_the_trigger_does_not_end_the_task(supervisor: Any, refused: Any) -> None:
    supervisor.refuses = refused
    assert asyncio.run(ended_well(TASK_INSTANCE, XCOMS)) is None


def test_they_are_pushed_in_a_form_that_can_be_stored(supervisor: Any) -> None:
    asyncio.run(ended_well(TASK_INSTANCE, {"return_value": {"label": "a\0b", "__type": float("nan")}}))
    assert supervisor.pushed == {"return_value": {"label": "a\ufffdb", "___type": "NaN"}}


@pytest.mark.parametrize("name", ["dag_id", "run_id", "task_id"])
@pytest.mark.parametrize("value", ["žlu", "неделя", "ü", "Ã¼", "a/b", "a?b", "a%41", "a#b"])
def test_airflow_is_not_asked_about_ids_that_it_would_garble(supervisor: Any, name: str, value: str) -> None:
    task_instance = SimpleNamespace(**{**vars(TASK_INSTANCE), name: value})
    assert not asyncio.run(push_xcoms(task_instance, XCOMS))
    assert asyncio.run(read_xcom(task_instance, "run_id")) is None
    assert supervisor.asked == []


@pytest.mark.parametrize(
    "one", ["group.task", "manual__2026-01-01T00:00:00.5+00:00_aB3-x", "backfill__2026-01-01T00:00:00+00:00", "a~b"]
)
def test_the_ids_that_airflow_allows_by_itself_are_fine(one: str) -> None:
    assert is_addressable(one)


@pytest.mark.parametrize("one", ["žlu", "ü", "Ã¼", "a/b", "a?b", "a%41", "a#b", "ok.ids-1"])
def test_airflows_client_within_the_triggerer_finds_what_is_addressable(one: str) -> None:
    import httpx
    from a2wsgi import ASGIMiddleware

    async def echo(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})

    client = httpx.Client(transport=httpx.WSGITransport(app=ASGIMiddleware(echo)), base_url="http://in-process/")
    try:
        seen = client.get(f"xcoms/{one}/r/t/k").text
    except UnicodeError:
        seen = ""
    assert (seen == f"/xcoms/{one}/r/t/k" and "/" not in one) == is_addressable(one)
