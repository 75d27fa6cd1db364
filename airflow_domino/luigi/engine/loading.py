"""From a reference ``module:Family`` and parameters to a live Luigi task."""

from __future__ import annotations

import contextlib
import datetime
import difflib
import importlib
import json
import sys
import traceback
from collections.abc import Iterable
from typing import Any

import luigi
from luigi.task_register import Register

from .masking import kept_text
from .outcome import (
    CONSTRUCTION_FAILED,
    FAMILY_AMBIGUOUS,
    FAMILY_UNKNOWN,
    IMPORT_FAILED,
    PARAMETER_WRONG,
    REQUEST_WRONG,
    Problem,
)

DATES = (luigi.DateParameter, luigi.MonthParameter, luigi.YearParameter)
TIMES = (luigi.DateHourParameter, luigi.DateMinuteParameter, luigi.DateSecondParameter)

# Where Python puts a class that type() makes, as ABCMeta is Luigi's metaclass.
_OF_NO_MODULE = "abc"
_MOST_NAMED = 20
_MOST_NEAR = 5


def load_task(reference: str, params: dict[str, Any]) -> luigi.Task:
    """The task that a reference and its parameters name.

    :param reference: ``module:Family`` with any family that is registered once the module is imported, or ``Family``
        alone when its module is imported already
    :param params: parameter values; strings are parsed by the parameter's own type, as on Luigi's command line
    :raises Problem: with the outcome word for what is wrong
    """
    return build_task(find_class(reference), params)


def find_class(reference: str) -> Any:
    """The task class that a reference names.

    :raises Problem: with the outcome word for what is wrong
    """
    module_name, _, family = reference.rpartition(":")
    if not family:
        raise Problem(REQUEST_WRONG, f"{reference!r} names no task: write it as 'module:Family'")
    return _class_in_module(import_module(module_name), family) if module_name else _registered_class(family)


def import_module(name: str) -> Any:
    """Import the user's module; whatever it raises becomes one clear problem."""
    try:
        return importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except SystemExit as error:
        raise Problem(
            IMPORT_FAILED,
            f"Importing {name!r} ended the program (exit {error.code!r}): put what starts it under"
            " if __name__ == '__main__'",
        ) from error
    except BaseException as error:
        traceback.print_exc()
        said = f"Could not import {name!r}: {describe_error(error)}. {_where_looked(name, error)}"
        raise Problem(IMPORT_FAILED, said) from error


def _where_looked(name: str, error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name and (name + ".").startswith(error.name + "."):
        return f"Looked first in {sys.path[0]!r}: is that the project's folder (project_path)?"
    return "The whole traceback is in the log"


def describe_error(error: BaseException) -> str:
    """One line that may be stored: the exception, and the place in the user's code that it came from."""
    text = kept_text(traceback.format_exception_only(type(error), error)[-1].strip())
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "importlib" not in frame.filename and frame.filename != __file__]
    return f"{text} ({own[-1].filename}, line {own[-1].lineno})" if own else text


def _class_in_module(module: Any, family: str) -> type:
    """The class that a family names once its module is imported.

    What the module holds or makes itself comes before what it imports; a bare name does for a family with a namespace.
    """
    known = _registered()
    held = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, luigi.Task)]
    own = list(dict.fromkeys([*held, *(cls for cls in known if cls.__module__ in (module.__name__, _OF_NO_MODULE))]))
    for found in (_of_family(own, family), [cls for cls in own if cls.__name__ == family], _of_family(known, family)):
        if found:
            return _most_derived(found, family)
    of_project = [cls for cls in known if cls.__module__.partition(".")[0] != "luigi"]
    names = _nearest_first(family, [cls.get_task_family() for cls in [*own, *of_project]], known)
    raise Problem(
        FAMILY_UNKNOWN,
        f"Once {module.__name__!r} is imported, there is no Luigi task {family!r}. Its tasks: {names}",
    )


def _registered() -> list[Any]:
    """The classes that Luigi itself finds by their family."""
    return [cls for cls in Register._reg if cls._visible_in_registry]


def known_classes() -> frozenset[type]:
    """All task classes that are registered now."""
    return frozenset(Register._reg)


def reference_to(task: luigi.Task, reference: str, imported: frozenset[type]) -> str:
    """The reference by which another process finds the class of a task.

    By the module of the reference that led to the task: its import may register more than the class needs, such as the
    families that a parameter names. By the class's own module where that import does not make it known.

    :param reference: the one of the root
    :param imported: :func:`known_classes` after the import of the reference's module
    """
    cls, family = type(task), task.task_family
    again = f"{reference.rpartition(':')[0]}:{family}"
    with contextlib.suppress(Problem):
        if cls in imported and find_class(again) is cls:
            return again
    return f"{cls.__module__}:{family}"


def _of_family(classes: Iterable[Any], family: str) -> list[Any]:
    return [cls for cls in classes if cls.get_task_family() == family]


