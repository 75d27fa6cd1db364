"""Parameters in the forms that an Airflow task gives them, and those whose values must not be seen."""

from __future__ import annotations

import pytest


def test_private_values_are_shown_neither_by_the_engine_nor_by_luigi(ask, write_module, project):
    write_module(
        "guarded",
        """
        class Lonely(luigi.Task):
            pin = luigi.Parameter(visibility=luigi.parameter.ParameterVisibility.PRIVATE)
        class Guarded(luigi.Task):
            pin = luigi.Parameter(visibility=luigi.parameter.ParameterVisibility.PRIVATE)
            n = luigi.IntParameter(default=1)
            def requires(self):
                return Lonely(self.pin)
            def output(self):
                return luigi.LocalTarget("guarded.txt")
            def complete(self):
                return False
        class Counted(luigi.Task):
            pin = luigi.IntParameter(visibility=luigi.parameter.ParameterVisibility.PRIVATE)
        """,
    )
    answers = [ask(action, "guarded:Guarded", {"pin": "hunter2"}) for action in ("check", "run")]
    (project / "luigi.cfg").write_text("[Counted]\npin=hunter2\n")
    answers.append(ask("check", "guarded:Counted"))
    assert "Guarded(n=1)" in answers[1].message
    assert answers[2].outcome == "parameter_wrong"
    assert "hunter2" not in str(answers) + "\n".join(ask.lines)


@pytest.mark.parametrize(
    ("kind", "value", "read"),
    [
        ("Date", "2026-03-04T05:06:07", "2026-03-04"),
        ("Month", "2026-03-04", "2026-03"),
        ("Year", "2026-03-04", "2026"),
        ("DateHour", "2026-03-04T05:06:07.123456+00:00", "2026-03-04T05"),
        ("DateMinute", "2026-03-04", "2026-03-04T0000"),
        ("DateSecond", "2026-03-04 05:06:07", "2026-03-04T050607"),
        ("TimeDelta", "93784.0", "0 w 1 d 2 h 3 m 4 s"),
    ],
)
def test_dates_in_iso_form_fit_each_parameter_for_dates(ask, write_module, kind, value, read):
    write_module(
        "dated",
        f"""
        class Dated(luigi.Task):
            when = luigi.{kind}Parameter()
            def complete(self):
                return True
        """,
    )
    assert ask("check", "dated:Dated", {"when": value}).facts["task"] == f"Dated(when={read})"
