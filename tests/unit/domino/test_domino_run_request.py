"""The body of a start, and the command as one line."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from airflow_domino.domino import ConfigurationError, GitRef, RunRequest, command_line


def test_only_what_is_set_is_sent() -> None:
    assert RunRequest("p", "train.py").to_body() == {"projectId": "p", "commandToRun": "train.py"}


def test_every_choice_has_its_v4_name() -> None:
    request = RunRequest(
        "p",
        "train.py",
        title="t",
        tier_id="small-k8s",
        commit_id="c",
        git_ref=GitRef("branches", "main"),
        environment_id="e",
        environment_revision="LatestRevision",
        external_volumes=("v1",),
    )

    assert request.to_body() == {
        "projectId": "p",
        "commandToRun": "train.py",
        "title": "t",
        "overrideHardwareTierId": "small-k8s",
        "commitId": "c",
        "mainRepoGitRef": {"type": "branches", "value": "main"},
        "environmentId": "e",
        "environmentRevisionSpec": "LatestRevision",
        "externalVolumeMounts": ["v1"],
    }


def test_the_id_of_an_environment_revision_is_sent_as_an_object() -> None:
    body = RunRequest("p", "x", environment_revision="5f00").to_body()

    assert body["environmentRevisionSpec"] == {"revisionId": "5f00"}


def test_plain_tiers_in_a_cluster_are_wrapped_and_its_type_is_spelt_as_v4_does() -> None:
    cluster = {
        "clusterType": "spark",
        "computeEnvironmentId": "e",
        "masterHardwareTierId": "small",
        "workerHardwareTierId": {"value": "large"},
        "workerCount": 2,
    }

    body = RunRequest("p", "x", compute_cluster=cluster).to_body()["computeClusterProperties"]

    assert body["clusterType"] == "Spark"
    assert body["masterHardwareTierId"] == {"value": "small"}
    assert body["workerHardwareTierId"] == {"value": "large"}
    assert cluster["masterHardwareTierId"] == "small"


def test_mpi_stays_in_capitals() -> None:
    body = RunRequest("p", "x", compute_cluster={"clusterType": "mpi"}).to_body()

    assert body["computeClusterProperties"]["clusterType"] == "MPI"


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("main", GitRef("branches", "main")),
        (("tags", "v1"), GitRef("tags", "v1")),
        (["head"], GitRef("head")),
        ({"type": "commitId", "value": "abc"}, GitRef("commitId", "abc")),
        ({"refType": "branches", "value": "x"}, GitRef("branches", "x")),
        (GitRef("head"), GitRef("head")),
    ],
)
def test_git_references_are_read_in_every_form(reference: Any, expected: GitRef) -> None:
    assert GitRef.parse(reference) == expected


@pytest.mark.parametrize(
    "reference", [("branch", "main"), ("tag", "v1"), ("branches", None), (), ("a", "b", "c"), {}, ""]
)
def test_a_git_reference_that_would_only_fail_in_the_run_is_refused_here(reference: Any) -> None:
    with pytest.raises(ConfigurationError, match="git reference"):
        GitRef.parse(reference)


def test_the_head_needs_no_value_in_the_body() -> None:
    assert GitRef("head").to_body() == {"type": "head"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["train.py", "--name", "two words"],
        ["train.py", 'it\'s "quoted"'],
        ["träin.py", "naïve", "日本"],
        ["train.py", "line\nbreak", "$HOME", "`id`", "a;b", ""],
    ],
)
def test_a_list_becomes_one_line_that_a_shell_takes_apart_again(arguments: list[str]) -> None:
    assert shlex.split(command_line(arguments)) == arguments


def test_a_string_stays_as_it_is() -> None:
    assert command_line("  python train.py --x 'a b' && echo ü\n") == "python train.py --x 'a b' && echo ü"


@pytest.mark.parametrize("command", ["", "  \n", [], [""], ["  ", "x"]])
def test_an_empty_command_is_refused(command: Any) -> None:
    with pytest.raises(ConfigurationError, match="empty"):
        command_line(command)


def test_a_command_with_a_nul_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="NUL"):
        command_line("echo \0")


def test_a_request_with_an_empty_command_is_never_sent() -> None:
    with pytest.raises(ConfigurationError, match="empty"):
        RunRequest("p", " ").to_body()
