"""The program of the jobs: sums a part of a table of sales, or adds up such sums. Knows nothing of other jobs.

pivot_job.py count TABLE BEGIN END SUMS     (of the lines that begin at one of these bytes of the table)
pivot_job.py merge SUMS SUMS ... SUMS       (the last one is written)
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from pivot_storage import read, write

LONGEST_LINE = 1024
Sums = Counter[tuple[str, str]]


def count(table: str, begin: int, end: int) -> Sums:
    """Sum the amounts of each region and product."""
    lines = (line.decode() for line in lines_that_begin(table, begin, end))
    if begin == 0:
        next(lines)  # the names of the columns
    sums = Sums()
    for _day, region, product, amount in csv.reader(lines):
        sums[region, product] += int(amount)
    return sums


def lines_that_begin(table: str, begin: int, end: int) -> Iterator[bytes]:
    """Give the lines whose first byte is in a range, so that each line of a table is in one of the ranges."""
    place = max(begin - 1, 0)
    data = read(table, place, end + LONGEST_LINE)
    for number, line in enumerate(data.splitlines(keepends=True)):
        # The byte before the range ends the line before, or is a part of it; either way it is not ours.
        if place >= end:
            return
        if begin == 0 or number:
            yield line
        place += len(line)


def merge(parts: Iterable[Sums]) -> Sums:
    """Add up."""
    total = Sums()
    for part in parts:
        total.update(part)
    return total


def read_sums(address: str) -> Sums:
    """Read what write_sums wrote."""
    return Sums({(region, product): amount for region, product, amount in json.loads(read(address))})


def write_sums(sums: Sums, address: str) -> None:
    """Write sums, in an order that depends on nothing else."""
    write(address, (json.dumps([[*key, amount] for key, amount in sorted(sums.items())]) + "\n").encode())


def main(arguments: list[str]) -> None:
    """Do one job."""
    parser = argparse.ArgumentParser()
    jobs = parser.add_subparsers(dest="job", required=True)
    counting = jobs.add_parser("count")
    counting.add_argument("table")
    counting.add_argument("begin", type=int)
    counting.add_argument("end", type=int)
    merging = jobs.add_parser("merge")
    merging.add_argument("parts", nargs="+")
    for job in (counting, merging):
        job.add_argument("sums")
        job.add_argument("--report", type=Path, help="file for a few words about the job")
    given = parser.parse_args(arguments)
    is_map = given.job == "count"
    sums = count(given.table, given.begin, given.end) if is_map else merge(map(read_sums, given.parts))
    write_sums(sums, given.sums)
    print(f"{given.job}: {len(sums)} sums, {sum(sums.values())} in all, written to {given.sums}")
    if given.report:
        given.report.parent.mkdir(parents=True, exist_ok=True)
        given.report.write_text(json.dumps({"job": given.job, "sums": len(sums), "written": given.sums}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
