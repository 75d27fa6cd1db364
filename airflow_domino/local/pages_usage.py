"""The pages of the deployment as a whole: how its hardware tiers are used, and what the projects cost."""

from collections.abc import Iterable

from fastapi import APIRouter, Query, Response

from airflow_domino.local.charts import HEIGHT, WIDTH, tier_chart
from airflow_domino.local.clock import now_ms
from airflow_domino.local.memberships import Permission
from airflow_domino.local.page_templates import LONGEST_REFRESH, Pages
from airflow_domino.local.parameters import check_choice
from airflow_domino.local.platform import Platform
from airflow_domino.local.tiers import Tier
from airflow_domino.local.usage import Spending, TierUse, earliest_submission, spending, use_of_tiers

_COLUMNS = 320
_TICKS = 6
_HOUR = 3_600_000
# What a page can show, by its name; None is everything there is.
SPANS: dict[str, int | None] = {
    "15 minutes": _HOUR // 4,
    "hour": _HOUR,
    "6 hours": 6 * _HOUR,
    "day": 24 * _HOUR,
    "week": 7 * 24 * _HOUR,
    "everything": None,
}


def add_to(routes: APIRouter, pages: Pages) -> None:
    """Add the pages of use and cost.

    :param routes: what they are added to.
    :param pages: what they are made with.
    """
    platform = pages.platform

    @routes.get("/timeline")
    def timeline(span: str = "hour", refresh: int = Query(0, ge=0, le=LONGEST_REFRESH)) -> Response:
        check_choice("span", span, tuple(SPANS))
        end = now_ms()
        begin = _begin(platform, span, end)
        used = use_of_tiers(platform.database, begin, end, _COLUMNS)
        return pages.render(
            "timeline.html",
            span=span,
            refresh=refresh,
            spans=list(SPANS),
            tiers=[_drawn(tier, used.get(tier.id)) for tier in _shown_tiers(platform, used)],
            ticks=[begin + (end - begin) * index // (_TICKS - 1) for index in range(_TICKS)],
            width=WIDTH,
            height=HEIGHT,
        )

    @routes.get("/costs")
    def costs(span: str = "everything") -> Response:
        check_choice("span", span, tuple(SPANS))
        prices = {tier.id: tier.cents_per_minute for tier in platform.tiers}
        names = {project.id: project.full_name for project in platform.rights.visible(Permission.VIEW_RUNS)}
        known = spending(platform.database, _begin(platform, span, now_ms()), prices)
        spent = {key: one for key, one in known.items() if key[0] in names or platform.rights.is_admin}
        tiers = {tier.id: tier for tier in _shown_tiers(platform, {tier_id for _, tier_id in spent})}
        rows: dict[str, list[tuple[Tier, Spending]]] = {}
        for (project_id, tier_id), one in spent.items():
            rows.setdefault(names.get(project_id, project_id), []).append((tiers[tier_id], one))
        return pages.render(
            "costs.html",
            span=span,
            spans=list(SPANS),
            projects=[
                (name, sorted(entries, key=lambda entry: -entry[1].cents), _total(one for _, one in entries))
                for name, entries in sorted(rows.items())
            ],
            tiers=[
                (tier, _total(one for (_, tier_id), one in spent.items() if tier_id == tier.id))
                for tier in tiers.values()
            ],
            total=_total(spent.values()),
        )


def _begin(platform: Platform, span: str, end: int) -> int:
    length = SPANS[span]
    if length is not None:
        return end - length
    # Never so short that nothing could be seen in it.
    return min(earliest_submission(platform.database) or end, end - 60_000)


def _shown_tiers(platform: Platform, used: Iterable[str]) -> list[Tier]:
    """List the tiers that can be started on, then those that are only remembered by runs."""
    known = {tier.id: tier for tier in platform.tiers}
    gone = [Tier(tier_id, tier_id, 0, 0, 0, 0, is_archived=True) for tier_id in sorted(set(used) - set(known))]
    named = set(used)
    return [tier for tier in known.values() if not tier.is_archived or tier.id in named] + gone


def _drawn(tier: Tier, use: TierUse | None) -> dict[str, object]:
    found = use or TierUse([0] * _COLUMNS, [0] * _COLUMNS, [])
    return {"tier": tier, "use": found, "chart": tier_chart(found.executing, found.queued, tier.capacity)}


def _total(parts: Iterable[Spending]) -> Spending:
    return sum(parts, start=Spending())
