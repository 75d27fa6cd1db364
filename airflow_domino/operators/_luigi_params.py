"""Keeps the `params` of a Luigi task apart from Airflow's own `params`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.definitions.param import ParamsDict


class LuigiParamsMeta(type(BaseOperator)):  # type: ignore[misc]  # Airflow's own metaclass, which has no public name
    """Hand `params` on as `luigi_params`, before Airflow takes it.

    Airflow would merge the DAG's params into them, and then `{"n": "{{ params.n }}"}` would refer to itself.
    """

    def __call__(cls, *args: Any, params: Mapping[str, Any] | None = None, **kwargs: Any) -> Any:
        """Make an operator; see the class.

        :raises ValueError: a mapped operator was given `params`, which Airflow has merged with the DAG's already
        """
        if params is None:
            return super().__call__(*args, **kwargs)
        if not isinstance(params, ParamsDict):
            return super().__call__(*args, luigi_params=params, **kwargs)
        own = sorted(name for name in params if params.get_param(name).source != "dag")
        if own:
            raise ValueError(f"With partial and expand, give the Luigi parameters ({', '.join(own)}) as luigi_params")
        return super().__call__(*args, params=params, **kwargs)
