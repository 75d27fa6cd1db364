"""Telling luigid: few calls, the truth, and no harm to anybody when it is not there."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import parse_qs

import luigi
import pytest
from luigi.parameter import ParameterVisibility

from airflow_domino.luigi.engine import reporter as module
from airflow_domino.luigi.engine.journal import Journal
from airflow_domino.luigi.engine.luigid import Luigid, LuigidError
from airflow_domino.luigi.engine.masking import LONGEST_TEXT, keep_secret
from airflow_domino.luigi.engine.reporter import Reporter, reporting

WORKER = "Airflow(dag_id=train, run_id=manual__1)"


class Part(luigi.Task):
    n = luigi.IntParameter()
    note = luigi.Parameter(default="x", significant=False)
    hidden = luigi.Parameter(default="h", visibility=ParameterVisibility.HIDDEN)
    password = luigi.Parameter(default="secret!", visibility=ParameterVisibility.PRIVATE)


class FakeLuigid:
    """Notes what it is told, like luigid's `/api`."""

    def __init__(self, port: int = 0) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.headers: list[dict[str, str]] = []
        self.status = 200
        self.connections: list[Any] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None: ...

            def setup(self) -> None:
                super().setup()
                fake.connections.append(self.connection)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                fake.headers.append(dict(self.headers))
                fake.calls.append((self.path.rsplit("/", 1)[-1], json.loads(parse_qs(body)["data"][0])))
                self.send_response(fake.status)
                answer = b'{"response": null}'
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def told(self, method: str, task: luigi.Task | None = None) -> list[dict[str, Any]]:
        told = [data for name, data in self.calls if name == method]
        return told if task is None else [data for data in told if data["task_id"] == task.task_id]

    def statuses(self, task: luigi.Task) -> list[str]:
        return [data["status"] for data in self.told("add_task", task)]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def eventually(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)


@pytest.fixture
def luigid() -> Iterator[FakeLuigid]:
    fake = FakeLuigid()
    yield fake
    fake.close()


@pytest.fixture
def hurried(monkeypatch):
    monkeypatch.setattr(module, "_PAUSES", (0.01, 0.01, 0.01, 0.01, 0.05))


@pytest.fixture
def report(luigid) -> Iterator[Callable[..., Reporter]]:
    made = []

    def make(url: str | None = None, **more: Any) -> Reporter:
        reporter = Reporter(Luigid(url or luigid.url), WORKER, {"workers": 1}, **more)
        made.append(reporter)
        return reporter

    yield make
    for reporter in made:
        if reporter._thread.is_alive():
            reporter.close()


def pending(task: luigi.Task, *requires: luigi.Task) -> dict[str, Any]:
    ids = tuple(one.task_id for one in requires)
    return {"task_id": task.task_id, "event": "pending", "task": task, "requires": ids, "priority": 3}


def event(about: luigi.Task, word: str, **more: Any) -> dict[str, Any]:
    return {"task_id": about.task_id, "event": word, **more}


def test_each_change_of_a_task_is_told_by_one_worker(luigid, report):
    reporter, task = report(), Part(n=1)
    reporter.start()
    for entry in (pending(task), event(task, "running"), event(task, "done")):
        reporter.note(entry)
        eventually(lambda: luigid.statuses(task) and not reporter._news)
    reporter.close()
    assert luigid.statuses(task)[-1] == "DONE"
    assert luigid.calls[0] == ("add_worker", {"worker": WORKER, "info": [["workers", 1]]})
    assert {data["worker"] for data in luigid.told("add_task")} == {WORKER}


def test_luigid_is_told_family_module_requirements_and_only_public_parameters(luigid, report):
    reporter, above, below = report(), Part(n=1), Part(n=2)
    reporter.note(pending(above, below))
    reporter.note(pending(below))
    reporter.start()
    reporter.close()
    (told,) = luigid.told("add_task", above)
    assert (told["family"], told["module"], told["priority"], told["runnable"]) == ("Part", __name__, 3, False)
    assert told["params"] == {"n": "1", "note": "x"}
    assert told["deps"] == [below.task_id]
    assert "secret!" not in str(luigid.calls)


def test_what_happened_meanwhile_is_told_as_one_change(luigid, report):
    reporter, task = report(), Part(n=1)
    for entry in (pending(task), event(task, "running"), event(task, "progress", percentage=40), event(task, "done")):
        reporter.note(entry)
    reporter.start()
    reporter.close()
    assert luigid.statuses(task) == ["DONE"]


