"""DominoRunOperator that keeps its worker slot: launch, wait, tell."""

from __future__ import annotations

import pytest

from airflow_domino.compat import AirflowFailException
from airflow_domino.domino.errors import DominoUnavailableError, RunFailedError, RunPlatformError, RunStoppedError
from airflow_domino.operators.domino import DominoRunOperator

pytestmark = pytest.mark.usefixtures("domino_connection")


@pytest.fixture
def make():
    def build(**arguments):
        arguments = {"command": "main.py --fast", "tier": "X-Large", "deferrable": False} | arguments
        return DominoRunOperator(task_id="forest", poll_interval=0.1, **arguments)

    return build


def test_a_run_is_launched_on_the_tier_asked_for_and_told_of_in_full(make, fake_domino, task_context):
    context = task_context()
    result = make().execute(context)
    assert fake_domino.starts[0]["overrideHardwareTierId"] == "xlarge-k8s"
    assert fake_domino.starts[0]["commandToRun"] == "main.py --fast"
    run_id = fake_domino.last["id"]
    assert result == {
        "run_id": run_id,
        "number": 1,
        "status": "Succeeded",
        "url": f"{fake_domino.url}/jobs/domino/quick-start/{run_id}/logs?status=all",
        "project": "domino/quick-start",
        "tier": "X-Large",
        "tier_id": "xlarge-k8s",
        "title": fake_domino.last["title"],
        "input_commit": "a" * 40,
        "output_commit": "a" * 40,
        "queued_seconds": 2.0,
        "run_seconds": 30.0,
        "cost_cents": 6.0,
        "stats": {},
        "outputs": {},
    }
    assert context["ti"].xcoms["run_id"] == run_id
    assert context["ti"].xcoms["output_commit"] == result["output_commit"]
    assert context["ti"].xcoms["domino_run_link"] == result["url"]


def test_the_title_stays_readable_and_ends_with_the_mark(make, fake_domino, task_context):
    make(title="Train the forest").execute(task_context())
    assert fake_domino.last["title"].startswith("Train the forest [airflow ")


def test_a_list_is_quoted_so_that_each_element_stays_one_argument(make, fake_domino, task_context):
    make(command=["main.py", "a b", "it's", "naïve", "$(rm -rf /)"]).execute(task_context())
    assert fake_domino.starts[0]["commandToRun"] == """main.py 'a b' 'it'"'"'s' 'naïve' '$(rm -rf /)'"""


def test_the_runs_log_lines_appear_in_the_tasks_log(make, fake_domino, task_context, capsys):
    make().execute(task_context())
    printed = capsys.readouterr().out
    assert "line 1 of run 1" in printed
    assert "Domino run 1: Succeeded, tier X-Large, queued 2 s, ran 30 s, cost 6.00 cents" in printed


@pytest.mark.parametrize(
    ("status", "kind"), [("Failed", RunFailedError), ("Error", RunPlatformError), ("Stopped", RunStoppedError)]
)
def test_each_bad_end_is_an_exception_of_its_own(make, fake_domino, task_context, status, kind):
    fake_domino.on_start = lambda domino, run_id: domino.end(run_id, status, reason="NodeLost")
    with pytest.raises(kind) as failure:
        make().execute(task_context())
    text = str(failure.value)
    assert f"status {status}" in text
    assert "NodeLost: see its log" in text
    assert "/jobs/domino/quick-start/" in text
    assert "line 2 of run 1" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"tier": "Huge"}, ["Huge", "Small", "X-Large"]),
        ({"tier": "GPU"}, ["GPU", "gpu-1", "gpu-2"]),
        ({"project": "domino/nowhere"}, ["domino/nowhere"]),
        ({"project": "nonsense"}, ["owner/name"]),
        ({"environment": "Cobol"}, ["Cobol", "Standard"]),
        ({"commit_id": "b" * 40}, ["b" * 40, "domino/quick-start"]),
        ({"commit_id": "abc"}, ["abc", "40 hexadecimal digits"]),
        ({"branch": "main"}, ["not git-based"]),
        ({"command": "  "}, ["command", "empty"]),
        ({"command": []}, ["command", "empty"]),
        ({"outputs": ["../../etc/passwd"], "output_dir": "/tmp"}, ["../../etc/passwd"]),
        ({"outputs": ["model.zip"]}, ["model.zip", "output_dir"]),
        ({"inputs": {"a.csv": "/nowhere/a.csv"}}, ["a.csv", "/nowhere/a.csv"]),
        ({"compute_cluster": "Spark"}, ["compute_cluster", "Spark", "tojson"]),
        ({"compute_cluster": "[1]"}, ["compute_cluster", "[1]"]),
        ({"external_volumes": "['vol-1']"}, ["external_volumes", "vol-1"]),
        ({"external_volumes": [1]}, ["external_volumes", "[1]"]),
        ({"external_volumes": {"id": "vol-1"}}, ["external_volumes", "vol-1"]),
        ({"inputs": {"a.csv": "/nowhere/a.csv"}, "commit_id": "a" * 40}, ["inputs", "commit_id"]),
    ],
)
def test_a_wrong_request_fails_at_once_with_what_to_change_and_starts_nothing(
    make, fake_domino, task_context, arguments, words
):
    with pytest.raises(AirflowFailException) as failure:
        make(**arguments).execute(task_context())
    assert [word for word in words if word not in str(failure.value)] == []
    assert fake_domino.starts == []


