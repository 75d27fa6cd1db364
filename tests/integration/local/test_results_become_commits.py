"""What runs write, change and remove becomes commits, and nothing of it is ever lost."""

from __future__ import annotations

import shlex
from typing import Any
from urllib.parse import quote

import pytest

GATED = """\
# gated.py FOLDER COMMAND: tells that it runs, waits for the file FOLDER/go, then carries the shell command out.
import os, pathlib, subprocess, sys, time
folder = pathlib.Path(sys.argv[1])
while not (folder / "go").exists():
    time.sleep(0.02)
subprocess.run(["sh", "-ec", sys.argv[2]], check=True)
"""
FILES = {"gated.py": GATED, "shared.txt": "original", "removed.txt": "original", "folder/inside.txt": "original"}


@pytest.fixture
def domino(start_local_domino):
    return start_local_domino(FILES)


class Gate:
    """Runs that all start from the same commit and are let go one after the other."""

    def __init__(self, domino, folder) -> None:
        self.domino = domino
        self.folder = folder

    def start(self, name: str, command: str) -> str:
        (self.folder / name).mkdir()
        run_id = self.domino.start(f"gated.py {self.folder / name} '{command}'")["id"]
        self.domino.wait_for_status(run_id, "Running")
        return run_id

    def let_go(self, name: str, run_id: str) -> dict[str, Any]:
        (self.folder / name / "go").touch()
        job = self.domino.wait(run_id)
        assert job["statuses"]["executionStatus"] == "Succeeded", self.domino.log(run_id)
        return job


@pytest.fixture
def gate(domino, tmp_path):
    folder = tmp_path / "gate"
    folder.mkdir()
    return Gate(domino, folder)


def output(job: dict[str, Any]) -> str:
    return str(job["commitDetails"]["outputCommitId"])


@pytest.mark.parametrize(("command", "status"), [("true", "Succeeded"), ("false", "Failed")])
def test_the_output_commit_of_a_run_that_changes_nothing_is_its_input_commit(domino, command, status):
    domino.run(command)
    head = domino.head()
    job = domino.run(command)
    assert job["statuses"]["executionStatus"] == status
    assert job["commitDetails"] == {"inputCommitId": head, "outputCommitId": head}
    assert domino.head() == head
    assert domino.get(f"/_local/runs/{job['id']}")["results"] is None
    assert "The run changed no files" in domino.log(job["id"], "prepareoutput")


def test_a_run_stopped_with_its_results_has_an_output_commit_and_one_that_never_began_has_none(start_local_domino):
    tier = {"id": "one", "name": "One", "cores": 1, "memory_gib": 1, "cents_per_minute": 1, "capacity": 1}
    domino = start_local_domino(FILES, tiers=[{**tier, "default": True}])
    running, waiting = domino.start("sleep 600")["id"], domino.start("sleep 600")["id"]
    domino.wait_for_status(running, "Running")
    for run_id in (waiting, running):
        domino.post("/v4/jobs/stop", jobId=run_id, commitResults=True)
    assert domino.wait(running)["commitDetails"]["outputCommitId"] == domino.head()
    assert "outputCommitId" not in domino.wait(waiting)["commitDetails"]


def test_changes_additions_and_removals_of_a_run_are_in_its_commit(domino):
    job = domino.run("sh -c 'echo new > added.txt; echo changed > shared.txt; rm removed.txt folder/inside.txt'")
    files = domino.files(output(job))
    assert set(files) == {"gated.py", "shared.txt", "added.txt"}
    assert domino.content(output(job), "shared.txt") == b"changed\n"
    assert set(domino.files(domino.head())) == set(files)


def test_a_change_that_keeps_size_and_time_of_a_file_is_noticed(domino):
    program = (
        "import os; old = os.stat('shared.txt'); open('shared.txt', 'w').write('ORIGINAL'); "
        "os.utime('shared.txt', ns=(old.st_atime_ns, old.st_mtime_ns))"
    )
    job = domino.run(f'python -c "{program}"')
    assert domino.content(output(job), "shared.txt") == b"ORIGINAL"


def test_runs_side_by_side_that_write_different_files_both_reach_the_main_line(domino, gate):
    one, two = gate.start("one", "echo 1 > one.txt"), gate.start("two", "echo 2 > two.txt")
    job_one, job_two = gate.let_go("one", one), gate.let_go("two", two)
    assert {"one.txt", "two.txt"} <= set(domino.files(domino.head()))
    assert "two.txt" not in domino.files(output(job_one))
    assert "one.txt" not in domino.files(output(job_two))


def test_of_two_versions_of_a_file_the_later_is_at_head_and_each_in_its_own_commit(domino, gate):
    one, two = gate.start("one", "echo 1 > shared.txt"), gate.start("two", "echo 2 > shared.txt")
    job_two, job_one = gate.let_go("two", two), gate.let_go("one", one)
    assert domino.content(domino.head(), "shared.txt") == b"1\n"
    assert domino.content(output(job_one), "shared.txt") == b"1\n"
    assert domino.content(output(job_two), "shared.txt") == b"2\n"
    told = "\n".join(domino.log(one, "prepareoutput"))
    assert "'shared.txt' changed on the main line too while the run executed: the main line now has this run's" in told
    assert f"commit {output(job_two)} the other one" in told
    results = domino.get(f"/_local/runs/{one}")["results"]
    assert (results["branch"], results["overwritten"]) == ("main", ["shared.txt"])
    assert (results["mainCommitId"], results["otherCommitId"]) == (domino.head(), output(job_two))


