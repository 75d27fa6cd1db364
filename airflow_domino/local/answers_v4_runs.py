"""Answers of ``/v4/runs``, as types; see :mod:`airflow_domino.local.answers`."""

from __future__ import annotations

from airflow_domino.local.answers import Answer, ObjectId


class StartedRun(Answer):
    """A run that was started."""

    runId: ObjectId
