"""Reading a task's arguments as templates leave them: text where a list or a mapping was meant, or nothing at all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow_domino.domino.errors import ConfigurationError


def given(value: Any) -> Any:
    """Return a templated argument, or None where a template rendered to nothing (a form field left empty)."""
    return None if isinstance(value, str) and value.strip() in ("", "None") else value


def cluster_properties(value: Any) -> Mapping[str, Any] | None:
    """Read Domino's `computeClusterProperties`, also as the JSON that a template rendered.

    :raises ConfigurationError: when it is not a mapping.
    """
    found = given(value)
    if isinstance(found, str):
        try:
            found = json.loads(found)
        except ValueError:
            found = value
    if found is None or isinstance(found, Mapping):
        return found
    raise ConfigurationError(
        f"compute_cluster must be a mapping, not {value!r}; a template gives one as JSON (`| tojson`), "
        "or in a DAG with render_template_as_native_obj=True"
    )


def volume_ids(value: Any) -> tuple[str, ...]:
    """Read the ids of external volumes; text is the id of one, or the JSON of a list that a template rendered.

    :raises ConfigurationError: when they are not ids.
    """
    found = given(value)
    if isinstance(found, str):
        try:
            found = json.loads(found) if found.lstrip().startswith("[") else [found.strip()]
        except ValueError:
            found = value
    is_list = isinstance(found, Sequence) and not isinstance(found, str)
    if found is None or (is_list and all(isinstance(each, str) and each for each in found)):
        return tuple(found or ())
    raise ConfigurationError(f"external_volumes must be a list of ids of volumes, such as ['…'], not {value!r}")


def in_seconds(name: str, value: float | timedelta | None) -> float | None:
    """Read a length of time that an author gave.

    :param name: of the argument, for the message.
    :param value: seconds or a timedelta.
    :raises ValueError: when it is not above 0.
    """
    if value is None:
        return None
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds <= 0:
        raise ValueError(f"{name}={value!r}: give a number of seconds above 0, or a timedelta")
    return float(seconds)


def one_of(name: str, value: str, choices: Sequence[str]) -> str:
    """Return a word that an author chose.

    :raises ValueError: when it is not among the choices.
    """
    if value not in choices:
        raise ValueError(f"{name}={value!r}: choose one of {', '.join(map(repr, choices))}")
    return value
