"""Whatever runs do side by side, each file that one of them wrote can be found again, and it is said where."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from airflow_domino.local.repository import Checkout, ProjectRepository
from airflow_domino.local.saved_results import FileLimits, SavedResults

Files = dict[str, str]
# "d" is a file here and a folder there, so that runs get in each other's way in every manner.
PATHS = ("a", "b", "d", "d/x", "d/y", "d/deep/z", ".dominokeep")
CONTENTS = some.sampled_from(["1", "2", "3"])


def on_disk(folder: Path) -> Files:
    """What the files of a folder hold."""
    return {
        path.relative_to(folder).as_posix(): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def write(folder: Path, path: str, text: str) -> None:
    """Write a file, whatever is in its way."""
    target = folder / path
    for parent in [*reversed(target.relative_to(folder).parents)][1:]:
        if (folder / parent).is_file():
            (folder / parent).unlink()
    if target.is_dir():
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)


@dataclass
class Worker:
    """A run that executes: its folder, and what was there when it began."""

    checkout: Checkout
    before: Files


class Project(RuleBasedStateMachine):
    """People and runs change the files of one project in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.repository = ProjectRepository(self.folder / "project.git")
        self.workers: list[Worker] = []
        self.number = 0
        self.results: dict[str, Files] = {}

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def files(self, commit_id: str) -> Files:
        return {
            file.path: b"".join(self.repository.content(file.key)).decode() for file in self.repository.files(commit_id)
        }

    @rule()
    def start(self) -> None:
        self.number += 1
        folder = self.folder / str(self.number)
        folder.mkdir()
        checkout = self.repository.check_out(self.repository.head(), folder)
        self.workers.append(Worker(checkout, on_disk(folder)))

    @precondition(lambda self: self.workers)
    @rule(number=some.integers(0, 9), path=some.sampled_from(PATHS), text=CONTENTS)
    def write(self, number: int, path: str, text: str) -> None:
        write(self.workers[number % len(self.workers)].checkout.folder, path, text)

    @precondition(lambda self: self.workers)
    @rule(number=some.integers(0, 9), path=some.sampled_from(PATHS))
    def remove(self, number: int, path: str) -> None:
        target = self.workers[number % len(self.workers)].checkout.folder / path
        if target.is_dir():
            shutil.rmtree(target)
        elif target.is_file():
            target.unlink()

    @rule(path=some.sampled_from(PATHS), text=CONTENTS)
    def upload(self, path: str, text: str) -> None:
        source = self.folder / "source"
        source.write_text(text)
        try:
            self.repository.put_file(path, source, "ada")
        except ValueError:
            return
        assert self.files(self.repository.head())[path] == text

    @precondition(lambda self: self.workers)
    @rule(number=some.integers(0, 9), isolated=some.booleans())
    def finish(self, number: int, isolated: bool) -> None:
        worker = self.workers.pop(number % len(self.workers))
        after, before = on_disk(worker.checkout.folder), self.files(self.repository.head())
        self.number += 1
        run_id = f"run{self.number}"
        saved = self.repository.commit_run(worker.checkout, run_id, "Run", "ada", extra={}, isolated=isolated, notes=[])
        head = self.files(self.repository.head())
        if not saved.is_changed:
            assert (saved.commit, after, head) == (worker.checkout.commit, worker.before, before)
            return
        self.results[saved.commit] = after
        if isolated:
            assert (saved.head, head) == (None, before)
        else:
            self.check_main_line(worker.before, after, before, head, saved)

    def check_main_line(self, began: Files, after: Files, before: Files, head: Files, saved: SavedResults) -> None:
        assert saved.head == self.repository.head()
        changed = {path: text for path, text in after.items() if began.get(path) != text}
        assert {path: head.get(path) for path in changed} == changed
        for path in set(before) - set(head):
            # Only what this run removed, or put something in the place of, is gone.
            is_removed = path in began and path not in after
            assert is_removed or any(path.startswith(f"{new}/") or new.startswith(f"{path}/") for new in changed)
        others = {path for path, text in before.items() if began.get(path) != text}
        for path in others:
            # What somebody else changed meanwhile is on the main line still, or it is said where it is.
            if head.get(path) != before[path]:
                assert any(path == said or path.startswith(f"{said}/") for said in saved.overwritten), saved
                assert self.files(str(saved.other))[path] == before[path]

    @invariant()
    def each_result_can_be_read(self) -> None:
        listed = {commit.id for commit in self.repository.commits()}
        for commit_id, files in self.results.items():
            assert commit_id in listed
            assert self.files(commit_id) == files


