"""One client and a handful of threads for everything that an event loop asks of one Domino at the same time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar
from weakref import WeakKeyDictionary

from airflow_domino.domino.auth import Credentials
from airflow_domino.domino.client import DominoClient
from airflow_domino.domino.errors import DominoUnavailableError

T = TypeVar("T")

MOST_THREADS = 4
# Log pages leave one thread free, so that a talkative run never keeps the others' answers waiting.
MOST_LOG_THREADS = MOST_THREADS - 1
LONGEST_HOLD = 300.0


class SharedClient:
    """A client with its threads, made when somebody begins to use it, closed when nobody does any more.

    :param make_client: makes the client, in a thread.
    """

    def __init__(self, make_client: Callable[[], DominoClient]) -> None:
        self.make_client = make_client
        self._users = 0
        self._pool: ThreadPoolExecutor | None = None
        self._client: Future[DominoClient] | None = None
        self._log_places = asyncio.Semaphore(MOST_LOG_THREADS)
        self._hold_until = 0.0

    @asynccontextmanager
    async def use(self) -> AsyncIterator[SharedClient]:
        """Keep the client alive meanwhile."""
        self.begin()
        try:
            yield self
        finally:
            self.end()

    def begin(self) -> None:
        """Count one more user; each must :meth:`end`."""
        self._users += 1
        if self._pool is None:
            self._pool = ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="domino-watch")
            self._client = self._pool.submit(self.make_client)

    def end(self) -> None:
        """Count one user less; after the last, the client is closed, so that calls under way are not repeated."""
        self._users -= 1
        if self._users or self._pool is None or self._client is None:
            return
        self._client.add_done_callback(_close)
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = self._client = None

    @property
    def is_idle(self) -> bool:
        """Whether nobody uses it, so that there is no client and no thread."""
        return not self._users

    async def client(self) -> DominoClient:
        """The client, once it is made.

        :raises Exception: whatever kept it from being made.
        """
        if self._client is None:
            raise RuntimeError("The shared client is asked for outside of its use")
        try:
            return await asyncio.shield(asyncio.wrap_future(self._client))
        except Exception:
            if self._pool is not None and self._client.done():
                self._client = self._pool.submit(self.make_client)  # another user may have more luck
            raise

    async def call(self, blocking: Callable[[DominoClient], T]) -> T:
        """Carry out a blocking call in a thread."""
        client = await self.client()
        return await asyncio.get_running_loop().run_in_executor(self._pool, blocking, client)

    async def call_for_log(self, blocking: Callable[[], T]) -> T:
        """Carry out a blocking call for a log page in a thread, one of few."""
        async with self._log_places:
            return await asyncio.get_running_loop().run_in_executor(self._pool, blocking)

    async def renew(self, credentials: Awaitable[Credentials]) -> None:
        """Give the client other credentials."""
        renewed = await credentials
        (await self.client()).use(renewed)

    # ---- when Domino asks for a rest ---------------------------------------------------------------------------------

    def heed(self, trouble: Exception) -> None:
        """Take in that Domino has asked to be left alone for a while."""
        if isinstance(trouble, DominoUnavailableError) and trouble.retry_after:
            self._hold_until = max(self._hold_until, time.monotonic() + min(trouble.retry_after, LONGEST_HOLD))

    @property
    def rest(self) -> float:
        """Seconds for which Domino wants to be left alone still."""
        return max(0.0, self._hold_until - time.monotonic())


def _close(client: Future[DominoClient]) -> None:
    if not client.cancelled() and client.exception() is None:
        client.result().close()


_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, SharedClient]] = WeakKeyDictionary()


def shared_client_for(key: Hashable, make_client: Callable[[], DominoClient]) -> SharedClient:
    """Return the client that everything on the running event loop shares for one connection.

    :param key: what names the deployment and the credentials. Never a secret.
    :param make_client: used by the first to begin.
    """
    clients = _clients.setdefault(asyncio.get_running_loop(), {})
    for idle in [each for each, client in clients.items() if client.is_idle and each != key]:
        del clients[idle]
    shared = clients.setdefault(key, SharedClient(make_client))
    if shared.is_idle:
        shared.make_client = make_client
    return shared
