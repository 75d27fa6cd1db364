"""DominoFileTarget: files of a real project of the local Domino as Luigi targets."""

from __future__ import annotations

import gc
import pickle

import luigi
import pytest
from airflow.sdk import Asset

from airflow_domino.domino.client import DominoClient
from airflow_domino.domino.errors import ConfigurationError, NotFoundError, UnsafePathError
from airflow_domino.luigi import DominoFileTarget


@pytest.fixture
def client(local_domino):
    environment = {"DOMINO_API_HOST": local_domino.url, "DOMINO_USER_API_KEY": local_domino.token}
    with DominoClient.from_environment(environment) as client:
        yield client


@pytest.fixture
def target(client, local_domino):
    def make(path: str, **more) -> DominoFileTarget:
        return DominoFileTarget(path, project=local_domino.project, client=client, **more)

    return make


def test_what_is_written_can_be_read_back_by_anybody(target):
    with target("targets/a/note.txt").open("w") as file:
        file.write("naïve\n")
    assert target("targets/a/note.txt").exists()
    with target("targets/a/note.txt").open() as file:
        assert file.read() == "naïve\n"
    with target("targets/a/note.txt").open("rb") as file:
        assert file.read() == "naïve\n".encode()


def test_bytes_are_written_as_they_are(target):
    with target("targets/bytes.bin").open("wb") as file:
        file.write(b"\x00\xff")
    with target("targets/bytes.bin").open("rb") as file:
        assert file.read() == b"\x00\xff"


def test_a_file_that_is_not_there_does_not_exist_and_cannot_be_read(target):
    assert not target("no-folder/no-file.txt").exists()
    assert not target("no-file.txt").exists()
    with pytest.raises(NotFoundError, match=r"no-file\.txt"):
        target("no-file.txt").open()


def test_an_exception_while_writing_leaves_nothing_behind(target, local_domino):
    before = local_domino.head()

    def write_half(mode, half):
        with target("targets/half.txt").open(mode) as file:
            file.write(half)
            raise ZeroDivisionError

    for mode, half in (("w", "half"), ("wb", b"half")):
        with pytest.raises(ZeroDivisionError):
            write_half(mode, half)
    assert local_domino.head() == before


def test_a_file_that_is_never_closed_is_not_put_into_the_project(target, local_domino):
    before = local_domino.head()
    file = target("targets/open.txt").open("w")
    file.write("half")
    del file
    gc.collect()
    assert local_domino.head() == before


def test_a_target_at_a_commit_stays_what_it_was(target, local_domino):
    with target("targets/version.txt").open("w") as file:
        file.write("one")
    then = target("targets/version.txt", commit_id=local_domino.head())
    with target("targets/version.txt").open("w") as file:
        file.write("two")
    with then.open() as file:
        assert file.read() == "one"
    with pytest.raises(ConfigurationError, match="never changes"):
        then.open("w")


def test_a_commit_that_is_not_there_is_an_error_and_not_a_missing_file(target):
    with pytest.raises(NotFoundError):
        target("hello.py", commit_id="0" * 40).exists()


def test_a_path_out_of_the_project_is_refused(target):
    with pytest.raises(UnsafePathError):
        target("../x.txt")


def test_a_target_can_go_to_another_process_without_its_client(target, local_domino, monkeypatch):
    monkeypatch.setenv("DOMINO_API_HOST", local_domino.url)
    monkeypatch.setenv("DOMINO_USER_API_KEY", local_domino.token)
    assert pickle.loads(pickle.dumps(target("hello.py"))).exists()


def test_a_luigi_task_with_such_a_target_runs_once(target):
    runs = []

    class Makes(luigi.Task):
        def output(self):
            return target("targets/made.txt")

        def run(self):
            runs.append(self)
            with self.output().open("w") as file:
                file.write("made")

    assert luigi.build([Makes()], local_scheduler=True)
    assert luigi.build([Makes()], local_scheduler=True)
    assert len(runs) == 1


def test_its_address_is_one_that_airflow_takes_for_an_asset(target, local_domino):
    address = target("targets/a note.txt").asset_uri
    host = local_domino.url.removeprefix("http://")
    assert address == f"domino://{host}/{local_domino.project}/targets/a%20note.txt"
    assert Asset(address).uri == address
