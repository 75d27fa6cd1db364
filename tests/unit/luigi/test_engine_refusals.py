"""What is wrong with a task is said in one clear outcome and message."""

from __future__ import annotations

import pytest

from airflow_domino.luigi.execute import EngineProcess, EngineRequest


@pytest.fixture
def typed(write_module):
    """A task with one parameter of each of a few types."""
    return write_module(
        "typed",
        """
        import enum
        class Colour(enum.Enum):
            RED = 1
        class Typed(luigi.Task):
            day = luigi.DateParameter()
            count = luigi.IntParameter(default=1)
            colour = luigi.EnumParameter(enum=Colour, default=Colour.RED)
            names = luigi.ListParameter(default=[])
            table = luigi.DictParameter(default={})
            quick = luigi.BoolParameter(default=False)
            password = luigi.Parameter(default="", visibility=luigi.parameter.ParameterVisibility.PRIVATE)
            share = luigi.NumericalParameter(default=0.5, min_value=0, max_value=1, var_type=float)
            note = luigi.OptionalParameter(default=None)
            def output(self):
                return luigi.LocalTarget("typed.txt")
        """,
    )


def test_a_module_that_is_not_there(ask):
    answer = ask("run", "nowhere:Task")
    assert answer.outcome == "import_failed"
    assert answer.is_request_wrong
    assert "No module named 'nowhere'" in answer.message
    assert "project_path" in answer.message


def test_a_module_whose_import_raises_shows_its_real_traceback(ask, write_module):
    write_module("broken", "def load():\n    return {}['lost']\nload()\n")
    answer = ask("run", "broken:Task")
    assert answer.outcome == "import_failed"
    assert "KeyError: 'lost'" in answer.message
    assert "broken.py, line 3" in answer.message
    assert any("Traceback" in line for line in ask.lines)


def test_a_module_that_starts_itself_when_it_is_imported(ask, write_module):
    write_module("starts", "import sys\nsys.exit(3)\n")
    answer = ask("run", "starts:Task")
    assert answer.outcome == "import_failed"
    assert "__main__" in answer.message


def test_the_main_block_of_a_module_is_not_run(ask, write_module):
    write_module(
        "main_block", "class T(luigi.WrapperTask):\n    pass\nif __name__ == '__main__':\n    raise SystemExit(9)\n"
    )
    assert ask("check", "main_block:T").outcome == "complete"


def test_a_family_that_does_not_exist_is_answered_with_those_that_do(ask, typed):
    answer = ask("run", "typed:Typo")
    assert answer.outcome == "family_unknown"
    assert "Its tasks: Typed" in answer.message


def test_two_tasks_of_one_family_are_ambiguous(ask, write_module):
    write_module(
        "twice",
        """
        def make():
            class Same(luigi.Task):
                pass
            return Same
        One, Other = make(), make()
        """,
    )
    answer = ask("run", "twice:Same")
    assert answer.outcome == "family_ambiguous"
    assert "another name or a task_namespace" in answer.message


def test_a_family_defined_twice_by_one_name_is_ambiguous(ask, write_module):
    write_module("again", "class Same(luigi.Task):\n    a = 1\nclass Same(luigi.Task):\n    a = 2\n")
    assert ask("run", "again:Same").outcome == "family_ambiguous"


def test_a_decorated_task_is_not_ambiguous(ask, write_module):
    write_module(
        "decorated",
        """
        from luigi.util import requires
        class First(luigi.WrapperTask):
            pass
        @requires(First)
        class Second(luigi.WrapperTask):
            pass
        """,
    )
    assert ask("check", "decorated:Second").outcome == "complete"


def test_the_family_of_another_module_with_the_same_name_is_left_alone(ask, write_module):
    write_module("one", "class Same(luigi.WrapperTask):\n    pass\n")
    write_module("other", "import one\nclass Same(luigi.WrapperTask):\n    pass\n")
    answer = ask("check", "other:Same")
    assert (answer.outcome, answer.facts["module"]) == ("complete", "other")


def test_a_namespaced_family_is_found(ask, write_module):
    write_module("spaced", "class T(luigi.WrapperTask):\n    task_namespace = 'deep.space'\n")
    assert ask("check", "spaced:deep.space.T").facts["family"] == "deep.space.T"


