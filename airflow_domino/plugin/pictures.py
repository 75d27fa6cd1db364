"""What the page's script is told, so that it can draw: plain numbers, times in milliseconds since 1970."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_domino.plugin import words

if TYPE_CHECKING:
    from airflow_domino.plugin.costs import Costs, Spent
    from airflow_domino.plugin.look import Look
    from airflow_domino.plugin.past_run import PastRun
    from airflow_domino.plugin.timeline import Bar, TierTimeline, Window

LIBRARY = "plotly.min.js"
MOST_COLOURS = 8
"""Groups beyond these are drawn together."""

NARROWEST_MARGIN_MS = 60_000
UNKNOWN_TIER = "tier not known"
OUTCOME_WORDS = {
    "succeeded": "succeeded",
    "failed": "failed",
    "error": "platform error",
    "stopped": "stopped",
    "unknown": "end not known",
    "running": "running",
    "queued": "queued",
    "live": "going on",
}
Span = tuple[int, int]


def told(looks: Sequence[Look]) -> dict[str, Any]:
    """Return what a page says of its looks at Domino."""
    return {
        "troubles": list(dict.fromkeys(look.trouble for look in looks if look.trouble)),
        "warnings": list(dict.fromkeys(look.warning for look in looks if look.warning)),
        "is_pending": any(look.is_pending for look in looks),
    }


def of_tiers(timelines: Iterable[TierTimeline], window: Window) -> dict[str, Any]:
    """Describe timelines; the picture begins with the first run, so that a few of them are not drawn as hairs."""
    tiers = [_of_tier(each, window.end) for each in timelines]
    starts = [part[0] for tier in tiers for bar in tier["bars"] for part in (bar["queued"], bar["ran"]) if part]
    begin, end = _ms(window.begin), _ms(window.end)
    first = min(starts, default=begin)
    margin = max((end - first) // 20, NARROWEST_MARGIN_MS)
    return {"begin": max(begin, first - margin), "end": end, "tiers": tiers}


def _of_tier(tier: TierTimeline, now: datetime) -> dict[str, Any]:
    levels = tier.levels
    return {
        "tier": tier.name,
        "title": tier.name or UNKNOWN_TIER,
        "facts": facts_of(tier),
        "capacity": tier.capacity,
        "runs": len(tier.runs),
        "lanes": tier.lanes,
        "bars": [_of_bar(bar, now) for bar in tier.bars],
        "levels": {"at": list(map(_ms, levels.moments)), "queued": levels.queued, "running": levels.running},
    }


def facts_of(tier: TierTimeline) -> str:
    """Say in words what the picture of a tier shows."""
    parts = [f"{len(tier.runs)} run{'' if len(tier.runs) == 1 else 's'}"]
    if tier.running_now or tier.queued_now:
        parts.append(f"now {tier.running_now} running and {tier.queued_now} queued")
    most = f"at most {tier.levels.most_running}"
    parts.append(f"{most} of {tier.capacity} ran at once" if tier.capacity else f"{most} ran at once")
    if tier.levels.most_queued:
        parts.append(f"at most {tier.levels.most_queued} queued")
    if tier.mean_wait is not None and tier.longest_wait is not None:
        parts.append(f"waited {words.duration(tier.mean_wait)} on average, {words.duration(tier.longest_wait)} at most")
    return ", ".join(parts)


def _of_bar(bar: Bar, now: datetime) -> dict[str, Any]:
    run = bar.run
    return {
        "lane": bar.lane,
        "queued": _span(bar.queued),
        "ran": _span(bar.ran),
        "outcome": run.outcome,
        "dag_id": run.launcher.dag_id,
        "task": words.task_title(run.launcher),
        "run": words.run_name(run),
        "said": said_of(run, now),
        "address": words.task_path(run.launcher),
        "url": run.url,
    }


def said_of(run: PastRun, now: datetime) -> str:
    """Say in words how a run went."""
    waited, ran, cost = run.queued_seconds(now), run.run_seconds(now), run.cost_cents(now)
    if run.outcome == "queued":
        return "queued" if waited is None else f"queued for {words.duration(waited)} so far"
    parts = [OUTCOME_WORDS[run.outcome]]
    if waited is not None:
        parts.append(f"queued {words.duration(waited)}")
    if ran is not None:
        parts.append(f"ran {words.duration(ran)}")
    if cost is not None:
        parts.append(f"cost {words.money(cost)}")
    return ", ".join(parts)


def of_costs(costs: Costs) -> dict[str, Any]:
    """Describe costs over time, in cents; the dearest groups one by one, the others together."""
    return {
        "step": costs.step,
        "steps": [step_name(step, costs) for step in costs.steps],
        "groups": [_of_group(group) for group in drawn_groups(costs)],
    }


def drawn_groups(costs: Costs) -> list[Spent]:
    """Return the groups as they are drawn: those beyond the first are one."""
    from airflow_domino.plugin.costs import Spent

    spent = [group for group in costs.groups if group.cents]
    if len(spent) <= MOST_COLOURS:
        return spent
    first, rest = spent[: MOST_COLOURS - 1], spent[MOST_COLOURS - 1 :]
    by_step = [sum(cents) for cents in zip(*(group.by_step for group in rest), strict=True)]
    return [*first, Spent(f"{len(rest)} others", cents=sum(group.cents for group in rest), by_step=by_step)]


def _of_group(group: Spent) -> dict[str, Any]:
    return {"name": group.name or "not known", "cents": [round(cents, 4) for cents in group.by_step]}


def step_name(moment: datetime, costs: Costs) -> str:
    """Say when a step begins, as briefly as it can be told from the others."""
    if costs.step == "hour":
        return moment.strftime("%b %d %H:%M")
    if costs.step == "month":
        return moment.strftime("%b %Y")
    return moment.strftime("%b %d" if costs.begin.year == costs.end.year else "%b %d %Y")


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _span(part: tuple[datetime, datetime] | None) -> Span | None:
    return None if part is None else (_ms(part[0]), _ms(part[1]))
