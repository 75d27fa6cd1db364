"""Where a Luigi task runs, and which arguments mean something there."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from inspect import Parameter, signature
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.definitions.mappedoperator import MappedOperator, OperatorPartial

from airflow_domino.hooks.arguments import one_of
from airflow_domino.operators._domino_run import BaseDominoRunOperator

WORKER, DOMINO = "worker", "domino"
RUN_ON = (WORKER, DOMINO)
# By these a pipeline on a worker reaches Domino, and a DAG tells all its tasks how to wait.
_ALSO_ON_A_WORKER = frozenset({"domino_conn_id", "project", "deferrable", "start_from_trigger", "poll_interval"})
# What the drawing itself says of each task.
_DRAWN = frozenset({"task_id", "task", "params", "luigi_params", "node", "plan", "task_ids", "gateway"})


def check_place(place: Any, name: str = "run_on") -> Any:
    """Return where a Luigi task is to run.

    :param name: of the argument, for the message
    :raises ValueError: it is another word than those of :data:`RUN_ON`
    """
    return one_of(name, place, RUN_ON)


@cache
def arguments_of_runs() -> Mapping[str, Any]:
    """The arguments that are about a Domino run alone, with their defaults."""
    found = signature(BaseDominoRunOperator.__init__).parameters.values()
    return {
        one.name: one.default
        for one in found
        if one.kind is Parameter.KEYWORD_ONLY and one.name not in _ALSO_ON_A_WORKER
    }


@cache
def arguments_of(*operators: type[BaseOperator]) -> frozenset[str]:
    """Names of the arguments that operators take, as the signatures of their classes and those above tell them."""
    constructors = {
        vars(cls)["__init__"] for operator in operators for cls in operator.__mro__[:-1] if "__init__" in vars(cls)
    }
    found = {
        one.name
        for constructor in constructors
        for one in signature(constructor).parameters.values()
        if one.kind is Parameter.KEYWORD_ONLY or one.kind is Parameter.POSITIONAL_OR_KEYWORD
    }
    return frozenset(found - {"self"} - _DRAWN)


def about_runs(given: Mapping[str, Any]) -> list[str]:
    """The names among some arguments that are about a Domino run alone, and say something."""
    return [name for name, default in arguments_of_runs().items() if name in given and given[name] != default]


def refuse_on_worker(task_id: Any, given: Mapping[str, Any]) -> None:
    """Refuse what cannot have an effect on a worker.

    :param task_id: for the message
    :param given: the arguments that the author wrote for this task
    :raises ValueError: some are about a Domino run
    """
    if names := about_runs(given):
        verb = "are about a Domino run" if len(names) > 1 else "is about a Domino run"
        raise ValueError(
            f"Task {task_id!r}: {', '.join(names)} {verb}, and this Luigi task runs on a worker: add run_on='domino',"
            f" or leave {'them' if len(names) > 1 else 'it'} out"
        )


def refuse_useless(
    given: Mapping[str, Any], places: Collection[Any], tiers: Collection[str], on_domino: Collection[str]
) -> None:
    """Refuse what a drawn pipeline says of Domino runs and of no task that is one.

    :param given: arguments for all its tasks on Domino
    :param places: all that it says of places
    :param tiers: names for which it says a tier
    :param on_domino: names of what runs on Domino
    :raises ValueError: with the way out
    """
    if DOMINO not in places and (names := about_runs(given)):
        raise ValueError(
            f"{', '.join(names)}: said of Domino runs, and run_on places no task there; add run_on='domino', for"
            " single families in overrides, or leave it out. A DominoRunTask has a tier of its own, which tiers={…}"
            " changes"
        )
    if useless := sorted(set(tiers) - set(on_domino)):
        way_out = (
            f"choose among {', '.join(sorted(on_domino))}"
            if on_domino
            else "no task of this pipeline does: add run_on='domino', for single families in overrides"
        )
        verb = "do" if len(useless) > 1 else "does"
        raise ValueError(f"tiers name {', '.join(useless)}, which {verb} not run on Domino; {way_out}")


class PartialLuigiTask(OperatorPartial):
    """What ``LuigiTaskOperator.partial`` returns: refuses when the file is read what the operator refuses at each run.

    :param said: the arguments that the author gave to ``partial``
    """

    said: Mapping[str, Any]

    @classmethod
    def of(cls, partial: OperatorPartial, said: Mapping[str, Any]) -> PartialLuigiTask:
        """The same partial, with what the author gave to it."""
        partial._expand_called = True  # else it warns that it is never mapped
        made = cls(operator_class=partial.operator_class, kwargs=partial.kwargs, params=partial.params)
        made.said = said
        return made

    def expand(self, **mapped_kwargs: Any) -> MappedOperator:
        """Map over lists, or over what other tasks return.

        :raises ValueError: a value that is known already is refused
        """
        places = mapped_kwargs.get("run_on", [])
        for place in places if isinstance(places, Sequence) else ():
            check_place(place)
        if "run_on" not in mapped_kwargs:
            self._refuse(mapped_kwargs)
        return super().expand(**mapped_kwargs)

    def expand_kwargs(self, kwargs: Any, *, strict: bool = True) -> MappedOperator:
        """Map over sets of arguments, or over what another task returns.

        :raises ValueError: a value that is known already is refused
        """
        for one in kwargs if isinstance(kwargs, Sequence) else ():
            if isinstance(one, Mapping):
                self._refuse(one)
        return super().expand_kwargs(kwargs, strict=strict)

    def _refuse(self, mapped: Mapping[str, Any]) -> None:
        given = {**self.said, **mapped}
        around = (self.kwargs.get("dag"), self.kwargs.get("task_group"))
        inherited = [one.default_args["run_on"] for one in around if one and "run_on" in (one.default_args or {})]
        if check_place(given.get("run_on", [WORKER, *inherited][-1])) == WORKER:
            refuse_on_worker(self.kwargs["task_id"], given)
