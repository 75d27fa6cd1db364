"""A Luigi pipeline for the tests in a real Airflow: a diamond over external data, and tasks that go wrong."""

import os
import subprocess
import sys
from pathlib import Path

import luigi
from luigi.contrib.external_program import ExternalProgramTask


class Delivered(luigi.ExternalTask):
    """What somebody else delivers."""

    name = luigi.Parameter()

    def output(self):
        return luigi.LocalTarget(f"delivered/{self.name}.csv")


class Writes(luigi.Task):
    """A task that writes which interpreter ran it."""

    name = luigi.Parameter()

    def output(self):
        return luigi.LocalTarget(f"written/{type(self).__name__}-{self.name}.txt")

    def run(self):
        with self.output().open("w") as file:
            file.write(sys.prefix)


class Clean(Writes):
    """The top of the diamond."""

    def requires(self):
        return Delivered(self.name)


class Left(Writes):
    """One side of the diamond."""

    def requires(self):
        return Clean(self.name)


class Right(Writes):
    """The other side of the diamond."""

    def requires(self):
        return Clean(self.name)


class Both(luigi.WrapperTask):
    """Nothing but its two sides."""

    name = luigi.Parameter()

    def requires(self):
        return {"left": Left(self.name), "right": Right(self.name)}


class Report(Writes):
    """The bottom of the diamond."""

    def requires(self):
        return Both(self.name)


class Fails(Writes):
    """A task whose code raises."""

    def run(self):
        raise RuntimeError("no luck today")


class Leaks(ExternalProgramTask):
    """A task whose program prints secrets and fails; Luigi's error lists the environment."""

    capture_output = False

    def program_args(self):
        return ["sh", "-c", "echo the program says $DB_PASSWORD and $API_TOKEN; exit 3"]


class Halves(Writes):
    """A task whose code raises after it has written its target."""

    def run(self):
        super().run()
        raise RuntimeError("disk full")


class Rests(Writes):
    """A task that rests on half a file."""

    def requires(self):
        return Halves(self.name)


class Appends(luigi.Task):
    """A task that goes on with the file of what it requires."""

    def requires(self):
        return Writes("appended")

    def output(self):
        return self.input()

    def run(self):
        with Path(self.output().path).open("a") as file:
            file.write(" and more")


class Risky(luigi.WrapperTask):
    """What fails, and what does not."""

    def requires(self):
        return [Rests("half"), Appends()]


class Forgets(Writes):
    """A task that makes no target."""

    def run(self):
        pass


class Sleeps(Writes):
    """A task with a process of its own, which notes who they are and sleeps."""

    def run(self):
        with subprocess.Popen(["sleep", "600"]) as child:
            part = Path("sleeping.part")
            part.write_text(f"{os.getpid()} {child.pid}")
            part.rename("sleeping")
            child.wait()
