"""Simulated runs go their way by a plan and by the clock, without a process or a thread for any of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_domino.local import statuses
from airflow_domino.local.clock import CLOCK
from airflow_domino.local.errors import BadRequest
from airflow_domino.local.platform import Platform
from airflow_domino.local.simulation import Plan, read_simulation
from airflow_domino.local.starting import StartRequest, split_command
from airflow_domino.local.tiers import Tier

WIDE = Tier("wide", "Wide", cores=1, memory_gib=1, cents_per_minute=6, capacity=20_000, is_default=True)
NARROW = Tier("narrow", "Narrow", cores=1, memory_gib=1, cents_per_minute=1, capacity=1)


@pytest.fixture
def frozen_clock() -> Iterator[None]:
    """A clock that stands still, until the test lets time pass."""
    CLOCK.freeze()
    yield
    CLOCK.reset()


@pytest.fixture
def simulated(tmp_path: Path, frozen_clock: None) -> Iterator[Callable[..., Platform]]:
    """What makes platforms that simulate runs as a document says."""
    made: list[Platform] = []

    def make(document: Any, root: Path = tmp_path / "root") -> Platform:
        platform = Platform(root=root, tiers=[WIDE, NARROW], simulation=read_simulation(document))
        made.append(platform)
        platform.add_project("domino/quick-start")
        platform.runner.start("http://127.0.0.1:1", "http://127.0.0.1:1")
        return platform

    yield make
    for platform in made:
        platform.close()


def start(platform: Platform, command: str = "train.py", **fields: Any) -> str:
    project = platform.project_named("domino", "quick-start")
    return platform.start(project, StartRequest(command, split_command(command), **fields)).id


def state(platform: Platform, run_id: str) -> str:
    return platform.run(run_id).status


def states(platform: Platform, run_id: str) -> list[str]:
    return [entry["to"] for entry in platform.ledger.entries(events=["state"], run_id=run_id)]


def test_each_status_lasts_as_long_as_the_plan_says_and_begins_at_its_own_time(simulated):
    platform = simulated({"default": {"seconds": {"Preparing": 2, "Running": 10, "Finishing": 3}}})
    began = CLOCK.now_ms()
    run_id = start(platform)
    assert state(platform, run_id) == statuses.PREPARING
    CLOCK.advance(2)
    assert state(platform, run_id) == statuses.RUNNING
    CLOCK.advance(3600)
    run = platform.run(run_id)
    assert (run.status, run.exit_code) == (statuses.SUCCEEDED, 0)
    assert (run.started_at, run.completed_at, run.saved_at) == (began + 2000, began + 12_000, began + 15_000)
    assert states(platform, run_id) == ["Queued", "Scheduled", "Preparing", "Running", "Finishing", "Succeeded"]


def test_nothing_happens_while_the_clock_stands_still(simulated):
    platform = simulated({"default": {"seconds": 1}})
    run_id = start(platform)
    CLOCK.advance(0.999)
    assert state(platform, run_id) == statuses.RUNNING


def test_an_immediate_run_is_over_when_its_start_is_answered(simulated):
    platform = simulated({"default": {"pace": "immediate", "exit_code": 4}})
    run = platform.run(start(platform))
    assert (run.status, run.exit_code, run.failure_reason) == (statuses.FAILED, 4, "UserCodeFailed")


def test_a_manual_run_moves_only_when_somebody_moves_it(simulated):
    platform = simulated({"default": {"pace": "manual"}})
    run_id = start(platform)
    CLOCK.advance(1e6)
    assert state(platform, run_id) == statuses.SCHEDULED
    assert platform.runner.move(run_id).status == statuses.PREPARING
    assert platform.runner.move(run_id, "Running").status == statuses.RUNNING
    platform.stop(platform.run(run_id), keep_results=True)
    assert state(platform, run_id) == statuses.STOP_REQUESTED
    assert platform.runner.move(run_id, "Stopped").status == statuses.STOPPED
    with pytest.raises(BadRequest, match="not on its way"):
        platform.runner.move(run_id)


def test_a_run_cannot_be_moved_to_a_status_that_it_does_not_come_through(simulated):
    platform = simulated({"default": {"pace": "manual"}})
    with pytest.raises(BadRequest, match="came to its end in Succeeded"):
        platform.runner.move(start(platform), "Serving")


def test_a_rule_for_so_many_times_lets_the_first_attempts_fail(simulated):
    rules = [{"command": "flaky.py *", "times": 2, "exit_code": 1, "pace": "immediate"}]
    platform = simulated({"rules": rules, "default": {"pace": "immediate"}})
    ended = [state(platform, start(platform, command)) for command in ["flaky.py 1", "other.py", *["flaky.py 1"] * 2]]
    assert ended == ["Failed", "Succeeded", "Failed", "Succeeded"]
    assert platform.runner.simulator is not None
    assert platform.runner.simulator.script.applied() == [2]


def test_the_platform_can_be_made_to_fail_a_run(simulated):
    plan = {"status": "Error", "reason": "ImagePullFailed", "message": "run $number cannot be", "pace": "immediate"}
    run = (platform := simulated({"default": plan})).run(start(platform))
    assert (run.status, run.failure_reason, run.failure_message) == ("Error", "ImagePullFailed", "run 1 cannot be")
    assert run.exit_code is None


def test_what_a_simulated_run_writes_is_in_its_output_commit(simulated):
    plan = {"files": {"models/net.txt": "of run $number"}, "stats": {"auc": 0.9, "kind": "net"}, "pace": "immediate"}
    platform = simulated({"default": plan})
    run = platform.run(start(platform))
    repository = platform.repository(run.project_id)
    assert run.output_commit is not None
    file = repository.file(run.output_commit, "models/net.txt")
    assert b"".join(repository.content(file.key)) == b"of run 1"
    assert run.stats == [{"name": "auc", "value": "0.9"}, {"name": "kind", "value": "net"}]
    assert repository.head() == run.output_commit


@pytest.mark.parametrize(
    ("plan", "has_results"),
    [({}, True), ({"exit_code": 1}, True), ({"status": "Error"}, False), ({"status": "Stopped"}, True)],
)
def test_the_output_commit_of_a_simulated_run_that_writes_nothing_is_its_input_commit(simulated, plan, has_results):
    run = (platform := simulated({"default": {"pace": "immediate"} | plan})).run(start(platform))
    assert run.output_commit == (run.input_commit if has_results else None)


@pytest.mark.parametrize("keep_results", [True, False])
def test_a_simulated_run_that_is_stopped_has_an_output_commit_if_its_results_are_kept(simulated, keep_results):
    run = (platform := simulated({"default": {"seconds": 600}})).run(start(platform))
    stopped = platform.run(platform.stop(run, keep_results=keep_results).id)
    assert stopped.status == "Stopped"
    assert stopped.output_commit == (run.input_commit if keep_results else None)


def test_lines_of_the_log_come_while_the_run_goes_on(simulated):
    plan = {"seconds": 30, "log": ["one", {"text": "two of $number", "stream": "stderr"}], "exit_code": 2}
    platform = simulated({"default": plan})
    run_id = start(platform)

    def lines() -> list[tuple[str, str]]:
        found = platform.log(platform.run(run_id)).lines(("stdout", "stderr"))
        return [(line.stream, line.text) for line in found]

    seen = [lines()]
    for _ in range(3):
        CLOCK.advance(10)
        seen.append(lines())
    one, two = ("stdout", "one"), ("stderr", "two of 1")
    assert seen == [[], [one], [one, two], [one, two, ("stdout", "Failed with exit code: 2")]]
    log = platform.log(platform.run(run_id))
    assert [line.text for line in log.tail(1, ("stdout", "stderr"))] == ["Failed with exit code: 2"]
    times = [line.time_ns for line in log.lines()]
    assert times == sorted(set(times))


def test_the_log_of_a_stopped_run_ends_where_the_run_ended(simulated):
    platform = simulated({"default": {"seconds": 30, "log": ["one", "two"]}})
    run_id = start(platform)
    CLOCK.advance(15)
    platform.stop(platform.run(run_id), keep_results=False)
    CLOCK.advance(60)
    assert state(platform, run_id) == statuses.STOPPED
    assert [line.text for line in platform.log(platform.run(run_id)).lines(("stdout",))] == ["one"]


def test_runs_beyond_the_capacity_wait_and_follow_oldest_first_whatever_their_project(simulated):
    platform = simulated({"default": {"seconds": 60}})
    other = platform.add_project("domino/other")
    first = [start(platform, tier_id="narrow") for _ in range(3)]
    single = platform.start(other, StartRequest("a.py", ["a.py"], tier_id="narrow")).id
    last = start(platform, tier_id="narrow")
    order = [*first, single, last]
    for number, run_id in enumerate(order):
        now = [state(platform, known) for known in order]
        assert now == ["Succeeded"] * number + ["Running"] + ["Queued"] * (len(order) - number - 1)
        assert platform.run(run_id).cents_per_minute == 1
        CLOCK.advance(60)
    waits = [(run.started_at or 0) - run.submitted_at for run in map(platform.run, order)]
    assert waits == [0, 60_000, 120_000, 180_000, 240_000]


def test_a_tier_whose_capacity_grows_starts_what_waits(simulated):
    platform = simulated({"default": {"seconds": 60}})
    runs = [start(platform, tier_id="narrow") for _ in range(3)]
    platform.tiers_in_use.change("narrow", capacity=3)
    platform.runner.look()
    assert [state(platform, run_id) for run_id in runs] == ["Running"] * 3
    platform.tiers_in_use.change("narrow", capacity=0)
    assert platform.capacities()["narrow"].free == 0
    CLOCK.advance(60)
    waiting = start(platform, tier_id="narrow")
    assert state(platform, waiting) == "Queued"


def test_a_tier_that_is_taken_away_loses_its_spot_machines_only_and_is_full_until_it_is_back(simulated):
    platform = simulated({"default": {"seconds": 60}})
    spot, kept = start(platform, capacity_type="spot"), start(platform, capacity_type="on-demand")
    assert [run.id for run in platform.runner.take_away("wide")] == [spot]
    lost = platform.run(spot)
    assert (lost.status, lost.failure_reason) == ("Error", "SpotInstanceLost")
    assert platform.capacities()["wide"].free == 0
    waiting = start(platform)
    assert "no machines at present" in platform.queue_explanation(platform.run(waiting))
    CLOCK.advance(60)
    assert [state(platform, run_id) for run_id in (kept, waiting)] == ["Succeeded", "Queued"]
    platform.runner.bring_back("wide")
    assert state(platform, waiting) == "Running"
    assert [run.id for run in platform.runner.take_away("wide", lose="all")] == [waiting]
    assert platform.run(waiting).failure_reason == "NodeLost"


def test_an_unknown_sort_of_machine_is_refused(simulated):
    platform = simulated([])
    with pytest.raises(BadRequest, match="on-demand, spot"):
        start(platform, capacity_type="reserved")


def test_a_run_can_be_lost_wherever_it_is(simulated):
    platform = simulated({"default": {"seconds": 60}})
    running, queued = start(platform, tier_id="narrow"), start(platform, tier_id="narrow")
    for run_id in (queued, running):
        platform.runner.lose(run_id, reason="NodeLost", message="gone", status="Faulty")
    assert [state(platform, run_id) for run_id in (running, queued)] == ["Faulty", "Faulty"]
    assert state(platform, start(platform, tier_id="narrow")) == "Running"


def test_a_range_of_seconds_is_chosen_by_the_seed_and_alike_whenever_it_is_asked_for(simulated):
    platform = simulated({"default": {"seconds": [10, 20]}, "seed": 7})
    ids = [start(platform) for _ in range(5)]
    CLOCK.advance(30)
    runs = [platform.run(run_id) for run_id in ids]
    plan = Plan(seconds={"Running": (10, 20)})
    planned = [plan.duration("Running", run, 7) or 0 for run in runs]
    assert [(run.completed_at or 0) - (run.started_at or 0) for run in runs] == pytest.approx(
        [1000 * seconds for seconds in planned], abs=1
    )
    assert len(set(planned)) > 1
    assert all(10 <= seconds <= 20 for seconds in planned)
    assert [plan.duration("Running", run, 8) for run in runs] != planned


def test_simulated_runs_go_on_when_the_server_comes_back(simulated, tmp_path):
    platform = simulated({"default": {"seconds": 60, "exit_code": 5}})
    run_id = start(platform)
    platform.close()
    again = simulated({"default": {"seconds": 1}})
    assert state(again, run_id) == statuses.RUNNING
    CLOCK.advance(60)
    assert again.run(run_id).exit_code == 5


def test_a_thousand_active_runs_have_no_thread_of_their_own(simulated):
    platform = simulated({"default": {"seconds": [1, 100]}})
    threads = threading.active_count()
    for _ in range(1000):
        start(platform)
    assert threading.active_count() == threads
    assert platform.runs.counts_by_tier(["Running"]) == {"wide": 1000}
    CLOCK.advance(100)
    assert platform.runs.counts_by_tier(["Succeeded"]) == {"wide": 1000}
    assert platform.runner.next_due() is None
