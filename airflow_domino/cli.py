"""The command ``airflow-domino``.

Each sub-command lives in a module of its own, imported only when it is the one that is used.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from airflow_domino import __version__

COMMANDS = {
    "demo": "run the sample DAGs in a real Airflow on a local Domino, with nothing to set up",
    "serve": "run a local Domino",
    "run": "launch a run, follow its log and bring its files back",
    "runs": "list the runs of a project",
    "logs": "show the log of a run",
    "wait": "wait until runs are over",
    "stop": "stop runs",
    "files": "list, get and put files of a project",
    "luigi": "run or plan a Luigi task",
    "migrate": "convert DAG files from Domino's own operators, and from Luigi in a shell",
    "check": "tell what is wrong between here and Domino, if anything",
}
EPILOG = """\
Domino is found by DOMINO_API_HOST and one credential: DOMINO_API_PROXY, DOMINO_TOKEN_FILE or DOMINO_USER_API_KEY;
the project by DOMINO_PROJECT_OWNER and DOMINO_PROJECT_NAME. Inside a Domino run all of these are set.

exit codes:
  0    done
  1    the run, the Luigi task or the check did not end well
  2    wrong arguments or settings
  3    Domino could not be asked; try again
  4    Domino refused the request
  130  interrupted
`run` and `logs --follow` end with the exit code of the run's command: 137 when it ran out of memory, 143 when it was
stopped, 1 where its exit code is not known. `wait` does so too, without a look at the log: with 137, 143 or 1.
"""


def build_parser(chosen: str | None = None) -> argparse.ArgumentParser:
    """Make the parser of the command line.

    :param chosen: the sub-command whose own arguments are needed; the others are only named
    """
    parser = argparse.ArgumentParser(
        prog="airflow-domino",
        description="Domino runs and Luigi pipelines, from the command line.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"airflow-domino {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, purpose in COMMANDS.items():
        command = commands.add_parser(name, help=purpose, description=f"{purpose[0].upper()}{purpose[1:]}.")
        if name == chosen:
            module = importlib.import_module(f"airflow_domino.commands.{name}")
            module.add_arguments(command)
            command.set_defaults(execute=module.execute)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one sub-command and return its exit code; mistakes become one clear message.

    :param argv: arguments without the program's name; by default those of the process
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    chosen = next((argument for argument in arguments if not argument.startswith("-")), None)
    try:
        options = build_parser(chosen).parse_args(arguments, argparse.Namespace(given=arguments))
        return int(options.execute(options))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output has gone (as `head` does): nothing is left to be said, not even by the interpreter.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        from airflow_domino.commands.failures import explain

        explanation = explain(error)
        if explanation is None:
            raise
        sys.stderr.write(f"airflow-domino: {explanation.message}\n")
        return explanation.exit_code


if __name__ == "__main__":
    sys.exit(main())
