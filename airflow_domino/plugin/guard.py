# No postponed annotations here: FastAPI must be able to resolve those of the dependencies.
"""Who may see and do what: Airflow's own answer, asked for on every route.

Airflow puts no authentication before a plugin's application. So :data:`EVERY_ROUTE` guards the application as a whole:
a route that is added later is guarded too. What belongs to a DAG is cut down to :data:`ReadableDags`; what changes
something is asked for one by one, with :func:`require_edit`, and only from this site's own pages.
"""

from collections.abc import Iterable
from typing import Annotated
from urllib.parse import urlsplit

from airflow.configuration import conf
from fastapi import Depends, HTTPException, Request

from airflow_domino.compat_server import DagAccessEntity, GetUserDep, get_auth_manager, get_user, requires_access_dag

EVERY_ROUTE = [
    Depends(get_user),
    *(Depends(requires_access_dag("GET", kind)) for kind in (DagAccessEntity.TASK_INSTANCE, DagAccessEntity.XCOM)),
]
"""What each request needs: to be signed in, and to be allowed to read task instances and XComs."""


def readable_dags(user: GetUserDep) -> set[str]:
    """Ids of the DAGs that Airflow's auth manager lets the caller read."""
    return get_auth_manager().get_authorized_dag_ids(user=user, method="GET")


ReadableDags = Annotated[set[str], Depends(readable_dags)]


def require_edit(request: Request, user: GetUserDep, dag_id: str) -> None:
    """Refuse a caller who may not change the task instances of a DAG.

    :raises HTTPException: 403, as Airflow's own clearing of a task instance would.
    """
    requires_access_dag("PUT", DagAccessEntity.TASK_INSTANCE, dag_id)(request, user)


def editable(request: Request, user: GetUserDep, dag_ids: Iterable[str]) -> set[str]:
    """Return those of the DAGs whose task instances the caller may change, so that others get no buttons.

    :param dag_ids: few, such as those of the rows that would have a button.
    """
    return {dag_id for dag_id in set(dag_ids) if _may_edit(request, user, dag_id)}


def _may_edit(request: Request, user: GetUserDep, dag_id: str) -> bool:
    try:
        require_edit(request, user, dag_id)
    except HTTPException:
        return False
    return True


def same_site(request: Request) -> None:
    """Refuse what another site makes a signed-in person's browser send.

    A browser says where a request comes from, in headers that no page can change; a program sends neither of them and
    carries its token itself. JSON is asked for too, which no plain form can send.

    :raises HTTPException: 403 for another site, 415 for another content type.
    """
    if not _comes_from_here(request):
        raise HTTPException(403, "This can only be done from Airflow's own pages; open the page Domino there")
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "Send JSON, with the content type application/json")


SameSite = Depends(same_site)


def _comes_from_here(request: Request) -> bool:
    relation = request.headers.get("sec-fetch-site")
    if relation is not None:
        return relation == "same-origin"
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc in set(_own_hosts(request))


def _own_hosts(request: Request) -> Iterable[str]:
    yield request.headers.get("host", "")
    if base_url := conf.get("api", "base_url", fallback=""):
        yield urlsplit(base_url).netloc
