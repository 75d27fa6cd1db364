"""A local Domino: a server that speaks Domino's API and really runs the commands, for development and tests.

It is written from Domino's published API documents and imports none of this package's other rooms. Start it with
``airflow-domino serve`` or ``python -m airflow_domino.local``. It needs the extra ``local``.

What it does not do, unlike a real Domino: runs are processes of this machine, not fenced off from its network and its
files, and held to the cores and the memory of their tier as far as the machine allows. Environments are Python
interpreters and virtual environments, not images, and nothing is built. The code of a git-based project comes without
submodules and without what git LFS keeps elsewhere; what a run leaves among it is kept here and never pushed. A folder
stands for the datasets of a project; there are no snapshots, imports of other projects or external volumes. A compute
cluster can be asked for, but none is started. There are no scheduled jobs, workspaces, apps or models. The table in
``docs/local-domino.md`` names what is not there and what is answered instead; a test holds it to that.
"""
