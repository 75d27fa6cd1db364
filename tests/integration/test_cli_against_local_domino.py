"""``airflow-domino`` as a user types it, against the local Domino."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_domino import cli

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def environment(local_domino, tmp_path: Path) -> dict[str, str]:
    """The variables that lead to the local Domino, the token in a file."""
    token_file = tmp_path / "token"
    token_file.write_text(local_domino.token)
    owner, name = local_domino.project.split("/")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DOMINO_")}
    return kept | {
        "DOMINO_API_HOST": local_domino.url,
        "DOMINO_TOKEN_FILE": str(token_file),
        "DOMINO_PROJECT_OWNER": owner,
        "DOMINO_PROJECT_NAME": name,
    }


@pytest.fixture
def command(
    environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Command:
    """Runs one sub-command to its end, in an empty folder; in this process, since there are many."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
        capfd.readouterr()
        with monkeypatch.context() as changes:
            for name in os.environ:
                if name.startswith("DOMINO_"):
                    changes.delenv(name)
            for name, value in (environment | changed).items():
                changes.setenv(name, value)
            try:
                code = cli.main(arguments)
            except SystemExit as ended:
                code = int(ended.code or 0)
        said = capfd.readouterr()
        return subprocess.CompletedProcess(arguments, code, said.out, said.err)

    return call


@pytest.fixture
def command_of_its_own(environment: dict[str, str], tmp_path: Path) -> Command:
    """Does the same in a process of its own."""

    def call(*arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "airflow_domino.cli", *arguments],
            env=environment | changed,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return call


@pytest.fixture
def sleeping_run(command: Command) -> Iterator[str]:
    """The number of a run that goes on until it is stopped."""
    number = command("run", "--detach", "--tier", "Small", "--", "sleep", "300").stdout.strip()
    assert number.isdecimal()
    yield number
    command("stop", number)


def test_a_run_is_followed_to_its_end_and_its_file_brought_back(command_of_its_own: Command, tmp_path: Path) -> None:
    command_line = "sh -c 'echo out; echo hello > said.txt'"
    ended = command_of_its_own("run", "--tier", "Small", "--output", "said.txt=here/said.txt", command_line)
    assert ended.returncode == 0, ended.stderr
    assert "out" in ended.stdout.splitlines()
    assert re.search(r"Run \d+ Succeeded: ran \d+\.\d s, \$0\.\d+", ended.stderr)
    assert (tmp_path / "here" / "said.txt").read_text() == "hello\n"


def test_words_after_the_dashes_reach_the_run_as_they_are(command: Command) -> None:
    ended = command("run", "--", "printf", "%s|", "two words", "it's", "--flag", "é")
    assert "two words|it's|--flag|é|" in ended.stdout


def test_options_behind_the_script_belong_to_the_command_but_for_a_tier_at_the_end(command: Command) -> None:
    words = ("--param", "n=5", "--workers", "3", "--project", "x", "-f", "--help")
    ended = command("run", "--tier", "Medium", "echo", *words, "--", "--tier", "Small")
    assert "--param n=5 --workers 3 --project x -f --help -- --tier Small" in ended.stdout, ended.stderr
    assert " on Medium: " in ended.stderr
    ended = command("run", "echo", "ScoreReport", "--workers", "3", "--tier", "Large")
    assert "ScoreReport --workers 3" in ended.stdout.splitlines()
    assert " on Large: " in ended.stderr
    assert "put -- before echo" in ended.stderr


def test_a_failed_run_ends_with_the_exit_code_of_its_command_and_its_address(command: Command, local_domino) -> None:
    ended = command("run", "--", "sh", "-c", "echo before; exit 3")
    assert ended.returncode == 3
    assert "before" in ended.stdout.splitlines()
    assert f"{local_domino.url}/jobs/{local_domino.project}/" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_missing_output_of_a_good_run_is_refused_with_its_name(command: Command) -> None:
    ended = command("run", "--output", "never.txt", "--", "true")
    assert ended.returncode == 4
    assert "never.txt" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "exit_code", "complaint"),
    [
        (["run", "--tier", "Huge", "--", "true"], 4, "X-Large"),
        (["run", "--environment", "Nowhere", "--", "true"], 4, "Nowhere"),
        (["run", "--commit", "0" * 40, "--", "true"], 4, "0" * 40),
        (["run", ""], 2, "empty"),
        (["logs", "99999"], 4, "has no run 99999"),
        (["runs", "--project", "nobody/nothing"], 4, "nobody/nothing"),
        (["runs", "--project", "nothing"], 2, "owner/name"),
        (["files", "get", "never.txt"], 4, "never.txt"),
        (["files", "put", "never.txt"], 2, "never.txt"),
    ],
)
def test_what_is_wrong_is_said_without_a_traceback(
    command: Command, arguments: list[str], exit_code: int, complaint: str
) -> None:
    ended = command(*arguments)
    assert ended.returncode == exit_code, ended.stderr
    assert complaint in ended.stderr
    assert "Traceback" not in ended.stderr


