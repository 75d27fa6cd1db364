"""Luigi tasks in the style of container jobs: a command, the environment and tier that it needs, its retries."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import luigi

logger = logging.getLogger("luigi-interface")


class ContainerJob(luigi.Task):
    """A task whose whole work is one command of this project.

    The choices of the machine are insignificant parameters: the same job elsewhere is the same task.
    """

    run_on = luigi.ChoiceParameter(choices=["here", "domino"], default="here", significant=False)
    environment = luigi.OptionalParameter(default=None, significant=False, description="Domino environment")
    tiers = luigi.DictParameter(default={}, significant=False, description="hardware tier by family, Small if not said")
    max_retries = luigi.IntParameter(default=2, significant=False, description="retries of one job")

    def command(self) -> list[str]:
        """Return a script of this folder and its arguments."""
        raise NotImplementedError

    def run(self) -> None:
        retries_left = self.max_retries
        while True:
            try:
                self._run_command()
                return
            except Exception as error:
                if not retries_left:
                    raise
                logger.warning("%s failed, %d retries are left: %s", self, retries_left, error)
                retries_left -= 1

    def _run_command(self) -> None:
        if self.run_on == "domino":
            self._run_on_domino()
            return
        script, *arguments = self.command()
        subprocess.run([sys.executable, str(Path(__file__).with_name(script)), *arguments], check=True)

    def _run_on_domino(self) -> None:
        from airflow_domino.luigi import DominoRunTask

        tier = self.tiers.get(self.task_family, "Small")
        report = f"reports/{self.task_id}.json"
        job = DominoRunTask([*self.command(), f"--report={report}"], tier, report, environment=self.environment)
        # Luigi lends these to the task that it runs, which is this one.
        job.set_tracking_url, job.set_status_message = self.set_tracking_url, self.set_status_message
        job.run()
