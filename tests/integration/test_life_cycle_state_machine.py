"""Launches, faults, crashes, retries, kills and clears of one task instance in any order, against the local Domino.

Whatever happens: at most one run of the task instance goes on after an attempt has begun, a generation launches again
only after a run that ended badly, and a result that is delivered belongs to the generation that asked for it. The DAG
run may be deleted and created again under its id: then all of this holds anew.
"""

from __future__ import annotations

import asyncio
import json
import os
import uuid
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from airflow_domino.compat import TaskDeferred
from airflow_domino.domino.client import DominoClient
from airflow_domino.domino.errors import DominoUnavailableError, RunError
from airflow_domino.domino.launch import RunMark
from airflow_domino.hooks.identity import LAUNCH_STEP
from airflow_domino.hooks.runs import RunHandle
from airflow_domino.operators.domino import DominoRunOperator
from airflow_domino.triggers.launch import DominoLaunchTrigger

pytestmark = pytest.mark.timeout(600)

# Goes on until it is told how to end.
WAIT = """\
import os, pathlib, sys, time
told = pathlib.Path(sys.argv[1]) / os.environ["DOMINO_RUN_ID"]
while not told.exists():
    time.sleep(0.02)
sys.exit(int(told.read_text()))
"""
FAULTS = {
    "none": None,
    "lost": {"action": "drop", "moment": "after"},
    "500": {"action": "status", "status": 500, "moment": "after"},
    "503": {"action": "status", "status": 503, "moment": "before"},
}
DEATHS = ("none", "before_post", "after_accept", "after_record")


class Died(BaseException):
    """The process of an attempt is gone."""


class Store(dict[str, Any]):
    def set(self, key, value, retention=None):
        self[key] = json.loads(json.dumps(value))


