"""Code from a git repository, artifacts in Domino's own file system: layout, references, and what is kept of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pygit2
import pytest

AUTHOR = pygit2.Signature("ada", "ada@localhost", 1_700_000_000, 0)
# where.py: says which code it is, where things are, and writes to both places.
WHERE = """\
import json, os, pathlib, subprocess, sys
names = ("DOMINO_WORKING_DIR", "DOMINO_ARTIFACTS_DIR", "DOMINO_IS_GIT_BASED", "DOMINO_DATASETS_DIR")
print(json.dumps({name: os.environ.get(name) for name in names} | {"cwd": os.getcwd()}))
artifacts = pathlib.Path(os.environ["DOMINO_ARTIFACTS_DIR"])
(artifacts / "model.txt").write_text(pathlib.Path("version.txt").read_text())
(artifacts / "dominostats.json").write_text(json.dumps({"version": pathlib.Path("version.txt").read_text()}))
"""


class Remote:
    """A git repository that somebody works in, with two branches, a tag and a reference that is neither."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.repository = pygit2.init_repository(str(folder), initial_head="trunk")
        self.first = self.commit("refs/heads/trunk", "one")
        self.repository.create_tag("v1", pygit2.Oid(hex=self.first), pygit2.GIT_OBJECT_COMMIT, AUTHOR, "first")
        self.dev = self.commit("refs/heads/dev", "dev", self.first)
        self.review = self.commit("refs/pull/7/head", "review", self.first)
        self.second = self.commit("refs/heads/trunk", "two", self.first)
        self.repository.checkout("refs/heads/trunk", strategy=pygit2.enums.CheckoutStrategy.FORCE)

    def commit(self, reference: str, version: str, parent: str | None = None) -> str:
        files = {"version.txt": version, "where.py": WHERE, ".gitignore": "*.log\n"}
        builder = self.repository.TreeBuilder()
        for name, text in files.items():
            builder.insert(name, self.repository.create_blob(text.encode()), 0o100644)
        parents = [] if parent is None else [pygit2.Oid(hex=parent)]
        made = self.repository.create_commit(None, AUTHOR, AUTHOR, version, builder.write(), parents)
        self.repository.references.create(reference, made, force=True)
        return str(made)


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Remote:
    return Remote(tmp_path_factory.mktemp("remote") / "forest")