def test_a_removal_reaches_the_main_line_beside_a_run_that_did_not_touch_the_file(domino, gate):
    one, two = gate.start("one", "rm removed.txt"), gate.start("two", "echo 2 > two.txt")
    gate.let_go("one", one)
    gate.let_go("two", two)
    assert "removed.txt" not in domino.files(domino.head())


def test_a_removal_does_not_take_away_what_another_run_wrote_meanwhile(domino, gate):
    one, two = gate.start("one", "rm -r folder shared.txt"), gate.start("two", "echo 2 | tee shared.txt folder/new.txt")
    gate.let_go("two", two)
    job_one = gate.let_go("one", one)
    files = domino.files(domino.head())
    assert domino.content(domino.head(), "shared.txt") == b"2\n"
    assert "folder/new.txt" in files
    assert "folder/inside.txt" not in files
    assert not any(path.startswith("folder/") for path in domino.files(output(job_one)))


def test_a_folder_in_the_place_of_a_file_and_the_reverse_can_be_written(domino):
    domino.run("sh -c 'rm shared.txt; mkdir shared.txt; echo 1 > shared.txt/a; rm -r folder; echo 2 > folder'")
    assert {"shared.txt/a", "folder"} <= set(domino.files(domino.head()))


def test_isolated_results_stay_beside_the_main_line_and_can_be_started_from(start_local_domino):
    domino = start_local_domino(FILES, arguments=["--results=domino/quick-start=isolated"])
    head = domino.head()
    first = domino.run("sh -c 'echo 1 > first.txt'")
    assert domino.head() == head
    assert "first.txt" in domino.files(output(first))
    assert "first.txt" not in domino.files(domino.head())
    second = domino.run("cat first.txt", commitId=output(first))
    assert second["statuses"]["executionStatus"] == "Succeeded"
    assert domino.run("cat first.txt")["statuses"]["executionStatus"] == "Failed"
    commits = domino.get(f"/v1/projects/{domino.project}/commits")
    assert commits[0] == head
    assert output(first) in commits


def test_files_that_dominoignore_names_are_neither_kept_nor_removed(start_local_domino):
    files = {".dominoignore": "# caches\ncache/\n*.tmp\n", "cache/old.txt": "old", "main.txt": "1"}
    domino = start_local_domino(files)
    domino.put = domino.request("PUT", f"/v1/projects/{domino.project}/cache/kept.txt", data=b"kept")
    job = domino.run(
        "sh -c 'rm -f cache/kept.txt; mkdir -p cache; echo 2 > cache/new.txt; echo 3 > a.tmp; echo 4 > b.txt'"
    )
    assert {"b.txt", "cache/kept.txt"} <= set(domino.files(output(job)))
    assert not {"a.tmp", "cache/new.txt", "cache/old.txt"} & set(domino.files(output(job)))


def test_what_git_and_python_keep_for_themselves_is_no_result(domino):
    job = domino.run(
        "sh -c 'git init -q . ; mkdir -p package/__pycache__; touch package/__pycache__/x.pyc; echo 1 > b.txt'"
    )
    assert set(domino.files(output(job))) == {*FILES, "b.txt"}


def test_links_modes_and_strange_names_of_files_survive(domino):
    names = ["with space", "ümlaut 漢字", "quote'\"", "percent%20", "question?", "-dash", "back\\slash", "new\nline"]
    write = (
        "import os, sys\n"
        "for name in sys.argv[1:]: open(name, 'w').write(name)\n"
        "os.symlink('shared.txt', 'link')\n"
        "os.chmod('shared.txt', 0o755)\n"
    )
    read = (
        "import os, sys\n"
        "assert all(open(name).read() == name for name in sys.argv[1:])\n"
        "assert os.readlink('link') == 'shared.txt' and os.access('shared.txt', os.X_OK)\n"
    )
    for program in (write, read):
        job = domino.run(shlex.join(["python", "-c", program, *names]))
        assert job["statuses"]["executionStatus"] == "Succeeded", domino.log(job["id"])
    for name in names:
        assert domino.content(domino.head(), quote(name, safe="")) == name.encode()


def test_a_link_to_the_outside_is_kept_as_a_link_and_not_followed(domino, tmp_path):
    secret = tmp_path / "outside"
    secret.mkdir()
    (secret / "secret.txt").write_text("secret")
    job = domino.run(f"ln -s {secret} results")
    assert job["statuses"]["executionStatus"] == "Succeeded"
    assert domino.content(output(job), "results") == str(secret).encode()
    assert not [path for path in domino.files(output(job)) if "secret" in path]
    assert sorted(path.name for path in secret.iterdir()) == ["secret.txt"]


def test_a_restart_starts_from_the_same_commit_or_from_the_latest(domino):
    old = domino.run("sh -c 'cat shared.txt; echo 2 > shared.txt'")
    same = domino.post("/v4/jobs/restart", jobId=old["id"], shouldUseOriginalInputCommit=True)
    assert same["commitDetails"]["inputCommitId"] == old["commitDetails"]["inputCommitId"]
    domino.wait(same["id"])
    latest = domino.post("/v4/jobs/restart", jobId=old["id"], shouldUseOriginalInputCommit=False)
    assert domino.wait(latest["id"])["commitDetails"]["inputCommitId"] != old["commitDetails"]["inputCommitId"]
    assert domino.log(same["id"]) == ["original"]
    assert domino.log(latest["id"]) == ["2"]
