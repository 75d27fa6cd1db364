"""``airflow-domino serve``: a local Domino."""

from __future__ import annotations

import argparse

from airflow_domino.local import command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the local Domino."""
    command.add_serve_arguments(parser)


def execute(options: argparse.Namespace) -> int:
    """Serve until interrupted."""
    return command.serve(options)
