"""How Airflow's processes on one machine share one SQLite file: each waits for its turn to write."""

from __future__ import annotations

#: Settings of a connection (``[database] sql_alchemy_connect_args``); seconds to wait while another process writes.
CONNECT_ARGS = {"timeout": 60}
#: The same for asynchronous connections (``[database] sql_alchemy_connect_args_async``).
ASYNC_CONNECT_ARGS = {"timeout": 60}
#: Of the api-server. It writes a request's audit log beside the request itself, and the two can wait for each other,
#: and all others for them: then the request fails soon, and is asked again (:mod:`airflow_domino.demo.airflow_api`).
API_CONNECT_ARGS = {"timeout": 8}
