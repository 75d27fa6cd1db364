"""What becomes of a run that meets a fault: it ends, or it is shown other than it is."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

from airflow_domino.local import statuses
from airflow_domino.local.disguises import Disguise

if TYPE_CHECKING:
    from airflow_domino.local.faults import Fault
    from airflow_domino.local.platform import Platform
    from airflow_domino.local.runs import Run

_MESSAGE = "This run was ended by a fault that a test had ordered"


def meet(platform: Platform, run: Run, fault: Fault) -> None:
    """Let a fault of runs meet a run.

    :param platform: where the run is.
    :param run: the run.
    :param fault: the fault.
    """
    if fault.action == "faulty":
        end = partial(platform.runner.lose, run.id, reason="Faulty", message=_MESSAGE, status=statuses.FAULTY)
        _after(fault.seconds, end)
    else:
        platform.disguises.put_on(run.id, (platform.disguises.of(run.id) or Disguise()).with_fault(fault))


def _after(seconds: float, do: partial[Run]) -> None:
    if seconds == 0:
        do()
        return
    timer = threading.Timer(seconds, do)
    timer.daemon = True
    timer.start()
