"""Choosing a tier or an environment from what people call it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from airflow_domino.domino.errors import AmbiguousTierError, NotFoundError, RequestError, UnknownTierError
from airflow_domino.domino.lenient import many, mapping, text
from airflow_domino.domino.models import Environment, Project
from airflow_domino.domino.tiers import HardwareTier


class _Named(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=_Named)


def _matches(choices: Sequence[N], wanted: str) -> list[N]:
    """By id, else by exact name, else by name without regard to case."""
    tests: tuple[Callable[[N], bool], ...] = (
        lambda choice: choice.id == wanted,
        lambda choice: choice.name == wanted,
        lambda choice: choice.name.casefold() == wanted.casefold(),
    )
    return next((found for test in tests if (found := [choice for choice in choices if test(choice)])), [])


def _listed(choices: Sequence[N]) -> str:
    return ", ".join(f"{choice.name} (id {choice.id})" for choice in choices) or "none"


def tier(tiers: Sequence[HardwareTier], wanted: str | None, project: Project) -> HardwareTier:
    """Choose a tier; see :meth:`DominoClient.resolve_tier`."""
    usable = [choice for choice in tiers if not choice.is_archived]
    if wanted is None:
        chosen = [choice for choice in usable if choice.id == project.default_tier_id]
        found = chosen or [choice for choice in usable if choice.is_default][:1]
        problem = f"The project {project.full_name} has no default hardware tier; name one"
    else:
        found = _matches(usable, wanted.strip())
        problem = f"The project {project.full_name} has no hardware tier {wanted!r}"
    if not found:
        raise UnknownTierError(f"{problem}. It has: {_listed(usable)}")
    if len(found) > 1:
        raise AmbiguousTierError(
            f"Several hardware tiers of {project.full_name} are named {wanted!r}; give the id: {_listed(found)}"
        )
    return found[0]


def environment(environments: Sequence[Environment], wanted: str | None, project: Project) -> Environment:
    """Choose an environment; see :meth:`DominoClient.resolve_environment`."""
    usable = [choice for choice in environments if not choice.is_archived]
    if wanted is None:
        found = [choice for choice in usable if choice.is_default][:1]
        problem = f"The project {project.full_name} has no default compute environment; name one"
    else:
        found = _matches(usable, wanted.strip())
        problem = f"The project {project.full_name} has no compute environment {wanted!r}"
    if not found:
        raise NotFoundError(f"{problem}. It has: {_listed(usable)}")
    if len(found) > 1:
        raise RequestError(
            f"Several environments of {project.full_name} are named {wanted!r}; give the id: {_listed(found)}"
        )
    return found[0]


def read_environments(data: Any) -> list[Environment]:
    """Read v4 `useableEnvironments`; the one selected belongs to the list even where Domino leaves it out."""
    selected = mapping(mapping(data).get("currentlySelectedEnvironment"))
    default_id = text(selected.get("id"))
    entries = data.get("environments") if isinstance(data, Mapping) else data
    found = many(lambda entry: Environment.from_api(entry, default_id=default_id))(entries)
    if default_id and not any(choice.is_default for choice in found):
        found.insert(0, Environment.from_api(selected, default_id=default_id))
    return found
