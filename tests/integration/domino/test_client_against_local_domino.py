"""Our client and the local Domino, two independent readings of one API, over real HTTP with real runs."""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_domino.domino import (
    ApiKey,
    AuthenticationError,
    BearerToken,
    DominoClient,
    DominoUnavailableError,
    LaunchOutcomeUnknownError,
    LogLine,
    NotFoundError,
    Project,
    ReloginRequiredError,
    RequestError,
    RetryPolicy,
    RunMark,
    RunRequest,
    RunWaitTimeoutError,
    RunWatcher,
    UnknownTierError,
    command_line,
    find_run,
    launch_once,
    wait_for_run,
)

QUICK = RetryPolicy(retries=3, first_wait=0.01, longest_wait=0.05, longest_retry_after=0.1)
QUICK_PAUSES = (0.05, 0.1, 0.2, 0.4)
generations = itertools.count()


@pytest.fixture
def client(local_domino: Any) -> Iterator[DominoClient]:
    """A client of the local Domino."""
    with DominoClient(local_domino.url, ApiKey(local_domino.token), retries=QUICK) as client:
        yield client


@pytest.fixture
def project(local_domino: Any, client: DominoClient) -> Project:
    """Its first project."""
    return client.project(local_domino.project)


@pytest.fixture
def mark() -> RunMark:
    """A mark that no other test uses."""
    return RunMark.for_task("dag", f"integration-{time.time_ns()}", "task", -1, next(generations))


def starts(local_domino: Any, mark: RunMark) -> list[dict[str, Any]]:
    """What the server's own ledger says of accepted starts with a mark."""
    return [
        entry for entry in local_domino.ledger() if entry["event"] == "start" and mark.text in (entry["title"] or "")
    ]


# ---- runs


def test_a_run_is_started_waited_for_and_its_file_brought_back(
    client: DominoClient, project: Project, tmp_path: Path
) -> None:
    tier = client.resolve_tier(project, "large")
    run = client.start_run(RunRequest(project.id, "hello.py", title="Say hello", tier_id=tier.id))

    over = wait_for_run(client, run.id, interval=0.05).run

    assert (over.status.succeeded, over.title, over.number) == (True, "Say hello", run.number)
    assert over.input_commit == run.input_commit
    assert over.output_commit not in (None, over.input_commit)
    assert client.run_details(run.id).tier_id == tier.id
    assert over.run_seconds is not None
    size = client.download_file(project, str(over.results_commit), "hello.txt", tmp_path / "hello.txt", within=tmp_path)
    assert (size, (tmp_path / "hello.txt").read_text()) == (12, "hello\nworld\n")


def test_arguments_reach_the_program_as_they_were(client: DominoClient, project: Project, tmp_path: Path) -> None:
    text = 'it\'s "quoted", $HOME; ünï日本 & *'
    command = command_line(["write.py", f"odd names/a b.txt={text}"])

    over = wait_for_run(client, client.start_run(RunRequest(project.id, command)).id, interval=0.05).run

    assert over.status.succeeded, client.log_tail(over.id)
    client.download_file(project, str(over.results_commit), "odd names/a b.txt", tmp_path / "out")
    assert (tmp_path / "out").read_text() == text


def test_a_failed_run_is_over_with_the_last_lines_of_its_log(client: DominoClient, project: Project) -> None:
    over = wait_for_run(client, client.start_run(RunRequest(project.id, "fail.py")).id, interval=0.05).run

    assert over.status.word == "Failed"
    assert "about to fail" in client.log_tail(over.id)


TALK = b"""import pathlib, sys, time
for n in range(30):
    print("line", n, flush=True)
    while n == 20 and not pathlib.Path(sys.argv[1]).exists():
        time.sleep(0.02)
"""


def test_log_lines_come_while_the_run_goes_on_each_once(client: DominoClient, project: Project, tmp_path: Path) -> None:
    client.upload_file(project, "talk.py", TALK)
    run = client.start_run(RunRequest(project.id, f"talk.py {tmp_path / 'heard'}"))
    lines: list[LogLine] = []

    def note(line: LogLine) -> None:
        lines.append(line)
        if line.text == "line 20":
            (tmp_path / "heard").touch()

    watched = wait_for_run(client, run.id, interval=0.1, on_log=note)

    assert [line.text for line in lines if line.stream == "stdout"] == [f"line {number}" for number in range(30)]
    assert client.log_page(run.id, watched.log_cursor).lines == ()


