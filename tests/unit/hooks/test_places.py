"""Limits on runs in flight: who waits, in which order, and what counts."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from airflow_domino.domino.errors import ConfigurationError, DominoUnavailableError
from airflow_domino.domino.launch import RunMark
from airflow_domino.domino.models import Run, RunStatus
from airflow_domino.domino.tiers import HardwareTier
from airflow_domino.hooks import places as module
from airflow_domino.hooks.places import Claim, Limits, Places, check_limits, wait_for_place

GPU, SMALL = ("gpu-id", "GPU"), ("small-id", "Small")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Count again at once."""
    monkeypatch.setattr(module, "QUICKEST", 0.01)
    monkeypatch.setattr(module, "SLOWEST", 0.02)


def mark(task="t", number=0):
    return RunMark.for_task("d", f"r{number}", task)


def claim(task="t", number=0, tier=SMALL, project="p1"):
    text = mark(task, number)
    return Claim(project, *tier, text.group_key, text.text)


class Domino:
    """Active runs by project, each with its mark and its tier."""

    def __init__(self):
        self.active: dict[str, list[tuple[Run, str]]] = {"p1": [], "p2": []}
        self.lists = 0
        self.is_down = False
        self.places = Places(self.list_active, self.tier_of)

    def add(self, claimed=None, *, project="p1", tier=SMALL, title=None):
        number = len(self.active[project]) + 1
        text = title if claimed is None else f"run {claimed.mark_text}"
        run = Run(f"{project}-{number}", number, text, "x", project, RunStatus("Running", is_completed=False))
        self.active[project].append((run, tier[0] if claimed is None else claimed.tier_id))

    async def list_active(self, project_id):
        self.lists += 1
        if self.is_down:
            raise DominoUnavailableError("down for maintenance")
        return [run for run, _ in self.active[project_id]]

    async def tier_of(self, run):
        return next(tier for other, tier in self.active[run.project_id] if other is run)

    def runs(self, project_id, status):
        assert status == "active"
        return iter([run for run, _ in self.active[project_id]])


@pytest.fixture
def domino():
    return Domino()


async def take(domino, wanted, limits, said=None, **options):
    said = [] if said is None else said
    return await domino.places.take(wanted, limits, on_wait=said.append, **options)


async def attempt(domino, wanted, limits, said=None):
    """Take a place for which there must be room at once, or say that there is none."""
    try:
        return await take(domino, wanted, limits, said, deadline=datetime.now(UTC) + timedelta(seconds=0.15))
    except TimeoutError:
        return None


def test_room_is_taken_at_once_and_then_counts_although_no_list_shows_it_yet(domino):
    async def main():
        limits = Limits(total=2)
        first, second = [await take(domino, claim(number=n), limits) for n in range(2)]
        assert await attempt(domino, claim(number=2), limits) is None
        first.give_back()
        assert await attempt(domino, claim(number=2), limits) is not None
        assert second is not None

    asyncio.run(main())


def test_a_place_is_counted_once_when_the_list_shows_its_run(domino):
    async def main():
        limits, wanted = Limits(total=2), claim()
        await take(domino, wanted, limits)
        domino.add(wanted)
        assert await attempt(domino, claim(number=1), limits) is not None
        assert await attempt(domino, claim(number=2), limits) is None

    asyncio.run(main())


def test_runs_without_a_mark_of_ours_do_not_count(domino):
    domino.add(title="somebody's own run")
    assert asyncio.run(attempt(domino, claim(), Limits(total=1))) is not None


def test_those_who_wait_are_admitted_in_the_order_of_their_arrival_and_the_reason_is_told(domino):
    async def main():
        limits, said, order = Limits(total=1), [], []
        held = await take(domino, claim(), limits)

        async def wait(number):
            reservation = await take(domino, claim(number=number), limits, said)
            order.append(number)
            reservation.give_back()

        waits = []
        for number in (1, 2, 3):
            waits.append(asyncio.create_task(wait(number)))
            await asyncio.sleep(0.02)
        held.give_back()
        await asyncio.gather(*waits)
        assert order == [1, 2, 3]
        assert said[0] == "Waiting for a place: 1 of 1 runs are in flight on the connection"
        assert len(said) == 3

    asyncio.run(main())


