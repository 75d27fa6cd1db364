"""On whose behalf a process launches Domino runs, so that a later attempt takes up those that an earlier one left."""

from __future__ import annotations

import json
import os
import threading
import uuid
from datetime import datetime

from airflow_domino.domino.client import DominoClient
from airflow_domino.domino.errors import ConfigurationError
from airflow_domino.domino.launch import MarkedRuns, scan_marked

OWNER_VARIABLE = "AIRFLOW_DOMINO_RUN_OWNER"


class RunOwner:
    """What the marks of runs are made of.

    :param name: equal in all attempts that may take up each other's runs
    :param since: no run of this owner is older; None for one that nobody was before, whose runs need not be looked for
    :param creation_key: tells this owner from earlier ones of its name; empty where there were none, or none is known
    """

    def __init__(self, name: str, since: datetime | None = None, creation_key: str = "") -> None:
        self.name = name
        self.since = since
        self.creation_key = creation_key
        self._earlier: dict[str, MarkedRuns] = {}
        self._looking = threading.Lock()

    @classmethod
    def of_process(cls) -> RunOwner:
        """The owner that the environment names, or one that is new.

        :raises ConfigurationError: the environment names none that can be read
        """
        told = os.environ.get(OWNER_VARIABLE)
        if not told:
            return cls(uuid.uuid4().hex)
        try:
            fields = json.loads(told)
            since = datetime.fromisoformat(fields["since"])
            return cls(str(fields["name"]), since, str(fields.get("creation_key", "")))
        except (ValueError, TypeError, KeyError) as error:
            raise ConfigurationError(f"The variable {OWNER_VARIABLE} cannot be read: {error!r}; unset it") from None

    def variables(self) -> dict[str, str]:
        """The environment of a process that works for this owner; empty where nothing is to be found again."""
        if self.since is None:
            return {}
        told = {"name": self.name, "since": self.since.isoformat(), "creation_key": self.creation_key}
        return {OWNER_VARIABLE: json.dumps(told)}

    def earlier_runs(self, client: DominoClient, project_id: str) -> MarkedRuns:
        """The marked runs of a project as they were when this process first asked.

        :raises DominoError: Domino cannot be asked
        """
        with self._looking:
            if project_id not in self._earlier:
                nothing = MarkedRuns(())
                self._earlier[project_id] = scan_marked(client, project_id, self.since) if self.since else nothing
            return self._earlier[project_id]
