"""The link from a task to its run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

LINK_KEY = "domino_run_link"


class DominoRunLink(BaseOperatorLink):
    """Leads to the run's page in Domino.

    Airflow's UI reads it from the XCom :data:`LINK_KEY`, which is pushed right after the launch; a worker that ends an
    attempt asks :meth:`get_link` and pushes it again.
    """

    name = "Domino run"

    @property
    def xcom_key(self) -> str:
        """Key of the XCom that holds the link."""
        return LINK_KEY

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the run's page, empty while there is no run.

        :param operator: the task; one that has just run knows its run.
        :param ti_key: the task instance whose XCom to read otherwise.
        """
        handle = getattr(operator, "run_handle", None)
        if handle is not None:
            return str(handle.url)
        # Only an attempt that was deferred before can have pushed a link that this process knows nothing of.
        return str(_pushed_link(ti_key) or "") if getattr(operator, "was_resumed", False) else ""


def _pushed_link(ti_key: Any) -> Any:
    from airflow.sdk.execution_time.xcom import XCom

    return XCom.get_value(key=LINK_KEY, ti_key=ti_key)
