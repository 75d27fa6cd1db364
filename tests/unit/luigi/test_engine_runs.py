"""The engine checks and runs tasks in real processes, with Luigi's own worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

from airflow_domino.luigi.execute import EngineProcess, EngineRequest, engine_environment

NUMBERS = """
class Number(luigi.Task):
    n = luigi.IntParameter()
    def output(self):
        return luigi.LocalTarget(f"numbers/{self.n}.txt")
    def run(self):
        print("making", self.n)
        with self.output().open("w") as file:
            file.write(str(self.n))

class Sum(luigi.Task):
    n = luigi.IntParameter()
    def requires(self):
        return [Number(n=n) for n in range(self.n)]
    def output(self):
        return luigi.LocalTarget("sum.txt")
    def run(self):
        total = 0
        for target in self.input():
            with target.open() as file:
                total += int(file.read())
        with self.output().open("w") as file:
            file.write(str(total))
"""


def test_a_task_runs_with_what_it_requires(write_module, ask, work):
    write_module("numbers_of", NUMBERS)
    answer = ask("run", "numbers_of:Sum", {"n": "4"})
    assert (answer.outcome, answer.facts["already_complete"]) == ("done", False)
    assert (work / "sum.txt").read_text() == "6"
    assert len(answer.facts["ran"]) == 5
    assert answer.facts["ran"][-1] == answer.facts["task_id"]


def test_a_complete_task_is_not_run_again(write_module, ask, work):
    write_module("numbers_of", NUMBERS)
    (work / "sum.txt").write_text("made by hand")
    answer = ask("run", "numbers_of:Sum", {"n": 2})
    assert (answer.outcome, answer.facts["already_complete"]) == ("complete", True)
    assert "already complete" in answer.message
    assert not (work / "numbers").exists()


def test_a_check_runs_nothing_and_lists_the_targets(write_module, ask, work):
    write_module("numbers_of", NUMBERS)
    answer = ask("check", "numbers_of:Sum", {"n": 2})
    assert answer.outcome == "incomplete"
    assert answer.facts["outputs"] == [{"path": "sum.txt", "kind": "LocalTarget", "local": True, "exists": False}]
    assert list(work.iterdir()) == []


def test_several_luigi_workers_share_the_work_and_all_their_ends_are_known(write_module, ask):
    write_module("numbers_of", NUMBERS)
    answer = ask("run", "numbers_of:Sum", {"n": 6}, workers=3)
    assert answer.outcome == "done"
    assert len(answer.facts["ran"]) == 7


def test_the_log_has_what_tasks_print_and_luigis_summary(write_module, ask):
    write_module("numbers_of", NUMBERS)
    ask("run", "numbers_of:Sum", {"n": 1})
    assert "making 0" in ask.lines
    assert any("Luigi Execution Summary" in line for line in ask.lines)


def test_lines_are_handed_over_while_the_task_still_runs(write_module, project, work):
    write_module(
        "waits",
        """
        import pathlib, time
        class Waits(luigi.Task):
            def complete(self):
                return pathlib.Path("go").exists()
            def run(self):
                print("waiting for go")
                while not pathlib.Path("go").exists():
                    time.sleep(0.02)
        """,
    )

    def on_line(line: str) -> None:
        if line == "waiting for go":
            (work / "go").touch()

    request = EngineRequest("run", "waits:Waits", project_path=str(project))
    assert EngineProcess(request, working_dir=work).run(on_line).outcome == "done"


def test_a_task_made_for_its_own_process_does_not_need_our_package(write_module, project, work, tmp_path):
    write_module("numbers_of", NUMBERS)
    hidden = tmp_path / "hidden"
    (hidden / "airflow_domino").mkdir(parents=True)
    (hidden / "airflow_domino" / "__init__.py").write_text("raise ImportError('not installed here')")
    env = engine_environment({"PYTHONPATH": str(hidden)})
    request = EngineRequest("run", "numbers_of:Number", {"n": 1}, project_path=str(project))
    assert EngineProcess(request, working_dir=work, env=env).run(print).outcome == "done"


def test_the_engine_keeps_its_own_modules_and_the_working_folder_off_the_import_path(write_module, ask, work):
    (work / "json.py").write_text("raise RuntimeError('not the real json')")
    write_module(
        "looks",
        """
        import sys
        class Looks(luigi.Task):
            def output(self):
                return luigi.LocalTarget("path.txt")
            def run(self):
                with self.output().open("w") as file:
                    file.write("\\n".join(sys.path))
        """,
    )
    assert ask("run", "looks:Looks").outcome == "done"
    entries = (work / "path.txt").read_text().splitlines()
    assert entries[0].endswith("project")
    assert not [entry for entry in entries if entry.endswith(("luigi/engine", "airflow_domino/luigi", "/work"))]


def test_the_configuration_asked_for_is_the_one_used(write_module, ask, tmp_path):
    write_module("numbers_of", NUMBERS)
    (tmp_path / "luigi.cfg").write_text("[Number]\nn=7\n")
    answer = ask("run", "numbers_of:Number", env=engine_environment(config=tmp_path / "luigi.cfg"))
    assert answer.facts["outputs"][0]["path"] == "numbers/7.txt"


def test_airflows_own_settings_do_not_reach_the_pipeline(monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "secret")
    monkeypatch.setenv("AIRFLOW_CONN_BANK", "secret")
    monkeypatch.setenv("AIRFLOW_DOMINO_DATA", "/data")
    env = engine_environment()
    assert "secret" not in env.values()
    assert env["AIRFLOW_DOMINO_DATA"] == "/data"


def test_dynamic_requirements_run_in_the_same_process(write_module, ask, work):
    write_module(
        "numbers_of",
        NUMBERS
        + """