class TaskLife(RuleBasedStateMachine):
    """One task instance, as Airflow leads it from state to state."""

    domino: ClassVar[Any]
    told: ClassVar[Path]

    def __init__(self) -> None:
        super().__init__()
        self.airflow_run = f"manual__{uuid.uuid4()}"
        self.run_after = datetime.now(UTC)
        self.of_life_before: set[str] = set()
        self.is_created()

    def is_created(self) -> None:
        self.begun = datetime.now(UTC)
        self.clears = 0
        self.store = Store()
        self.try_number, self.generation = 1, 0
        self.state = "scheduled"
        self.waits_for: RunHandle | None = None

    # ---- what is there

    def context(self) -> dict[str, Any]:
        task_instance = SimpleNamespace(
            dag_id="life",
            run_id=self.airflow_run,
            task_id="task",
            map_index=-1,
            try_number=self.try_number,
            max_tries=self.generation,
            start_date=datetime.now(UTC),
            xcom_push=lambda key, value: self.dies("after_record"),
            xcom_pull=lambda **choice: None,
        )
        dag_run = SimpleNamespace(
            run_after=self.run_after, start_date=self.begun, clear_number=self.clears, state="running"
        )
        return {"ti": task_instance, "dag_run": dag_run, "task_state_store": self.store}

    def operator(self) -> DominoRunOperator:
        return DominoRunOperator(
            task_id="task", command=["wait.py", str(self.told)], poll_interval=0.1, deferrable=True
        )

    def marked(self) -> list[tuple[dict[str, Any], RunMark]]:
        owner = RunMark.for_task("life", self.airflow_run, "task").owner_key
        jobs = self.domino.get("/v4/jobs", projectId=self.domino.project_id, page_size=1000, status="all")["jobs"]
        marks = ((job, RunMark.parse(job.get("title"))) for job in jobs)
        own = [(job, mark) for job, mark in marks if mark is not None and mark.owner_key == owner]
        return [(job, mark) for job, mark in own if job["id"] not in self.of_life_before]

    def active(self) -> list[dict[str, Any]]:
        over = ("stopping", "StopRequested", "StopAndDiscardRequested", "Stopping")
        jobs = [job for job, _ in self.marked() if not job["statuses"]["isCompleted"]]
        return [job for job in jobs if job["statuses"]["executionStatus"] not in over]

    def dies(self, point: str) -> None:
        if self.death == point:
            raise Died(point)

    # ---- what happens

    @precondition(lambda self: self.state == "scheduled")
    @rule(fault=st.sampled_from(sorted(FAULTS)), death=st.sampled_from(DEATHS))
    def a_worker_begins_an_attempt(self, fault, death):
        self.order(fault)
        self.death = death
        start = DominoClient.start_run

        def start_or_die(client, request):
            self.dies("before_post")
            run = start(client, request)
            self.dies("after_accept")
            return run

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(DominoClient, "start_run", start_or_die)
            patch.setattr("airflow_domino.compat.task_state_of", lambda task_instance: "running")
            try:
                self.delivered(self.operator().execute(self.context()))
            except TaskDeferred as deferral:
                self.state, self.waits_for = "deferred", RunHandle.from_dict(deferral.kwargs["run"])
            except (Died, DominoUnavailableError):
                self.fail_attempt()
            except RunError:
                self.fail_attempt()
        self.domino.request("DELETE", "/_local/faults")
        assert len(self.active()) <= 1, self.active()

    @precondition(lambda self: self.state == "scheduled" and self.try_number == 1)
    @rule(fault=st.sampled_from(sorted(FAULTS)), restarts=st.integers(0, 2))
    def the_triggerer_begins_the_first_attempt(self, fault, restarts):
        self.order(fault)
        for _ in range(1 + restarts):
            trigger = self.launch_trigger()
            asyncio.run(until_launched(trigger))
            assert trigger.run_handle is not None
            if self.waits_for is not None:
                assert trigger.run_handle.run_id == self.waits_for.run_id
            self.waits_for = trigger.run_handle
        self.state = "deferred"
        self.domino.request("DELETE", "/_local/faults")
        assert len(self.active()) == 1, self.active()

    def launch_trigger(self) -> DominoLaunchTrigger:
        trigger = DominoLaunchTrigger(
            command=["wait.py", str(self.told)], domino_conn_id="domino_default", poll_interval=0.1
        )
        context = self.context()
        task_instance = context["ti"]
        task_instance.get_template_context = lambda: context
        trigger.task_instance = task_instance
        return trigger

    @precondition(lambda self: self.active())
    @rule(code=st.sampled_from([0, 0, 1]))
    def the_run_ends(self, code):
        for job in self.active():
            self.domino.wait_for_status(job["id"], "Running")
            partial = self.told / f"{job['id']}.partial"
            partial.write_text(str(code))
            partial.replace(self.told / job["id"])
            self.domino.wait(job["id"])

    @precondition(lambda self: self.active())
    @rule()
    def a_person_stops_the_run(self):
        for job in self.active():
            self.domino.post("/v4/jobs/stop", jobId=job["id"], projectId=self.domino.project_id, commitResults=True)
            self.domino.wait(job["id"])

    @precondition(lambda self: self.state == "deferred")
    @rule()
    def the_worker_that_resumes_it_dies(self):
        self.fail_attempt()

    @precondition(lambda self: self.state == "deferred" and self.is_over(self.waits_for))
    @rule()
    def a_worker_resumes_it(self):
        self.death = "none"
        handle = self.waits_for
        event = {"outcome": "ended", "run_id": handle.run_id, "run": handle.to_dict()}
        try:
            self.delivered(self.operator().execute_complete(self.context(), event=event, run=handle.to_dict()))
        except RunError:
            self.fail_attempt()

    @precondition(lambda self: self.state in ("failed", "success", "deferred"))
    @rule()
    def a_user_clears_it(self):
        if self.state != "deferred":
            self.begun = datetime.now(UTC)  # Airflow lets a DAG run that is over begin again
        self.clears += 1
        self.generation = self.try_number
        self.try_number += 1
        self.state, self.waits_for = "scheduled", None

    @precondition(lambda self: self.state in ("failed", "success") and not self.active())
    @rule()
    def a_user_deletes_the_dag_run_and_triggers_it_again_under_its_id(self):
        self.of_life_before |= {job["id"] for job, _ in self.marked()}
        self.is_created()

    @precondition(lambda self: self.state == "failed")
    @rule()
    def airflow_tries_again(self):
        self.try_number += 1
        self.state = "scheduled"

    # ---- what follows from it

    def order(self, fault: str) -> None:
        if FAULTS[fault]:
            self.domino.order_fault(path="/v4/jobs/start", method="POST", **FAULTS[fault])

    def fail_attempt(self) -> None:
        self.state, self.waits_for = "failed", None

    def delivered(self, result: dict[str, Any]) -> None:
        self.state, self.waits_for = "success", None
        assert result["run_id"] not in self.of_life_before, "a result of a deleted DAG run was delivered"
        (mark,) = [mark for job, mark in self.marked() if job["id"] == result["run_id"]]
        assert mark.task_key in self.keys_of(self.generation), "a result of another generation was delivered"
        assert result["status"] == "Succeeded"

    def keys_of(self, generation: int) -> list[str]:
        numbers = [generation + launch * LAUNCH_STEP for launch in range(30)]
        return [RunMark.for_task("life", self.airflow_run, "task", -1, number).task_key for number in numbers]

    def is_over(self, handle: RunHandle | None) -> bool:
        return handle is not None and self.domino.job(handle.run_id)["statuses"]["isCompleted"]

    @invariant()
    def each_launch_is_made_once(self):
        launches = Counter(mark.task_key for _, mark in self.marked())
        assert all(times == 1 for times in launches.values()), launches

    @invariant()
    def a_generation_launches_again_only_after_a_bad_end(self):
        for generation in range(self.generation + 1):
            keys = self.keys_of(generation)
            ended = [job["statuses"] for job, mark in self.marked() if mark.task_key in keys]
            badly = [each for each in ended if each["isCompleted"] and each["executionStatus"] != "Succeeded"]
            assert len(ended) <= len(badly) + 1

    def teardown(self) -> None:
        for job in self.active():
            (self.told / job["id"]).write_text("0")


async def until_launched(trigger: DominoLaunchTrigger) -> None:
    """Run a trigger until it has launched its run; then its triggerer is shut down."""

    async def run() -> list[Any]:
        return [event async for event in trigger.run()]

    task = asyncio.create_task(run())
    while trigger.run_handle is None and not task.done():  # noqa: ASYNC110  a trigger tells nobody
        await asyncio.sleep(0.01)
    task.cancel()
    with suppress(asyncio.CancelledError):
        assert (await task)[0].payload["outcome"] in ("ended", "success")
    await trigger.cleanup()


def test_no_order_of_events_launches_twice_or_delivers_what_was_not_asked_for(
    start_local_domino, tmp_path, monkeypatch
):
    domino = start_local_domino(files={"wait.py": WAIT})
    told = tmp_path / "told"
    told.mkdir()
    connection = {"conn_type": "domino", "host": domino.url, "password": domino.token}
    monkeypatch.setenv("AIRFLOW_CONN_DOMINO_DEFAULT", json.dumps(connection | {"extra": {"project": domino.project}}))
    TaskLife.domino, TaskLife.told = domino, told
    run_state_machine_as_test(
        TaskLife,
        settings=settings(
            max_examples=int(os.environ.get("LIFE_CYCLE_EXAMPLES", "10")),
            stateful_step_count=14,
            deadline=None,
            derandomize="LIFE_CYCLE_EXAMPLES" not in os.environ,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate,),
            database=None,
        ),
    )
