"""A run that failed is a failure, whatever targets it left behind; only another process's work counts instead of it."""

from __future__ import annotations

import pytest

HALF = """
import os, signal, sys, time
from luigi.contrib.external_program import ExternalProgramTask

def tell(event):
    def handler(task, *more):
        print("event", event, task.task_family, *(f"{type(one).__name__}: {one}" for one in more), flush=True)
    return handler
for name in ("SUCCESS", "FAILURE", "PROCESS_FAILURE", "TIMEOUT"):
    luigi.Task.event_handler(getattr(luigi.Event, name))(tell(name))

class Half(luigi.Task):
    def output(self):
        return luigi.LocalTarget("half.txt")
    def run(self):
        with open("half.txt", "w") as file:
            file.write("half")
        self.end()
    def on_failure(self, error):
        print("on_failure", type(error).__name__, error, flush=True)

class Raises(Half):
    def end(self):
        raise RuntimeError("disk full")

class Exits(Half):
    def end(self):
        sys.exit(0)

class MakesFolder(Half):
    def end(self):
        os.makedirs("folder", exist_ok=True)
        os.mkdir("folder")

class MakesFolderByLuigi(Half):
    def end(self):
        self.output().fs.mkdir("folder")
        self.output().fs.mkdir("folder", raise_if_exists=True)

class Killed(Half):
    def end(self):
        os.kill(os.getpid(), signal.SIGKILL)

class Late(Half):
    worker_timeout = 1
    def end(self):
        time.sleep(600)

class LateAndDeaf(Half):
    worker_timeout = 1
    def end(self):
        try:
            time.sleep(600)
        except BaseException:
            print("goes on")

class Program(ExternalProgramTask):
    def output(self):
        return luigi.LocalTarget("half.txt")
    def program_args(self):
        return ["sh", "-c", "echo half > half.txt; exit 3"]
    def on_failure(self, error):
        print("on_failure", type(error).__name__)

class Total(luigi.Task):
    of = luigi.TaskParameter()
    def requires(self):
        return self.of()
    def output(self):
        return luigi.LocalTarget("total.txt")
    def run(self):
        with self.output().open("w") as file:
            file.write(open("half.txt").read())
"""


@pytest.mark.parametrize("check", ["strict", "luigi"])
@pytest.mark.parametrize(
    ("family", "workers", "said"),
    [
        ("Raises", 1, ["event FAILURE Raises RuntimeError: disk full", "on_failure RuntimeError disk full"]),
        ("Raises", 2, ["event FAILURE Raises RuntimeError: disk full", "on_failure RuntimeError disk full"]),
        ("Exits", 1, ["event FAILURE Exits SystemExit: 0", "on_failure SystemExit 0"]),
        ("Exits", 2, ["event FAILURE Exits SystemExit: 0", "on_failure SystemExit 0"]),
        ("MakesFolder", 1, ["on_failure FileExistsError [Errno 17] File exists: 'folder'"]),
        ("MakesFolderByLuigi", 1, ["on_failure FileAlreadyExists"]),
        ("Program", 1, ["on_failure ExternalProgramRunError"]),
        ("Killed", 2, ["event PROCESS_FAILURE Killed"]),
        ("Late", 1, ["event TIMEOUT Late"]),
        ("LateAndDeaf", 1, ["goes on", "event TIMEOUT LateAndDeaf"]),
    ],
)
def test_a_run_that_ends_badly_after_writing_its_target_is_failed_and_nothing_rests_on_it(
    write_module, ask, work, family, workers, said, check
):
    write_module("halves", HALF)
    answer = ask("run", "halves:Total", {"of": family}, workers=workers, check=check)
    assert (answer.outcome, answer.facts["counts"]) == ("run_failed", {"failed": 1, "upstream_failed": 1})
    assert (work / "half.txt").exists()
    assert "Its targets exist all the same" in answer.message
    assert not (work / "total.txt").exists()
    for line in said:
        assert any(one.startswith(line) for one in ask.lines), ask.lines
    assert not [line for line in ask.lines if line.startswith("event SUCCESS") or "All is well" in line]


