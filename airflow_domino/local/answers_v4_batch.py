"""Answers of the administrators' export of runs, as types; see :mod:`airflow_domino.local.answers`."""

from __future__ import annotations

from typing import NotRequired

from airflow_domino.local.answers import Answer, IsoTime


class BatchedRun(Answer):
    """One run, with what it cost."""

    batchId: str
    runId: str
    title: str
    command: str
    status: str
    runType: str
    userName: str
    userId: str
    projectOwnerName: str
    projectOwnerId: str
    projectName: str
    projectId: str
    runDurationSec: float
    hardwareTier: str
    hardwareTierCostCurrency: str
    hardwareTierCostAmount: float
    queuedTime: IsoTime
    startTime: NotRequired[IsoTime]
    endTime: NotRequired[IsoTime]
    totalCostCurrency: str
    totalCostAmount: float


class Batch(Answer):
    """Some runs, and where the next batch begins."""

    runs: list[BatchedRun]
    nextBatchId: NotRequired[str]
