"""What becomes of Luigi's parameters, kinds of tasks and completion in the engine; docs/luigi.md lists it all."""

from __future__ import annotations

import threading

import pytest

from airflow_domino.luigi.execute import EngineProcess, EngineRequest, engine_environment


@pytest.fixture
def target(work):
    """The text of the only target of a family."""
    return lambda family: next(work.glob(f"{family}_*.txt")).read_text()


def states(answer) -> dict[str, str]:
    return {one["family"]: one["state"] for one in answer.facts["tasks"]}


# ---- parameters, families, configuration -----------------------------------------------------------------------------


def test_inherits_requires_and_copies_hand_parameters_down(pipeline, ask, ran, target, work):
    pipeline(
        "handed",
        """
        from luigi.util import copies, inherits, requires
        class Source(Made):
            day = luigi.DateParameter()
            unit = luigi.Parameter(default="kg")
        @inherits(Source)
        class Inherits(Made):
            def requires(self):
                return self.clone(Source)
        @requires(Inherits)
        class Requires(Made):
            pass
        @copies(Requires)
        class Copies(luigi.Task):
            def output(self):
                return luigi.LocalTarget("copy.txt")
        """,
    )
    assert ask("run", "handed:Copies", {"day": "2026-01-02", "unit": "t"}).outcome == "done"
    assert ran() == ["Source", "Inherits", "Requires"]
    assert target("Source") == (work / "copy.txt").read_text().strip() == "day=2026-01-02 unit=t"


def test_namespaces_are_part_of_a_family_also_where_luigi_names_them(pipeline, ask):
    pipeline("spaces", "luigi.auto_namespace(scope=__name__)\nclass Auto(Made):\n    pass\n")
    answer = ask("run", "spaces:spaces.Auto")
    assert (answer.outcome, answer.facts["family"]) == ("done", "spaces.Auto")


def test_config_classes_and_values_of_families_come_from_the_configuration_that_is_named(pipeline, ask, tmp_path):
    pipeline(
        "configured",
        """
        class warehouse(luigi.Config):
            host = luigi.Parameter(default="nowhere")
        class Load(Made):
            table = luigi.Parameter()
            host = luigi.Parameter(default="")
            def requires(self):
                return [] if self.host else Load(table=self.table, host=warehouse().host)
        """,
    )
    (tmp_path / "other.cfg").write_text("[Load]\ntable=sales\n[warehouse]\nhost=${SITE}.example.com\n")
    env = engine_environment({"SITE": "north"}, config=tmp_path / "other.cfg")
    answer = ask("run", "configured:Load", env=env)
    assert answer.outcome == "done"
    assert answer.facts["ran"][0].startswith("Load_north_example_co_sales_")


def test_luigi_config_path_of_the_worker_is_used_where_none_is_named(pipeline, ask, tmp_path, monkeypatch):
    pipeline("from_env", "class Load(Made):\n    table = luigi.Parameter()\n")
    (tmp_path / "worker.cfg").write_text("[Load]\ntable=sales\n")
    monkeypatch.setenv("LUIGI_CONFIG_PATH", str(tmp_path / "worker.cfg"))
    assert "Load_sales" in ask("check", "from_env:Load").facts["task_id"]


def test_insignificant_and_private_values_reach_a_task_that_is_found_from_its_root(pipeline, ask, target):
    pipeline(
        "hidden",
        """
        from luigi.parameter import ParameterVisibility
        class Part(Made):
            day = luigi.DateParameter()
            retries = luigi.IntParameter(default=1, significant=False)
            pin = luigi.Parameter(default="", visibility=ParameterVisibility.PRIVATE)
        class Root(Made):
            day = luigi.DateParameter()
            def requires(self):
                return Part(self.day, retries=7, pin="1234")
        """,
    )
    answer = ask("run", "hidden:Root", {"day": "2026-01-02"}, node=[(0, "Part")], only_self=True)
    assert (answer.outcome, target("Part")) == ("done", "day=2026-01-02 retries=7 pin=1234")
    assert "1234" not in answer.message + str(answer.facts) + "".join(ask.lines)


