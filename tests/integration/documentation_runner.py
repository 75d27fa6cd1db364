"""What the documentation's tests let programs and commands of pages be tried by: forks of one process.

Airflow takes seconds to load; here it is loaded once. Orders come as lines of JSON on the standard input, and each is
answered by a line with an exit code; what was printed is in the order's file `output`.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import airflow.sdk  # noqa: F401  (loaded once for all pages, as what follows)

import airflow_domino.luigi_dag
import airflow_domino.operators.domino
import airflow_domino.operators.luigi
import airflow_domino.retries
import airflow_domino.sensors.domino
import airflow_domino.sensors.luigi  # noqa: F401


def carry_out(order: dict[str, str | Sequence[str]]) -> int:
    """Run a page's program, or let a command line be read by the program that it names."""
    os.chdir(str(order["folder"]))
    if "program" in order:
        sys.argv = [str(order["program"])]
        runpy.run_path(str(order["program"]), run_name="__main__")
        return 0
    program, *words = order["command"]
    if program == "airflow":
        from airflow.cli.cli_parser import get_parser

        get_parser().parse_args(words)
    else:
        from airflow_domino.cli import build_parser

        build_parser(words[0]).parse_args(words)
    return 0


def in_fork(order: dict[str, str | Sequence[str]]) -> int:
    """Carry an order out where it can change nothing here."""
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    output = os.open(str(order["output"]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    try:
        code = carry_out(order)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    sys.path.remove(str(Path(__file__).parent))
    for line in sys.stdin:
        print(in_fork(json.loads(line)), flush=True)
