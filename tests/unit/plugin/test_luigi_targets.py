"""Whether the targets of Luigi tasks exist now, as far as the api-server can tell."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from airflow_domino.plugin import luigi_targets
from airflow_domino.plugin.luigi_targets import Answer, Eyes, Place, look, lost, place_of
from airflow_domino.plugin.luigi_values import AirflowTask, LuigiTask, Source, Target


@pytest.fixture
def shared(tmp_path):
    """A folder with a target, as a task on another machine saw it."""
    (tmp_path / "report.csv").touch()
    status = tmp_path.stat()
    return str(tmp_path), status.st_ino, int(status.st_mtime)


def on_another_machine(path: str, *marks: tuple[str, int, int]) -> Place:
    return Place(path, "worker-7", marks)


def test_a_file_in_a_folder_that_both_see_exists(shared):
    assert look(on_another_machine(f"{shared[0]}/report.csv", shared)).word == "exists"


def test_a_file_that_has_vanished_since_is_missing(shared):
    Path(shared[0], "report.csv").unlink()

    assert look(on_another_machine(f"{shared[0]}/report.csv", shared)).word == "missing"


def test_a_file_whose_folder_has_vanished_too_is_missing(shared):
    gone = (f"{shared[0]}/2026-01-01", 77, 77)

    assert look(on_another_machine(f"{gone[0]}/report.csv", gone, shared)).word == "missing"


@pytest.mark.parametrize("other", [{"inode": 1}, {"changed": 10**10}], ids=["another folder", "an older copy of it"])
def test_a_folder_of_the_same_name_on_this_machine_is_not_taken_for_the_one_that_the_task_saw(shared, other):
    folder, inode, changed = shared
    mark = (folder, inode + other.get("inode", 0), changed + other.get("changed", 0))

    answer = look(on_another_machine(f"{folder}/report.csv", mark))

    assert (answer.word, "does not share" in answer.why) == ("unseen", True)


def test_without_a_trace_of_the_folder_nothing_is_guessed(tmp_path):
    assert look(on_another_machine(str(tmp_path / "report.csv"))).word == "unseen"


def test_on_the_machine_of_the_task_itself_files_are_simply_looked_for(tmp_path):
    here = luigi_targets._own_host()
    (tmp_path / "report.csv").touch()

    assert look(Place(str(tmp_path / "report.csv"), here)).word == "exists"
    assert look(Place(str(tmp_path / "gone" / "report.csv"), here)).word == "missing"


@pytest.mark.parametrize(("exists", "word"), [(True, "exists"), (False, "missing")])
def test_an_object_in_a_bucket_is_asked_for_by_airflows_own_paths(monkeypatch, exists, word):
    asked = []
    monkeypatch.setattr(luigi_targets, "_exists", lambda address: asked.append(address) or exists)

    assert look(Place("s3n://bucket/report.csv")).word == word
    assert asked == ["s3://bucket/report.csv"]


def test_a_bucket_that_cannot_be_asked_from_here_is_told_as_that(monkeypatch):
    def refuse(address):
        raise PermissionError("secret detail")

    monkeypatch.setattr(luigi_targets, "_exists", refuse)

    answer = look(Place("s3://bucket/report.csv"))

    assert answer == Answer("unseen", "Airflow's api-server cannot look into s3:// (PermissionError)")


@pytest.mark.parametrize(
    "path",
    [
        "http://169.254.169.254/latest",
        "ftp://host/file",
        "hdfs://namenode/data",
        "domino://host/ann/churn/a.csv",
        "s3://some_connection@bucket/key",
        "memory",
        "",
        "../../etc/passwd",
    ],
)
def test_nothing_else_is_asked(monkeypatch, path):
    monkeypatch.setattr(luigi_targets, "_exists", lambda address: pytest.fail(f"asked {address}"))

    assert look(Place(path)).word == "unseen"


def test_a_place_knows_the_folders_above_it_the_nearest_first():
    folders = {"/data": (1, 1), "/data/2026/01": (3, 3), "/data/2026": (2, 2), "/other": (9, 9)}
    source = Source(AirflowTask("sales", "manual__1", "whole", hostname="worker-7"), folders)
    task = LuigiTask("k", "k", "m", "Whole", "done", source)

    place = place_of(task, Target("/data/2026/01/report.csv", "LocalTarget"))

    assert place.host == "worker-7"
    assert [folder for folder, _, _ in place.marks] == ["/data/2026/01", "/data/2026", "/data"]


@pytest.mark.parametrize(("state", "is_lost"), [("done", True), ("complete", True), ("failed", False)])
def test_only_what_a_complete_task_lacks_is_lost(state, is_lost):
    target = Target("/data/report.csv", "LocalTarget")
    task = LuigiTask("k", "k", "m", "Whole", state, Source(AirflowTask("s", "r", "t")), targets=(target,))

    assert bool(lost({place_of(task, target): Answer("missing")}, task)) is is_lost


# ---- looking in the background ---------------------------------------------------------------------------------------


def test_a_page_does_not_wait_for_a_disk_that_hangs():
    hangs = threading.Event()
    eyes = Eyes(lambda place: Answer("exists") if place.path == "/a" else Answer("exists" if hangs.wait(30) else ""))
    places = [Place("/a"), Place("/b")]
    try:
        words = [answer.word for answer in eyes.answers(places, patience=1.0).values()]
    finally:
        hangs.set()

    assert words == ["exists", "asked"]
    assert [answer.word for answer in eyes.answers(places, patience=30).values()] == ["exists", "exists"]


def test_an_answer_is_kept_for_a_while_and_then_asked_for_again():
    seen = []
    eyes = Eyes(lambda place: seen.append(place) or Answer("exists"), seconds_kept=3600)
    for _ in range(3):
        eyes.answers([Place("/a")], patience=30)
    assert len(seen) == 1

    eyes = Eyes(lambda place: seen.append(place) or Answer("exists"), seconds_kept=0)
    eyes.answers([Place("/a")], patience=30)
    eyes.answers([Place("/a")], patience=30)
    assert eyes.answers([Place("/a")], patience=0) == {Place("/a"): Answer("exists")}
    assert len(seen) >= 2


def test_a_look_that_fails_in_an_unforeseen_way_ends_no_thread():
    def see(place):
        if place.path == "/a":
            raise RuntimeError("unforeseen")
        return Answer("exists")

    eyes = Eyes(see)

    assert [answer.word for answer in eyes.answers([Place("/a"), Place("/b")], patience=30).values()] == [
        "unseen",
        "exists",
    ]


def test_of_very_many_targets_only_some_are_looked_for():
    assert len(Eyes(lambda place: Answer("exists")).answers([Place(f"/{n}") for n in range(900)], patience=30)) == 300
