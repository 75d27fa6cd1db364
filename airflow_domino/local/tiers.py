"""Hardware tiers: what a run may use, what that costs, and how many runs fit at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_domino.local.setting_files import read_document


class TiersError(ValueError):
    """A file of tiers cannot be used; the message says why."""


@dataclass(frozen=True)
class Tier:
    """One hardware tier.

    :param id: free text such as ``small-k8s``; what version 4 and the public API call it by.
    :param name: the name that people see; what version 1 calls it by.
    :param cores: processors that a run may use.
    :param memory_gib: memory in GiB that a run and all that it starts may use.
    :param cents_per_minute: price of a running minute.
    :param capacity: how many runs execute at once; more of them queue.
    :param gpus: graphics processors. Shown, not enforced.
    :param is_default: whether runs that name no tier get this one.
    :param is_archived: whether the tier is retired: still named by old runs, not to be started on.
    """

    id: str
    name: str
    cores: float
    memory_gib: float
    cents_per_minute: float
    capacity: int
    gpus: int = 0
    is_default: bool = False
    is_archived: bool = False


# A run may start further runs and wait for them, so no default tier is so small that this fills it by itself.
DEFAULT_TIERS: tuple[Tier, ...] = (
    Tier("small-k8s", "Small", cores=1, memory_gib=4, cents_per_minute=0.2, capacity=8, is_default=True),
    Tier("medium-k8s", "Medium", cores=4, memory_gib=15, cents_per_minute=0.8, capacity=6),
    Tier("large-k8s", "Large", cores=8, memory_gib=30, cents_per_minute=1.6, capacity=4),
    Tier("x-large-k8s", "X-Large", cores=16, memory_gib=60, cents_per_minute=3.2, capacity=4),
    Tier("gpu-small-k8s", "GPU", cores=8, memory_gib=60, cents_per_minute=6.0, capacity=4, gpus=1),
)

_KEYS = {
    "id": str,
    "name": str,
    "cores": float,
    "memory_gib": float,
    "cents_per_minute": float,
    "capacity": int,
    "gpus": int,
    "default": bool,
    "archived": bool,
}
_REQUIRED = ("id", "name", "cores", "memory_gib", "cents_per_minute", "capacity")


def load_tiers(path: Path) -> tuple[Tier, ...]:
    """Read tiers from a JSON, TOML or YAML file: a list, or a table whose key ``tiers`` holds the list.

    Each tier has ``id``, ``name``, ``cores``, ``memory_gib``, ``cents_per_minute``, ``capacity`` and optionally
    ``gpus``, ``default`` and ``archived``.

    :param path: the file; its suffix says which language it is in.
    :raises TiersError: when the file cannot be read or does not describe a usable set of tiers.
    """
    try:
        document = read_document(path)
    except (OSError, ValueError) as error:
        raise TiersError(f"{path}: cannot be read: {error}; correct the file, or its name") from error
    entries = document.get("tiers") if isinstance(document, Mapping) else document
    if not isinstance(entries, list) or not entries:
        raise TiersError(f"{path}: expected a list of tiers")
    tiers = tuple(_tier(path, entry) for entry in entries)
    check_tiers(tiers)
    return tiers


def check_tiers(tiers: Sequence[Tier]) -> None:
    """Refuse a set of tiers that a server could not work with.

    :raises TiersError: when ids repeat, a capacity is below one, or not exactly one tier is the default.
    """
    ids = [tier.id for tier in tiers]
    if len(set(ids)) != len(ids):
        raise TiersError(f"tier ids must differ; change those that are there twice: {', '.join(ids)}")
    if any(tier.capacity < 1 for tier in tiers):
        raise TiersError("the capacity of a tier must be at least 1; change it")
    defaults = [tier.id for tier in tiers if tier.is_default and not tier.is_archived]
    if len(defaults) != 1:
        raise TiersError(f"exactly one tier must be the default, not {len(defaults)}; say so of one (default: true)")


def _tier(path: Path, entry: object) -> Tier:
    if not isinstance(entry, Mapping):
        raise TiersError(f"{path}: a tier must be a table, not {entry!r}")
    unknown = sorted(set(entry) - set(_KEYS))
    missing = [key for key in _REQUIRED if key not in entry]
    if unknown or missing:
        raise TiersError(
            f"{path}: tier {entry.get('id', '?')}: unknown keys {unknown}, missing keys {missing}; there are "
            f"{', '.join(_KEYS)}"
        )
    values: dict[str, Any] = {}
    for key, value in entry.items():
        values[key] = _value(path, key, value)
    values["is_default"] = values.pop("default", False)
    values["is_archived"] = values.pop("archived", False)
    return Tier(**values)


def _value(path: Path, key: str, value: object) -> Any:
    kind = _KEYS[key]
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return float(value)
    if kind is int and isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if kind in (str, bool) and isinstance(value, kind) and value != "":
        return value
    raise TiersError(f"{path}: {key} must be a {kind.__name__}, not {value!r}")
