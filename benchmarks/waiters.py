"""The processes that wait for runs and are measured while they do, one for each way of waiting.

Started by :mod:`benchmarks.watch`, with an order on the first line of the standard input; each further line asks for a
reading. The interpreter of Domino's own client has nothing of this package, so this file stands alone.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import sys
import threading
import time
from asyncio import events
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import requests

POOL = 8


class Meter:
    """Counts the requests of this process, and writes down when each run was known to be over."""

    def __init__(self) -> None:
        self.requests = 0
        self.known: dict[str, float] = {}
        self.longest = 0.0
        self._count_requests()
        self._time_callbacks()

    def _count_requests(self) -> None:
        send = requests.Session.send

        def counted(session: requests.Session, *arguments: Any, **options: Any) -> requests.Response:
            self.requests += 1
            return send(session, *arguments, **options)

        setattr(requests.Session, "send", counted)  # noqa: B010

    def _time_callbacks(self) -> None:
        """Note the longest time that anything kept the event loop; a task that looks at the clock would cost CPU."""
        run = events.Handle._run

        def timed(handle: events.Handle) -> None:
            begin = time.perf_counter()
            run(handle)
            self.longest = max(self.longest, time.perf_counter() - begin)

        setattr(events.Handle, "_run", timed)  # noqa: B010

    def reading(self) -> dict[str, Any]:
        """CPU seconds, requests and memory up to now, and how long the loop was blocked since the last reading."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        longest, self.longest = self.longest, 0.0
        return {
            "time": time.time(),
            "cpu": usage.ru_utime + usage.ru_stime,
            "requests": self.requests,
            "rss_mb": pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
            "block_ms": longest * 1000,
            "threads": threading.active_count(),
        }


def wait_by_watcher(order: dict[str, Any], meter: Meter) -> None:
    """Wait as this package's triggers do."""
    from airflow_domino.domino import ApiKey, DominoClient, RunWatcher, waiting

    # Young runs are asked for more often, until five intervals have gone by. The long wait is measured, so that is cut.
    waiting.SHARE_OF_AGE = 1.0

    def connect() -> DominoClient:
        return DominoClient(order["url"], ApiKey(order["token"]))

    async def wait_for_all() -> None:
        watcher = RunWatcher(connect, order["project_id"], interval=order["interval"])

        async def wait(run_id: str) -> None:
            await watcher.wait(run_id)
            meter.known[run_id] = time.time()

        await asyncio.gather(*(wait(run_id) for run_id in order["runs"]))

    asyncio.run(wait_for_all())


def wait_by_single_polls(order: dict[str, Any], meter: Meter) -> None:
    """Wait with a coroutine for each run, which asks for its run every interval in a thread."""
    from airflow_domino.domino import ApiKey, DominoClient

    client, interval = DominoClient(order["url"], ApiKey(order["token"])), order["interval"]

    async def wait_for_all() -> None:
        loop, pool = asyncio.get_running_loop(), ThreadPoolExecutor(POOL)

        async def wait(run_id: str) -> None:
            await asyncio.sleep(random.uniform(0, interval))
            while not (await loop.run_in_executor(pool, client.run, run_id)).status.is_completed:  # noqa: ASYNC110
                await asyncio.sleep(interval)
            meter.known[run_id] = time.time()

        await asyncio.gather(*(wait(run_id) for run_id in order["runs"]))

    asyncio.run(wait_for_all())


def wait_by_own_client(order: dict[str, Any], meter: Meter) -> None:
    """Wait with Domino's own client and a thread for each run."""
    from domino import Domino  # type: ignore[import-not-found]

    client, interval = Domino(order["project"], api_key=order["token"], host=order["url"]), order["interval"]

    def wait(run_id: str) -> None:
        while not client.job_status(run_id)["statuses"]["isCompleted"]:
            time.sleep(interval)
        meter.known[run_id] = time.time()

    for run_id in order["runs"]:
        threading.Thread(target=wait, args=(run_id,), daemon=True).start()
        time.sleep(interval / len(order["runs"]))


WAYS: dict[str, Callable[[dict[str, Any], Meter], None]] = {
    "watcher": wait_by_watcher,
    "single polls": wait_by_single_polls,
    "own client": wait_by_own_client,
}


def main() -> None:
    order, meter = json.loads(sys.stdin.readline()), Meter()
    threading.Thread(target=WAYS[order["way"]], args=(order, meter), daemon=True).start()
    for line in sys.stdin:
        answer = meter.known if line.strip() == "known" else meter.reading()
        print(json.dumps(answer), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
