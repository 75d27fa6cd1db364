"""What a run is asked to be: the choices of one start, and the command as Domino takes it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from airflow_domino.domino.errors import ConfigurationError

GIT_REF_TYPES = ("branches", "tags", "commitId", "head", "ref")
NO_COMMAND = "The command of a Domino run is empty; give a script or a program, such as 'train.py --epochs 3'"
ENVIRONMENT_REVISIONS = ("ActiveRevision", "LatestRevision", "RestrictedRevision")


@dataclass(frozen=True)
class GitRef:
    """Code of a git-based project to run: Domino's `mainRepoGitRef`.

    :param type: `branches`, `tags`, `commitId`, `head` or `ref`. Domino accepts other words (the singular `branch`)
        and the run fails later, so they are refused here.
    :param value: name of the branch or tag, or the commit's SHA; None for `head`.
    :raises ConfigurationError: when the type is none of these, or needs a value and has none.
    """

    type: str
    value: str | None = None

    def __post_init__(self) -> None:
        if self.type not in GIT_REF_TYPES:
            raise ConfigurationError(
                f"A git reference cannot be of type {self.type!r}: choose one of {', '.join(GIT_REF_TYPES)}"
            )
        if not self.value and self.type != "head":
            raise ConfigurationError(
                f"A git reference of type {self.type!r} needs a value; give it a name, such as ('branches', 'main')"
            )

    @classmethod
    def parse(cls, reference: str | Sequence[str | None] | Mapping[str, Any] | Self) -> Self:
        """Read a branch name, a pair `("tags", "v1")`, or Domino's `{"type": …, "value": …}`.

        :raises ConfigurationError: when it is none of these.
        """
        if isinstance(reference, cls):
            return reference
        if isinstance(reference, str):
            return cls("branches", reference)
        if isinstance(reference, Mapping):
            return cls(str(reference.get("type") or reference.get("refType")), reference.get("value"))
        if isinstance(reference, Sequence) and len(reference) in (1, 2):
            return cls(str(reference[0]), reference[1] if len(reference) == 2 else None)
        raise ConfigurationError(
            f"Not a git reference: {reference!r}; give a branch name or a pair like ('tags', 'v1')"
        )

    def to_body(self) -> dict[str, str]:
        """The v4 form (its key is `type`; the public API says `refType`)."""
        return {"type": self.type, "value": self.value} if self.value else {"type": self.type}


@dataclass(frozen=True)
class RunRequest:
    """The choices of one start (v4 `POST /jobs/start`); what is None is left to Domino's defaults.

    :param command: one command line; see :func:`command_line`.
    :param commit_id: commit of the project's files; None means the latest.
    :param git_ref: code to run in a git-based project; `commit_id` does not choose that.
    :param environment_revision: `ActiveRevision`, `LatestRevision`, `RestrictedRevision` or the id of a revision.
    :param compute_cluster: Domino's `computeClusterProperties`; tiers in it may be given as plain ids.
    :param external_volumes: ids of external volumes to mount.
    """

    project_id: str
    command: str
    title: str | None = None
    tier_id: str | None = None
    commit_id: str | None = None
    git_ref: GitRef | None = None
    environment_id: str | None = None
    environment_revision: str | None = None
    compute_cluster: Mapping[str, Any] | None = None
    external_volumes: Sequence[str] = ()

    def to_body(self) -> dict[str, Any]:
        """The JSON body of the start: only the fields that are set, since older releases refuse unknown ones.

        :raises ConfigurationError: when the command is empty.
        """
        if not self.command.strip():
            raise ConfigurationError(NO_COMMAND)
        choices = {
            "projectId": self.project_id,
            "commandToRun": self.command,
            "title": self.title,
            "commitId": self.commit_id,
            "mainRepoGitRef": self.git_ref.to_body() if self.git_ref else None,
            "overrideHardwareTierId": self.tier_id,
            "environmentId": self.environment_id,
            "environmentRevisionSpec": _revision(self.environment_revision),
            "computeClusterProperties": _cluster(self.compute_cluster),
            "externalVolumeMounts": list(self.external_volumes) or None,
        }
        return {name: value for name, value in choices.items() if value is not None}


def _revision(revision: str | None) -> str | dict[str, str] | None:
    return revision if revision is None or revision in ENVIRONMENT_REVISIONS else {"revisionId": revision}


def _cluster(properties: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not properties:
        return None
    body = dict(properties)
    for name in ("masterHardwareTierId", "workerHardwareTierId"):
        if isinstance(body.get(name), str):
            body[name] = {"value": body[name]}
    if isinstance(body.get("clusterType"), str) and body["clusterType"].lower() != "mpi":
        body["clusterType"] = body["clusterType"].capitalize()
    elif "clusterType" in body:
        body["clusterType"] = str(body["clusterType"]).upper()
    return body


def command_line(command: str | Sequence[str]) -> str:
    """Make the one string that Domino takes as a command.

    :param command: a command line, passed as it is, or a list of arguments, each quoted for a shell.
    :raises ConfigurationError: when there is nothing in it, or it holds a NUL character.
    """
    if isinstance(command, str):
        line = command.strip()
    else:
        arguments = [str(argument) for argument in command]
        if arguments and not arguments[0].strip():
            raise ConfigurationError(f"The first element of the command {arguments!r} is empty; begin with a program")
        line = shlex.join(arguments)
    if not line:
        raise ConfigurationError(NO_COMMAND)
    if "\0" in line:
        raise ConfigurationError(
            "The command of a Domino run holds a NUL character, which no command line can carry; leave it out"
        )
    return line
