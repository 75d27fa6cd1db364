"""The folder that holds everything a demo keeps, used by one demo at a time."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType

from airflow_domino.local.root import kept_secret


class StateInUseError(Exception):
    """Another demo still runs on the folder; the text names its process id."""


class StateFolder:
    """A demo's folder, locked while this object is entered.

    :param path: made when it is not there
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._lock: int | None = None

    @property
    def airflow_home(self) -> Path:
        """AIRFLOW_HOME: database, logs."""
        return self.path / "airflow"

    @property
    def domino_root(self) -> Path:
        """Projects, runs and database of the local Domino."""
        return self.path / "domino"

    @property
    def domino_log(self) -> Path:
        """Output of the local Domino's process."""
        return self.path / "domino.log"

    @property
    def data(self) -> Path:
        """Targets and outputs of the tasks on the worker."""
        return self.path / "data"

    @property
    def processes(self) -> Path:
        """Register of what runs beside Airflow."""
        return self.path / "processes.json"

    @property
    def token_file(self) -> Path:
        """Token of the local Domino, readable by its owner alone."""
        return self.path / "domino-token"

    def token(self) -> str:
        """Return the local Domino's token, made at the first call."""
        return kept_secret(self.token_file)

    def __enter__(self) -> StateFolder:
        """Take the folder.

        :raises StateInUseError: when another demo has it
        """
        # Secrets of this Airflow and this Domino lie below: nobody else needs to look in.
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o700)
        self.data.mkdir(exist_ok=True)
        lock = os.open(self.path / "demo.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pid = os.read(lock, 32).decode() or "unknown"
            os.close(lock)
            raise StateInUseError(
                f"a demo still runs on {self.path} (process {pid}); "
                "end it with Ctrl-C in its terminal, or give this one --state ANOTHER_FOLDER"
            ) from None
        os.ftruncate(lock, 0)
        os.write(lock, str(os.getpid()).encode())
        self._lock = lock
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the folder free; the operating system does so too when this process is killed."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
