"""What Luigi tasks have made, told to Airflow as asset events and to OpenLineage as datasets."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from airflow.sdk import Asset, AssetAlias, BaseOperator

from airflow_domino.compat import default_emit_assets, execution_api_timeout, task_state_store
from airflow_domino.domino.storable import storable

STORE_KEY = "luigi_made"
EVENTS_PER_SECOND = 4
_STORE_BYTES = 60_000  # Airflow warns about values above 65,535
_ANY_TASK = "luigi"


class TellsWhatWasMade(BaseOperator):
    """The part of an operator that tells of the outputs that Luigi tasks made, and only of those.

    Each output with an address becomes an event of the asset with that URI, so that other DAGs can be scheduled on it.
    All outputs of a family belong to the asset alias ``luigi:<module>:<family>``, on which a DAG can be scheduled too.
    """

    emit_assets: bool

    _made: Sequence[Mapping[str, Any]] = ()

    def declare_outputs(self, task: Any, emit_assets: bool | None, asset_alias: str | None) -> None:
        """Name the alias of the task's own outputs, for Airflow to know it before any is made."""
        self.emit_assets = default_emit_assets() if emit_assets is None else emit_assets
        self.asset_alias = asset_alias or alias_of(task)
        if self.emit_assets:
            self.outlets = [*self.outlets, AssetAlias(self.asset_alias)]

    def tell_what_was_made(
        self, context: Mapping[str, Any], made: Sequence[Mapping[str, Any]], own_task_id: str | None
    ) -> None:
        """Add the events, also those of attempts that failed later on; Airflow takes them when the task succeeds.

        :param context: Airflow's task context
        :param made: what the engine says of the tasks that ran (``engine.lineage.describe``)
        :param own_task_id: Luigi's id of the task that this operator names
        """
        self._made = _once([*self._recall(context), *made])
        if not self.emit_assets:
            return
        events = [(uri, one) for one in self._made for uri in one["uris"]]
        events.sort(key=lambda event: event[1]["task_id"] == own_task_id)  # own ones last, else as they were made
        most = most_events()
        if len(events) > most:
            self.log.warning(
                "Of %s outputs, the last %s become asset events: Airflow takes all of them in one request, and a"
                " higher [workers] execution_api_timeout gives it time for more",
                len(events),
                most,
            )
        for uri, one in events[-most:]:
            aliases = {f"{_ANY_TASK}:{one['module']}:{one['family']}"}
            if one["task_id"] == own_task_id:
                aliases.add(self.asset_alias)
            self._add_event(context, uri, one, sorted(aliases))

    def _add_event(self, context: Mapping[str, Any], uri: str, one: Mapping[str, Any], aliases: Iterable[str]) -> None:
        extra = {"luigi_task": one["family"], "luigi_task_id": one["task_id"], "params": dict(one["params"])}
        try:
            asset = Asset(uri=uri)
        except ValueError as error:
            self.log.warning("%s of %s becomes no asset event: %s", uri, one["task_id"], error)
            return
        declared = {outlet.name for outlet in self.outlets if isinstance(outlet, AssetAlias)}
        for name in aliases:
            if name not in declared:
                self.outlets = [*self.outlets, AssetAlias(name)]
            context["outlet_events"][AssetAlias(name)].add(asset, extra=storable(extra))

    def keep_what_was_made(self, context: Mapping[str, Any], made: Sequence[Mapping[str, Any]]) -> None:
        """Keep it for the attempt that succeeds: there, what is complete already is not made, nor told, again."""
        self._made = _once([*self._recall(context), *made])
        store = task_state_store(context)
        if store is None or not self._made:
            return
        kept = list(self._made)
        while len(json.dumps(kept)) > _STORE_BYTES:
            kept = kept[len(kept) // 10 + 1 :]
        store.set(STORE_KEY, storable(kept))

    def _recall(self, context: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        store = task_state_store(context)
        if store is None or context["ti"].try_number == 1:
            return []
        return list(store.get(STORE_KEY) or ())

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Tell OpenLineage of what was made; called by its provider, where that is installed.

        :returns: an ``airflow.providers.openlineage.extractors.OperatorLineage``
        """
        from airflow.providers.common.compat.openlineage.facet import Dataset
        from airflow.providers.openlineage.extractors import OperatorLineage

        names = dict.fromkeys(dataset_name(uri) for one in self._made for uri in one["uris"])
        return OperatorLineage(outputs=[Dataset(namespace=namespace, name=name) for namespace, name in names])


def most_events() -> int:
    """How many events a task may end with.

    Airflow writes all of them within the request that ends a task, in up to a tenth of a second each where its
    database is busy, and fails the task when that takes longer than it waits for an answer.
    """
    return max(1, int(EVENTS_PER_SECOND * execution_api_timeout()))


def alias_of(task: Any) -> str:
    """The asset alias of a task's own outputs.

    :param task: ``"module:Family"``; what is known at run time only (a template, an XCom) gives one name for all
    """
    is_known = isinstance(task, str) and not ("{{" in task or "{%" in task)
    return f"{_ANY_TASK}:{task}" if is_known else _ANY_TASK


def dataset_name(uri: str) -> tuple[str, str]:
    """Namespace and name of an output, as OpenLineage's naming rules have them.

    :param uri: an address from ``engine.lineage.uri``
    """
    parts = urlsplit(uri)
    path = unquote(parts.path)
    if parts.scheme == "file":
        return "file", path
    bucket_like = parts.scheme in ("s3", "s3a", "s3n", "gs", "gcs", "domino")
    return f"{parts.scheme}://{parts.netloc}", path.lstrip("/") if bucket_like else path


def _once(made: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Each task with what was told of it last."""
    return list({one["task_id"]: one for one in made}.values())
