"""A local Domino: a server that speaks Domino's API and really runs the commands, for development and tests.

It is written from Domino's published API documents and imports none of this package's other rooms. Start it with
``airflow-domino serve`` or ``python -m airflow_domino.local``. It needs the extra ``local``.

What it does not do, unlike a real Domino: runs are processes of this machine, not fenced off from it, and the cores and
memory of their tier are shown but not enforced. Environments are Python interpreters, not images, and nothing is
installed from ``requirements.txt``. All projects keep their files in Domino's own file system; there are no git-based
projects, datasets, imports or external volumes. A compute cluster can be asked for, but none is started. There is one
user, and no scheduled jobs, workspaces, apps or models.
"""
