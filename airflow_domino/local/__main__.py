"""``python -m airflow_domino.local``: the same as ``airflow-domino serve``."""

import sys

from airflow_domino.local.command import main

if __name__ == "__main__":
    sys.exit(main())
