"""What becomes of runs, their order and their limits in the engine; docs/luigi.md lists it all."""

from __future__ import annotations

import socketserver
import threading

import pytest

EVENTS = {
    "START",
    "SUCCESS",
    "FAILURE",
    "PROCESSING_TIME",
    "DEPENDENCY_DISCOVERED",
    "DEPENDENCY_MISSING",
    "my",
    "on_success",
    "on_failure",
}


def states(answer) -> dict[str, str]:
    return {one["family"]: one["state"] for one in answer.facts["tasks"]}


# ---- what run() may do -----------------------------------------------------------------------------------------------


def test_custom_complete_of_dynamic_requirements_is_asked_instead_of_each_task(pipeline, ask, ran):
    pipeline(
        "listed",
        """
        import glob
        class Part(Made):
            number = luigi.IntParameter()
            def complete(self):
                print("asked singly")
                return super().complete()
        class Whole(Made):
            def run(self):
                parts = [Part(number) for number in range(3)]
                def listed(complete_fn):
                    return len(glob.glob("Part_*.txt")) == 3
                yield luigi.DynamicRequirements(parts, custom_complete=listed)
                self.make()
        """,
    )
    assert ask("run", "listed:Whole").outcome == "done"
    assert sorted(ran()) == ["Part", "Part", "Part", "Whole"]
    assert ask.lines.count("asked singly") == 6  # while planning, and right after each run: not by yield


def test_what_a_run_yields_keeps_values_that_no_text_can_hold(pipeline, ask):
    pipeline(
        "alive",
        """
        class Part(Made):
            note = luigi.OptionalParameter(default="n", significant=False)
        class Whole(Made):
            def run(self):
                part = yield Part(note="")
                with part.open() as file:
                    assert file.read() == "note="
                self.make()
        """,
    )
    assert ask("run", "alive:Whole", workers=2).outcome == "done"


def test_events_and_handlers_are_told_in_the_process_that_runs_the_task(pipeline, ask):
    pipeline(
        "eventful",
        """
        def tell(event):
            def handler(task, *more):
                print(event, task.task_family, *(type(one).__name__ for one in more))
            return handler
        for name in ("START", "SUCCESS", "FAILURE", "PROCESSING_TIME", "DEPENDENCY_DISCOVERED", "DEPENDENCY_MISSING"):
            luigi.Task.event_handler(getattr(luigi.Event, name))(tell(name))
        class Good(Made):
            def run(self):
                self.make()
                self.trigger_event("my own", self)
            def on_success(self):
                print("on_success")
        Good.event_handler("my own")(tell("my own"))
        class Bad(luigi.Task):
            def requires(self):
                return Good()
            def run(self):
                raise KeyError("lost")
            def on_failure(self, error):
                print("on_failure", type(error).__name__)
                return "what its author says of it"
        """,
    )
    answer = ask("run", "eventful:Bad")
    told = [line for line in ask.lines if line.split(" ")[0] in EVENTS]
    assert told == [
        "DEPENDENCY_DISCOVERED Bad Good",
        "START Good",
        "my own Good",
        "PROCESSING_TIME Good float",
        "on_success",
        "SUCCESS Good",
        "START Bad",
        "FAILURE Bad KeyError",
        "on_failure KeyError",
    ]
    assert "what its author says of it" in answer.message


def test_a_run_that_takes_longer_than_its_worker_timeout_is_ended(pipeline, ask):
    pipeline(
        "slow",
        """
        import time
        class Slow(Made):
            worker_timeout = 0.3
            def run(self):
                time.sleep(600)
        Slow.event_handler(luigi.Event.TIMEOUT)(lambda task, message: print("told of", message))
        """,
    )
    answer = ask("run", "slow:Slow")
    assert answer.outcome == "run_failed"
    assert "longer than 0.3 s (worker_timeout)" in answer.message
    assert any(line.startswith("told of Slow()") for line in ask.lines)


def test_the_context_manager_of_the_configuration_is_around_each_run(pipeline, ask, work):
    pipeline(
        "around",
        """
        class Around:
            def __init__(self, process):
                self.task = process.task
            def __enter__(self):
                print("before", self.task.task_family)
            def __exit__(self, *error):
                print("after", self.task.task_family)
        class Inner(Made):
            pass
        """,
    )
    (work / "luigi.cfg").write_text("[worker]\ntask_process_context=around.Around\n")
    assert ask("run", "around:Inner").outcome == "done"
    assert [line for line in ask.lines if line.endswith(" Inner")] == ["before Inner", "after Inner"]