def test_a_run_is_stopped_and_keeps_what_it_wrote(client: DominoClient, project: Project) -> None:
    run = client.start_run(RunRequest(project.id, "sleep.py 60"))
    while not client.run(run.id).status.is_running:
        time.sleep(0.02)

    client.stop_run(run.id, project_id=project.id)
    over = wait_for_run(client, run.id, interval=0.05).run

    assert over.status.word == "Stopped"
    assert client.stop_run(run.id).status.word == "Stopped"


def test_a_run_is_restarted_as_a_new_run(client: DominoClient, project: Project) -> None:
    first = wait_for_run(client, client.start_run(RunRequest(project.id, "hello.py")).id, interval=0.05).run

    again = client.restart_run(first.id)

    assert again.id != first.id
    assert again.input_commit == first.input_commit
    assert wait_for_run(client, again.id, interval=0.05).run.status.succeeded


def test_runs_are_listed_newest_first_over_all_pages(client: DominoClient, project: Project) -> None:
    started = [client.start_run(RunRequest(project.id, "hello.py")) for _ in range(5)]

    listed = list(client.runs(project.id, page_size=2))

    numbers = [run.number for run in listed]
    assert numbers == sorted(numbers, reverse=True)
    assert {run.id for run in started} <= {run.id for run in listed}
    for run in started:
        wait_for_run(client, run.id, interval=0.05)


def test_a_run_begins_with_the_commit_it_is_given(client: DominoClient, project: Project, tmp_path: Path) -> None:
    client.upload_file(project, "which.py", b"open('which.txt', 'w').write('old')")
    old = client.head_commit(project)
    client.upload_file(project, "which.py", b"open('which.txt', 'w').write('new')")

    run = client.start_run(RunRequest(project.id, "which.py", commit_id=old))
    over = wait_for_run(client, run.id, interval=0.05).run

    assert over.input_commit == old
    client.download_file(project, str(over.results_commit), "which.txt", tmp_path / "which.txt")
    assert (tmp_path / "which.txt").read_text() == "old"


def test_many_runs_are_watched_together(local_domino: Any, client: DominoClient, project: Project) -> None:
    runs = [client.start_run(RunRequest(project.id, "hello.py")) for _ in range(6)]

    async def wait_for_all() -> list[Any]:
        watcher = RunWatcher(
            lambda: DominoClient(local_domino.url, BearerToken(local_domino.token)), project.id, interval=0.1
        )
        lines: list[LogLine] = []
        watched = await asyncio.gather(*(watcher.wait(run.id, on_log=lines.append) for run in runs))
        assert [line.text for line in lines if line.stream == "stdout"] == ["hello"] * 6
        return watched

    assert all(watched.run.status.succeeded for watched in asyncio.run(wait_for_all()))


def test_a_deadline_leaves_the_run_going(client: DominoClient, project: Project) -> None:
    run = client.start_run(RunRequest(project.id, "sleep.py 60"))

    with pytest.raises(RunWaitTimeoutError):
        wait_for_run(client, run.id, interval=0.05, deadline=datetime.now(UTC) + timedelta(seconds=0.2))

    assert not client.run(run.id).status.is_completed
    client.stop_run(run.id, keep_results=False)


