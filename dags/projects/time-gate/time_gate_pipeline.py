"""A requirement on the clock: the report of a day's orders is made when the day is closed, and not before.

Orders      -> OrderReport
ClosingTime ->
"""

from __future__ import annotations

import datetime

import luigi


class ClosingTime(luigi.ExternalTask):
    """Is complete once the clock is past a moment. Nobody can make it so: one can only wait."""

    moment = luigi.Parameter(description="ISO date and time; UTC if it names no offset")

    def complete(self) -> bool:
        try:
            moment = datetime.datetime.fromisoformat(self.moment)
        except ValueError as error:
            raise ValueError(
                f"The closing time {self.moment!r} is no day and time ({error}): write one such as 2026-11-21 18:00"
            ) from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.UTC)
        return datetime.datetime.now(datetime.UTC) >= moment


class Orders(luigi.Task):
    """Writes the orders of a day; they can be had before it is closed."""

    day = luigi.DateParameter()

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget(f"time_gate/orders_{self.day}.txt")

    def run(self) -> None:
        with self.output().open("w") as orders:
            orders.writelines(f"order {number}: {self.day.day * number} crates\n" for number in range(1, 6))


class OrderReport(luigi.Task):
    """Counts the orders of a day that is closed, and notes when it did."""

    day = luigi.DateParameter()
    closing_time = luigi.Parameter(significant=False, description="the report is not made before")

    def requires(self) -> dict[str, luigi.Task]:
        return {"orders": Orders(self.day), "closed": ClosingTime(self.closing_time)}

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget(f"time_gate/report_{self.day}.txt")

    def run(self) -> None:
        with self.input()["orders"].open() as orders, self.output().open("w") as report:
            report.write(f"{len(list(orders))} orders, counted at {datetime.datetime.now(datetime.UTC):%H:%M:%S} UTC\n")
