# No postponed annotations here: FastAPI must be able to resolve those of the routes.
"""The graph of Luigi tasks of a DAG run: the state of each, and its targets; and the DAG runs that have one.

A page costs at most five statements in Airflow's database, however many tasks there are, and waits a quarter of a
second at most for answers about targets: those that come later are shown when the page is renewed.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import HTMLResponse

from airflow_domino.compat_server import SessionDep
from airflow_domino.plugin import html
from airflow_domino.plugin.guard import ReadableDags
from airflow_domino.plugin.luigi_store import DagRunFacts, find_run, read_graph, runs_with_luigi
from airflow_domino.plugin.luigi_targets import ANSWERS, eyes
from airflow_domino.plugin.luigi_values import STATES
from airflow_domino.plugin.luigi_view import ROWS, TARGETS_IN_ROW, Chosen, View

router = APIRouter()
LONGEST = 1_000

DagChoice = Annotated[str, Query(description="of this DAG", max_length=LONGEST)]
RunChoice = Annotated[str, Query(description="of this DAG run", max_length=LONGEST)]
Words = Annotated[str, Query(max_length=LONGEST)]


def choice(
    dag_id: DagChoice = "",
    run_id: RunChoice = "",
    task: Words = "",
    unfold: Annotated[list[str], Query(max_length=20)] = [],  # noqa: B006  FastAPI copies it
    state: Annotated[str, Query(pattern=f"^({'|'.join(STATES)})?$")] = "",
    family: Words = "",
    q: Words = "",
    start: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    tab: Words = "",
) -> Chosen:
    """What is asked for, as the address says it."""
    return Chosen(dag_id, run_id, task, tuple(dict.fromkeys(unfold)), state, family, q, start, tab == "1")


Choice = Annotated[Chosen, Depends(choice)]


@router.get("/luigi", response_class=HTMLResponse)
def page(request: Request, session: SessionDep, readable: ReadableDags, chosen: Choice) -> HTMLResponse:
    """The whole page, complete without JavaScript: the graph of a DAG run, or the DAG runs that have one."""
    if not chosen.run_id:
        runs = runs_with_luigi(session, readable & {chosen.dag_id} if chosen.dag_id else readable)
        return html.page(request, "luigi_runs.html", "Luigi", runs=runs, dag_id=chosen.dag_id)
    run = _dag_run(session, readable, chosen)
    return html.page(request, "luigi.html", "Luigi", live="luigi/graph", **_shown(session, run, chosen))


@router.get("/luigi/graph", response_class=HTMLResponse)
def live_part(session: SessionDep, readable: ReadableDags, chosen: Choice) -> HTMLResponse:
    """The part of the page that is asked for again and again while it is open."""
    return html.fragment("luigi_graph.html", **_shown(session, _dag_run(session, readable, chosen), chosen))


def _dag_run(session: SessionDep, readable: set[str], chosen: Chosen) -> DagRunFacts:
    if chosen.dag_id not in readable:
        raise HTTPException(403, f"You may not see the DAG {chosen.dag_id}; ask an administrator of Airflow for it")
    run = find_run(session, chosen.dag_id, chosen.run_id)
    if run is None:
        raise HTTPException(
            404, f"The DAG {chosen.dag_id} has no run {chosen.run_id}; it may have been deleted: choose another"
        )
    return run


def _shown(session: SessionDep, run: DagRunFacts, chosen: Chosen) -> dict[str, Any]:
    graph = read_graph(session, run.dag_id, run.run_id)
    view = View.of(graph, chosen, eyes.answers)
    words = {"states": STATES, "answers": ANSWERS, "rows_shown": ROWS, "targets_in_row": TARGETS_IN_ROW}
    return {"view": view, "run": run, "chosen": chosen, **words}