def test_a_missing_parameter_is_named_with_its_type(ask, typed):
    answer = ask("run", "typed:Typed")
    assert answer.outcome == "parameter_wrong"
    assert answer.message == "Typed needs a value for 'day' (DateParameter): give it as a parameter"


def test_an_unknown_parameter_is_answered_with_those_that_exist(ask, typed):
    answer = ask("run", "typed:Typed", {"day": "2026-01-02", "date": "x"})
    assert answer.outcome == "parameter_wrong"
    assert "no parameter 'date'" in answer.message
    assert "count" in answer.message


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("day", "yesterday", "DateParameter"),
        ("count", "many", "IntParameter"),
        ("count", 1.5, "IntParameter"),
        ("colour", "GREEN", "EnumParameter"),
        ("names", "[1,", "ListParameter"),
        ("quick", "perhaps", "BoolParameter"),
        ("share", "1.5", "NumericalParameter"),
    ],
)
def test_a_value_that_does_not_parse_is_told_with_parameter_type_and_value(ask, typed, name, value, kind):
    answer = ask("run", "typed:Typed", {"day": "2026-01-02", name: value})
    assert answer.outcome == "parameter_wrong"
    assert f"Typed.{name} is a {kind}" in answer.message
    assert repr(value) in answer.message


def test_values_of_every_json_type_reach_their_parameters(ask, write_module, typed):
    write_module(
        "shows",
        """
        from typed import Typed
        class Shows(Typed):
            def complete(self):
                print(self.count, self.names, dict(self.table), self.quick, self.note, self.colour.name, self.share)
                return True
        """,
    )
    values = {"day": "2026-01-02", "count": 3, "names": ["a", 1], "table": {"k": [1]}, "quick": True, "note": None}
    ask("check", "shows:Shows", values)
    assert "3 ('a', 1) {'k': (1,)} True None RED 0.5" in ask.lines
    ask("check", "shows:Shows", {**values, "names": '["b"]', "quick": "false", "note": "hello", "share": "0.25"})
    assert "3 ('b',) {'k': (1,)} False hello RED 0.25" in ask.lines


def test_the_value_of_a_private_parameter_is_not_shown(ask, write_module):
    write_module(
        "private",
        """
        class Private(luigi.Task):
            pin = luigi.IntParameter(visibility=luigi.parameter.ParameterVisibility.PRIVATE)
        """,
    )
    answer = ask("run", "private:Private", {"pin": "hunter2"})
    assert answer.outcome == "parameter_wrong"
    assert "hunter2" not in answer.message + "\n".join(ask.lines)


def test_a_constructor_that_raises(ask, write_module):
    write_module("ctor", "class T(luigi.Task):\n    def __init__(self):\n        raise ValueError('no')\n")
    answer = ask("run", "ctor:T")
    assert answer.outcome == "construction_failed"
    assert "ValueError: no" in answer.message


def test_a_complete_that_raises_is_told_and_nothing_is_run(ask, write_module):
    write_module(
        "raises",
        """
        class T(luigi.Task):
            def complete(self):
                raise OSError("the disk is away")
            def run(self):
                print("ran")
        """,
    )
    answer = ask("run", "raises:T")
    assert (answer.outcome, answer.is_request_wrong) == ("complete_failed", False)
    assert "the disk is away" in answer.message
    assert "ran" not in ask.lines


@pytest.mark.parametrize("checked_by_luigi", [False, True])
def test_a_run_that_succeeds_without_its_target_names_the_target(ask, write_module, work, checked_by_luigi):
    (work / "luigi.cfg").write_text(f"[worker]\ncheck_complete_on_run={checked_by_luigi}\n")
    write_module(
        "forgets",
        """
        class Forgets(luigi.Task):
            def output(self):
                return [luigi.LocalTarget("there.txt"), luigi.LocalTarget("not-there.txt")]
            def run(self):
                with self.output()[0].open("w") as file:
                    file.write("x")
        """,
    )
    answer = ask("run", "forgets:Forgets")
    assert answer.outcome == "target_missing"
    assert "its target is missing: not-there.txt" in answer.message


