"""Fields of a DAG's trigger form, checked before anything starts: a tier, a target, a commit, a day, a moment.

    @dag(params={"tier": tier_field("X-Large", TIERS), "commit": commit_field()})

Each returns an ordinary Airflow ``Param``: the form shows it, and Airflow refuses a bad value at the trigger, in a
backfill and in every task. What a field wants is part of its schema, so that a refusal says it in words too, and not by
a regular expression alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import Param

__all__ = ["address_field", "commit_field", "day_field", "moment_field", "target_field", "tier_field"]

COMMIT = r"^[0-9a-f]{40}$"
# Airflow checks the format date-time only where a package that it does not require is installed.
MOMENT = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?\s?(Z|[+-]\d{2}:?\d{2})?$"
ADDRESS = r"^s3://[a-z0-9][a-z0-9.-]+(/[^/]+)+$"


def tier_field(
    default: str,
    tiers: Sequence[str] | Mapping[str, str],
    *,
    title: str = "Hardware tier",
    help_text: str = "Domino queues the run while all places of the tier are taken.",
    **more: Any,
) -> Param:
    """Return a choice of hardware tiers.

    A form is made when the DAG file is read, where Domino is not to be asked: the tiers are written down.

    :param default: the tier that is chosen at first.
    :param tiers: names of tiers, or what the form shows of each by its name, such as ``{"GPU": "GPU: 1 GPU, 60 GiB"}``.
    :param title: the field's label.
    :param help_text: Markdown below the field.
    :param more: further arguments of ``Param``, such as ``section``.
    :raises ParamValidationError: when the default is none of the tiers.
    """
    return target_field(default, tiers, title=title, help_text=help_text, **more)


def target_field(
    default: str,
    targets: Sequence[str] | Mapping[str, str],
    *,
    title: str = "What to make",
    help_text: str = "What is complete is not made again.",
    **more: Any,
) -> Param:
    """Return a choice of what to make, such as Luigi tasks by their families.

    :param default: what is chosen at first.
    :param targets: names, or what the form shows of each by its name.
    :param title: the field's label.
    :param help_text: Markdown below the field.
    :param more: further arguments of ``Param``.
    :raises ParamValidationError: when the default is none of the targets.
    """
    shown = {"values_display": dict(targets)} if isinstance(targets, Mapping) else {}
    return _field(default, "string", title, help_text, {"enum": list(targets), **shown, **more})


def commit_field(
    *,
    title: str = "Commit to start from",
    help_text: str = "The full SHA of a commit of the Domino project: 40 digits, 0-9 and a-f. Empty: the latest.",
    **more: Any,
) -> Param:
    """Return a field for a commit of a Domino project, empty at first.

    Its value is None or a full SHA: give ``commit_id="{{ params.commit or '' }}"``. Whether the project has that commit
    is found out by the task.
    """
    return _optional(title, help_text, {"pattern": COMMIT, **more})


def day_field(
    *, title: str = "Day", help_text: str = "A day as YYYY-MM-DD. Empty: the day of the DAG run.", **more: Any
) -> Param:
    """Return a calendar for a day, empty at first.

    Its value is None or ``YYYY-MM-DD``: give for instance
    ``"{{ params.day or (dag_run.logical_date or dag_run.run_after) | ds }}"``.
    """
    return _optional(title, help_text, {"format": "date", **more})


def moment_field(
    *,
    title: str = "Moment",
    help_text: str = "Choose in the calendar, or write YYYY-MM-DD HH:MM (UTC unless an offset such as +02:00 follows).",
    **more: Any,
) -> Param:
    """Return a calendar with a clock, empty at first.

    Its value is None, or a date and time in ISO 8601, which may name an offset.
    """
    return _optional(title, help_text, {"format": "date-time", "pattern": MOMENT, **more})


def address_field(
    *,
    title: str = "Folder on S3",
    help_text: str = "An address such as s3://bucket/folder, without a slash at its end.",
    **more: Any,
) -> Param:
    """Return a field for a folder on S3, empty at first."""
    return _optional(title, help_text, {"pattern": ADDRESS, **more})


def _optional(title: str, help_text: str, schema: Mapping[str, Any]) -> Param:
    return _field(None, ["null", "string"], title, help_text, schema)


def _field(default: Any, kind: str | list[str], title: str, help_text: str, schema: Mapping[str, Any]) -> Param:
    # Airflow prints the schema where it refuses a value, and shows description_md in the form: one text for both.
    return Param(default, type=kind, title=title, description_md=help_text, **schema)
