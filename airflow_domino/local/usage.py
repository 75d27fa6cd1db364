"""What runs cost."""

from __future__ import annotations

from airflow_domino.local.clock import now_ms
from airflow_domino.local.runs import Run
from airflow_domino.local.tiers import Tier


def run_cents(run: Run, tier: Tier) -> float:
    """Price of a run until its end, or until now.

    :param tier: its hardware tier, whose price counts where the run remembers none.
    """
    if run.started_at is None:
        return 0.0
    price = tier.cents_per_minute if run.cents_per_minute is None else run.cents_per_minute
    return max(0, (run.completed_at or now_ms()) - run.started_at) / 60_000 * price
