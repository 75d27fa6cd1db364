"""Where Airflow, and the page within it, are served."""

from __future__ import annotations

from urllib.parse import urlsplit

from airflow.configuration import conf

URL_PREFIX = "/domino"


def base_path() -> str:
    """Path below which Airflow is served (``[api] base_url``), without a slash at its end; empty for the root."""
    return urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/")