@pytest.fixture(scope="module")
def domino(serve_domino, remote: Remote, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("git-based")
    arguments = [f"--repository=domino/forest={remote.folder}"]
    domino = serve_domino(folder / "root", {"domino/forest": None}, arguments)
    yield domino
    domino.stop()


def status(job: dict[str, Any]) -> str:
    return str(job["statuses"]["executionStatus"])


def version(domino, job: dict[str, Any]) -> str:
    assert status(job) == "Succeeded", domino.log(job["id"])
    return str(domino.content(job["commitDetails"]["outputCommitId"], "model.txt").decode())


def test_code_and_artifacts_are_apart_and_the_artifacts_are_committed(domino, remote: Remote):
    job = domino.run("where.py")
    said = json.loads(domino.log(job["id"], "stdout")[0])
    assert said["cwd"] == said["DOMINO_WORKING_DIR"]
    assert Path(said["DOMINO_WORKING_DIR"]).name == "code"
    assert Path(said["DOMINO_ARTIFACTS_DIR"]).name == "artifacts"
    assert said["DOMINO_IS_GIT_BASED"] == "true"
    assert set(domino.files(job["commitDetails"]["outputCommitId"])) == {
        "dominostats.json",
        "model.txt",
        "results/stdout.txt",
    }
    assert job["dominoStats"] == [{"name": "version", "value": "two"}]


def test_the_job_says_which_code_it_had_in_all_generations(domino, remote: Remote):
    job = domino.run("where.py")
    (repository,) = job["dependentRepositories"]
    assert repository["uri"] == str(remote.folder)
    assert repository["startingCommitId"] == repository["finishedCommitId"] == remote.second
    assert repository["startingBranch"] == repository["finishedBranch"] == "trunk"
    (mounted,) = domino.get(f"/api/jobs/beta/jobs/{job['id']}")["job"]["gitRepos"]
    assert mounted["startingCommitId"] == mounted["endingCommitId"] == remote.second
    assert mounted["id"] == repository["id"]


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ({"type": "head"}, "two"),
        ({"type": "branches", "value": "dev"}, "dev"),
        ({"type": "branches", "value": "refs/heads/dev"}, "dev"),
        ({"type": "tags", "value": "v1"}, "one"),
        ({"type": "ref", "value": "refs/pull/7/head"}, "review"),
        ({"type": "ref", "value": "dev"}, "dev"),
        ({"type": "commitId", "value": "FIRST"}, "one"),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_code_is_chosen_by_a_reference(domino, remote: Remote, reference: dict[str, str], expected: str):
    reference = {name: remote.first if value == "FIRST" else value for name, value in reference.items()}
    job = domino.run("where.py", mainRepoGitRef=reference)
    assert version(domino, job) == expected
    assert job["mainRepoGitRef"] == reference


def test_the_public_api_has_its_own_words_for_it(domino, remote: Remote):
    body = {"projectId": domino.project_id, "runCommand": "where.py"}
    answer = domino.post("/api/jobs/v1/jobs", **body, mainRepoGitRef={"refType": "branches", "value": "dev"})
    assert version(domino, domino.wait(answer["job"]["id"])) == "dev"
    assert answer["job"]["mainRepoGitRef"] == {"refType": "branches", "value": "dev"}


@pytest.mark.parametrize(
    ("reference", "reason", "message"),
    [
        ({"type": "branch", "value": "dev"}, "UnknownReferenceType", "unknown reference type: branch"),
        ({"type": "branches", "value": "nosuch"}, "GitReferenceNotFound", "there are dev, trunk"),
        ({"type": "tags", "value": "v9"}, "GitReferenceNotFound", "there are v1"),
        ({"type": "commitId", "value": "f" * 40}, "GitReferenceNotFound", "no commit ffff"),
        ({"type": "branches"}, "GitReferenceNotFound", "needs a value"),
    ],
)
def test_a_reference_that_means_nothing_is_accepted_and_ends_the_run_in_error(
    domino, reference: dict[str, str], reason: str, message: str
):
    job = domino.run("where.py", mainRepoGitRef=reference)
    assert status(job) == "Error"
    assert job["abnormalStatus"]["runFailureReason"] == reason
    assert message in job["abnormalStatus"]["runFailureMessage"]
    assert message in "\n".join(domino.log(job["id"]))


def test_a_commit_of_the_code_is_no_commit_of_the_artifacts(domino, remote: Remote):
    body = {"projectId": domino.project_id, "commandToRun": "where.py", "commitId": remote.first}
    answer = domino.request("POST", "/v4/jobs/start", json=body)
    assert answer.status_code == 400
    assert "mainRepoGitRef" in answer.json()["message"]


def test_an_artifacts_commit_and_a_code_reference_are_chosen_apart(domino, remote: Remote):
    first = domino.run("sh -c 'echo 1 > $DOMINO_ARTIFACTS_DIR/made.txt'")
    commit = first["commitDetails"]["outputCommitId"]
    domino.run("sh -c 'echo 2 > $DOMINO_ARTIFACTS_DIR/made.txt'")
    command = "sh -c 'cat version.txt $DOMINO_ARTIFACTS_DIR/made.txt'"
    job = domino.run(command, commitId=commit, mainRepoGitRef={"type": "tags", "value": "v1"})
    assert "".join(domino.log(job["id"], "stdout")) == "one1"


def test_what_a_run_leaves_among_its_code_is_kept_and_not_pushed(domino, remote: Remote):
    program = "echo 1 > left.txt; echo 2 >> version.txt; echo 3 > noise.log"
    job = domino.run(f"sh -c '{program}'")
    (repository,) = job["dependentRepositories"]
    assert repository["startingCommitId"] == remote.second
    kept = pygit2.Repository(str(domino.root / "repositories" / f"{repository['id']}.git"))
    tree = kept[repository["finishedCommitId"]].tree
    assert {entry.name for entry in tree} == {".gitignore", "left.txt", "version.txt", "where.py"}
    assert tree["version.txt"].data == b"two2\n"
    assert repository["finishedCommitId"] in "\n".join(domino.log(job["id"], "prepareoutput"))
    assert repository["finishedCommitId"] not in remote.repository


def test_commits_that_a_run_makes_are_kept(domino, remote: Remote):
    commit = "git -c user.name=a -c user.email=a@b commit -q --allow-empty -m mine"
    program = f"git checkout -q -b side && {commit} && git checkout -q trunk && {commit} && git rev-parse HEAD side"
    job = domino.run(f"sh -ec '{program}'")
    assert status(job) == "Succeeded", domino.log(job["id"])
    made = domino.log(job["id"], "stdout")
    (repository,) = job["dependentRepositories"]
    assert repository["finishedCommitId"] == made[0]
    kept = pygit2.Repository(str(domino.root / "repositories" / f"{repository['id']}.git"))
    assert all(commit in kept for commit in made)


def test_a_restart_from_the_same_commit_has_the_same_code(domino, remote: Remote):
    old = domino.run("where.py")
    remote.commit("refs/heads/trunk", "three", remote.second)
    try:
        same = domino.post("/v4/jobs/restart", jobId=old["id"], shouldUseOriginalInputCommit=True)
        latest = domino.post("/v4/jobs/restart", jobId=old["id"], shouldUseOriginalInputCommit=False)
        assert version(domino, domino.wait(same["id"])) == "two"
        assert version(domino, domino.wait(latest["id"])) == "three"
    finally:
        remote.repository.references.create("refs/heads/trunk", pygit2.Oid(hex=remote.second), force=True)


def test_changes_that_are_not_committed_are_not_in_a_run_and_the_log_says_so(domino, remote: Remote):
    (remote.folder / "version.txt").write_text("not committed")
    try:
        job = domino.run("where.py")
    finally:
        (remote.folder / "version.txt").write_text("two")
    assert version(domino, job) == "two"
    assert "not committed" in "\n".join(domino.log(job["id"], "prepareoutput"))


def test_what_of_the_code_is_not_fetched_is_told(domino, remote: Remote):
    builder = remote.repository.TreeBuilder(remote.repository[remote.first].tree)
    for name, text in ((".gitmodules", "[submodule]"), (".gitattributes", "*.bin filter=lfs diff=lfs\n")):
        builder.insert(name, remote.repository.create_blob(text.encode()), 0o100644)
    remote.repository.create_commit("refs/heads/large", AUTHOR, AUTHOR, "large", builder.write(), [])
    job = domino.run("where.py", mainRepoGitRef={"type": "branches", "value": "large"})
    remote.repository.references.delete("refs/heads/large")
    told = "\n".join(domino.log(job["id"], "prepareoutput"))
    assert "submodules" in told
    assert "git LFS" in told


def test_the_clone_of_a_run_is_a_git_repository_like_any_other(domino, remote: Remote):
    job = domino.run("sh -ec 'git status --short; git log --format=%H -1; git branch -a; git fsck'")
    lines = domino.log(job["id"], "stdout")
    assert status(job) == "Succeeded", domino.log(job["id"])
    assert lines[0] == remote.second
    assert "remotes/origin/dev" in "\n".join(lines)


def test_the_project_says_where_its_code_is(domino, remote: Remote):
    owner, name = domino.project.split("/")
    found = domino.get("/v4/gateway/projects/findProjectByOwnerAndName", ownerName=owner, projectName=name)
    assert found["mainRepository"]["uri"] == str(remote.folder)
    assert found["mainRepository"]["serviceProvider"] == "unknown"
