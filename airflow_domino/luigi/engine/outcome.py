"""The words in which the engine answers, and the exception that carries one."""

from __future__ import annotations

from typing import Any

from .masking import masked

COMPLETE = "complete"
INCOMPLETE = "incomplete"
DONE = "done"
PLANNED = "planned"
SURVEYED = "surveyed"
NODE_ABSENT = "node_absent"

REQUEST_WRONG = "request_wrong"
IMPORT_FAILED = "import_failed"
FAMILY_UNKNOWN = "family_unknown"
FAMILY_AMBIGUOUS = "family_ambiguous"
PARAMETER_WRONG = "parameter_wrong"
CONSTRUCTION_FAILED = "construction_failed"
COMPLETE_NOT_BOOL = "complete_not_bool"
FORCE_IMPOSSIBLE = "force_impossible"
COMMAND_IMPOSSIBLE = "command_impossible"
PLAN_IMPOSSIBLE = "plan_impossible"

COMPLETE_FAILED = "complete_failed"
REQUIRES_FAILED = "requires_failed"
SCHEDULING_FAILED = "scheduling_failed"
RUN_FAILED = "run_failed"
TARGET_MISSING = "target_missing"
EXTERNAL_MISSING = "external_missing"
DEPENDENCY_INCOMPLETE = "dependency_incomplete"
NOT_RUN = "not_run"
TERMINATED = "terminated"
ENGINE_FAILED = "engine_failed"

#: Begins a line that is for the process which started the engine: how many tasks of how many are drawn.
DRAWN = "\x1edrawn "

GOOD = frozenset({COMPLETE, INCOMPLETE, DONE, PLANNED, SURVEYED, NODE_ABSENT})
#: Asking again cannot help: somebody has to change the task, its parameters or its code.
WRONG = frozenset(
    {
        REQUEST_WRONG,
        IMPORT_FAILED,
        FAMILY_UNKNOWN,
        FAMILY_AMBIGUOUS,
        PARAMETER_WRONG,
        CONSTRUCTION_FAILED,
        COMPLETE_NOT_BOOL,
        FORCE_IMPOSSIBLE,
        COMMAND_IMPOSSIBLE,
        PLAN_IMPOSSIBLE,
    }
)


class Problem(Exception):  # noqa: N818  (an answer, not an accident)
    """What stands in the way, as one outcome word and a message for people.

    :param outcome: one of the words above
    :param message: what is wrong, where, and what to do; secrets in it are masked
    :param details: further fields of the answer
    """

    def __init__(self, outcome: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.outcome = outcome
        self.message = masked(message)
        self.details = details

    def answer(self) -> dict[str, Any]:
        """The answer that the engine gives for this problem."""
        return {"outcome": self.outcome, "message": self.message, **self.details}


class Terminated(KeyboardInterrupt):
    """The engine is to end. A KeyboardInterrupt, since Luigi takes everything else for a failing task.

    :cvar is_under_way: it was raised in this process; a ``run()`` that suppressed it has not succeeded
    """

    is_under_way = False
