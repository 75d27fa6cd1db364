"""A local Domino: a server that speaks Domino's API and really runs the commands, for development and tests.

It is written from Domino's published API documents and imports none of this package's other rooms. Start it with
``airflow-domino serve`` or ``python -m airflow_domino.local``. It needs the extra ``local``.
"""