def test_runs_lists_the_newest_first_one_line_each(command: Command) -> None:
    for word in ("first", "second"):
        assert command("run", "--title", f"the {word}", "--", "echo", word).returncode == 0
    lines = [line.split("\t") for line in command("runs", "--limit", "2").stdout.splitlines()]
    assert [line[6] for line in lines] == ["echo second", "echo first"]
    assert lines[0][1] == "Succeeded"
    assert lines[0][7].startswith("the second")


def test_logs_shows_what_a_run_printed(command: Command) -> None:
    number = command("run", "--detach", "--", "sh", "-c", "seq 1 300").stdout.strip()
    followed = command("logs", number, "--follow")
    assert followed.returncode == 0, followed.stderr
    assert "300" in followed.stdout.splitlines()
    again = command("logs", number).stdout.splitlines()
    assert [line for line in again if line.isdecimal()] == [str(line) for line in range(1, 301)]


def test_following_the_log_of_the_latest_run_ends_as_its_command_did(command: Command) -> None:
    command("run", "--detach", "--", "sh", "-c", "exit 9")
    assert command("logs", "-f").returncode == 9


def test_following_a_run_that_somebody_stops_ends_with_143(command: Command, sleeping_run: str, local_domino) -> None:
    run = next(
        job for job in json.loads(command("runs", "--json", "--active").stdout) if str(job["number"]) == sleeping_run
    )
    assert run["url"].startswith(local_domino.url)
    local_domino.post("/v4/jobs/stop", jobId=run["id"], commitResults=True)
    followed = command("logs", "-f", sleeping_run)
    assert followed.returncode == 143
    assert "was stopped" in followed.stderr


def test_a_run_is_stopped_and_a_second_stop_does_no_harm(command: Command, sleeping_run: str) -> None:
    assert command("stop", sleeping_run).stdout == f"Run {sleeping_run}: Stopped\n"
    assert "over already: Stopped" in command("stop", sleeping_run).stdout


def test_interrupting_the_command_leaves_the_run_and_says_how_to_stop_it(
    environment: dict[str, str], command: Command
) -> None:
    arguments = [sys.executable, "-u", "-m", "airflow_domino.cli", "run", "sh -c 'echo begun; sleep 300'"]
    with subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as following:
        assert following.stdout is not None
        while following.stdout.readline().strip() != b"begun":
            assert following.poll() is None
        following.send_signal(signal.SIGINT)
        _, remarks = following.communicate(timeout=30)
    assert following.returncode == 130
    goes_on = re.search(r"Run (\d+) goes on", remarks.decode())
    assert goes_on
    assert command("stop", goes_on[1]).stdout == f"Run {goes_on[1]}: Stopped\n"


def test_interrupting_the_command_stops_the_run_where_that_is_wished(environment: dict[str, str]) -> None:
    script = "sh -c 'echo begun; sleep 300'"
    arguments = [sys.executable, "-u", "-m", "airflow_domino.cli", "run", "--on-interrupt=stop", script]
    with subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as following:
        assert following.stdout is not None
        while following.stdout.readline().strip() != b"begun":
            assert following.poll() is None
        following.send_signal(signal.SIGINT)
        _, remarks = following.communicate(timeout=30)
    assert following.returncode == 130
    assert re.search(rb"Run \d+: Stopped\n$", remarks)


def test_a_folder_goes_in_and_comes_out(command: Command, tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "__pycache__").mkdir()
    for name in ("a.txt", "deep/b.txt", "__pycache__/c.pyc"):
        (tmp_path / "in" / name).write_text(name)
    assert command("files", "put", "in", "carried/here").returncode == 0
    assert command("files", "get", "carried/", "out").returncode == 0
    found = {str(file.relative_to(tmp_path / "out")) for file in (tmp_path / "out").rglob("*.*")}
    assert found == {"here/a.txt", "here/deep/b.txt"}
    assert command("files", "get", "nowhere/").returncode == 4


