"""Stops runs that no task waits for, in the background: whoever asks sees what comes of it, but does not wait long."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_domino.compat import AirflowException
from airflow_domino.compat_server import create_session
from airflow_domino.domino.errors import DominoError
from airflow_domino.hooks.domino import DominoHook
from airflow_domino.orphans import Orphan, OrphanFinder
from airflow_domino.plugin.look import looker
from airflow_domino.plugin.looking import impatient

if TYPE_CHECKING:
    from airflow_domino.domino.client import DominoClient

PATIENCE = 3.0
"""Seconds for which whoever asks waits for the outcome."""
MOST_REMEMBERED = 200
MOST_AT_ONCE = 8

log = logging.getLogger(__name__)


@dataclass
class Stop:
    """A run that somebody wants stopped.

    :param trouble: why that did not work, as a sentence.
    """

    trouble: str = ""
    is_over: threading.Event = field(default_factory=threading.Event)

    @property
    def is_under_way(self) -> bool:
        """Whether Domino is just being asked."""
        return not self.is_over.is_set()

    @property
    def has_failed(self) -> bool:
        """Whether the run still goes on, as far as is known."""
        return bool(self.trouble) and self.is_over.is_set()


_stops: dict[str, Stop] = {}
_lock = threading.Lock()


def told_of(run_id: str) -> Stop | None:
    """Return what became of the wish to stop a run; None where nobody had it lately."""
    return _stops.get(run_id)


def stop(conn_id: str, project: str, orphan: Orphan, patience: float = PATIENCE) -> Stop:
    """Have a run stopped that no task waits for; what it has written is kept.

    :param conn_id: the connection that sees it.
    :param project: the project as the page looks at it; its next look is hurried.
    :param patience: seconds to wait for the outcome.
    """
    with _lock:
        known = _stops.get(orphan.run.id)
        if known is None or known.has_failed:
            if sum(one.is_under_way for one in _stops.values()) >= MOST_AT_ONCE:
                return Stop("Other runs are being stopped, and Domino takes its time; try again in a minute")
            known = _stops[orphan.run.id] = Stop()
            for run_id in list(_stops)[:-MOST_REMEMBERED]:
                del _stops[run_id]
            work = _Work(conn_id, project, orphan, known)
            threading.Thread(target=work, name="domino-stop", daemon=True).start()
    known.is_over.wait(patience)
    return known


@dataclass(frozen=True)
class _Work:
    conn_id: str
    project: str
    orphan: Orphan
    told: Stop

    def __call__(self) -> None:
        run = self.orphan.run
        try:
            with impatient(DominoHook(self.conn_id).settings) as client:
                self.told.trouble = self._stop(client)
        except (DominoError, AirflowException) as error:
            self.told.trouble = str(error)
        except Exception:
            log.exception("Domino run %s could not be stopped", run.id)
            self.told.trouble = "Stopping it did not work: the log of Airflow's api-server tells why"
        finally:
            looker(self.conn_id, self.project).hurry()
            self.told.is_over.set()

    def _stop(self, client: DominoClient) -> str:
        """Stop the run if still no task waits for it; return what is in the way, empty for nothing."""
        project, run = client.project(self.orphan.handle.project), client.run(self.orphan.run.id)
        if run.status.is_completed:
            return ""
        with create_session() as session:
            if not OrphanFinder().find(session, client, project, [run]):
                return "A task waits for this run again: stop it there"
        stopping = client.stop_run(run.id, project_id=project.id)
        log.info("Domino run %s is stopped, since no task waits for it any more: %s", run.number, stopping.status)
        return ""
