"""A Luigi task that is ended by Airflow, or whose worker is killed, leaves no Domino run behind."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from airflow_domino.luigi.execute import EngineProcess, EngineRequest, engine_environment


@pytest.fixture
def environment(local_domino):
    owner, name = local_domino.project.split("/")
    return {
        "DOMINO_API_HOST": local_domino.url,
        "DOMINO_USER_API_KEY": local_domino.token,
        "DOMINO_PROJECT_OWNER": owner,
        "DOMINO_PROJECT_NAME": name,
    }


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "endless.py").write_text(
        textwrap.dedent("""
        import luigi
        from airflow_domino.luigi import DominoRunTask

        class Endless(luigi.WrapperTask):
            def requires(self):
                for n in range(2):
                    yield DominoRunTask(["sleep.py", "300"], "Small", f"endless{n}.txt", poll_interval=0.1)
        """)
    )
    return tmp_path


def run_ids(lines: str) -> list[str]:
    return [part.split("/")[2] for part in lines.split("/jobs/")[1:]]


def wait_for_runs(read, count: int) -> list[str]:
    deadline = time.monotonic() + 60
    while len(found := run_ids(read())) < count:
        assert time.monotonic() < deadline, read()
        time.sleep(0.05)
    return found


@pytest.mark.parametrize("workers", [1, 2])
def test_ending_the_engine_stops_all_runs_that_its_tasks_wait_for(project, environment, local_domino, workers):
    request = EngineRequest("run", "endless:Endless", workers=workers, project_path=str(project))
    engine = EngineProcess(request, env=engine_environment(environment))
    lines: list[str] = []
    answers = []
    thread = threading.Thread(target=lambda: answers.append(engine.run(lines.append)))
    thread.start()
    found = wait_for_runs(lambda: "\n".join(lines), 2)  # no worker is needed to wait for a run
    engine.end()
    thread.join(60)
    assert answers[0].outcome == "terminated"
    assert {local_domino.wait(run_id)["statuses"]["executionStatus"] for run_id in found} == {"Stopped"}


def test_killing_the_worker_stops_the_runs_and_leaves_no_token_behind(project, environment, local_domino, tmp_path):
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "token").write_text("secret")
    starter = textwrap.dedent(f"""
        from airflow_domino.luigi.execute import EngineProcess, EngineRequest, engine_environment
        request = EngineRequest("run", "endless:Endless", project_path={str(project)!r})
        engine = EngineProcess(request, env=engine_environment({environment!r}), private_folders=[{str(secrets)!r}])
        engine.run(lambda line: print(line, flush=True))
    """)
    log = project / "log.txt"
    with log.open("w") as output:
        process = subprocess.Popen([sys.executable, "-c", starter], stdout=output, stderr=output)
    found = wait_for_runs(log.read_text, 2)
    process.kill()
    process.wait()
    assert {local_domino.wait(run_id)["statuses"]["executionStatus"] for run_id in found} == {"Stopped"}
    deadline = time.monotonic() + 60
    while secrets.exists():
        assert time.monotonic() < deadline, "the token is still there"
        time.sleep(0.05)
