"""DominoRunTask in plain Luigi, with real runs of the local Domino."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import luigi
import pytest

from airflow_domino.domino.errors import (
    ConfigurationError,
    NotFoundError,
    RunFailedError,
    RunStoppedError,
    UnknownTierError,
)
from airflow_domino.luigi import DominoRunTask
from airflow_domino.luigi.domino_project import TIER_VARIABLE, project_file


@pytest.fixture
def environment(local_domino):
    """The variables that Domino sets in its runs, as far as a task outside of one needs them."""
    owner, name = local_domino.project.split("/")
    return {
        "DOMINO_API_HOST": local_domino.url,
        "DOMINO_USER_API_KEY": local_domino.token,
        "DOMINO_PROJECT_OWNER": owner,
        "DOMINO_PROJECT_NAME": name,
    }


@pytest.fixture
def here(tmp_path, environment, monkeypatch):
    """Work in an empty folder, with those variables."""
    for name in [name for name in os.environ if name.startswith("DOMINO_")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def task(*command: str, output: str, tier: str = "Small", **more) -> DominoRunTask:
    return DominoRunTask(
        domino_run_command=list(command), domino_run_tier=tier, output_file_path=output, poll_interval=0.1, **more
    )


def last_run(domino):
    return domino.get("/v4/jobs", projectId=domino.project_id, page_size=1, page_no=1, status="all")["jobs"][0]


def test_the_file_of_the_run_becomes_the_local_target(here, local_domino):
    made = task("write.py", "data/greeting.txt=hello there", output="data/greeting.txt")
    assert luigi.build([made], local_scheduler=True)
    assert (here / "data" / "greeting.txt").read_text() == "hello there"
    assert made.complete()


def test_a_complete_task_starts_no_run(here, local_domino):
    local_domino.run("hello.py")
    (here / "there.txt").write_text("already")
    before = last_run(local_domino)["id"]
    assert luigi.build([task("write.py", "there.txt=new", output="there.txt")], local_scheduler=True)
    assert (here / "there.txt").read_text() == "already"
    assert last_run(local_domino)["id"] == before


def test_the_run_has_the_tier_and_a_readable_title(here, local_domino):
    task("write.py", "tier.txt=x", output="tier.txt", tier="GPU").run()
    job = last_run(local_domino)
    assert job["title"].startswith("Luigi: write.py tier.txt=x [airflow ")
    details = local_domino.get(f"/v4/jobs/{job['id']}/runtimeExecutionDetails")
    assert details["hardwareTier"]["name"] == "GPU"


def test_a_failed_run_fails_the_task_with_its_last_log_lines_and_leaves_no_file(here):
    with pytest.raises(RunFailedError, match="about to fail"):
        task("fail.py", output="fail.txt").run()
    assert list(here.iterdir()) == []


def test_a_failed_run_is_followed_by_others_as_often_as_the_task_says(here, local_domino):
    before = len(local_domino.ledger())
    with pytest.raises(RunFailedError):
        task("fail.py", output="fail.txt", max_retries=2).run()
    started = [entry for entry in local_domino.ledger()[before:] if entry["event"] == "start"]
    assert len(started) == 3


def test_a_run_that_somebody_stopped_is_not_followed_by_another(here, local_domino):
    before = len(local_domino.ledger())

    def stop() -> None:
        while not (begun := [entry for entry in local_domino.ledger()[before:] if entry["event"] == "start"]):
            time.sleep(0.05)
        local_domino.post("/v4/jobs/stop", jobId=begun[0]["runId"], commitResults=False)

    with ThreadPoolExecutor() as others:
        stopping = others.submit(stop)
        with pytest.raises(RunStoppedError):
            task("sleep.py", "60", output="never.txt", max_retries=2).run()
        stopping.result()
    assert [entry["event"] for entry in local_domino.ledger()[before:]].count("start") == 1


def test_a_run_without_the_file_fails_the_task_and_says_which(here):
    with pytest.raises(NotFoundError, match=r"succeeded but its results have no file 'data/missing\.txt'"):
        task("hello.py", output="data/missing.txt").run()
    assert not (here / "data" / "missing.txt").exists()
    assert not [path for path in here.rglob("*") if path.is_file()]


def test_an_unknown_tier_starts_nothing(here, local_domino):
    with pytest.raises(UnknownTierError, match="X-Large"):
        task("hello.py", output="x.txt", tier="Huge").run()


def test_a_tier_named_for_the_process_wins_over_that_of_the_task(here, local_domino, monkeypatch):
    monkeypatch.setenv(TIER_VARIABLE, "Large")
    task("write.py", "larger.txt=x", output="larger.txt", tier="Small").run()
    details = local_domino.get(f"/v4/jobs/{last_run(local_domino)['id']}/runtimeExecutionDetails")
    assert details["hardwareTier"]["name"] == "Large"


def test_the_run_is_in_the_environment_that_the_task_names(start_local_domino, here, monkeypatch):
    domino = start_local_domino(arguments=[f"--environment=Newer={sys.executable}"])
    monkeypatch.setenv("DOMINO_API_HOST", domino.url)
    monkeypatch.setenv("DOMINO_USER_API_KEY", domino.token)
    task("write.py", "a.txt=x", output="a.txt", project=domino.project, environment="Newer").run()
    lines = domino.log(last_run(domino)["id"], "prepareoutput")
    assert any("environment Newer" in line for line in lines), lines


def test_an_unknown_environment_starts_nothing(here, local_domino):
    before = local_domino.ledger()
    with pytest.raises(NotFoundError, match="Nowhere"):
        task("hello.py", output="x.txt", environment="Nowhere").run()
    assert local_domino.ledger() == before


def test_without_a_project_the_task_says_how_to_name_one(here, monkeypatch):
    monkeypatch.delenv("DOMINO_PROJECT_NAME")
    with pytest.raises(ConfigurationError, match="Which Domino project"):
        task("hello.py", output="x.txt").run()


def test_the_project_can_be_a_parameter(here, local_domino, monkeypatch):
    monkeypatch.delenv("DOMINO_PROJECT_NAME")
    task("write.py", "param.txt=x", output="param.txt", project=local_domino.project).run()
    assert (here / "param.txt").read_text() == "x"


def test_a_given_commit_is_what_the_run_begins_with(here, local_domino):
    before = local_domino.head()
    task("write.py", "later.txt=x", output="later.txt").run()
    task("write.py", "pinned.txt=x", output="pinned.txt", commit_id=before).run()
    job = local_domino.job(last_run(local_domino)["id"])
    assert job["commitDetails"]["inputCommitId"] == before


def test_inside_a_domino_run_the_default_is_its_own_input_commit(here, local_domino, monkeypatch):
    outer = local_domino.run("hello.py")
    task("write.py", "moves-head.txt=x", output="moves-head.txt").run()
    monkeypatch.setenv("DOMINO_RUN_ID", outer["id"])
    task("write.py", "inner.txt=x", output="inner.txt").run()
    job = local_domino.job(last_run(local_domino)["id"])
    assert job["commitDetails"]["inputCommitId"] == outer["commitDetails"]["inputCommitId"]


def test_several_at_once_under_luigis_workers(here, environment, local_domino):
    (here / "several.py").write_text(
        textwrap.dedent("""
        import luigi
        from airflow_domino.luigi import DominoRunTask

        class Several(luigi.WrapperTask):
            def requires(self):
                for n in range(3):
                    yield DominoRunTask(["write.py", f"several/{n}.txt={n}"], "Small", f"several/{n}.txt",
                                        poll_interval=0.1)
        """)
    )
    done = subprocess.run(
        [sys.executable, "-m", "luigi", "--module", "several", "Several", "--local-scheduler", "--workers", "3"],
        env=os.environ | environment,
        cwd=here,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "This progress looks :)" in done.stderr, done.stderr
    assert [path.read_text() for path in sorted((here / "several").iterdir())] == ["0", "1", "2"]
    assert done.stderr.count("Domino run #") >= 3
    assert "/jobs/" in done.stderr


@pytest.mark.parametrize("workers", ["1", "3"])
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_ending_luigi_stops_the_remote_run(here, environment, local_domino, workers, ending):
    (here / "long.py").write_text(
        textwrap.dedent("""
        import luigi
        from airflow_domino.luigi import DominoRunTask

        class Long(luigi.WrapperTask):
            def requires(self):
                for n in range(2):
                    yield DominoRunTask(["sleep.py", "300"], "Small", f"long{n}.txt", poll_interval=0.1)
        """)
    )
    log = here / "log.txt"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "luigi", "--module", "long", "Long", "--local-scheduler", "--workers", workers],
            env=os.environ | environment,
            cwd=here,
            stdout=output,
            stderr=output,
        )
    wait_until(lambda: "Domino run #" in log.read_text(), log)
    run_id = log.read_text().partition("/jobs/")[2].split("/")[2]
    process.send_signal(ending)
    process.wait(60)
    job = local_domino.wait(run_id)
    assert job["statuses"]["executionStatus"] == "Stopped"


def wait_until(condition, log: Path) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def test_paths_are_those_of_the_projects_files(tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    monkeypatch.delenv("DOMINO_WORKING_DIR", raising=False)
    assert project_file("data/x.txt") == "data/x.txt"
    assert project_file("./data//x.txt") == "data/x.txt"
    assert project_file(str(tmp_path / "sub" / "x.txt")) == "x.txt"
    monkeypatch.setenv("DOMINO_WORKING_DIR", str(tmp_path))
    assert project_file("x.txt") == "sub/x.txt"
    assert project_file("..x.txt") == "sub/..x.txt"


@pytest.mark.parametrize("path", ["/etc/passwd", "../x.txt", "data/../../x.txt", "."])
def test_a_path_outside_the_project_is_refused(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DOMINO_WORKING_DIR", raising=False)
    with pytest.raises(ConfigurationError, match="outside the project's files"):
        project_file(path)
