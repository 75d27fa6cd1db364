"""The files of a project and what may be a path of one."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from airflow_domino.local.repository import ProjectRepository, clean_path


@pytest.fixture
def repository(tmp_path: Path) -> ProjectRepository:
    return ProjectRepository(tmp_path / "project.git")


def upload(repository: ProjectRepository, folder: Path, path: str, content: bytes) -> None:
    source = folder / "source"
    source.write_bytes(content)
    repository.put_file(path, source, "ada")


def test_a_new_project_has_a_first_commit_without_files(repository):
    assert [commit.id for commit in repository.commits()] == [repository.head()]
    assert repository.files(repository.head()) == []


def test_an_upload_is_a_new_commit_of_its_author(repository, tmp_path):
    first = repository.head()
    upload(repository, tmp_path, "a/b.bin", bytes(range(256)))
    assert repository.head() != first
    assert repository.commits()[0].author == "ada"
    file = repository.file(repository.head(), "a/b.bin")
    assert b"".join(repository.content(file.key)) == bytes(range(256))


def test_the_same_content_again_is_no_new_commit(repository, tmp_path):
    upload(repository, tmp_path, "a.txt", b"1")
    head = repository.head()
    upload(repository, tmp_path, "a.txt", b"1")
    assert repository.head() == head


def test_uploads_from_many_threads_all_arrive(repository, tmp_path):
    def put(number: int) -> None:
        folder = tmp_path / str(number)
        folder.mkdir()
        upload(repository, folder, f"{number}.txt", str(number).encode())

    threads = [threading.Thread(target=put, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {file.path for file in repository.files(repository.head())} == {f"{number}.txt" for number in range(12)}


def test_an_upload_tells_of_its_own_commit_whatever_follows(repository, tmp_path, monkeypatch):
    source = tmp_path / "mine"
    source.write_bytes(b"mine")
    read_head = ProjectRepository.head

    def head_after_another_upload(self: ProjectRepository) -> str:
        monkeypatch.setattr(ProjectRepository, "head", read_head)
        upload(self, tmp_path, "a.txt", b"theirs")
        return read_head(self)

    monkeypatch.setattr(ProjectRepository, "head", head_after_another_upload)
    file = repository.put_file("a.txt", source, "ada")
    assert b"".join(repository.content(file.key)) == b"mine"


@pytest.mark.parametrize(
    ("there", "path", "reason"),
    [("data/x.txt", "data", "data is a folder"), ("data", "data/deep/x.txt", "data is a file, not a folder")],
)
def test_an_upload_that_would_remove_other_files_is_refused(repository, tmp_path, there, path, reason):
    upload(repository, tmp_path, there, b"1")
    with pytest.raises(ValueError, match=reason):
        upload(repository, tmp_path, path, b"2")
    assert [file.path for file in repository.files(repository.head())] == [there]


def test_the_output_of_a_run_is_left_out_where_the_run_made_a_folder_of_its_name(repository, tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    checkout = repository.check_out(repository.head(), folder)
    (folder / "results" / "stdout.txt").mkdir(parents=True)
    (folder / "results" / "stdout.txt" / "mine").write_text("1")
    output = tmp_path / "output"
    output.write_text("printed")
    extra = {"results/stdout.txt": output}
    repository.commit_run(checkout, "r", "Run", "ada", extra=extra, isolated=False, notes=[])
    assert [file.path for file in repository.files(repository.head())] == ["results/stdout.txt/mine"]


def test_commits_are_listed_latest_first(repository, tmp_path):
    ids = [repository.head()]
    for number in range(5):
        upload(repository, tmp_path, "a.txt", str(number).encode())
        ids.insert(0, repository.head())
    assert [commit.id for commit in repository.commits()] == ids


def test_a_folder_lists_folders_before_files(repository, tmp_path):
    for path in ("z/inside.txt", "a.txt"):
        upload(repository, tmp_path, path, b"1")
    assert [(entry.path, entry.is_folder) for entry in repository.folder(repository.head())] == [
        ("z", True),
        ("a.txt", False),
    ]


@pytest.mark.parametrize("commit_id", ["", "head", "abc", "f" * 40, "F" * 40, "0" * 24])
def test_what_is_no_commit_of_the_project_is_not_one(repository, commit_id):
    assert not repository.has_commit(commit_id)


def test_a_tree_is_no_commit(repository, tmp_path):
    upload(repository, tmp_path, "a.txt", b"1")
    assert not repository.has_commit(repository.file(repository.head(), "a.txt").key)


def test_a_file_that_cannot_be_kept_is_told_and_the_others_are_kept(repository, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "good.txt").write_text("1")
    (folder / os.fsdecode(b"bad\xff.txt")).write_text("1")
    os.mkfifo(folder / "pipe")
    notes = repository.import_folder(folder, "ada")
    assert [file.path for file in repository.files(repository.head())] == ["good.txt"]
    assert len(notes) == 1
    assert "bad" in notes[0]


def test_what_runs_changed_is_overwritten_only_by_a_change_of_the_folder(repository, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.txt").write_text("1")
    repository.import_folder(folder, "ada")
    upload(repository, tmp_path, "a.txt", b"run")
    repository.import_folder(folder, "ada")
    assert b"".join(repository.content(repository.file(repository.head(), "a.txt").key)) == b"run"
    (folder / "a.txt").write_text("2")
    repository.import_folder(folder, "ada")
    assert b"".join(repository.content(repository.file(repository.head(), "a.txt").key)) == b"2"


@pytest.mark.parametrize(
    ("path", "cleaned"),
    [("a", "a"), ("/a/b", "a/b"), ("//a//b/", "a/b"), ("./a", "a"), ("a/./b", "a/b"), ("a..b", "a..b")],
)
def test_a_path_is_brought_to_its_canonical_form(path, cleaned):
    assert clean_path(path) == cleaned


@pytest.mark.parametrize("path", ["", "/", ".", "..", "../a", "a/../b", "a/..", ".git/config", "sub/.git/x", "a\0b"])
def test_a_path_that_leaves_the_project_is_refused(path):
    with pytest.raises(ValueError, match="not a path"):
        clean_path(path)


def test_the_files_that_differ_between_two_commits_are_listed(repository, tmp_path):
    (tmp_path / "content").write_text("1")
    old = repository.head()
    repository.put_file("new.txt", tmp_path / "content", "ada")
    new = repository.head()
    assert [(change.path, change.kind) for change in repository.changes(old, new)] == [("new.txt", "added")]
    assert [(change.path, change.kind) for change in repository.changes(new, old)] == [("new.txt", "removed")]
