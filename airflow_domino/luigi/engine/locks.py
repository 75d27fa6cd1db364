"""One runner for each Luigi task on a machine: a lock that ends with the processes that hold it, however these end."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import socket
import tempfile
import time
from pathlib import Path

import luigi

from .run_anyway import remove_old

_PLANS = "plans"
FOLDER_VARIABLE = "AIRFLOW_DOMINO_LUIGI_LOCKS"

logger = logging.getLogger("luigi-interface")


class Locks:
    """The locks that this engine holds, each while a task of its runs.

    Where the folder cannot be used there are none, which is said once.

    :param plan: names a plan whose tasks several processes run, each in its turn; what was made is noted for it
    :param folder: of the lock files; by default ``$AIRFLOW_DOMINO_LUIGI_LOCKS``, else one of this user's own in the
        folder for temporary files
    """

    def __init__(self, folder: str | None = None, plan: str | None = None) -> None:
        chosen = folder or os.environ.get(FOLDER_VARIABLE)
        self._folder = Path(chosen or Path(tempfile.gettempdir()) / f"airflow-domino-locks-{os.getuid()}")
        self._held: dict[str, tuple[Path, int]] = {}
        self._made = self._folder / _PLANS / hashlib.sha256(plan.encode()).hexdigest()[:32] if plan else None
        self._works = self._prepare(is_ours=not chosen)

    def _prepare(self, *, is_ours: bool) -> bool:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if is_ours and self._folder.stat().st_uid != os.getuid():
                raise PermissionError(
                    f"{self._folder} belongs to somebody else; name another folder by {FOLDER_VARIABLE}"
                )
        except OSError as error:
            self._give_up(error)
            return False
        return True

    def _give_up(self, error: OSError) -> None:
        self._works = False
        logger.warning(
            "Tasks run without locks, so that another process may run the same ones at the same time: %s", error
        )

    def take(self, task: luigi.Task) -> bool:
        """Whether this engine may run the task now; if so, nobody else may until :meth:`release`."""
        if not self._works:
            return True
        path = self._path(task)
        try:
            while (descriptor := _open_locked(path)) is not None:
                if _is_at(descriptor, path):
                    _write_holder(descriptor)
                    self._held[task.task_id] = path, descriptor
                    return True
                os.close(descriptor)  # released, and so removed, between our opening and our locking it
        except OSError as error:
            self._give_up(error)
            return True
        return False

    def release(self, task: luigi.Task) -> None:
        """Let others run the task. Safe to repeat."""
        self._release(task.task_id)

    def _release(self, task_id: str) -> None:
        path, descriptor = self._held.pop(task_id, (None, None))
        if path is None or descriptor is None:
            return
        with contextlib.suppress(OSError):
            path.unlink()
        # Said, since a process that the task left behind may hold a copy of the descriptor.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)

    def release_all(self) -> None:
        """Let others run all tasks whose locks are held."""
        for task_id in list(self._held):
            self._release(task_id)

    def forget_others(self, task: luigi.Task) -> None:
        """In a process forked for one task: do not keep the locks of the others alive."""
        for task_id, (_, descriptor) in self._held.items():
            if task_id != task.task_id:
                os.close(descriptor)
        self._held.clear()

    def note_made(self, task: luigi.Task) -> None:
        """Let the other processes of the plan know that a task was run, and went well."""
        if self._made is None or not self._works:
            return
        with contextlib.suppress(OSError):
            remove_old(self._made.parent)
            self._made.mkdir(parents=True, exist_ok=True)
            (self._made / self._path(task).name).touch()

    def is_made(self, task: luigi.Task) -> bool:
        """Whether a process of the plan has run a task, and it went well."""
        return self._works and self._made is not None and (self._made / self._path(task).name).exists()

    def holder(self, task: luigi.Task) -> str:
        """Who has the lock of a task, in words."""
        try:
            pid, host, since = self._path(task).read_text(encoding="utf-8").splitlines()[0].split()
            return f"process {pid} on {host}, for {max(0.0, time.time() - float(since)):.0f} s now"
        except (OSError, ValueError, IndexError):
            return "another process"

    def _path(self, task: luigi.Task) -> Path:
        identity = f"{type(task).__module__}:{task.task_family}:{task.task_id}"
        return self._folder / hashlib.sha256(identity.encode()).hexdigest()[:32]


def _open_locked(path: Path) -> int | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(descriptor), there)


def _write_holder(descriptor: int) -> None:
    # Not truncated: file systems may wait for the disk when a file is written anew after that.
    os.pwrite(descriptor, f"{os.getpid()} {socket.gethostname()} {time.time():.0f}\n".encode(), 0)