class Dynamic(luigi.Task):
    def output(self):
        return luigi.LocalTarget("dynamic.txt")
    def run(self):
        targets = yield [Number(n=n) for n in (3, 5)]
        with self.output().open("w") as file:
            file.write(",".join(target.path for target in targets))
""",
    )
    assert ask("run", "numbers_of:Dynamic").outcome == "done"
    assert (work / "dynamic.txt").read_text() == "numbers/3.txt,numbers/5.txt"


def test_a_task_without_output_runs_each_time_and_succeeds(write_module, ask):
    write_module(
        "speaks",
        """
        class Speaks(luigi.Task):
            def run(self):
                print("hello")
        """,
    )
    assert [ask("run", "speaks:Speaks").outcome for _ in range(2)] == ["done", "done"]
    assert ask.lines.count("hello") == 2


def test_a_wrapper_is_complete_when_what_it_wraps_is(write_module, ask):
    write_module(
        "numbers_of", NUMBERS + "class All(luigi.WrapperTask):\n    def requires(self):\n        yield Number(n=1)\n"
    )
    assert ask("run", "numbers_of:All").outcome == "done"
    assert ask("run", "numbers_of:All").outcome == "complete"


def test_only_self_refuses_to_make_requirements(write_module, ask, work):
    write_module("numbers_of", NUMBERS)
    answer = ask("run", "numbers_of:Sum", {"n": 2}, only_self=True)
    assert answer.outcome == "dependency_incomplete"
    assert "numbers/0.txt" in answer.message
    assert list(work.iterdir()) == []


def test_only_self_runs_the_task_when_its_requirements_are_complete(write_module, ask):
    write_module("numbers_of", NUMBERS)
    for n in range(2):
        ask("run", "numbers_of:Number", {"n": n})
    answer = ask("run", "numbers_of:Sum", {"n": 2}, only_self=True)
    assert (answer.outcome, answer.facts["ran"]) == ("done", [answer.facts["task_id"]])


def test_what_a_task_leaves_running_is_ended_with_it(write_module, ask, work):
    write_module(
        "leaves",
        """
        import subprocess, sys
        class Leaves(luigi.Task):
            def output(self):
                return luigi.LocalTarget("child.txt")
            def run(self):
                child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
                with self.output().open("w") as file:
                    file.write(str(child.pid))
        """,
    )
    assert ask("run", "leaves:Leaves").outcome == "done"
    assert ended(int((work / "child.txt").read_text()))


def test_ending_the_engine_ends_its_whole_group_even_what_ignores_sigterm(write_module, project, work):
    write_module(
        "stubborn",
        """
        import os, pathlib, signal, subprocess, sys, time
        class Stubborn(luigi.Task):
            def complete(self):
                return False
            def run(self):
                code = "import signal as s, time; s.signal(s.SIGTERM, s.SIG_IGN); print('deaf', flush=True)"
                child = subprocess.Popen([sys.executable, "-c", code + "; time.sleep(600)"])
                pathlib.Path("child.txt").write_text(str(child.pid))
                time.sleep(600)
        """,
    )
    deaf = threading.Event()
    request = EngineRequest("run", "stubborn:Stubborn", project_path=str(project))
    engine = EngineProcess(request, working_dir=work, grace=10)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(engine.run(lambda line: "deaf" in line and deaf.set())))
    thread.start()
    assert deaf.wait(60)
    engine.end()
    thread.join(60)
    assert answers[0].outcome == "terminated"
    assert ended(int((work / "child.txt").read_text()))


def test_the_engine_ends_when_the_process_that_started_it_is_killed(write_module, project, work):
    write_module(
        "endless",
        """
        import os, pathlib, time
        class Endless(luigi.Task):
            def complete(self):
                return False
            def run(self):
                pathlib.Path("engine.part").write_text(str(os.getpid()))
                os.replace("engine.part", "engine.txt")
                time.sleep(600)
        """,
    )
    starter = textwrap.dedent(f"""
        from airflow_domino.luigi.execute import EngineProcess, EngineRequest
        request = EngineRequest("run", "endless:Endless", project_path={str(project)!r})
        EngineProcess(request, working_dir={str(work)!r}).run(print)
    """)
    process = subprocess.Popen([sys.executable, "-c", starter])
    wait_until(lambda: (work / "engine.txt").exists())
    process.kill()
    process.wait()
    assert ended(int((work / "engine.txt").read_text()))


def test_the_projects_configuration_is_used_where_the_working_folder_has_none(write_module, ask, project, work):
    write_module("numbers_of", NUMBERS)
    (project / "luigi.cfg").write_text("[Number]\nn=7\n")
    assert ask("check", "numbers_of:Number").facts["outputs"][0]["path"] == "numbers/7.txt"
    (work / "luigi.cfg").write_text("[Number]\nn=8\n")
    assert ask("check", "numbers_of:Number").facts["outputs"][0]["path"] == "numbers/8.txt"


def ended(pid: int) -> bool:
    def is_over() -> bool:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        return state == "Z"

    try:
        wait_until(is_over, seconds=20)
    except AssertionError:
        os.kill(pid, signal.SIGKILL)
        return False
    return True


def wait_until(condition, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
