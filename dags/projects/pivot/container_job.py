"""Luigi tasks in the style of container jobs: a command, the environment and tier that it needs, its retries."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
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
        """Return a script, by its path from this folder, and its arguments."""
        raise NotImplementedError

    def run(self) -> Iterator[luigi.Task]:
        if self.run_on == "here":
            self._run_here()
        else:
            yield self._domino_run()

    def _run_here(self) -> None:
        script, *arguments = self.command()
        for retries_left in range(max(self.max_retries, 0), -1, -1):
            ended = subprocess.run([sys.executable, str(Path(__file__).parent / script), *arguments], check=False)
            if ended.returncode == 0:
                return
            logger.warning("%s ended with exit code %d, %d retries are left", self, ended.returncode, retries_left)
        raise RuntimeError(f"{script} ended with exit code {ended.returncode}")

    def _domino_run(self) -> luigi.Task:
        """Return the run that does the work; its own output is a report about it, brought here when it has ended."""
        from airflow_domino.luigi import DominoRunTask

        report = Path("reports", f"{self.task_id}.json")
        if not self.complete():
            report.unlink(missing_ok=True)  # of a job whose result has been taken away since
        return DominoRunTask(
            [*self.command(), f"--report={report}"],
            self.tiers.get(self.task_family, "Small"),
            str(report),
            environment=self.environment,
            max_retries=self.max_retries,
        )
