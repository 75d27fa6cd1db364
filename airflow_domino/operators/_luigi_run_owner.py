"""Tells an engine for which task instance it launches Domino runs, so that a retry takes up those of a crashed one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from airflow.sdk import get_current_context

from airflow_domino.hooks.identity import TaskIdentity
from airflow_domino.luigi.run_owner import RunOwner


def owner_variables() -> dict[str, str]:
    """The variables by which the Luigi tasks of one task instance, in one generation, share their Domino runs.

    Equal over its retries and another after it was cleared; none outside of Airflow's tasks.
    """
    identity = TaskIdentity.of(context) if (context := _context()) else None
    if identity is None:
        return {}
    instance = (identity.dag_id, identity.run_id, identity.task_id, identity.map_index, identity.generation)
    return RunOwner(json.dumps(instance), identity.since, identity.creation_key).variables()


def _context() -> Mapping[str, Any]:
    try:
        return get_current_context()
    except RuntimeError:
        return {}
