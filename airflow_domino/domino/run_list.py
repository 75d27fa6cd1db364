"""The list of a project's runs, page by page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from airflow_domino.domino.lenient import many
from airflow_domino.domino.models import Run
from airflow_domino.domino.transport import Transport


def runs(
    transport: Transport,
    project_id: str,
    status: str,
    page_size: int,
    include_archived: bool,
    known: Mapping[str, Run],
) -> Iterator[Run]:
    """Fetch the runs of a project, newest first, as they are asked for; see ``DominoClient.runs``.

    A run that begins meanwhile moves the others on to the next page: none is given twice.
    """
    read = partial(_read_page, known=known)
    seen: set[str] = set()
    number = 1
    while True:
        query: dict[str, str | int] = {
            "projectId": project_id,
            "status": status,
            "order_by": "number",
            "sort_by": "desc",
            "page_no": number,
            "page_size": page_size,
            "show_archived": "true" if include_archived else "false",
        }
        page, total = transport.get("/v4/jobs", read, params=query, subject=f"project {project_id}")
        fresh = [run for run in page if run.id not in seen]
        seen.update(run.id for run in fresh)
        yield from fresh
        if not fresh or (total is not None and len(seen) >= total):
            return
        number += 1


def _read_page(data: Any, known: Mapping[str, Run]) -> tuple[list[Run], int | None]:
    if not isinstance(data, Mapping):
        raise ValueError("a list of runs was due")
    total, read = data.get("totalCount"), partial(Run.from_api_again, known=known)
    return many(read)(data.get("jobs") or []), total if isinstance(total, int) else None