def test_a_requirement_that_succeeds_without_its_target_is_named_itself(ask, write_module):
    write_module(
        "chain",
        """
        class Forgets(luigi.Task):
            def output(self):
                return luigi.LocalTarget("never.txt")
            def run(self):
                pass
        class Needs(luigi.Task):
            def requires(self):
                return Forgets()
            def output(self):
                return luigi.LocalTarget("needs.txt")
        """,
    )
    answer = ask("run", "chain:Needs")
    assert answer.outcome == "target_missing"
    assert answer.message.startswith("Forgets() ran without an error, but its target is missing: never.txt")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failing_requirement_is_named_with_its_error_and_its_traceback_is_in_the_log(ask, write_module, workers):
    write_module(
        "fails",
        """
        class Fails(luigi.Task):
            def output(self):
                return luigi.LocalTarget("fails.txt")
            def run(self):
                raise ZeroDivisionError("by nothing")
        class Needs(luigi.Task):
            def requires(self):
                return Fails()
            def output(self):
                return luigi.LocalTarget("needs.txt")
        """,
    )
    answer = ask("run", "fails:Needs", workers=workers)
    assert (answer.outcome, answer.is_request_wrong) == ("run_failed", False)
    assert "Fails(): ZeroDivisionError: by nothing" in answer.message
    assert any("fails.py" in line for line in ask.lines)
    assert answer.facts["failed"] == ["Fails__99914b932b"]


def test_a_worker_process_that_dies_is_a_failure(ask, write_module):
    write_module(
        "dies",
        """
        import os, signal
        class Dies(luigi.Task):
            def output(self):
                return luigi.LocalTarget("dies.txt")
            def run(self):
                os.kill(os.getpid(), signal.SIGKILL)
        """,
    )
    assert ask("run", "dies:Dies", workers=2).outcome == "run_failed"
    answer = ask("run", "dies:Dies")
    assert answer.outcome == "engine_failed"
    assert "SIGKILL" in answer.message


def test_missing_external_data_is_a_failure_that_names_it(ask, write_module):
    write_module(
        "outside",
        """
        class Data(luigi.ExternalTask):
            def output(self):
                return luigi.LocalTarget("delivered.csv")
        class Report(luigi.Task):
            def requires(self):
                return Data()
            def output(self):
                return luigi.LocalTarget("report.txt")
        """,
    )
    for task in ("outside:Report", "outside:Data"):
        answer = ask("run", task)
        assert (answer.outcome, answer.is_request_wrong) == ("external_missing", False)
        assert "delivered.csv" in answer.message


def test_a_requirement_whose_complete_raises_is_named(ask, write_module):
    write_module(
        "unsound",
        """
        class Unsound(luigi.Task):
            def complete(self):
                raise OSError("away")
        class Needs(luigi.Task):
            def requires(self):
                return Unsound()
            def output(self):
                return luigi.LocalTarget("needs.txt")
        """,
    )
    answer = ask("run", "unsound:Needs")
    assert answer.outcome == "scheduling_failed"
    assert "Unsound()" in answer.message
    assert any("away" in line for line in ask.lines)


@pytest.mark.parametrize("reference", ["", "typed:"])
def test_a_reference_that_names_no_task(ask, typed, reference):
    assert ask("run", reference).outcome == "request_wrong"


def test_a_project_folder_or_an_interpreter_that_does_not_exist(tmp_path):
    missing = str(tmp_path / "missing")
    no_folder = EngineProcess(EngineRequest("run", "m:T", project_path=missing)).run(print)
    assert (no_folder.outcome, missing in no_folder.message) == ("request_wrong", True)
    no_python = EngineProcess(EngineRequest("run", "m:T"), python=missing, working_dir=tmp_path).run(print)
    assert (no_python.outcome, missing in no_python.message) == ("request_wrong", True)


def test_an_interpreter_without_luigi_is_told(tmp_path):
    import subprocess
    import sys

    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    python = str(tmp_path / "bare" / "bin" / "python")
    answer = EngineProcess(EngineRequest("run", "m:T"), python=python, working_dir=tmp_path).run(print)
    assert answer.outcome == "request_wrong"
    assert "Luigi cannot be imported" in answer.message
