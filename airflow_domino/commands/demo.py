"""``airflow-domino demo``: the sample DAGs in a real Airflow on a local Domino."""

from __future__ import annotations

import argparse
from pathlib import Path

from airflow_domino.commands.failures import NOT_WELL, CommandError

SAMPLE_DAGS = Path(__file__).parents[2] / "dags"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what a demo can be asked."""
    parser.add_argument("--once", action="store_true", help="end when the DAG runs have ended, instead of at Ctrl-C")
    parser.add_argument("--results", type=Path, metavar="DIR", help="leave hello_world.txt and score_report.json there")
    parser.add_argument(
        "--state",
        type=Path,
        default=Path(".airflow-domino"),
        metavar="DIR",
        help="folder for everything that is kept (default: .airflow-domino)",
    )
    parser.add_argument("--dags", type=Path, default=SAMPLE_DAGS, metavar="DIR", help="folder of the sample DAGs")
    parser.add_argument("--airflow-port", type=int, default=8080, metavar="PORT", help="if free (default: 8080)")
    parser.add_argument("--domino-port", type=int, default=8890, metavar="PORT", help="if free (default: 8890)")
    parser.add_argument(
        "--timeout", type=float, default=900, metavar="SECONDS", help="for the DAG runs to end (default: 900)"
    )


def execute(options: argparse.Namespace) -> int:
    """Run the demo.

    :raises CommandError: when it cannot be started or carried out
    """
    import requests
    from rich.console import Console

    from airflow_domino.demo.airflow_api import AirflowApiError
    from airflow_domino.demo.airflow_stack import AirflowStackError
    from airflow_domino.demo.local_domino import LocalDominoError
    from airflow_domino.demo.processes import ProcessesLeftError
    from airflow_domino.demo.runner import DemoError, DemoOptions, run_demo
    from airflow_domino.demo.state import StateInUseError
    from airflow_domino.local.root import EmptySecretError

    if not (options.dags / "hello_world.py").is_file():
        raise CommandError(f"{options.dags} does not hold the sample DAGs; give --dags the folder dags of a checkout")
    asked = {name: value for name, value in vars(options).items() if name in DemoOptions.__dataclass_fields__}
    try:
        return run_demo(DemoOptions(**asked), Console())
    except (StateInUseError, EmptySecretError) as error:
        raise CommandError(str(error)) from error
    except (
        DemoError,
        AirflowStackError,
        AirflowApiError,
        LocalDominoError,
        ProcessesLeftError,
        requests.RequestException,
    ) as error:
        raise CommandError(str(error), NOT_WELL) from error