def test_a_run_that_ends_badly_after_writing_its_target_ends_the_command_with_a_code(
    write_module, project, work, monkeypatch, capsys
):
    from airflow_domino.cli import main

    write_module("halves", HALF)
    monkeypatch.chdir(work)
    for check in ("strict", "luigi"):
        (work / "half.txt").unlink(missing_ok=True)
        how = ["luigi", "run", "halves:Total", "--param=of=Raises", f"--project-path={project}", f"--check={check}"]
        assert main(how) == 1
        assert "This does not look good: 1 tasks failed" in capsys.readouterr().out
        assert not (work / "total.txt").exists()


def test_a_failure_whose_target_was_there_before_the_run_is_no_lost_race(pipeline, ask, work):
    pipeline(
        "in_place",
        """
        class InPlace(luigi.Task):
            def requires(self):
                return Made()
            def output(self):
                return self.input()
            def run(self):
                with self.output().temporary_path() as path:
                    open(path, "w").close()
        """,
    )
    answer = ask("run", "in_place:InPlace")
    assert answer.outcome == "run_failed"
    assert "InPlace(): FileAlreadyExists" in answer.message


@pytest.mark.parametrize(
    "run",
    [
        """
        for part in ("first", "second"):
            with self.output().temporary_path() as path:
                with open(path, "w") as file:
                    file.write(part)
        """,
        """
        self.make()
        with self.output().temporary_path() as path:
            open(path, "w").close()
        """,
        """
        self.make()
        with luigi.LocalTarget("other.txt").temporary_path() as path:
            open(path, "w").close()
            open("other.txt", "w").close()
        """,
        """
        with self.output().temporary_path():
            self.make()
            raise luigi.target.FileAlreadyExists("by the author's own code")
        """,
    ],
    ids=["two blocks", "made before the block", "another target", "raised in the block"],
)
def test_a_target_that_the_failed_run_has_made_itself_is_no_lost_race(pipeline, ask, run):
    pipeline("twice", "class Twice(Made):\n    def run(self):\n" + run)
    answer = ask("run", "twice:Twice")
    assert answer.outcome == "run_failed"
    assert "Twice(): FileAlreadyExists" in answer.message
    assert "Its targets exist all the same" in answer.message


FAILS_TWICE = """
class Unwritable(Exception):
    def __str__(self):
        raise ValueError("no text")
class RaisesUnwritable(Made):
    def run(self):
        raise Unwritable
class RaisesNothing(Made):
    def run(self):
        raise SystemExit
class FailsTwice(Made):
    def run(self):
        raise ValueError("first")
    def on_failure(self, error):
        raise KeyError("second")
class EndsTwice(FailsTwice):
    def on_failure(self, error):
        raise SystemExit(0)
class Both(luigi.WrapperTask):
    other = luigi.TaskParameter()
    def requires(self):
        return [self.other(), Made()]
"""


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("family", "said"),
    [
        ("RaisesUnwritable", "RaisesUnwritable(): Unwritable: (a Unwritable that cannot be written: ValueError)."),
        ("RaisesNothing", "RaisesNothing(): SystemExit. The log"),
        ("FailsTwice", "ValueError: first (on_failure() raised KeyError: 'second')"),
        ("EndsTwice", "ValueError: first (on_failure() raised SystemExit: 0)"),
    ],
)
def test_a_failure_is_that_of_its_task_whatever_its_text_and_on_failure_raise(
    pipeline, ask, ran, family, said, workers
):
    pipeline("fails", FAILS_TWICE)
    answer = ask("run", "fails:Both", {"other": family}, workers=workers)
    assert (answer.outcome, answer.facts["counts"]) == ("run_failed", {"failed": 1, "done": 1, "upstream_failed": 1})
    assert said in answer.message
    assert ran() == ["Made"]


def test_handlers_get_what_complete_or_requires_raised(pipeline, ask):
    pipeline(
        "handlers",
        """
        @luigi.Task.event_handler(luigi.Event.BROKEN_TASK)
        def broken(task, error):
            print("broken", task.task_family, type(error).__name__)
        class Asks(Made):
            def complete(self):
                if super().complete():
                    raise OSError("away")
                return False
            def on_failure(self, error):
                print("on_failure", type(error).__name__)
        class Broken(Made):
            def requires(self):
                raise KeyError("lost")
        class Both(luigi.WrapperTask):
            def requires(self):
                return [Asks(), Broken()]
        """,
    )
    assert ask("run", "handlers:Both").outcome == "run_failed"
    assert {"broken Broken KeyError", "on_failure OSError"} <= set(ask.lines)
