"""A Luigi pipeline with a report for each day; what runs is noted, beside the targets."""

import os

import luigi


class OfDay(luigi.Task):
    """A task that writes down its day."""

    date = luigi.DateParameter()

    def output(self):
        return luigi.LocalTarget(f"{type(self).__name__}-{self.date}.txt")

    def run(self):
        noted = os.open("ran.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(noted, f"{type(self).__name__} {self.date}\n".encode())
        os.close(noted)
        with self.output().open("w") as file:
            file.write(f"made for {self.date}")


class Numbers(OfDay):
    """What the report of a day rests on."""


class DailyReport(OfDay):
    """The report of a day."""

    def requires(self):
        return Numbers(self.date)