def _most_derived(classes: list[Any], family: str) -> type:
    """The class that stands for all of one family, as in Luigi: one that replaced its own base, as decorators do.

    :raises Problem: there is none
    """
    for one in classes:
        if all(issubclass(one, other) for other in classes):
            return one  # type: ignore[no-any-return]
    names = sorted(f"{cls.__module__}.{cls.__qualname__}" for cls in classes)
    modules = sorted({cls.__module__ for cls in classes})
    way_out = "give one of them another name or a task_namespace"
    if len(modules) > 1:
        way_out += f", or name the module of the one that is meant, such as {f'{modules[0]}:{family}'!r}"
    raise Problem(FAMILY_AMBIGUOUS, f"The family {family!r} is that of several tasks ({', '.join(names)}): {way_out}")


def _nearest_first(family: str, names: Iterable[str], known: list[Any]) -> str:
    """Names of families in a line, those that resemble what was asked for first; also of Luigi's own tools."""
    every = [cls.get_task_family() for cls in known if not issubclass(cls, luigi.Config)]
    near = difflib.get_close_matches(family, dict.fromkeys(every), n=_MOST_NEAR)
    ordered = list(dict.fromkeys([*near, *sorted(names)]))
    more = len(ordered) - _MOST_NAMED
    return (", ".join(ordered[:_MOST_NAMED]) or "none") + (f" and {more} more" if more > 0 else "")


def _registered_class(family: str) -> type:
    known = _registered()
    if found := _of_family(known, family):
        return _most_derived(found, family)
    names = _nearest_first(family, (), known)
    raise Problem(
        FAMILY_UNKNOWN,
        f"No Luigi task {family!r} is known: write it as 'module:{family}'. Of similar names: {names}",
    )


def build_task(cls: Any, params: dict[str, Any]) -> luigi.Task:
    """Parse the values by the parameters' own types and make the instance."""
    family = cls.get_task_family()
    known = dict(cls.get_params())
    values = parse_values(cls, params)
    missing = [name for name in known if name not in values and not _has_default(family, name, known[name])]
    if missing:
        described = ", ".join(f"{name!r} ({type(known[name]).__name__})" for name in missing)
        raise Problem(PARAMETER_WRONG, f"{family} needs a value for {described}: give it as a parameter")
    try:
        task: luigi.Task = cls(**values)
    except Exception as error:
        traceback.print_exc()
        raise Problem(
            CONSTRUCTION_FAILED,
            f"{family} could not be made: {describe_error(error)}. Correct its parameters, or its code",
        ) from error
    return task


def parse_values(cls: Any, params: dict[str, Any]) -> dict[str, Any]:
    """The values by the parameters' own types.

    :raises Problem: a name is unknown, or a value does not parse
    """
    family = cls.get_task_family()
    known = dict(cls.get_params())
    unknown = sorted(set(params) - set(known))
    if unknown:
        raise Problem(
            PARAMETER_WRONG,
            f"{family} has no parameter {', '.join(map(repr, unknown))}. Its parameters: {', '.join(known) or 'none'}",
        )
    return {name: _parse(family, name, known[name], value) for name, value in params.items()}


def _has_default(family: str, name: str, parameter: Any) -> bool:
    try:
        return bool(parameter.has_task_value(family, name))
    except Exception as error:
        reason = "it is private, so it is not shown" if is_private(parameter) else error
        raise Problem(
            PARAMETER_WRONG,
            f"The configured or default value of {family}.{name} cannot be read: {reason}; correct it in "
            "Luigi's configuration, or in the class",
        ) from None


def _parse(family: str, name: str, parameter: Any, value: Any) -> Any:
    if value is None:
        return None
    try:
        return _parse_text(parameter, _as_text(parameter, value))
    except Exception as error:
        shown = "(private)" if is_private(parameter) else repr(value)
        reason = "" if is_private(parameter) else f": {error}"
        raise Problem(
            PARAMETER_WRONG,
            f"{family}.{name} is a {type(parameter).__name__} and cannot take the value {shown}{reason}; "
            "write it as on Luigi's command line",
        ) from None


def _parse_text(parameter: Any, text: str) -> Any:
    """Parse by the parameter's own type; dates and times also in ISO form, cut to the type's size."""
    try:
        return parameter.parse(text)
    except ValueError:
        moment = _iso_moment(text) if isinstance(parameter, (*DATES, *TIMES)) else None
        if moment is None:
            raise
    write: Any = parameter.serialize
    return parameter.parse(write(moment))


def _iso_moment(text: str) -> datetime.datetime | None:
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        return None


def _as_text(parameter: Any, value: Any) -> str:
    """A JSON value in the writing that the parameter parses."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict) or isinstance(parameter, (luigi.ListParameter, luigi.DictParameter)):
        return json.dumps(value)
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value)


def private_among(request: dict[str, Any]) -> list[str]:
    """Names of the parameters in a request that are private."""
    known = dict(find_class(request["task"]).get_params())
    return sorted(name for name in request.get("params") or {} if name in known and is_private(known[name]))


def is_private(parameter: Any) -> bool:
    """Whether the value must not be shown: Luigi's ParameterVisibility.PRIVATE."""
    return bool(parameter.visibility == luigi.parameter.ParameterVisibility.PRIVATE)
