"""A Luigi pipeline for the tests of a run's life cycle."""

import time

import luigi


class Writes(luigi.Task):
    """A task that takes its time."""

    name = luigi.Parameter()
    seconds = luigi.FloatParameter(default=0.0)

    def output(self):
        return luigi.LocalTarget(f"written/{self.name}.txt")

    def run(self):
        time.sleep(self.seconds)
        with self.output().open("w") as file:
            file.write("done")
