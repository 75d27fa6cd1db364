"""The link from a task to where its Luigi task can be followed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseOperatorLink

from airflow_domino.domino.storable import storable_text

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

LINK_KEY = "luigi_tracking_url"


class LuigiTrackingLink(BaseOperatorLink):
    """Leads to the page that the Luigi task named with ``set_tracking_url``, if it did."""

    name = "Luigi tracking URL"

    @property
    def xcom_key(self) -> str:
        """Key of the XCom that holds the link."""
        return LINK_KEY

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the page, empty if the Luigi task named none.

        :param operator: the task that has just run
        :param ti_key: its task instance
        """
        return storable_text(str(getattr(operator, "luigi_tracking_url", None) or ""))
