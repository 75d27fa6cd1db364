"""Test your own DAGs and pipelines against a local Domino.

With pytest, in the topmost ``conftest.py``::

    pytest_plugins = ["airflow_domino.testing"]

which gives the fixtures of :mod:`airflow_domino.testing.fixtures`. Without pytest::

    from airflow_domino.testing import LocalDomino

    with LocalDomino.serve({"me/weather": "."}) as domino:
        ...

The server runs in a process of its own and needs the extra ``local``; this package loads neither it nor Airflow into
the process of the tests.

PYTEST_DONT_REWRITE: there is no ``assert`` in here, and so a ``conftest.py`` may import it before pytest does.
"""

from __future__ import annotations

from airflow_domino.testing.asking import DominoTestError
from airflow_domino.testing.faults import OrderedFault
from airflow_domino.testing.local_domino import LocalDomino

__all__ = ["DominoTestError", "LocalDomino", "OrderedFault"]

# Read by pytest where this package is named as a plugin; so the fixtures, which need pytest, are imported only then.
pytest_plugins = ["airflow_domino.testing.fixtures"]
