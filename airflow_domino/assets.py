"""Addresses of files of Domino projects as Airflow assets: ``domino://HOST/OWNER/PROJECT/PATH``.

Airflow's provider manager finds these functions by `provider_info`. They are called while DAG files are parsed, so
nothing heavy is imported and nobody is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, quote

if TYPE_CHECKING:
    from airflow.providers.common.compat.openlineage.facet import Dataset
    from airflow.sdk import Asset

SCHEME = "domino"


def create_asset(*, host: str, project: str, path: str, extra: dict[str, Any] | None = None) -> Asset:
    """Make the asset of a file of a Domino project.

    :param host: Domino's host as in the browser, such as ``domino.example.com``.
    :param project: ``owner/name``.
    :param path: the file's path in the project.
    :param extra: what else to keep with the asset.
    """
    from airflow.sdk import Asset

    return Asset(uri=f"{SCHEME}://{host}/{quote(project.strip('/'))}/{quote(path.strip('/'))}", extra=extra or {})


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Bring an address into the form that `DominoFileTarget.asset_uri` has, so that both name the same asset.

    :raises ValueError: when a part of it is missing.
    """
    pieces = [piece for piece in uri.path.split("/") if piece]
    if not uri.hostname or len(pieces) < 3:
        raise ValueError(
            f"{uri.geturl()!r} names no file of a Domino project: write {SCHEME}://HOST/OWNER/PROJECT/PATH,"
            " with the host as in the browser"
        )
    host = uri.hostname if uri.port is None else f"{uri.hostname}:{uri.port}"
    return uri._replace(netloc=host, path="/" + "/".join(pieces))


def to_openlineage(asset: Asset, lineage_context: Any) -> Dataset:
    """Name the asset as OpenLineage's naming rules have it, the same as for what a Luigi task has made."""
    from airflow.providers.common.compat.openlineage.facet import Dataset

    from airflow_domino.operators._luigi_assets import dataset_name

    namespace, name = dataset_name(asset.uri)
    return Dataset(namespace=namespace, name=name)