def test_of_tasks_that_differ_in_insignificant_parameters_the_first_is_made_as_in_luigi(pipeline, ask, ran):
    pipeline(
        "merged",
        """
        class Part(Made):
            note = luigi.Parameter(significant=False)
        class Root(Made):
            def requires(self):
                return [Part("first"), Part("second")]
        """,
    )
    assert ask("run", "merged:Root").outcome == "done"
    assert ran() == ["Part", "Root"]


# ---- kinds of tasks --------------------------------------------------------------------------------------------------


def test_what_is_externalized_is_awaited_and_never_run(pipeline, ask, ran):
    pipeline(
        "outside",
        """
        from luigi.task import externalize
        class Other(Made):
            pass
        class Report(Made):
            def requires(self):
                return externalize(Other())
        """,
    )
    answer = ask("run", "outside:Report")
    assert (answer.outcome, ran()) == ("external_missing", [])
    ask("run", "outside:Other")
    assert ask("run", "outside:Report").outcome == "done"
    assert ran() == ["Other", "Report"]


def test_external_data_is_asked_for_again_where_the_configuration_wants_that(pipeline, ask, work):
    pipeline(
        "delivered",
        """
        class Fetch(Made):
            def run(self):
                open("delivered.csv", "w").close()
                self.make()
        class Delivered(luigi.ExternalTask):
            def output(self):
                return luigi.LocalTarget("delivered.csv")
        class Report(Made):
            def requires(self):
                return [Fetch(), Delivered()]
        """,
    )
    (work / "luigi.cfg").write_text("[worker]\nretry_external_tasks=true\n")
    assert ask("run", "delivered:Report").outcome == "done"


def test_a_wrapper_with_a_run_of_its_own_is_run_once_after_what_it_wraps(pipeline, ask, ran):
    pipeline(
        "wrapped",
        """
        class Part(Made):
            pass
        class Wrap(luigi.WrapperTask, Made):
            def requires(self):
                return Part()
            def run(self):
                with open("ran.txt", "a") as ran:
                    ran.write("Wrap\\n")
        """,
    )
    assert ask("run", "wrapped:Wrap").outcome == "done"
    assert ask("run", "wrapped:Wrap").outcome == "complete"
    assert ran() == ["Part", "Wrap"]


def test_a_task_without_output_satisfies_nobody_who_requires_it(pipeline, ask):
    pipeline(
        "nothing",
        """
        class Nothing(luigi.Task):
            def run(self):
                pass
        class Needs(Made):
            def requires(self):
                return Nothing()
        """,
    )
    answer = ask("run", "nothing:Needs")
    assert states(answer) == {"Needs": "failed", "Nothing": "done"}
    assert "it has no target" in answer.message


def test_a_task_of_contrib_that_starts_its_own_program_is_run_as_it_is(pipeline, ask, work):
    pipeline(
        "program",
        """
        from luigi.contrib.external_program import ExternalProgramTask
        class Program(ExternalProgramTask):
            def program_args(self):
                return ["touch", self.output().path]
            def output(self):
                return luigi.LocalTarget("touched.txt")
        """,
    )
    assert ask("run", "program:Program").outcome == "done"
    assert (work / "touched.txt").exists()


# ---- completion ------------------------------------------------------------------------------------------------------


def test_a_class_that_can_answer_for_many_tasks_is_asked_once(pipeline, ask, ran):
    pipeline(
        "bulk",
        """
        class Day(Made):
            number = luigi.IntParameter()
            @classmethod
            def bulk_complete(cls, numbers):
                print("asked for", len(list(numbers)))
                return [number for number in numbers if number != 3]
            def complete(self):
                assert self.number == 3, "asked singly"
                return super().complete()
        class Month(Made):
            def requires(self):
                return [Day(number) for number in range(1, 32)]
        """,
    )
    assert ask("run", "bulk:Month").outcome == "done"
    assert "asked for 31" in ask.lines
    assert ran() == ["Day", "Month"]


