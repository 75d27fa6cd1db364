"""Hello world in two tasks: the first is made by a Domino run of its own, the second where this pipeline runs."""

from __future__ import annotations

import sys
from pathlib import Path

import luigi
import luigi.retcodes

from airflow_domino.luigi import DominoRunTask


class Hello(luigi.Task):
    """Writes the word hello."""

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget("data/hello.txt")

    def run(self) -> None:
        with self.output().open("w") as hello:
            hello.write("hello\n")


class DominoHelloWorld(luigi.Task):
    """Adds the word world to what a Domino run on the Small tier has written."""

    def requires(self) -> luigi.Task:
        return DominoRunTask(
            domino_run_command=["example_pipeline.py", "Hello"],
            domino_run_tier="Small",
            output_file_path=Hello().output().path,
        )

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget("data/hello_world.txt")

    def run(self) -> None:
        with self.input().open() as hello, self.output().open("w") as hello_world:
            hello_world.write(hello.read() + "world\n")


if __name__ == "__main__":
    luigi.configuration.add_config_path(str(Path(__file__).with_name("luigi.cfg")))
    luigi.retcodes.run_with_retcodes(sys.argv[1:])
