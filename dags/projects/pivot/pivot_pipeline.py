"""A pivot table of sales, by jobs side by side: as many as the table, once it is there, turns out to need.

    SalesTable -> PivotTable -> MergeSums 0..n -> MergeSums 0..n/2 -> ... -> SumShard 0
                                               -> MergeSums n/2..n -> ... -> SumShard n-1

PivotTable looks how large the table is when it runs, and requires then what there is to merge; MergeSums requires its
two halves, down to one shard each. All targets are in ``storage``, a folder or an address on S3, and each is written
whole or not at all: whatever ends the pipeline, the next attempt makes only what is missing.
"""

from __future__ import annotations

import csv
import datetime
import os
import random
import sys
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import luigi
import luigi.retcodes
from container_job import ContainerJob
from luigi.format import UTF8
from pivot_job import read_sums
from pivot_storage import boto, is_on_s3, size

REGIONS = ("North", "East", "South", "West")
PRODUCTS = ("apples", "bread", "coffee", "milk", "tea")


class PivotTask(ContainerJob):
    """What all tasks know: which sales, where the files are, and how large a shard is."""

    rows = luigi.IntParameter(default=20_000, description="how many sales there are")
    seed = luigi.IntParameter(default=7, description="equal seeds make equal sales")
    shard_kib = luigi.IntParameter(default=64, description="how much of the table one job reads")
    storage = luigi.Parameter(default="pivot", description="a folder, or s3://bucket/prefix")

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        if self.run_on == "domino" and not is_on_s3(self.storage):
            raise ValueError(
                f"A Domino run cannot write to the folder {self.storage!r} of this machine: give storage an address "
                "such as s3://bucket/folder, or let the jobs run here (run_on='here')"
            )

    def file(self, name: str) -> str:
        """Return the address of a file of these sales."""
        return f"{self.storage}/{self.rows}-{self.seed}/{name}"

    def output(self) -> luigi.Target:
        return target(self.address())

    def address(self) -> str:
        """Return where the task's one file is."""
        raise NotImplementedError

    def sums(self, first: int, shards: int) -> luigi.Task:
        """Return the task that sums some shards."""
        if shards == 1:
            return self.clone(SumShard, shard=first)
        return self.clone(MergeSums, first=first, shards=shards)


class SalesTable(PivotTask):
    """Writes a table of random sales."""

    def address(self) -> str:
        return self.file("sales.csv")

    def run(self) -> None:
        dice = random.Random(self.seed)  # noqa: S311 - a game of dice, no secret
        first = datetime.date(2026, 1, 1)
        with self.output().open("w") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["day", "region", "product", "cents"])
            for _ in range(self.rows):
                day = first + datetime.timedelta(days=dice.randrange(365))
                table.writerow([day, dice.choice(REGIONS), dice.choice(PRODUCTS), dice.randint(50, 5000)])


class SumShard(PivotTask):
    """Sums one shard of the table: the map job."""

    shard = luigi.IntParameter(description="its number, from 0")

    def requires(self) -> luigi.Task:
        return self.clone(SalesTable)

    def address(self) -> str:
        return self.file(f"shards-of-{self.shard_kib}-kib/sum-{self.shard:05}.json")

    def command(self) -> list[str]:
        length = self.shard_kib * 1024
        begin = self.shard * length
        table = self.clone(SalesTable).address()
        return ["pivot_job.py", "count", table, str(begin), str(begin + length), self.address()]


class MergeSums(PivotTask):
    """Adds up the sums of some shards, from those of their two halves: the reduce job."""

    first = luigi.IntParameter(description="number of the first shard")
    shards = luigi.IntParameter(description="how many shards")

    def requires(self) -> list[luigi.Task]:
        half = self.shards // 2
        return [self.sums(self.first, half), self.sums(self.first + half, self.shards - half)]

    def address(self) -> str:
        last = self.first + self.shards - 1
        return self.file(f"shards-of-{self.shard_kib}-kib/merged-{self.first:05}-{last:05}.json")

    def command(self) -> list[str]:
        return ["pivot_job.py", "merge", *(part.address() for part in self.requires()), self.address()]


class PivotTable(PivotTask):
    """Writes the table: a line for each region, a column for each product, the sum of the cents in it."""

    def requires(self) -> luigi.Task:
        return self.clone(SalesTable)

    def address(self) -> str:
        return self.file("pivot.csv")

    def run(self) -> Iterator[luigi.Task]:
        table_size, shard_size = size(self.requires().address()), self.shard_kib * 1024
        merged = self.sums(0, -(-table_size // shard_size))
        yield merged
        sums = read_sums(merged.address())
        with self.output().open("w") as file:
            pivot = csv.writer(file, lineterminator="\n")
            pivot.writerow(["region", *PRODUCTS])
            for region in REGIONS:
                pivot.writerow([region, *(sums[region, product] for product in PRODUCTS)])


def target(address: str) -> luigi.Target:
    """Return the target at an address."""
    if not is_on_s3(address):
        return luigi.LocalTarget(address, format=UTF8)
    from luigi.contrib.s3 import S3Target

    return S3Target(address, format=UTF8, client=s3_client(os.getpid(), threading.get_ident()))


@cache
def s3_client(process: int, thread: int) -> Any:
    """Return Luigi's client of a thread: made once, as that takes longer than a request, and not fit to be shared."""
    boto()
    from luigi.contrib.s3 import S3Client

    return S3Client()


if __name__ == "__main__":
    luigi.configuration.add_config_path(str(Path(__file__).with_name("luigi.cfg")))
    luigi.retcodes.run_with_retcodes(sys.argv[1:])