def test_a_wrong_token_fails_at_once_and_is_not_shown(make, fake_domino, task_context, domino_connection):
    domino_connection(password="wrong-secret-1")
    with pytest.raises(AirflowFailException) as failure:
        make().execute(task_context())
    assert "wrong-secret-1" not in str(failure.value)


def test_an_unreachable_domino_is_a_failure_that_retries_may_cure(make, task_context, domino_connection, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    domino_connection(host="http://127.0.0.1:1")
    with pytest.raises(DominoUnavailableError):
        make().execute(task_context())


def test_empty_form_fields_mean_the_defaults(make, fake_domino, task_context):
    make(tier="", commit_id="None", project="", environment="").execute(task_context())
    assert fake_domino.starts[0]["overrideHardwareTierId"] == "small-k8s"
    assert "commitId" not in fake_domino.starts[0]


@pytest.mark.parametrize("text", ["", "None"])
def test_an_empty_cluster_and_no_volumes_mean_none(make, fake_domino, task_context, text):
    make(compute_cluster=text, external_volumes=text).execute(task_context())
    assert not {"computeClusterProperties", "externalVolumeMountIds", "externalVolumeMounts"} & set(
        fake_domino.starts[0]
    )


@pytest.mark.parametrize(
    ("volumes", "ids"), [("vol-1", ["vol-1"]), ('["vol-1", "vol-2"]', ["vol-1", "vol-2"]), (("vol-1",), ["vol-1"])]
)
def test_volumes_may_be_given_as_text(make, fake_domino, task_context, volumes, ids):
    make(external_volumes=volumes, compute_cluster='{"clusterType": "Ray"}').execute(task_context())
    assert ids in fake_domino.starts[0].values()
    assert {"clusterType": "Ray"} in fake_domino.starts[0].values()


@pytest.mark.parametrize("seconds", [0, -1])
def test_a_poll_interval_that_is_none_is_refused_where_the_dag_is_written(seconds):
    with pytest.raises(ValueError, match="poll_interval"):
        DominoRunOperator(task_id="forest", command="main.py", poll_interval=seconds)


def test_a_commit_id_is_the_commit_that_the_run_begins_with(make, fake_domino, task_context):
    fake_domino.commit({"main.py": b"print(2)\n"})
    result = make(commit_id="a" * 40).execute(task_context())
    assert result["input_commit"] == "a" * 40


def test_a_branch_of_a_git_based_project_is_passed_on(make, fake_domino, task_context):
    fake_domino.is_git_based = True
    make(branch="main").execute(task_context())
    assert fake_domino.starts[0]["mainRepoGitRef"] == {"type": "branches", "value": "main"}


def test_a_branch_cannot_be_combined_with_a_commit(make, fake_domino, task_context):
    fake_domino.is_git_based = True
    with pytest.raises(AirflowFailException, match="git_ref with commit_id"):
        make(branch="main", commit_id="a" * 40).execute(task_context())