def test_what_a_task_says_about_itself_is_told(luigid, report):
    reporter, task = report(), Part(n=1)
    reporter.note(pending(task))
    reporter.note(event(task, "running"))
    reporter.note(event(task, "tracking_url", url="http://domino/run/7"))
    reporter.note(event(task, "status", message="reading"))
    reporter.note(event(task, "progress", percentage=39.6))
    reporter.start()
    eventually(lambda: luigid.told("set_task_progress_percentage"))
    assert luigid.told("add_task", task)[-1]["tracking_url"] == "http://domino/run/7"
    assert luigid.told("set_task_status_message") == [{"task_id": task.task_id, "status_message": "reading"}]
    assert luigid.told("set_task_progress_percentage") == [{"task_id": task.task_id, "progress_percentage": 40}]


def test_what_a_task_says_about_itself_holds_no_secret_and_is_short(luigid, report, tmp_path):
    keep_secret(["hunter-2/x"])
    reporter, task, journal = report(), Part(n=1), Journal(str(tmp_path / "journal"))
    journal.subscribe(reporter.note)
    journal.note(pending(task))
    journal.note(event(task, "running"))
    journal.note(event(task, "tracking_url", url="http://job?key=hunter-2%2Fx"))
    journal.note(event(task, "status", message="reading with hunter-2/x " + 10_000 * "."))
    journal.note(event(task, "failed", message="failed", explanation={"key": "hunter-2/x"}))
    reporter.start()
    eventually(lambda: luigid.statuses(task)[-1:] == ["FAILED"])
    reporter.close()
    assert "hunter" not in json.dumps(luigid.calls)
    assert luigid.told("add_task", task)[-1]["tracking_url"] == "http://job?key=***"
    (status,) = luigid.told("set_task_status_message")
    assert status["status_message"].startswith("reading with *** ...")
    assert len(status["status_message"]) < LONGEST_TEXT + 50


def test_a_task_that_names_no_page_is_followed_in_airflows_log(luigid, report):
    reporter, task = report(tracking_url="http://airflow/log"), Part(n=1)
    reporter.note(pending(task))
    reporter.note(event(task, "running"))
    reporter.note(event(task, "done"))
    reporter.start()
    reporter.close()
    assert luigid.told("add_task", task)[-1]["tracking_url"] == "http://airflow/log"


def test_a_failure_is_told_with_its_reason_and_a_second_attempt_begins_without_it(luigid, report):
    reporter, task = report(), Part(n=1)
    reporter.start()
    reporter.note(pending(task))
    reporter.note(event(task, "status", message="reading"))
    reporter.note(event(task, "failed", message="ValueError: no luck", seconds=1.0))
    eventually(lambda: luigid.statuses(task)[-1:] == ["FAILED"])
    assert json.loads(luigid.told("add_task", task)[-1]["expl"]) == "ValueError: no luck"
    reporter.note(event(task, "running"))
    eventually(lambda: [data["status_message"] for data in luigid.told("set_task_status_message")] == ["reading", None])
    assert luigid.statuses(task)[-1] == "RUNNING"


@pytest.mark.parametrize(
    ("word", "status"),
    [("complete", "DONE"), ("external_missing", "PENDING"), ("scheduling_failed", "UNKNOWN"), ("disabled", "DISABLED")],
)
def test_what_is_found_when_the_graph_is_looked_at_is_told_in_luigis_words(luigid, report, word, status):
    reporter, task = report(), Part(n=1)
    reporter.note(event(task, word, task=task, requires=(), message="why"))
    reporter.start()
    reporter.close()
    assert luigid.statuses(task) == [status]


def test_a_task_that_runs_when_the_process_ends_is_told_to_have_failed(luigid, report):
    reporter, task = report(), Part(n=1)
    reporter.note(pending(task))
    reporter.note(event(task, "running"))
    reporter.start()
    reporter.close()
    assert luigid.statuses(task)[-1] == "FAILED"


def test_of_a_huge_graph_the_first_tasks_are_told_and_those_that_fail(luigid, report, capsys):
    reporter, tasks = report(most_tasks=4), [Part(n=n) for n in range(10)]
    for task in tasks:
        reporter.note(pending(task))
    for task in tasks:
        reporter.note(event(task, "running"))
        reporter.note(event(task, "failed" if task.n == 9 else "done", message="no luck"))
    reporter.start()
    reporter.close()
    told = {data["params"]["n"] for data in luigid.told("add_task")}
    assert told == {"0", "1", "2", "3", "9"}
    assert capsys.readouterr().out.count("\n") == 1


def test_complete_tasks_leave_room_for_those_that_run(luigid, report):
    reporter, tasks = report(most_tasks=4), [Part(n=n) for n in range(10)]
    for task in tasks:
        reporter.note(event(task, "complete", task=task) if task.n < 8 else pending(task))
    reporter.start()
    reporter.close()
    assert {data["params"]["n"] for data in luigid.told("add_task")} == {"0", "1", "8", "9"}


def test_a_worker_that_has_nothing_to_say_is_heard_of_all_the_same(luigid, report, monkeypatch):
    monkeypatch.setattr(module, "_PING_SECONDS", 0.05)
    reporter = report()
    reporter.start()
    reporter.note(pending(Part(n=1)))
    eventually(lambda: len(luigid.told("ping")) > 2)


