"""A pipeline whose tasks leave no data behind, and are all to run again each time: the caches of a web site, renewed.

    EmptyCaches -> WarmSearch -> AnnounceNews
                -> WarmImages ->

EmptyCaches is required twice and runs once: its target is there for the rest of the run, and for no longer.
"""

from __future__ import annotations

import datetime
from pathlib import Path

import luigi
from luigi.contrib.simulate import RunAnywayTarget


class RunAnywayTask(luigi.Task):
    """A task that is complete from its end to the end of the run that it is a part of."""

    diary = luigi.Parameter(default="run_anyway.txt", description="file to which each task adds a line when it runs")

    def output(self) -> luigi.Target:
        return RunAnywayTarget(self)

    def run(self) -> None:
        with Path(self.diary).open("a") as diary:
            diary.write(f"{datetime.datetime.now():%Y-%m-%d %H:%M:%S} {self.task_family}\n")
        self.output().done()


class EmptyCaches(RunAnywayTask):
    """Throws away what is old."""


class WarmSearch(RunAnywayTask):
    """Asks what people ask most."""

    def requires(self) -> luigi.Task:
        return self.clone(EmptyCaches)


class WarmImages(RunAnywayTask):
    """Looks at what people look at most."""

    def requires(self) -> luigi.Task:
        return self.clone(EmptyCaches)


class AnnounceNews(RunAnywayTask):
    """Tells the world that all is fresh."""

    def requires(self) -> list[luigi.Task]:
        return [self.clone(WarmSearch), self.clone(WarmImages)]
