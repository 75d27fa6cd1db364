"""Which task a reference `module:Family` names: any that is registered once the module is imported."""

from __future__ import annotations

import pytest

from airflow_domino.luigi.plan import make_plan
from airflow_domino.migrate.luigi_line import read_line

OF_DAYS = """
import datetime
class Day(luigi.Task):
    date = luigi.DateParameter()
    def output(self):
        return luigi.LocalTarget(f"{self.date}.txt")
    def run(self):
        self.output().open("w").close()
class Generic(luigi.Task):
    of = luigi.TaskParameter()
    def requires(self):
        return self.of(date=datetime.date(2026, 1, 1))
"""


def test_a_family_of_luigis_own_tools_is_found_in_a_module_that_defines_what_it_is_of(ask, write_module, work):
    write_module("days", OF_DAYS)
    params = {"of": "Day", "start": "2026-01-01", "stop": "2026-01-03", "now": "1767600000"}
    answer = ask("run", "days:RangeDaily", params)
    assert answer.outcome == "done", answer.message
    assert sorted(path.name for path in work.glob("*.txt")) == ["2026-01-01.txt", "2026-01-02.txt"]


@pytest.fixture
def package(project):
    """A package whose tasks are defined in a submodule that it only imports; two more have one family."""
    (project / "tasks").mkdir()
    (project / "tasks" / "__init__.py").write_text("import tasks.reports\n")
    (project / "tasks" / "reports.py").write_text(
        "import luigi\n"
        "class Report(luigi.WrapperTask):\n"
        "    pass\n"
        "class Spaced(luigi.WrapperTask):\n"
        "    task_namespace = 'deep'\n"
    )
    (project / "tasks" / "one.py").write_text("import luigi\nclass Same(luigi.WrapperTask):\n    pass\n")
    (project / "tasks" / "other.py").write_text("import luigi\nclass Same(luigi.WrapperTask):\n    pass\n")
    (project / "imports_both.py").write_text("import tasks.one\nimport tasks.other\n")


@pytest.mark.parametrize("family", ["Report", "deep.Spaced"])
def test_a_family_that_a_module_only_imports_is_found(ask, package, family):
    answer = ask("check", f"tasks:{family}")
    assert (answer.outcome, answer.facts.get("module")) == ("complete", "tasks.reports"), answer.message


def test_a_class_that_is_made_while_the_module_is_imported_and_has_no_name_there_is_found(ask, write_module):
    write_module("made", "KINDS = [type(name, (luigi.WrapperTask,), {}) for name in ('Red', 'Blue')]\n")
    assert ask("check", "made:Blue").outcome == "complete"


def test_a_family_of_two_imported_modules_is_ambiguous_and_they_are_named(ask, package):
    answer = ask("check", "imports_both:Same")
    assert answer.outcome == "family_ambiguous"
    assert "tasks.one.Same, tasks.other.Same" in answer.message
    assert "'tasks.one:Same'" in answer.message


def test_a_subclass_of_the_same_family_stands_for_both_as_in_luigi(ask, write_module, package):
    write_module(
        "derives", "from tasks.one import Same as Base\ndef make():\n    class Same(Base):\n        pass\nmake()\n"
    )
    answer = ask("check", "derives:Same")
    assert (answer.outcome, answer.facts.get("module")) == ("complete", "derives"), answer.message


@pytest.mark.parametrize(
    ("wrong", "shown"),
    [("tasks:Reprot", "Its tasks: Report, deep.Spaced"), ("tasks:RangeDaly", "Its tasks: RangeDaily, ")],
)
def test_an_unknown_family_is_answered_with_the_nearest_names_first(ask, package, wrong, shown):
    answer = ask("check", wrong)
    assert answer.outcome == "family_unknown"
    assert shown in answer.message
    assert "Config" not in answer.message


def test_of_very_many_families_only_some_are_listed(ask, write_module):
    write_module("many", "for n in range(500):\n    type(f'T{n}', (luigi.Task,), {})\n")
    answer = ask("check", "many:Lost")
    assert "and 480 more" in answer.message
    assert len(answer.message) < 500


@pytest.mark.parametrize(
    ("task", "node", "arguments"),
    [
        ("days:RangeDaily", [], ["--module", "days", "RangeDaily"]),
        ("asks:Asks", [[0, "Generic"]], ["--module", "asks", "Generic"]),
        ("asks:Asks", [[0, "Generic"], [0, "Day"]], ["--module", "asks", "Day"]),
        ("asks:Asks", [[1, "Late"]], ["--module", "late", "Late"]),
        ("made:Blue", [], ["--module", "made", "Blue"]),
    ],
)
def test_on_domino_the_module_is_imported_that_makes_all_families_known(ask, write_module, task, node, arguments):
    write_module("days", OF_DAYS)
    write_module("late", "class Late(luigi.Task):\n    pass\n")
    write_module("made", "MADE = type('Blue', (luigi.WrapperTask,), {})\n")
    write_module(
        "asks",
        """
        import days
        class Asks(luigi.Task):
            def requires(self):
                import late
                return [days.Generic(days.Day), late.Late()]
        """,
    )
    params = {"of": "Day", "start": "2026-01-01"} if task.endswith("RangeDaily") else {}
    answer = ask("check", task, params, node=node, command=True)
    assert answer.facts.get("command", [])[:3] == arguments, answer.message
    assert answer.facts["reference"] == f"{arguments[1]}:{arguments[2]}"


def test_what_migrate_writes_for_a_range_of_days_runs(ask, write_module, work):
    write_module("days", OF_DAYS)
    line = read_line("luigi --module days RangeDaily --of Day --start 2026-01-01 --stop 2026-01-02 --now 1767600000")
    assert (answer := ask("run", line.task, line.params)).outcome == "done", answer.message
    assert (work / "2026-01-01.txt").exists()


def test_a_pipeline_is_drawn_from_a_family_that_a_module_only_imports(project, package):
    assert make_plan("tasks:Report", project_path=project).root.module == "tasks.reports"