def test_files_go_in_and_come_out(command: Command, tmp_path: Path) -> None:
    (tmp_path / "notes ü.txt").write_text("notes\n")
    assert command("files", "put", "notes ü.txt", "kept/notes ü.txt").returncode == 0
    assert any(line.startswith("kept/notes ü.txt\t6\t") for line in command("files", "list").stdout.splitlines())
    assert command("files", "get", "kept/notes ü.txt", "back.txt").returncode == 0
    assert (tmp_path / "back.txt").read_text() == "notes\n"


def test_files_of_a_run_are_those_it_left(command: Command, tmp_path: Path) -> None:
    started = time.time()
    number = command("run", "--detach", "--", "sh", "-c", f"echo {started} > stamp.txt").stdout.strip()
    assert command("logs", number, "--follow").returncode == 0
    assert command("files", "get", "--run", number, "stamp.txt").returncode == 0
    assert (tmp_path / "stamp.txt").read_text() == f"{started}\n"


def test_check_goes_through_all_that_is_needed(command: Command) -> None:
    checked = command("check")
    assert checked.returncode == 0, checked.stdout
    lines = checked.stdout.splitlines()
    assert [line.split(":")[0].split(None, 1)[1] for line in lines[:8]] == [
        "settings",
        "host name",
        "connection",
        "credentials",
        "project",
        "tiers",
        "description",
        "description",
    ]
    assert "ok      GET /v4/users/self: described with all 2 fields that are used; allowed" in lines
    assert (
        "tier    Small (small-k8s): 1 cores, 4 GiB, $0.12 an hour, can execute with current instances, default" in lines
    )
    assert lines[-1] == "All is well."


def test_check_starts_and_stops_one_run_where_that_is_wished(command: Command, local_domino) -> None:
    before = local_domino.ledger()[-1]["sequence"]
    told = json.loads(command("check", "--launch", "--json").stdout)
    assert told["ok"] is True
    assert told["launch"]["run"]["status"] == "Stopped"
    access = {one["operation"]: one["access"] for one in told["operations"]}
    assert access.pop("POST /v4/jobs/restart") == access.pop("PUT /v1/projects/{owner}/{project}/{path}")
    assert set(access.values()) == {"allowed"}
    events = [entry["event"] for entry in local_domino.ledger() if entry["sequence"] > before]
    assert [events.count(event) for event in ("start", "stop")] == [1, 1]


def test_check_reads_an_airflow_connection(command_of_its_own: Command, local_domino) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
    connection = local_domino.connection() | {"extra": {"expires_on": tomorrow}}
    found = {"AIRFLOW_CONN_DOMINO_THERE": json.dumps(connection), "DOMINO_API_HOST": "", "DOMINO_TOKEN_FILE": ""}
    checked = command_of_its_own("check", "--conn", "domino_there", "--project", local_domino.project, **found)
    assert checked.returncode == 0, checked.stdout
    assert f"note    expiry: The credential of the connection 'domino_there' expires on {tomorrow}" in checked.stdout
    assert local_domino.token not in checked.stdout + checked.stderr


@pytest.mark.parametrize(
    ("changed", "step"),
    [
        ({"DOMINO_API_HOST": ""}, "settings"),
        ({"DOMINO_API_HOST": "http://no-such-host.invalid"}, "host name"),
        ({"DOMINO_API_HOST": "http://127.0.0.1:9"}, "connection"),
        ({"DOMINO_PROJECT_NAME": "nothing"}, "project"),
    ],
)
def test_check_ends_at_the_first_thing_that_is_wrong(command: Command, changed: dict[str, str], step: str) -> None:
    checked = command("check", **changed)
    assert checked.returncode == 1
    assert checked.stdout.splitlines()[-1].startswith(f"FAILED  {step}: ")
    assert "Traceback" not in checked.stderr


def test_check_tells_a_wrong_token_without_showing_it(command: Command, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a-token-to-keep-quiet-about")
    checked = command("check")
    assert checked.stdout.splitlines()[-1].startswith("FAILED  credentials: ")
    assert "a-token-to-keep-quiet-about" not in checked.stdout + checked.stderr


def test_the_end_of_the_reader_is_no_error(environment: dict[str, str], command: Command) -> None:
    assert command("run", "--", "true").returncode == 0
    script = f"{sys.executable} -m airflow_domino.cli files list | head -n 1"
    ended = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert ended.stderr == ""
