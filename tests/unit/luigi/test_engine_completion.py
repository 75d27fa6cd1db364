"""Which answers of complete() are taken: those that Luigi takes."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("expression", "outcome"),
    [
        ("numpy.True_", "complete"),
        ("numpy.False_", "incomplete"),
        ("1", "complete"),
        ("0", "incomplete"),
        ("1.0", "complete"),
        ("__import__('decimal').Decimal(0)", "incomplete"),
    ],
)
def test_what_equals_true_or_false_is_an_answer_of_complete(ask, write_module, expression, outcome):
    write_module("equal", f"import numpy\nclass T(luigi.Task):\n    def complete(self):\n        return {expression}\n")
    answer = ask("check", "equal:T")
    assert (answer.outcome, answer.facts.get("already_complete")) == (outcome, outcome == "complete"), answer.message


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("None", "returned None"),
        ("2", "returned 2"),
        ("'yes'", "returned 'yes'"),
        ("numpy.array([True, False])", r"returned array([ True, False])"),
        ("Odd()", "returned an Odd"),
    ],
)
def test_any_other_answer_of_complete_is_refused_by_luigis_rule(ask, write_module, expression, said):
    write_module(
        "odd",
        f"""
        import numpy
        class Odd:
            def __eq__(self, other):
                raise ValueError("compared")
            def __repr__(self):
                raise ValueError("shown")
        class T(luigi.Task):
            def complete(self):
                return {expression}
        """,
    )
    answer = ask("run", "odd:T")
    assert answer.outcome == "complete_not_bool"
    assert said in answer.message
    assert "equals True or False" in answer.message
    assert not any("Traceback" in line for line in ask.lines)


ANSWERS_IN_NUMPY = """
import numpy
class Part(luigi.Task):
    n = luigi.IntParameter()
    def output(self):
        return luigi.LocalTarget(f"{self.n}.txt")
    def complete(self):
        return numpy.bool_(self.output().exists())
    def run(self):
        self.output().open("w").close()
class Wraps(luigi.WrapperTask):
    def requires(self):
        return [Part(1), Part(2)]
class WrapsItself(Wraps):
    def complete(self):
        return numpy.bool_(super().complete())
class Yields(Part):
    n = luigi.IntParameter(default=0)
    def run(self):
        yield Part(3)
        yield luigi.DynamicRequirements([Part(4), Part(5)], lambda complete: numpy.bool_(complete(Part(5))))
        super().run()
class Bulk(luigi.Task):
    n = luigi.IntParameter()
    def complete(self):
        raise AssertionError("it is asked in bulk")
    @classmethod
    def bulk_complete(cls, numbers):
        return numpy.array(numbers)
class All(luigi.Task):
    def requires(self):
        return [Bulk(1), Bulk(2)]
    def output(self):
        return luigi.LocalTarget("all.txt")
    def run(self):
        self.output().open("w").close()
"""


@pytest.mark.parametrize(
    ("family", "check"),
    [
        *((family, check) for family in ("Wraps", "WrapsItself", "Yields") for check in ("strict", "luigi")),
        ("All", "strict"),
    ],
)
def test_answers_of_numpy_are_taken_wherever_they_are_asked_for(ask, write_module, family, check):
    write_module("answers", ANSWERS_IN_NUMPY)
    assert (answer := ask("run", f"answers:{family}", check=check)).outcome == "done", answer.message
    assert (answer := ask("run", f"answers:{family}", check=check)).outcome == "complete", answer.message


def test_an_array_for_an_answer_while_the_task_runs_is_refused_by_the_same_rule(ask, write_module):
    write_module(
        "arrays",
        """
        import numpy
        class Arrays(luigi.Task):
            def complete(self):
                return numpy.array([True, False])
        class Yields(luigi.Task):
            def output(self):
                return luigi.LocalTarget("never.txt")
            def run(self):
                yield luigi.DynamicRequirements([Arrays()], lambda complete: complete(Arrays()))
        """,
    )
    answer = ask("run", "arrays:Yields")
    assert answer.outcome == "run_failed"
    assert "equals True or False" in answer.message
