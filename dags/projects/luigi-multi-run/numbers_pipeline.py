"""Two tasks with a parameter: the numbers up to n, and their squares."""

from __future__ import annotations

import sys
from pathlib import Path

import luigi
import luigi.retcodes


class PrintNumbers(luigi.Task):
    """Writes the numbers from 1 to n, one a line."""

    n = luigi.IntParameter(default=10, description="the last number")

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget(f"data/numbers_up_to_{self.n}.txt")

    def run(self) -> None:
        with self.output().open("w") as numbers:
            numbers.writelines(f"{number}\n" for number in range(1, self.n + 1))


class SquaredNumbers(luigi.Task):
    """Writes each number of PrintNumbers with its square."""

    n = luigi.IntParameter(default=10, description="the last number")

    def requires(self) -> luigi.Task:
        return PrintNumbers(n=self.n)

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget(f"data/squares_up_to_{self.n}.txt")

    def run(self) -> None:
        with self.input().open() as numbers, self.output().open("w") as squares:
            squares.writelines(f"{number.strip()}:{int(number) ** 2}\n" for number in numbers)


if __name__ == "__main__":
    luigi.configuration.add_config_path(str(Path(__file__).with_name("luigi.cfg")))
    luigi.retcodes.run_with_retcodes(sys.argv[1:])
