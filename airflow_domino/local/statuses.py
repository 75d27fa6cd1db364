"""Domino's words for where a run is (enum ``RunMonolithDTO.status`` of the version 4 document), and their groups."""

from __future__ import annotations

QUEUED = "Queued"
SCHEDULED = "Scheduled"
PENDING = "Pending"
PREPARING = "Preparing"
BUILDING = "Building"
PULLING = "Pulling"
RUNNING = "Running"
SERVING = "Serving"
STOP_REQUESTED = "StopRequested"
STOP_AND_DISCARD_REQUESTED = "StopAndDiscardRequested"
STOPPING = "Stopping"
FINISHING = "Finishing"
STOPPED = "Stopped"
SUCCEEDED = "Succeeded"
FAILED = "Failed"
ERROR = "Error"
FAULTY = "Faulty"

WAITING = (QUEUED,)
EXECUTING = (
    SCHEDULED,
    PENDING,
    PREPARING,
    BUILDING,
    PULLING,
    RUNNING,
    SERVING,
    STOP_REQUESTED,
    STOP_AND_DISCARD_REQUESTED,
    STOPPING,
    FINISHING,
)
COMPLETED = (STOPPED, SUCCEEDED, FAILED, ERROR, FAULTY)
STOP_WISHES = (STOP_REQUESTED, STOP_AND_DISCARD_REQUESTED)

# What the filter words of the job lists mean. An archived run is a completed one that is kept out of sight.
GROUPS: dict[str, tuple[str, ...]] = {
    "queued": (QUEUED, SCHEDULED, PENDING),
    "running": tuple(word for word in EXECUTING if word not in (SCHEDULED, PENDING)),
    "completed": COMPLETED,
    "active": WAITING + EXECUTING,
}


def is_completed(status: str) -> bool:
    """Tell whether a run in this status will not change any more."""
    return status in COMPLETED
