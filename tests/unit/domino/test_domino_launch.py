"""Launching once: marks in titles, looking before launching, and starts whose answer was lost."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_domino.domino import (
    DominoClient,
    DominoUnavailableError,
    Launch,
    LaunchOutcomeUnknownError,
    RequestError,
    Run,
    RunMark,
    RunRequest,
    RunStatus,
    find_run,
    launch_once,
    mark_title,
)

START = "/v4/jobs/start"
MARK = RunMark.for_task("ensemble", "scheduled__2026", "train", -1, 2)
OTHER = RunMark.for_task("ensemble", "scheduled__2026", "train", -1, 3)
REQUEST = RunRequest("p1", "train.py", title="Train the forest")
NO_PAUSES = (0.001, 0.001, 0.001)


# ---- marks


def test_a_mark_is_the_same_wherever_and_whenever_it_is_made() -> None:
    mark = RunMark.for_task("dag", "run", "task", 3, 1)

    assert mark == RunMark.for_task("dag", "run", "task", 3, 1)
    assert mark.text == f"[airflow {mark.owner_key}-{mark.task_key}-{mark.group_key}]"
    assert (len(mark.owner_key), len(mark.task_key)) == (12, 16)


def test_marks_differ_in_every_part_that_makes_a_task_instance_and_its_generation() -> None:
    parts = [("d", "r", "t", 0, 0), ("d2", "r", "t", 0, 0), ("d", "r2", "t", 0, 0), ("d", "r", "t2", 0, 0)]
    parts += [("d", "r", "t", 1, 0), ("d", "r", "t", 0, 1), ("dr", "", "t", 0, 0)]

    assert len({RunMark.for_task(*some).text for some in parts}) == len(parts)


def test_all_tasks_of_one_dag_run_share_its_owner_key() -> None:
    assert RunMark.for_task("d", "r", "a", -1, 0).owner_key == RunMark.for_task("d", "r", "b", 5, 7).owner_key


def test_all_runs_of_one_task_share_its_group_key() -> None:
    groups = {RunMark.for_task("d", run, "a", index, 0).group_key for run in ("r1", "r2") for index in (-1, 3)}

    assert groups == {RunMark.group_of("d", "a")} != {RunMark.group_of("d", "b")}


def test_a_mark_without_a_group_key_is_read_too() -> None:
    assert RunMark.parse("t [airflow 0123456789ab-0123456789abcdef-pin]") == RunMark(
        "0123456789ab", "0123456789abcdef", True
    )


@pytest.mark.parametrize("pinned", [True, False])
def test_a_mark_is_read_back_from_a_title(pinned: bool) -> None:
    mark = RunMark.for_task("d", "r", "t", -1, 0, pinned)

    assert RunMark.parse(f"My title {mark.text}") == mark


@pytest.mark.parametrize("title", [None, "", "plain", "[airflow 12-34]", "[airflow ZZ0000000000-0000000000000000]"])
def test_a_title_without_a_mark_has_none(title: str | None) -> None:
    assert RunMark.parse(title) is None


def test_the_last_mark_of_a_title_counts() -> None:
    assert RunMark.parse(f"{OTHER.text} again {MARK.text} (copy)") == MARK


def test_a_persons_title_stays_readable_with_the_mark_at_its_end() -> None:
    assert mark_title("Train  the\nforest", MARK) == f"Train the forest {MARK.text}"


@pytest.mark.parametrize("title", [None, "", "  "])
def test_without_a_title_the_mark_is_the_title(title: str | None) -> None:
    assert mark_title(title, MARK) == MARK.text


def test_a_long_title_is_cut_but_never_its_mark() -> None:
    title = mark_title("x" * 500, MARK, limit=100)

    assert len(title) == 100
    assert title.endswith(f"x… {MARK.text}")
    assert mark_title("x" * 500, MARK, limit=10) == MARK.text


def test_an_older_mark_in_a_title_is_replaced() -> None:
    assert mark_title(f"Train {OTHER.text}", MARK) == f"Train {MARK.text}"


def test_a_mark_tells_a_dag_run_from_one_of_its_name_that_was_created_before() -> None:
    times = [datetime(2026, 3, 1, 12, 0, second, microsecond, UTC) for second, microsecond in ((0, 0), (0, 1), (1, 0))]
    keys = [RunMark.creation_of(time) for time in times]
    first, *others = [RunMark.for_task("train", "r1", "forest", creation_key=key) for key in keys]
    assert RunMark.parse(f"t {first.text}") == first
    assert RunMark.creation_of(times[0].astimezone(timezone(timedelta(hours=5)))) == keys[0]
    assert first.is_same_launch(first)
    assert not any(first.is_same_launch(other) for other in others)
    assert mark_title(f"t {first.text}", others[0]) == f"t {others[0].text}"


def test_a_title_that_is_cut_in_the_last_part_of_its_mark_is_that_of_a_run_whose_creation_is_not_known() -> None:
    mark = RunMark.for_task("train", "r1", "forest", creation_key="0f1e2d3c")
    for length in range(len(mark.text.partition("]")[0]) + 1, len(mark.text)):
        cut = RunMark.parse(mark.text[:length])
        assert cut == replace(mark, creation_key="")
        assert mark.is_same_launch(cut)


def test_the_version_before_reads_what_it_knows_of_a_mark() -> None:
    known = re.compile(r"\[airflow ([0-9a-f]{12})-([0-9a-f]{16})(?:-([0-9a-f]{8}))?(-pin)?\]")
    mark = RunMark.for_task("train", "r1", "forest", pinned=True, creation_key="0f1e2d3c")
    assert known.findall(mark_title("The forest", mark)) == [(mark.owner_key, mark.task_key, mark.group_key, "-pin")]


def test_a_pinned_mark_finds_its_run_by_the_unpinned_one() -> None:
    pinned = RunMark(MARK.owner_key, MARK.task_key, pinned=True)
    run = Run("a", 1, mark_title("t", pinned), "x", "p1", RunStatus("Running", False))

    assert MARK.marks(run)
    assert not OTHER.marks(run)


# ---- a Domino with runs


class Runs:
    """Keeps the runs that were started, newest first; may lose the answer to a start."""

    def __init__(self, domino: Any, answer: Any, job: Callable[..., dict[str, Any]]) -> None:
        self.jobs: list[dict[str, Any]] = []
        self.lists: list[str] = []
        self.hidden_lists = 0
        self.losses: list[dict[str, Any]] = []
        self._answer, self._job = answer, job
        self._ids = itertools.count(1)
        domino.on("POST", START, self._start)
        domino.on("GET", "/v4/jobs", self._list)
        self.domino = domino

    @property
    def starts(self) -> int:
        return int(self.domino.count("POST", START))

    def add(self, title: str | None, status: str = "Running", age: float = 0.0) -> dict[str, Any]:
        submitted = int((time.time() - age) * 1000)
        job = self._job(f"r{next(self._ids)}", status, title=title, stageTime={"submissionTime": submitted})
        self.jobs.insert(0, job)
        return job

    def _start(self, asked: Any) -> Any:
        loss = dict(self.losses.pop(0)) if self.losses else {}
        if not loss.pop("before", False):
            return self._answer(self.add(asked.json["title"]), **loss)
        return self._answer({"message": "no"}, **loss)

    def _list(self, asked: Any) -> Any:
        self.lists.append(asked.query["status"])
        if self.hidden_lists:
            self.hidden_lists -= 1
            return self._answer({"jobs": [], "totalCount": 0})
        jobs = self.jobs
        if asked.query["status"] == "active":
            jobs = [job for job in jobs if not job["statuses"]["isCompleted"]]
        size, page = int(asked.query["page_size"]), int(asked.query["page_no"])
        return self._answer({"jobs": jobs[(page - 1) * size : page * size], "totalCount": len(jobs)})


@pytest.fixture
def runs(domino: Any, answer: Any, job: Any) -> Runs:
    """The runs of project p1."""
    return Runs(domino, answer, job)


# ---- finding


def test_one_reading_of_the_active_runs_and_of_all_others_finds_a_run(client: DominoClient, runs: Runs) -> None:
    runs.add(mark_title("t", MARK))
    runs.add("somebody else's")

    found = find_run(client, "p1", MARK, since=None)

    assert found is not None
    assert found.id == "r1"
    assert runs.lists == ["active", "all"]


def test_a_run_that_is_over_is_found_too(client: DominoClient, runs: Runs) -> None:
    runs.add(mark_title("t", MARK), "Failed")

    found = find_run(client, "p1", MARK, since=None)

    assert found is not None
    assert found.status.word == "Failed"


def test_the_newest_of_several_runs_with_the_mark_is_found(client: DominoClient, runs: Runs) -> None:
    runs.add(mark_title("t", MARK), "Failed")
    runs.add(mark_title("t", MARK), "Failed")

    found = find_run(client, "p1", MARK, since=None)

    assert found is not None
    assert found.id == "r2"


def test_nothing_much_older_than_asked_is_looked_at(client: DominoClient, runs: Runs) -> None:
    runs.add(mark_title("t", MARK), "Failed", age=3600)
    for _ in range(250):
        runs.add("old", "Succeeded", age=1800)

    assert find_run(client, "p1", MARK, since=datetime.now(UTC)) is None
    assert runs.lists == ["active", "all"]


def test_clocks_may_differ_by_minutes(client: DominoClient, runs: Runs) -> None:
    runs.add(mark_title("t", MARK), "Failed", age=300)

    assert find_run(client, "p1", MARK, since=datetime.now(UTC)) is not None


def test_the_search_ends_at_its_limit(client: DominoClient, runs: Runs) -> None:
    runs.add(mark_title("t", MARK), "Failed")
    for _ in range(150):
        runs.add("newer", "Succeeded")

    assert find_run(client, "p1", MARK, since=None, limit=150) is None
    assert find_run(client, "p1", MARK, since=None, limit=151) is not None


def test_runs_without_a_time_do_not_end_the_search(client: DominoClient, runs: Runs) -> None:
    runs.add(mark_title("t", MARK), "Failed")
    runs.add("no time", "Failed")["stageTime"] = {}

    assert find_run(client, "p1", MARK, since=datetime.now(UTC) - timedelta(hours=1)) is not None


# ---- launching


def test_a_launch_marks_the_title_and_starts_one_run(client: DominoClient, runs: Runs) -> None:
    launch = launch_once(client, REQUEST, MARK)

    assert launch == Launch(launch.run, was_found=False)
    assert runs.jobs[0]["title"] == f"Train the forest {MARK.text}"


def test_a_second_launch_finds_the_run_of_the_first(client: DominoClient, runs: Runs) -> None:
    first = launch_once(client, REQUEST, MARK)
    second = launch_once(client, REQUEST, MARK)

    assert (second.run.id, second.was_found) == (first.run.id, True)
    assert runs.starts == 1


def test_another_generation_is_another_run(client: DominoClient, runs: Runs) -> None:
    launch_once(client, REQUEST, MARK)

    assert not launch_once(client, REQUEST, OTHER).was_found
    assert runs.starts == 2


def test_a_mark_that_was_never_used_needs_no_look(client: DominoClient, runs: Runs) -> None:
    launch_once(client, REQUEST, MARK, look_first=False)

    assert runs.lists == []


@pytest.mark.parametrize("loss", [{"fault": "reset"}, {"fault": "half"}, {"status": 504}, {"status": 500}])
def test_a_start_whose_answer_was_lost_is_found_and_not_repeated(
    client: DominoClient, runs: Runs, loss: dict[str, Any]
) -> None:
    runs.losses.append(loss)

    launch = launch_once(client, REQUEST, MARK, pauses=NO_PAUSES)

    assert launch.was_found
    assert [job["id"] for job in runs.jobs] == [launch.run.id]
    assert runs.starts == 1


def test_a_lost_run_that_shows_late_is_waited_for(client: DominoClient, runs: Runs) -> None:
    runs.losses.append({"fault": "reset"})
    runs.hidden_lists = 2 + 4

    assert launch_once(client, REQUEST, MARK, pauses=NO_PAUSES).was_found
    assert runs.starts == 1


def test_a_lost_start_whose_run_never_shows_is_said_with_the_mark_and_not_repeated(
    client: DominoClient, runs: Runs
) -> None:
    runs.losses.append({"status": 502, "before": True})

    with pytest.raises(LaunchOutcomeUnknownError) as caught:
        launch_once(client, REQUEST, MARK, pauses=NO_PAUSES)

    assert MARK.text in str(caught.value)
    assert runs.starts == 1


def test_an_outage_during_the_look_is_borne(domino: Any, connect: Any, answer: Any, runs: Runs) -> None:
    runs.losses.append({"fault": "reset"})
    listing, outages = runs._list, iter([True, True])
    domino.on("GET", "/v4/jobs", lambda asked: answer(status=503) if next(outages, False) else listing(asked))

    launch = launch_once(connect(retries=0), REQUEST, MARK, look_first=False, pauses=NO_PAUSES)

    assert launch.was_found


def test_a_look_that_is_refused_never_hides_that_a_run_may_have_been_started(
    domino: Any, client: DominoClient, answer: Any, runs: Runs
) -> None:
    runs.losses.append({"fault": "reset"})
    domino.on("GET", "/v4/jobs", answer(status=401))

    with pytest.raises(LaunchOutcomeUnknownError):
        launch_once(client, REQUEST, MARK, look_first=False, pauses=NO_PAUSES)


@pytest.mark.parametrize("status", [429, 503])
def test_a_start_that_was_turned_away_is_tried_again(client: DominoClient, runs: Runs, status: int) -> None:
    runs.losses += [{"status": status, "before": True}] * 2

    launch = launch_once(client, REQUEST, MARK, pauses=NO_PAUSES)

    assert not launch.was_found
    assert (runs.starts, len(runs.jobs)) == (3, 1)


def test_a_gateway_that_turned_the_start_away_after_passing_it_on_makes_no_second_run(
    client: DominoClient, runs: Runs
) -> None:
    runs.losses.append({"status": 503})

    launch = launch_once(client, REQUEST, MARK, pauses=NO_PAUSES)

    assert launch.was_found
    assert (runs.starts, len(runs.jobs)) == (1, 1)


def test_who_was_held_up_after_the_look_looks_again_before_the_start(
    client: DominoClient, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_domino.domino.launch.STALE_SECONDS", 0.0)

    def freeze_while_another_launches() -> None:
        runs.add(f"theirs {MARK.text}")

    launch = launch_once(client, REQUEST, MARK, look_first=False, before_start=freeze_while_another_launches)

    assert launch.was_found
    assert (runs.starts, len(runs.jobs)) == (0, 1)


def test_a_start_that_is_always_turned_away_is_given_up(client: DominoClient, runs: Runs) -> None:
    runs.losses += [{"status": 503, "before": True}] * 9

    with pytest.raises(DominoUnavailableError) as caught:
        launch_once(client, REQUEST, MARK, pauses=NO_PAUSES)

    assert not isinstance(caught.value, LaunchOutcomeUnknownError)
    assert runs.starts == len(NO_PAUSES) + 1


def test_a_refused_start_is_not_tried_again(client: DominoClient, runs: Runs) -> None:
    runs.losses.append({"status": 400, "before": True})

    with pytest.raises(RequestError):
        launch_once(client, REQUEST, MARK, pauses=NO_PAUSES)

    assert runs.starts == 1


def test_who_gives_up_between_two_attempts_starts_nothing_more(client: DominoClient, runs: Runs) -> None:
    runs.losses.append({"status": 503, "before": True})

    def give_up_after_one() -> None:
        if runs.starts:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        launch_once(client, REQUEST, MARK, pauses=NO_PAUSES, before_start=give_up_after_one)

    assert (runs.starts, len(runs.jobs)) == (1, 0)
