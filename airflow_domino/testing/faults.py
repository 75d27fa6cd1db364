"""Faults on order for as long as a ``with`` statement lasts."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from airflow_domino.testing.asking import Asking, DominoTestError

_MOST_REQUESTS = 15


@dataclass
class OrderedFault:
    """A fault that is on order within a ``with`` statement, and taken back at its end.

    A fault that nothing has met by then fails the test, which has shown nothing.

    :param domino: whose fault.
    :param order: the fields of the order; see :class:`airflow_domino.local.faults.Fault`.
    :param is_optional: whether it is all right when nothing meets it.
    """

    domino: Asking
    order: dict[str, Any]
    is_optional: bool = False
    _id: int = 0
    _met: int | None = None
    _last_request: int = 0

    @property
    def met(self) -> int:
        """How many requests or runs have met it."""
        if self._met is not None:
            return self._met
        ordered = self.domino.get("/_local/faults", spent=True)["faults"]
        return next((int(fault["met"]) for fault in ordered if fault["id"] == self._id), 0)

    def __enter__(self) -> Self:
        """Order it."""
        self._last_request = self.domino.get("/_local/requests", limit=1)["last"]
        self._id = self.domino.post("/_local/faults", **self.order)["id"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take it back.

        :raises DominoTestError: when nothing has met it, though it was not optional and nothing else went wrong.
        """
        self._met = int(self.domino.answer("DELETE", f"/_local/faults/{self._id}").json()["met"])
        if self._met == 0 and not self.is_optional and kind is None:
            raise DominoTestError(
                f"Nothing has met the fault {self.order}: let it match what is asked, or make it optional. "
                f"{self._what_came()}"
            )

    def _what_came(self) -> str:
        came = self.domino.get("/_local/requests", after=self._last_request)["requests"]
        if not came:
            return "No request came meanwhile."
        lines = [
            f"  {request['method']} {request['path']} -> {request['status']}" for request in came[-_MOST_REQUESTS:]
        ]
        return "\n".join([f"Meanwhile came {len(came)} requests, at last:", *lines])
