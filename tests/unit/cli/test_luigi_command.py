"""``airflow-domino luigi``: exit codes that a Domino run can be judged by."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_domino import cli
from airflow_domino.luigi.plan import Plan

PIPELINE = """
import luigi

class Count(luigi.Task):
    n = luigi.IntParameter()
    def output(self):
        return luigi.LocalTarget(f"count_{self.n}.txt")
    def run(self):
        with self.output().open("w") as target:
            target.write(str(self.n))

class Forgetful(luigi.Task):
    def output(self):
        return luigi.LocalTarget("never.txt")
    def run(self):
        pass

class Both(luigi.WrapperTask):
    def requires(self):
        return [Count(n=1), Count(n=2)]

class Sum(luigi.Task):
    def requires(self):
        return [Count(n=1), Count(n=2)]
    def output(self):
        return luigi.LocalTarget("sum.txt")
    def run(self):
        with self.output().open("w") as target:
            target.write(str(sum(int(open(one.path).read()) for one in self.input())))

class Waiting(luigi.ExternalTask):
    def output(self):
        return luigi.LocalTarget("from_elsewhere.txt")
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "counting.py").write_text(PIPELINE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_task_is_made_in_the_current_folder(project: Path) -> None:
    assert cli.main(["luigi", "run", "counting:Count", "--param", "n=3"]) == 0
    assert (project / "count_3.txt").read_text() == "3"


def test_a_complete_task_is_made_again_only_by_force(project: Path) -> None:
    (project / "count_3.txt").write_text("from before")
    assert cli.main(["luigi", "run", "counting:Count", "--param", "n=3"]) == 0
    assert (project / "count_3.txt").read_text() == "from before"
    assert cli.main(["luigi", "run", "counting:Count", "--param", "n=3", "--force"]) == 0
    assert (project / "count_3.txt").read_text() == "3"


def test_force_with_downstream_makes_what_requires_a_family_again_too(project: Path) -> None:
    for name in ("count_1.txt", "count_2.txt", "sum.txt"):
        (project / name).write_text("from before")
    assert cli.main(["luigi", "run", "counting:Sum", "--force", "Count", "--downstream"]) == 0
    assert [(project / name).read_text() for name in ("count_1.txt", "count_2.txt", "sum.txt")] == ["1", "2", "3"]


def test_another_folder_can_hold_the_module(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = project / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert cli.main(["luigi", "run", "counting:Count", "--param", "n=4", "--project-path", str(project)]) == 0
    assert (elsewhere / "count_4.txt").exists()


@pytest.mark.parametrize(
    ("arguments", "exit_code", "complaint"),
    [
        (["counting:Forgetful"], 1, "never.txt"),
        (["counting:Waiting"], 1, "from_elsewhere.txt"),
        (["counting:Nobody"], 2, "Nobody"),
        (["nowhere:Count"], 2, "nowhere"),
        (["counting:Count"], 2, "n"),
        (["counting:Count", "--param", "n=many"], 2, "many"),
        (["counting:Count", "--param", "n=1", "--downstream"], 2, "--force FAMILY"),
    ],
)
def test_what_does_not_end_well_is_told_by_exit_code_and_message(
    project: Path, arguments: list[str], exit_code: int, complaint: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["luigi", "run", *arguments]) == exit_code
    said = capfd.readouterr().err
    assert complaint in said


def test_a_plan_is_the_graph_as_json_and_makes_nothing(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["luigi", "plan", "counting:Both"]) == 0
    nodes = json.loads(capfd.readouterr().out)["nodes"]
    assert [(node["family"], node["params"]) for node in nodes] == [
        ("Both", {}),
        ("Count", {"n": "1"}),
        ("Count", {"n": "2"}),
    ]
    assert [path.name for path in project.glob("*.txt")] == []


def test_a_plan_is_written_to_a_file_that_can_be_drawn(project: Path) -> None:
    assert cli.main(["luigi", "plan", "counting:Sum", "--output", "plan.json"]) == 0
    assert [node.family for node in Plan.from_file("plan.json").nodes] == ["Sum", "Count", "Count"]


def test_a_plan_of_a_templated_parameter_needs_no_value_for_a_date(project: Path) -> None:
    (project / "daily.py").write_text("import luigi\nclass Day(luigi.Task):\n    day = luigi.DateParameter()\n")
    assert cli.main(["luigi", "plan", "daily:Day", "--templated", "day", "--output", "plan.json"]) == 0
    assert Plan.from_file("plan.json").root.params == {"day": "2001-01-01"}


def test_a_graph_that_is_larger_than_allowed_is_refused(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["luigi", "plan", "counting:Sum", "--most-tasks", "2"]) == 2
    assert "more than 2 tasks" in capfd.readouterr().err


def test_a_task_that_cannot_be_planned_says_why(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["luigi", "plan", "counting:Nobody"]) == 2
    assert "Nobody" in capfd.readouterr().err