def test_each_complete_task_is_asked_once_however_many_require_it(pipeline, ask):
    pipeline(
        "shared",
        """
        class Leaf(luigi.Task):
            number = luigi.IntParameter()
            def complete(self):
                print("asked", self.number)
                return True
        class Wrap(luigi.WrapperTask):
            number = luigi.IntParameter()
            def requires(self):
                return [Leaf(number) for number in range(5)]
        class Root(Made):
            def requires(self):
                return [Wrap(number) for number in range(5)]
        """,
    )
    assert ask("run", "shared:Root").outcome == "done"
    assert sorted(line for line in ask.lines if line.startswith("asked")) == [f"asked {n}" for n in range(5)]


def test_a_recursion_ends_at_the_first_complete_task(pipeline, ask, ran):
    pipeline(
        "popularity",
        """
        import datetime
        class Popularity(Made):
            day = luigi.DateParameter()
            def requires(self):
                return Popularity(self.day - datetime.timedelta(days=1))
            def complete(self):
                return self.day < datetime.date(2026, 1, 8) or super().complete()
        """,
    )
    assert ask("run", "popularity:Popularity", {"day": "2026-01-10"}).outcome == "done"
    assert len(ran()) == 3


def test_a_range_makes_the_days_that_are_missing(pipeline, ask, ran):
    pipeline(
        "ranged",
        """
        import datetime
        from luigi.tools.range import RangeDaily
        class Day(Made):
            day = luigi.DateParameter()
            def complete(self):
                return self.day == datetime.date(2026, 1, 2) or super().complete()
            @classmethod
            def bulk_complete(cls, days):
                return [day for day in days if cls(day).complete()]
        class Days(luigi.WrapperTask):
            def requires(self):
                first, end = datetime.date(2026, 1, 1), datetime.date(2026, 1, 5)
                return RangeDaily(of=Day, start=first, stop=end, days_back=100_000, now=1_800_000_000)
        """,
    )
    assert ask("run", "ranged:Days").outcome == "done"
    assert len(ran()) == 3


def test_a_target_that_appears_while_its_task_runs_makes_the_task_done(pipeline, ask, work):
    pipeline(
        "raced",
        """
        class Raced(luigi.Task):
            def output(self):
                return luigi.LocalTarget("raced.txt")
            def run(self):
                with self.output().temporary_path() as path:
                    open(path, "w").close()
                    with open("raced.txt", "w") as file:
                        file.write("by somebody else")
        """,
    )
    answer = ask("run", "raced:Raced")
    assert (answer.outcome, states(answer)) == ("done", {"Raced": "done"})
    assert any("FileAlreadyExists" in line for line in ask.lines)
    assert (work / "raced.txt").read_text() == "by somebody else"
    (work / "raced.txt").unlink()
    assert ask("run", "raced:Raced", check="luigi").outcome == "run_failed"


def test_two_processes_never_run_one_task_at_the_same_time(pipeline, project, work, ran):
    pipeline(
        "guarded",
        """
        import os, time
        class Guarded(Made):
            def run(self):
                print("running", flush=True)
                while not os.path.exists("go"):
                    time.sleep(0.02)
                self.make()
        """,
    )
    is_running, is_left = threading.Event(), threading.Event()
    outcomes = {}

    def make(name: str, word: str, seen: threading.Event) -> None:
        request = EngineRequest("run", "guarded:Guarded", project_path=str(project), locks=str(work / "locks"))
        process = EngineProcess(request, working_dir=work)
        outcomes[name] = process.run(lambda line: seen.set() if word in line else None).outcome

    first = threading.Thread(target=make, args=("first", "running", is_running))
    second = threading.Thread(target=make, args=("second", "left to it", is_left))
    first.start()
    assert is_running.wait(60)
    second.start()
    assert is_left.wait(60)
    (work / "go").touch()
    first.join()
    second.join()
    assert (outcomes, ran()) == ({"first": "done", "second": "done"}, ["Guarded"])


def test_targets_in_memory_are_seen_by_all_tasks_of_one_process_tree(pipeline, ask):
    pipeline(
        "mocked",
        """
        from luigi.mock import MockTarget
        class First(Made):
            def output(self):
                return MockTarget("first")
        class Second(Made):
            def requires(self):
                return First()
        """,
    )
    assert ask("run", "mocked:Second").outcome == "done"