def test_inside_a_run_the_client_needs_no_settings(
    local_domino: Any, client: DominoClient, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (
        f"#!{sys.executable}\n"
        "import os\n"
        "from airflow_domino.domino import DominoClient\n"
        "client = DominoClient.from_environment()\n"
        "print('started by', client.run(os.environ['DOMINO_RUN_ID']).started_by)\n"
    )
    client.upload_file(project, "inside.py", script.encode())

    run = client.start_run(RunRequest(project.id, command_line([sys.executable, "inside.py"])))
    over = wait_for_run(client, run.id, interval=0.05).run

    assert over.status.succeeded, client.log_tail(run.id)
    assert f"started by {over.started_by}" in client.log_tail(run.id)


# ---- files


@pytest.mark.parametrize(
    "name", ["plain.bin", "a b/c d.bin", "ünï/日本.bin", "what?.bin", "a#b.bin", "100%.bin", "50%20.bin"]
)
def test_a_file_of_any_name_goes_up_and_comes_down_unchanged(
    client: DominoClient, project: Project, tmp_path: Path, name: str
) -> None:
    data = bytes(range(256)) * 1000
    (tmp_path / "source").write_bytes(data)

    uploaded = client.upload_file(project, name, tmp_path / "source")
    commit = client.head_commit(project)
    size = client.download_file(project, commit, name, tmp_path / "copy")

    assert (uploaded.path, uploaded.size, size) == (name, len(data), len(data))
    assert (tmp_path / "copy").read_bytes() == data
    assert name in {file.path for file in client.files(project, commit)}
    folder = name.rpartition("/")[0]
    assert name in {file.path for file in client.files(project, commit, folder)}


def test_a_missing_file_and_a_folder_are_told_apart(client: DominoClient, project: Project, tmp_path: Path) -> None:
    client.upload_file(project, "folder/forest.zip", b"zip")
    commit = client.head_commit(project)

    with pytest.raises(NotFoundError, match=r"folder/forest\.zip"):
        client.download_file(project, commit, "folder/forrest.zip", tmp_path / "x")
    with pytest.raises(NotFoundError, match="it is a folder"):
        client.download_file(project, commit, "folder", tmp_path / "x")

    assert list(tmp_path.iterdir()) == []


# ---- wrong requests


def test_unknown_things_are_named(client: DominoClient, project: Project, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nobody/nothing"):
        client.project("nobody/nothing")
    with pytest.raises(NotFoundError, match="0" * 24):
        client.run("0" * 24)
    with pytest.raises(RequestError, match="nonsense"):
        client.run("nonsense")
    with pytest.raises(UnknownTierError, match=r"X-Large \(id "):
        client.resolve_tier(project, "Enormous")
    with pytest.raises(NotFoundError, match="no compute environment 'Nowhere'"):
        client.resolve_environment(project, "Nowhere")
    with pytest.raises(NotFoundError, match="the commit itself is unknown"):
        client.download_file(project, "0" * 40, "hello.py", tmp_path / "x")
    with pytest.raises(NotFoundError, match="commit " + "0" * 40):
        client.files(project, "0" * 40)


def test_a_start_from_an_unknown_commit_or_on_an_unknown_tier_starts_nothing(
    local_domino: Any, client: DominoClient, project: Project, mark: RunMark
) -> None:
    for request in (
        RunRequest(project.id, "hello.py", title=mark.text, commit_id="0" * 40),
        RunRequest(project.id, "hello.py", title=mark.text, tier_id="enormous"),
        RunRequest("0" * 24, "hello.py", title=mark.text),
    ):
        with pytest.raises(RequestError) as caught:
            client.start_run(request)
        assert caught.value.status in (400, 404)

    assert starts(local_domino, mark) == []


def test_a_wrong_token_is_said(local_domino: Any, project: Project) -> None:
    for credentials in (ApiKey("wrong-canary"), BearerToken("wrong-canary")):
        with DominoClient(local_domino.url, credentials) as client:
            for ask in (
                client.current_user,
                lambda client=client: client.start_run(RunRequest(project.id, "hello.py")),
            ):
                with pytest.raises(AuthenticationError) as caught:
                    ask()
                assert "wrong-canary" not in str(caught.value)


# ---- bad answers on order


def test_reads_survive_bad_answers(local_domino: Any, client: DominoClient) -> None:
    for fault in (
        {"action": "status", "status": 503, "headers": {"Retry-After": "1"}},
        {"action": "status", "status": 429},
        {"action": "drop"},
    ):
        local_domino.order_fault(path="/v4/users/self", method="GET", **fault)

    assert client.current_user().user_name


def test_a_login_page_and_a_relogin_are_told_apart(local_domino: Any, client: DominoClient, project: Project) -> None:
    local_domino.order_fault("html", path="/v4/users/self")
    with pytest.raises(AuthenticationError, match="web page"):
        client.current_user()

    local_domino.order_fault("status", path="/v4/jobs/start", status=409)
    with pytest.raises(ReloginRequiredError) as caught:
        client.start_run(RunRequest(project.id, "hello.py"))
    assert caught.value.login_url == f"{local_domino.url}/relogin?redirectPath=/"


@pytest.mark.parametrize("fault", [{"action": "drop"}, {"action": "status", "status": 504}])
def test_a_start_whose_answer_is_dropped_after_it_was_accepted_is_launched_exactly_once(
    local_domino: Any, client: DominoClient, project: Project, mark: RunMark, fault: dict[str, Any]
) -> None:
    local_domino.order_fault(path="/v4/jobs/start", method="POST", moment="after", **fault)

    launch = launch_once(client, RunRequest(project.id, "hello.py", title="Once"), mark, pauses=QUICK_PAUSES)

    assert launch.was_found
    accepted = starts(local_domino, mark)
    assert [entry["runId"] for entry in accepted] == [launch.run.id]
    again = launch_once(client, RunRequest(project.id, "hello.py", title="Once"), mark)
    assert (again.run.id, again.was_found) == (launch.run.id, True)
    assert wait_for_run(client, launch.run.id, interval=0.05).run.status.succeeded
    found = find_run(client, project.id, mark, since=None)
    assert found is not None
    assert found.id == launch.run.id
    assert len(starts(local_domino, mark)) == 1


def test_a_start_dropped_before_it_was_accepted_is_not_repeated_blindly(
    local_domino: Any, client: DominoClient, project: Project, mark: RunMark
) -> None:
    local_domino.order_fault("drop", path="/v4/jobs/start", method="POST", moment="before")

    with pytest.raises(LaunchOutcomeUnknownError, match="Look for it before launching again"):
        launch_once(client, RunRequest(project.id, "hello.py"), mark, pauses=(0.01, 0.01))
    assert starts(local_domino, mark) == []

    launch = launch_once(client, RunRequest(project.id, "hello.py"), mark)
    assert not launch.was_found
    assert len(starts(local_domino, mark)) == 1


def test_a_start_that_is_turned_away_twice_is_launched_once(
    local_domino: Any, client: DominoClient, project: Project, mark: RunMark
) -> None:
    local_domino.order_fault("status", path="/v4/jobs/start", status=429, times=2)

    launch = launch_once(client, RunRequest(project.id, "hello.py"), mark, pauses=QUICK_PAUSES)

    assert not launch.was_found
    assert len(starts(local_domino, mark)) == 1


def test_a_late_answer_to_a_start_is_found(local_domino: Any, project: Project, mark: RunMark) -> None:
    local_domino.order_fault("delay", path="/v4/jobs/start", moment="after", seconds=1.0)

    with DominoClient(local_domino.url, ApiKey(local_domino.token), read_timeout=0.3) as impatient:
        launch = launch_once(impatient, RunRequest(project.id, "hello.py"), mark, pauses=QUICK_PAUSES)

    assert launch.was_found
    assert len(starts(local_domino, mark)) == 1


def test_a_download_that_breaks_off_leaves_nothing_half(
    local_domino: Any, client: DominoClient, project: Project, tmp_path: Path
) -> None:
    commit = client.head_commit(project)
    local_domino.order_fault("drop", path="/content$", times=2)

    assert client.download_file(project, commit, "hello.py", tmp_path / "hello.py") > 0
    assert [path.name for path in tmp_path.iterdir()] == ["hello.py"]


def test_a_domino_that_is_gone_is_said_and_a_wait_survives_its_restart(start_local_domino: Any, tmp_path: Path) -> None:
    domino = start_local_domino()
    with DominoClient(domino.url, ApiKey(domino.token), retries=QUICK) as client:
        run = client.start_run(RunRequest(client.project(domino.project).id, "hello.py"))
        wait_for_run(client, run.id, interval=0.05)
        domino.kill()
        with pytest.raises(DominoUnavailableError, match="could not be connected to"):
            client.run(run.id)
        port = domino.url.rpartition(":")[2]
        again = start_local_domino(root=domino.root, arguments=[f"--port={port}", f"--token={domino.token}"])

        assert again.url == domino.url
        assert wait_for_run(client, run.id, interval=0.05).run.status.succeeded