TestAnyOrder = Project.TestCase
TestAnyOrder.settings = settings(
    max_examples=40, stateful_step_count=14, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture
def repository(tmp_path: Path) -> ProjectRepository:
    return ProjectRepository(tmp_path / "project.git", FileLimits(largest=10, most=3))


@pytest.fixture
def work(repository: ProjectRepository, tmp_path: Path) -> Iterator[Checkout]:
    folder = tmp_path / "work"
    folder.mkdir()
    return repository.check_out(repository.head(), folder)


def save(repository: ProjectRepository, work: Checkout, notes: list[str] | None = None) -> SavedResults:
    return repository.commit_run(
        work, "r", "Run", "ada", extra={}, isolated=False, notes=[] if notes is None else notes
    )


def names(repository: ProjectRepository, commit_id: str | None) -> list[str]:
    return [file.path for file in repository.files(str(commit_id))]


def test_a_file_over_the_limit_is_told_and_the_others_are_kept(repository, work, tmp_path):
    (work.folder / "large").write_text("x" * 11)
    (work.folder / "small").write_text("x" * 10)
    notes: list[str] = []
    saved = save(repository, work, notes)
    assert names(repository, saved.commit) == ["small"]
    assert "11 bytes" in notes[0]
    assert "'large'" in str(saved.problem)


def test_results_with_too_many_files_are_kept_beside_the_main_line(repository, work):
    head = repository.head()
    for number in range(4):
        (work.folder / str(number)).write_text("1")
    saved = save(repository, work)
    assert (repository.head(), saved.head) == (head, None)
    assert names(repository, saved.commit) == ["0", "1", "2", "3"]
    assert "4 files, and it may have 3" in str(saved.problem)


def test_a_project_that_was_over_the_limit_before_is_told_once_and_its_runs_go_on(repository, tmp_path):
    source, folder = tmp_path / "source", tmp_path / "work"
    source.mkdir()
    for number in range(5):
        (source / str(number)).write_text("1")
    assert ["5 files are more than the 3" in note for note in repository.import_folder(source, "ada")] == [True]
    folder.mkdir()
    work = repository.check_out(repository.head(), folder)
    (folder / "0").write_text("2")
    assert save(repository, work).problem is None


def test_an_upload_over_the_limit_is_refused(repository, tmp_path):
    source = tmp_path / "source"
    source.write_text("x" * 11)
    with pytest.raises(ValueError, match="at most 10 bytes"):
        repository.put_file("large", source, "ada")


def test_a_file_that_nobody_may_read_is_kept(repository, work):
    (work.folder / "secret").write_text("1")
    (work.folder / "folder").mkdir()
    (work.folder / "folder" / "inside").write_text("1")
    (work.folder / "secret").chmod(0)
    (work.folder / "folder").chmod(0)
    assert names(repository, save(repository, work).commit) == ["folder/inside", "secret"]


def test_a_link_that_leads_out_of_the_project_is_told(repository, work, tmp_path):
    (work.folder / "inside").symlink_to("somewhere/else")
    (work.folder / "outside").symlink_to("../secret")
    notes: list[str] = []
    save(repository, work, notes)
    assert [note.split("'")[1] for note in notes] == ["outside"]


def test_an_empty_folder_is_kept_by_the_file_that_is_meant_for_it(repository, work, tmp_path):
    for name in ("kept", "gone"):
        (work.folder / name).mkdir()
    (work.folder / "kept" / ".dominokeep").touch()
    again = tmp_path / "again"
    again.mkdir()
    repository.check_out(str(save(repository, work).commit), again)
    assert [path.name for path in again.iterdir()] == ["kept"]