def test_a_task_that_accepts_messages_runs_though_nobody_sends_any(pipeline, ask):
    pipeline(
        "listening",
        """
        class Listening(Made):
            accepts_messages = True
            def run(self):
                assert self.scheduler_messages.empty()
                self.make()
        """,
    )
    assert ask("run", "listening:Listening").outcome == "done"


# ---- order, limits, batches, mail ------------------------------------------------------------------------------------


def test_a_task_is_as_urgent_as_the_most_urgent_that_requires_it(pipeline, ask, ran):
    pipeline(
        "ranked",
        """
        class Calm(Made):
            priority = 5
        class Base(Made):
            pass
        class Urgent(Made):
            priority = 9
            def requires(self):
                return Base()
        class Root(Made):
            def requires(self):
                return [Calm(), Urgent()]
        """,
    )
    assert ask("run", "ranked:Root").outcome == "done"
    assert ran() == ["Base", "Urgent", "Calm", "Root"]


def test_a_resource_is_used_by_as_many_tasks_as_there_is_of_it(pipeline, ask, work):
    pipeline(
        "limited",
        """
        import time
        class Uses(Made):
            number = luigi.IntParameter()
            resources = {"database": 1}
            def run(self):
                for word in ("begin", "end"):
                    with open("order.txt", "a") as order:
                        order.write(f"{word}\\n")
                    time.sleep(0.05)
                self.make()
        class TooMuch(Made):
            resources = {"database": 2}
        class Root(Made):
            def requires(self):
                return [TooMuch(), *(Uses(number) for number in range(3))]
        """,
    )
    answer = ask("run", "limited:Root", workers=3)
    assert (work / "order.txt").read_text().split() == ["begin", "end"] * 3
    assert states(answer) == {"Root": "not_run", "TooMuch": "not_run", "Uses": "done"}
    reasons = [one["message"] for one in answer.facts["tasks"] if one["family"] == "TooMuch"]
    assert reasons == ["it needs 2 of the resource 'database', and there is 1 ([resources])"]


def test_tasks_that_luigi_would_batch_are_made_one_by_one(pipeline, ask, ran):
    pipeline(
        "batched",
        """
        class Hour(Made):
            hour = luigi.IntParameter(batch_method=max)
        class Day(Made):
            def requires(self):
                return [Hour(hour) for hour in range(3)]
        """,
    )
    assert ask("run", "batched:Day").outcome == "done"
    assert ran() == ["Hour", "Hour", "Hour", "Day"]


def test_a_failure_is_mailed_to_the_owner_where_the_configuration_has_mail(pipeline, ask, work, mail_server):
    pipeline(
        "owned",
        """
        class Owned(luigi.Task):
            owner_email = "owner@example.com"
            def run(self):
                raise KeyError("lost")
        """,
    )
    port, received = mail_server
    (work / "luigi.cfg").write_text(
        f"[email]\nforce_send=true\nsender=luigi@example.com\n[smtp]\nhost=127.0.0.1\nport={port}\nno_tls=true\n"
    )
    assert ask("run", "owned:Owned").outcome == "run_failed"
    assert b"RCPT TO:<owner@example.com>" in received[0].replace(b"rcpt TO", b"RCPT TO")
    assert b"Owned() FAILED" in received[0]


@pytest.fixture
def mail_server():
    """A mail server that takes one letter after the other: its port, and what it was told."""
    received: list[bytes] = []

    class Letter(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 here\r\n")
            told = b""
            in_data = False
            for line in self.rfile:
                told += line
                if in_data:
                    in_data = line != b".\r\n"
                    answer = b"" if in_data else b"250 taken\r\n"
                else:
                    in_data = line.strip().upper() == b"DATA"
                    answer = b"354 go on\r\n" if in_data else b"250 well\r\n"
                self.wfile.write(answer)
                if line.strip().upper() == b"QUIT":
                    break
            received.append(told)

    with socketserver.TCPServer(("127.0.0.1", 0), Letter) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1], received
        server.shutdown()
