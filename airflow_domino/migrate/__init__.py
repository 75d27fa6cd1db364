"""Rewriting DAG files: Domino's own operators, and shell lines that run Luigi, as the operators of this package."""

from __future__ import annotations

from airflow_domino.migrate.crontab import migrate_lines
from airflow_domino.migrate.file import Migration, migrate

__all__ = ["Migration", "migrate", "migrate_lines"]
