"""Answers about the goals that jobs are linked to."""

from __future__ import annotations

from typing import NotRequired

from airflow_domino.local.answers import Answer, ObjectId
from airflow_domino.local.answers_public import Metadata


class LinkedGoal(Answer):
    """A goal that a job is linked to, in the public API."""

    goalId: ObjectId
    jobId: ObjectId
    projectId: ObjectId
    title: str
    description: NotRequired[str]
    currentStage: str


class LinkedGoalV4(LinkedGoal):
    """A goal that a job is linked to, in version 4."""

    jobNumber: int


class LinkedGoalEnvelope(Answer):
    """A goal that a job is linked to, in its envelope."""

    goal: LinkedGoal
    metadata: Metadata


class LinkedGoals(Answer):
    """The goals that a job is linked to."""

    goals: list[LinkedGoal]
    metadata: Metadata