def test_a_luigid_that_was_started_anew_is_told_everything_again(luigid, report, hurried):
    reporter, first, second = report(), Part(n=1), Part(n=2)
    reporter.start()
    reporter.note(pending(first))
    eventually(lambda: luigid.statuses(first))
    luigid.close()
    reborn = FakeLuigid(luigid.port)
    try:
        reporter.note(pending(second))
        eventually(lambda: reborn.statuses(first) and reborn.statuses(second))
        assert reborn.calls[0][0] == "add_worker"
    finally:
        reborn.close()


def test_a_luigid_that_comes_back_after_a_while_is_told_again(luigid, report, hurried, capsys):
    reporter, task = report(), Part(n=1)
    luigid.close()
    reporter.start()
    reporter.note(pending(task))
    eventually(lambda: reporter._is_quiet)
    reborn = FakeLuigid(luigid.port)
    try:
        eventually(lambda: reborn.statuses(task))
        reporter.close()
    finally:
        reborn.close()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "cannot be told" in lines[0]
    assert "can be told again" in lines[1]


def test_a_luigid_that_is_not_there_costs_one_line(luigid, report, hurried, capsys):
    reporter, tasks = report(), [Part(n=n) for n in range(50)]
    luigid.close()
    reporter.start()
    for task in tasks:
        for entry in (pending(task), event(task, "running"), event(task, "done")):
            reporter.note(entry)
            time.sleep(0.002)
    eventually(lambda: reporter._failures > 6)
    reporter.close()
    (line,) = capsys.readouterr().out.splitlines()
    assert luigid.url in line
    assert "goes on without it" in line


def test_a_short_task_says_so_too(luigid, report, capsys):
    reporter = report()
    luigid.close()
    reporter.note(pending(Part(n=1)))
    reporter.start()
    reporter.close()
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_a_server_that_never_answers_is_not_waited_for(luigid, report, capsys, monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(Luigid, "call", lambda *_, **__: release.wait(60))
    reporter = report()
    reporter.note(pending(Part(n=1)))
    reporter.start()
    reporter.close(0.05)
    release.set()
    assert "did not take the last news" in capsys.readouterr().out


def test_a_server_that_is_no_luigid_is_named(luigid, report, hurried, capsys):
    luigid.status = 404
    reporter = report()
    reporter.note(pending(Part(n=1)))
    reporter.start()
    eventually(lambda: reporter._is_quiet)
    reporter.close()
    (line,) = capsys.readouterr().out.splitlines()
    assert "no luigid" in line


def test_a_method_that_an_older_luigid_lacks_stops_nothing(luigid, report, monkeypatch):
    call = Luigid.call
    monkeypatch.setattr(
        Luigid, "call", lambda self, method, /, **more: method != "mark_as_done" and call(self, method, **more)
    )
    reporter, first, second = report(), Part(n=1), Part(n=2)
    for task in (first, second):
        reporter.note(pending(task))
        reporter.note(event(task, "running"))
        reporter.note(event(task, "done"))
    reporter.start()
    reporter.close()
    assert luigid.statuses(first) == luigid.statuses(second) == ["DONE"]


def test_credentials_in_the_address_are_sent_as_luigi_sends_them_and_shown_nowhere(luigid, report, hurried, capsys):
    address = luigid.url.replace("http://", "http://reporter:p%40ss@")
    reporter = report(address)
    reporter.note(pending(Part(n=1)))
    luigid.status = 401
    reporter.start()
    eventually(lambda: reporter._is_quiet)
    reporter.close()
    assert luigid.headers[0]["Authorization"] == "Basic cmVwb3J0ZXI6cEBzcw=="
    out = capsys.readouterr().out
    assert "401" in out
    assert "p%40ss" not in out
    assert "p@ss" not in out


def test_an_address_below_a_path_is_understood(luigid):
    client = Luigid(f"{luigid.url}/luigi/")
    client.connect()
    assert client.call("ping", worker="w")
    client.close()
    assert luigid.calls == [("ping", {"worker": "w"})]


@pytest.mark.parametrize("url", ["luigid:8082", "ftp://luigid", "http://", "http://luigid:port"])
def test_an_address_that_is_none_costs_one_line(url, tmp_path, capsys):
    root = SimpleNamespace(task_id="Root")
    with reporting({"url": url, "worker": WORKER}, Journal(str(tmp_path / "journal")), root, 1):
        pass
    assert "address of Luigi's central scheduler is wrong" in capsys.readouterr().out


def test_where_no_luigid_is_named_nothing_is_noted():
    with reporting(None, cast(Journal, object()), Part(n=1), 1):
        pass


def test_a_call_that_is_not_heard_says_why(luigid):
    client = Luigid(luigid.url)
    luigid.close()
    with pytest.raises(LuigidError, match="refused"):
        client.connect()
