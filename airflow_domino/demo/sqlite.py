"""How Airflow's processes on one machine share one SQLite file: each waits for its turn to write."""

from __future__ import annotations

#: Settings of a connection (``[database] sql_alchemy_connect_args``); seconds to wait while another process writes.
CONNECT_ARGS = {"timeout": 60}
#: The same for asynchronous connections (``[database] sql_alchemy_connect_args_async``).
ASYNC_CONNECT_ARGS = {"timeout": 60}
