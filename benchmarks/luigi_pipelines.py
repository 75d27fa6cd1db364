"""Luigi pipelines of any size and of three shapes, as the project that :mod:`benchmarks.luigi_graphs` measures.

Copied into a folder of its own, so this file needs nothing but Luigi. Each task writes one empty file, except for the
wrapper that a wide pipeline has at its root: that one is asked again for all of them whenever it is looked at.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import luigi


class Tiny(luigi.Task):
    """What all tasks do: an empty file, a thousand to a folder."""

    number = luigi.IntParameter()

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget(f"out/{self.number // 1000}/{self.get_task_family()}-{self.number}")

    def run(self) -> None:
        with self.output().open("w"):
            pass


class Wide(luigi.WrapperTask):
    """All tasks side by side."""

    size = luigi.IntParameter()

    def requires(self) -> Iterator[luigi.Task]:
        return (Tiny(number) for number in range(self.size - 1))


class Deep(Tiny):
    """A chain."""

    def requires(self) -> list[luigi.Task]:
        return [Deep(self.number - 1)] if self.number else []


class Part(Tiny):
    """One of those that lie between two joints."""

    size = luigi.IntParameter()
    stage = luigi.IntParameter()

    def requires(self) -> luigi.Task:
        return Joint(stage=self.stage - 1, number=self.stage - 1, size=self.size)


class Joint(Tiny):
    """One task that requires many which require one, and so on: diamonds, as many as each of them is wide."""

    size = luigi.IntParameter()
    stage = luigi.IntParameter()

    def requires(self) -> list[luigi.Task]:
        width, stages = diamonds(self.size)
        if not self.stage:
            return []
        first = (self.stage - 1) * width
        # The last one has what is left over.
        end = self.stage * width if self.stage < stages else self.size - 1 - stages
        return [Part(number=number, stage=self.stage, size=self.size) for number in range(first, end)]


def diamonds(size: int) -> tuple[int, int]:
    """How wide and how many the diamonds of a pipeline are."""
    width = math.isqrt(size)
    return width, (size - 1) // (width + 1)


def root_of(shape: str, size: int) -> tuple[str, dict[str, int]]:
    """Family and parameters of the pipeline with exactly so many tasks.

    :param shape: wide, deep or diamond
    :param size: how many tasks, with the root; at least 4
    """
    if shape == "diamond":
        _, stages = diamonds(size)
        return "Joint", {"size": size, "stage": stages, "number": stages}
    return ("Wide", {"size": size}) if shape == "wide" else ("Deep", {"number": size - 1})
