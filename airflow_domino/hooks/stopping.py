"""Stops runs from an event loop: all requests go out first, then their effect is watched for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import cache, partial

from airflow_domino.compat import AirflowException
from airflow_domino.domino.errors import DominoError, DominoUnavailableError
from airflow_domino.domino.watch import watcher_for
from airflow_domino.hooks.connection import ConnectionSettings
from airflow_domino.hooks.runs import STOP_PATIENCE_SECONDS, Logger, RunHandle

REQUESTS_AT_ONCE = 8
PAUSE_SECONDS = 2.0
SLOWEST = 10.0


@cache
def _pool() -> ThreadPoolExecutor:
    # Not asyncio's own threads: everything else in the triggerer waits for those, and these would wait for it.
    return ThreadPoolExecutor(REQUESTS_AT_ONCE, thread_name_prefix="stop-domino-run")


async def stop_run(
    read_settings: Callable[[], Awaitable[ConnectionSettings]],
    handle: RunHandle,
    logger: Logger,
    why: str,
    patience: float = STOP_PATIENCE_SECONDS,
    *,
    keep_results: bool = True,
) -> bool:
    """Stop a run, and tell in the log how that went instead of raising.

    :param read_settings: reads the connection.
    :param why: reason for the log.
    :param patience: seconds that an outage may last before the request is given up, and that the run may take to end.
    :param keep_results: whether what it wrote is kept.
    :returns: whether the run is over.
    """
    logger.info("Stopping Domino run %s: %s", handle.run_id, why)
    try:
        settings = await read_settings()
        await _request(settings, handle, patience, keep_results)
        # All runs that are being stopped are asked for together.
        watcher = watcher_for(settings.fingerprint, settings.make_client, handle.project_id)
        deadline = datetime.now(UTC) + timedelta(seconds=patience)
        wait = watcher.wait(handle.run_id, deadline=deadline, url=handle.url, interval=SLOWEST, outage_budget=patience)
        run = (await wait).run
    except (DominoError, AirflowException) as error:
        logger.warning("Domino run %s may still be going: %s", handle.run_id, error)
        return False
    logger.info("Domino run %s is over: %s", run.number, run.status)
    return True


async def _request(settings: ConnectionSettings, handle: RunHandle, patience: float, keep_results: bool) -> None:
    """Send the request; an outage is waited out here, since a thread that waited would hold up other requests."""
    deadline = time.monotonic() + patience
    while True:
        try:
            await asyncio.get_running_loop().run_in_executor(_pool(), partial(_send, settings, handle, keep_results))
            return
        except DominoUnavailableError:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(PAUSE_SECONDS)


def _send(settings: ConnectionSettings, handle: RunHandle, keep_results: bool) -> None:
    with settings.make_client(retries=0) as client:
        client.stop_run(handle.run_id, keep_results=keep_results, project_id=handle.project_id or None)
