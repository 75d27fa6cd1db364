"""The client's questions: which route, which fields, what it makes of the answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_domino.domino import (
    AmbiguousTierError,
    ConfigurationError,
    DominoClient,
    Environment,
    HardwareTier,
    NotFoundError,
    Project,
    RequestError,
    UnknownTierError,
)

FIND = "/v4/gateway/projects/findProjectByOwnerAndName"
PROJECT = Project("p1", "ada", "quick-start", default_tier_id="small-k8s")
Job = Callable[..., dict[str, Any]]


def tier(tier_id: str, name: str, **flags: bool) -> dict[str, Any]:
    return {"hardwareTier": {"id": tier_id, "name": name, "hwtFlags": flags, "centsPerMinute": 1.0}}


# ---- projects


def test_a_project_is_looked_up_by_owner_and_name_once(domino: Any, client: DominoClient, project_data: Any) -> None:
    domino.says(FIND, project_data)

    assert client.project("ada/quick-start") is client.project(" ada/quick-start/ ")
    assert [asked.query for asked in domino.asked] == [{"ownerName": "ada", "projectName": "quick-start"}]


@pytest.mark.parametrize("name", ["", "quick-start", "/quick-start", "ada/", "a/b/c"])
def test_a_project_without_an_owner_is_refused_before_asking(domino: Any, client: DominoClient, name: str) -> None:
    with pytest.raises(ConfigurationError, match="owner/name"):
        client.project(name)

    assert domino.asked == []


@pytest.mark.parametrize(("status", "body"), [(404, {"message": "x"}), (403, {"message": "x"}), (200, {}), (200, None)])
def test_missing_forbidden_and_without_an_id_all_mean_no_project_or_no_access(
    domino: Any, client: DominoClient, status: int, body: Any
) -> None:
    domino.says(FIND, body, status=status)

    with pytest.raises(NotFoundError, match="no project ada/nothing, or this user may not see it"):
        client.project("ada/nothing")


def test_a_project_that_could_not_be_looked_up_is_looked_up_again(
    domino: Any, client: DominoClient, answer: Any, project_data: Any
) -> None:
    domino.on("GET", FIND, [answer(status=404), answer(project_data)])
    with pytest.raises(NotFoundError):
        client.project("ada/quick-start")

    assert client.project("ada/quick-start").id == "p1"


def test_a_wrong_token_is_not_mistaken_for_a_missing_project(domino: Any, client: DominoClient) -> None:
    domino.says(FIND, {"message": "who?"}, status=401)

    with pytest.raises(RequestError, match="credentials"):
        client.project("ada/quick-start")


# ---- tiers and environments


@pytest.fixture
def tiers(domino: Any) -> None:
    """Two tiers of one name, one that is archived, and others."""
    domino.says(
        "/v4/projects/p1/hardwareTiers",
        [
            tier("small-k8s", "Small"),
            tier("gpu-1", "GPU"),
            tier("gpu-2", "GPU"),
            tier("Large", "small-k8s-old"),
            tier("big", "Large", isDefault=True),
            tier("old", "Old", isArchived=True),
        ],
    )


@pytest.mark.parametrize(
    ("wanted", "found"),
    [(None, "small-k8s"), ("gpu-2", "gpu-2"), ("Small", "small-k8s"), ("sMALL", "small-k8s"), ("Large", "Large")],
)
@pytest.mark.usefixtures("tiers")
def test_a_tier_is_chosen_by_id_then_by_name_then_by_name_in_any_case(
    client: DominoClient, wanted: str | None, found: str
) -> None:
    assert client.resolve_tier(PROJECT, wanted).id == found


@pytest.mark.usefixtures("tiers")
def test_an_unknown_tier_is_answered_with_the_tiers_there_are(client: DominoClient) -> None:
    with pytest.raises(UnknownTierError, match=r"no hardware tier 'Huge'.*Small \(id small-k8s\), GPU \(id gpu-1\)"):
        client.resolve_tier(PROJECT, "Huge")


@pytest.mark.usefixtures("tiers")
def test_an_archived_tier_cannot_be_chosen(client: DominoClient) -> None:
    with pytest.raises(UnknownTierError):
        client.resolve_tier(PROJECT, "old")


@pytest.mark.usefixtures("tiers")
def test_a_name_of_two_tiers_asks_for_the_id(client: DominoClient) -> None:
    with pytest.raises(AmbiguousTierError, match=r"give the id: GPU \(id gpu-1\), GPU \(id gpu-2\)"):
        client.resolve_tier(PROJECT, "gpu")


@pytest.mark.usefixtures("tiers")
def test_a_project_without_a_default_of_its_own_gets_the_deployments(client: DominoClient) -> None:
    assert client.resolve_tier(Project("p1", "ada", "x"), None).id == "big"


def test_no_default_at_all_asks_for_a_tier(domino: Any, client: DominoClient) -> None:
    domino.says("/v4/projects/p1/hardwareTiers", [tier("a", "A")])

    with pytest.raises(UnknownTierError, match="no default hardware tier"):
        client.resolve_tier(Project("p1", "ada", "x"), None)


def test_tiers_without_an_id_make_the_answer_unreadable_not_a_traceback(domino: Any, client: DominoClient) -> None:
    domino.says("/v4/projects/p1/hardwareTiers", [{"hardwareTier": {"name": "A"}}])

    with pytest.raises(Exception, match="cannot be read") as caught:
        client.tiers("p1")

    assert type(caught.value).__name__ == "DominoUnavailableError"


@pytest.fixture
def environments(domino: Any) -> None:
    """Two environments, of which the project has chosen the first."""
    domino.says(
        "/v4/projects/p1/useableEnvironments",
        {
            "currentlySelectedEnvironment": {"id": "e1", "name": "Standard"},
            "environments": [
                {"id": "e1", "name": "Standard", "archived": False, "activeRevisionId": "r1"},
                {"id": "e2", "name": "R", "archived": False},
                {"id": "e3", "name": "Old", "archived": True},
            ],
        },
    )


@pytest.mark.parametrize(("wanted", "found"), [(None, "e1"), ("e2", "e2"), ("standard", "e1")])
@pytest.mark.usefixtures("environments")
def test_an_environment_is_chosen_as_a_tier_is(client: DominoClient, wanted: str | None, found: str) -> None:
    assert client.resolve_environment(PROJECT, wanted).id == found


@pytest.mark.usefixtures("environments")
def test_an_unknown_environment_is_answered_with_those_there_are(client: DominoClient) -> None:
    with pytest.raises(NotFoundError, match=r"no compute environment 'Old'.*Standard \(id e1\), R \(id e2\)"):
        client.resolve_environment(PROJECT, "Old")


def test_a_chosen_environment_missing_from_the_list_is_still_the_default(domino: Any, client: DominoClient) -> None:
    domino.says(
        "/v4/projects/p1/useableEnvironments",
        {"currentlySelectedEnvironment": {"id": "e1", "name": "Standard"}, "environments": []},
    )

    assert client.resolve_environment(PROJECT, None) == Environment("e1", "Standard", is_default=True)


# ---- runs


def test_a_run_is_stopped_with_or_without_its_results(domino: Any, client: DominoClient, answer: Any, job: Job) -> None:
    domino.on("POST", "/v4/jobs/stop", answer(job(status="StopRequested")))

    client.stop_run("run1", project_id="p1")
    client.stop_run("run1", keep_results=False)

    assert [asked.json for asked in domino.asked] == [
        {"jobId": "run1", "commitResults": True, "projectId": "p1"},
        {"jobId": "run1", "commitResults": False},
    ]


def test_the_answer_to_a_stop_is_not_taken_for_its_end(
    domino: Any, client: DominoClient, answer: Any, job: Job
) -> None:
    domino.on("POST", "/v4/jobs/stop", answer(job(status="StopRequested")))

    assert not client.stop_run("run1").status.is_completed


def test_a_stop_is_asked_again_when_its_answer_is_lost(
    domino: Any, client: DominoClient, answer: Any, job: Job
) -> None:
    domino.on("POST", "/v4/jobs/stop", [answer(fault="reset"), answer(status=502), answer(job())])

    assert client.stop_run("run1").id == "run1"


@pytest.mark.parametrize("body", [None, {}, {"success": True}])
def test_a_stop_that_is_answered_without_a_run_asks_for_the_run(
    domino: Any, client: DominoClient, answer: Any, job: Job, body: Any
) -> None:
    domino.on("POST", "/v4/jobs/stop", answer(body))
    domino.says("/v4/jobs/run1", job(status="Stopping"))

    assert client.stop_run("run1").status.word == "Stopping"


def test_stopping_a_run_that_is_over_is_no_error(domino: Any, client: DominoClient, answer: Any, job: Job) -> None:
    domino.on("POST", "/v4/jobs/stop", answer({"message": "already over"}, 400))
    domino.says("/v4/jobs/run1", job(status="Succeeded"))

    assert client.stop_run("run1").status.succeeded


def test_a_stop_refused_for_a_run_that_goes_on_is_an_error(
    domino: Any, client: DominoClient, answer: Any, job: Job
) -> None:
    domino.on("POST", "/v4/jobs/stop", answer({"message": "not like this"}, 400))
    domino.says("/v4/jobs/run1", job())

    with pytest.raises(RequestError, match="not like this"):
        client.stop_run("run1")


def test_a_restart_is_sent_once_and_gives_a_new_run(domino: Any, client: DominoClient, answer: Any, job: Job) -> None:
    domino.on("POST", "/v4/jobs/restart", answer(job("run2")))

    assert client.restart_run("run1", same_commit=False).id == "run2"
    assert domino.asked[0].json == {"jobId": "run1", "shouldUseOriginalInputCommit": False}


def test_an_unknown_run_is_named(client: DominoClient) -> None:
    with pytest.raises(NotFoundError, match="no such run 5f"):
        client.run("5f")


def test_an_id_with_a_slash_stays_one_part_of_the_path(domino: Any, client: DominoClient) -> None:
    with pytest.raises(NotFoundError):
        client.run("../../version?x")

    assert domino.asked[0].path == "/v4/jobs/..%2F..%2Fversion%3Fx"


def serve_runs(
    domino: Any, answer: Any, jobs: list[dict[str, Any]], *, largest: int = 1000, total: bool = True
) -> None:
    def page(asked: Any) -> Any:
        size = min(int(asked.query["page_size"]), largest)
        begin = (int(asked.query["page_no"]) - 1) * size
        return answer({"jobs": jobs[begin : begin + size], **({"totalCount": len(jobs)} if total else {})})

    domino.on("GET", "/v4/jobs", page)


@pytest.mark.parametrize(("largest", "total"), [(1000, True), (3, True), (3, False), (1000, False)])
def test_all_pages_of_runs_are_read_even_when_the_server_makes_them_smaller(
    domino: Any, client: DominoClient, answer: Any, job: Job, largest: int, total: bool
) -> None:
    serve_runs(domino, answer, [job(f"r{number}") for number in range(10)], largest=largest, total=total)

    assert [run.id for run in client.runs("p1", page_size=5)] == [f"r{number}" for number in range(10)]


def test_runs_are_asked_for_newest_first_with_the_field_in_order_by_and_an_explicit_page(
    domino: Any, client: DominoClient, answer: Any, job: Job
) -> None:
    serve_runs(domino, answer, [job()])
    list(client.runs("p1", status="active"))

    query = domino.asked[0].query
    assert query.pop("show_archived") == "false"
    assert query == {
        "projectId": "p1",
        "status": "active",
        "order_by": "number",
        "sort_by": "desc",
        "page_no": "1",
        "page_size": "100",
    }


def test_no_more_pages_are_read_than_needed(domino: Any, client: DominoClient, answer: Any, job: Job) -> None:
    serve_runs(domino, answer, [job(f"r{number}") for number in range(10)])

    assert [run.id for run in client.runs("p1", limit=3, page_size=3)] == ["r0", "r1", "r2"]
    assert len(domino.asked) == 1


def test_a_server_that_ignores_the_page_number_does_not_keep_us_forever(
    domino: Any, client: DominoClient, answer: Any, job: Job
) -> None:
    domino.on("GET", "/v4/jobs", answer({"jobs": [job("r1"), job("r2")], "totalCount": 9}))

    assert [run.id for run in client.runs("p1")] == ["r1", "r2"]


def test_a_new_run_between_two_pages_makes_no_run_appear_twice(
    domino: Any, client: DominoClient, answer: Any, job: Job
) -> None:
    pages = [[job("r3"), job("r2")], [job("r2"), job("r1")], []]
    domino.on("GET", "/v4/jobs", [answer({"jobs": page}) for page in pages])

    assert [run.id for run in client.runs("p1", page_size=2)] == ["r3", "r2", "r1"]


def test_details_name_the_tier_that_the_job_itself_does_not(domino: Any, client: DominoClient) -> None:
    domino.says("/v4/jobs/run1/runtimeExecutionDetails", {"hardwareTier": {"id": "t", "name": "T"}})

    assert client.run_details("run1").tier_name == "T"


# ---- the deployment, links


def test_version_and_user_are_asked_for(domino: Any, client: DominoClient) -> None:
    domino.says("/version", {"version": "6.3.0", "buildId": "1"})
    domino.says("/v4/users/self", {"id": "u1", "userName": "ada"})

    assert (client.version().version, client.current_user().user_name) == ("6.3.0", "ada")


def test_links_lead_to_the_host_for_people(connect: Callable[..., DominoClient]) -> None:
    client = connect("http://nucleus:80", ui_host="https://domino.example.com/")
    project = Project("p1", "my org", "quick-start")

    assert client.run_url(project, "5f") == "https://domino.example.com/jobs/my%20org/quick-start/5f/logs?status=all"
    assert client.files_url(project, "abc") == "https://domino.example.com/u/my%20org/quick-start/browse?commitId=abc"


def test_a_client_is_a_context_manager(domino: Any, connect: Callable[..., DominoClient]) -> None:
    domino.says("/version", {"version": "1"})

    with connect() as client:
        assert client.version().version == "1"


def test_the_price_of_a_tier_is_in_the_list(domino: Any, client: DominoClient) -> None:
    domino.says("/v4/projects/p1/hardwareTiers", [tier("a", "A")])

    assert client.tiers("p1") == [HardwareTier("a", "A", cents_per_minute=1.0)]