def test_a_full_tier_holds_nobody_back_who_wants_another(domino):
    async def main():
        limits = Limits(per_tier={"GPU": 1})
        domino.add(claim("other", tier=GPU))
        said = []
        blocked = asyncio.create_task(take(domino, claim(number=1, tier=GPU), limits, said))
        await asyncio.sleep(0.05)
        assert await attempt(domino, claim(number=2, tier=SMALL), limits) is not None
        assert not blocked.done()
        assert "1 of 1 runs are in flight on tier GPU" in said[0]
        domino.active["p1"].clear()
        await blocked

    asyncio.run(main())


def test_a_tasks_own_limit_counts_its_runs_of_all_dag_runs(domino):
    async def main():
        limits = Limits(per_task=1)
        domino.add(claim("mine", number=7))
        assert await attempt(domino, claim("mine", number=8), limits) is None
        assert await attempt(domino, claim("yours", number=8), limits) is not None

    asyncio.run(main())


def test_runs_of_all_projects_that_somebody_launches_in_count(domino):
    async def main():
        limits = Limits(total=1)
        domino.add(claim("other", project="p2"), project="p2")
        domino.places.joins("p2")
        assert await attempt(domino, claim(), limits) is None
        domino.places.leaves("p2")
        assert await attempt(domino, claim(), limits) is not None

    asyncio.run(main())


def test_runs_of_another_project_count_as_long_as_their_launches_are_in_our_care(domino):
    async def main():
        limits, elsewhere = Limits(total=1), claim("other", project="p2")
        held = await take(domino, elsewhere, limits)
        domino.add(elsewhere, project="p2")
        assert await attempt(domino, claim(), limits) is None
        held.give_back()
        assert await attempt(domino, claim(), limits) is not None

    asyncio.run(main())


def test_who_gives_up_waiting_leaves_the_line_to_the_others(domino):
    async def main():
        limits = Limits(total=1)
        held = await take(domino, claim(), limits)
        first = asyncio.create_task(take(domino, claim(number=1), limits))
        second = asyncio.create_task(take(domino, claim(number=2), limits))
        await asyncio.sleep(0.03)
        first.cancel()
        held.give_back()
        assert await asyncio.wait_for(second, 5) is not None

    asyncio.run(main())


def test_an_outage_is_waited_out_and_told(domino):
    async def main():
        said: list[str] = []
        domino.is_down = True
        waiting = asyncio.create_task(take(domino, claim(), Limits(total=1), said))
        await asyncio.sleep(0.05)
        domino.is_down = False
        assert await asyncio.wait_for(waiting, 5) is not None
        assert "down for maintenance" in said[0]

    asyncio.run(main())


def test_nothing_is_asked_when_nobody_waits(domino):
    async def main():
        await take(domino, claim(), Limits(total=1))
        before = domino.lists
        await asyncio.sleep(0.1)
        assert domino.lists == before

    asyncio.run(main())


def test_a_task_on_a_worker_waits_for_room_too(domino):
    domino.add(claim("other", tier=GPU))
    said: list[str] = []

    def pause(seconds):
        domino.active["p1"].clear()

    wait_for_place(domino, claim(), Limits(total=1), on_wait=said.append, pause=pause)
    assert len(said) == 1


def test_a_limit_for_a_tier_that_there_is_not_is_refused_with_those_that_there_are():
    tiers = [HardwareTier("small-id", "Small"), HardwareTier("gpu-id", "GPU")]
    check_limits(Limits(per_tier={"GPU": 1, "small-id": 2}), tiers)
    with pytest.raises(ConfigurationError, match=r"'TPU', but the tiers there are: GPU, Small"):
        check_limits(Limits(per_tier={"TPU": 1}), tiers)


def test_no_limit_at_all_is_no_limit():
    assert not Limits()
    assert Limits(per_task=1)
    assert Limits(per_tier={"GPU": 1})
