"""What a project's files may be at most, and what became of the files that a run wrote."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_MOST_NAMED = 8


@dataclass(frozen=True)
class FileLimits:
    """What a project's files may be at most; the defaults are those of Domino's documents.

    :param largest: bytes of one file.
    :param most: number of files.
    """

    largest: int = 8 << 30
    most: int = 10_000

    def refusal(self, size: int) -> str | None:
        """Say why a file of a size is refused, if it is."""
        if size <= self.largest:
            return None
        return f"it has {_size(size)}, and a file of a project has at most {_size(self.largest)}"

    def problem(self, count: int, refused: list[str], most: int) -> str | None:
        """Say why a run's files cannot be saved as they are, if they cannot.

        :param count: how many files the project would have.
        :param refused: paths of the files that were left out.
        :param most: how many it may have, which is more than :attr:`most` where it had more before.
        """
        if count > most:
            return f"The project would have {count} files, and it may have {most}: the results are not on its main line"
        if refused:
            return f"{len(refused)} of the files could not be kept: {_listed(tuple(refused))}"
        return None


DEFAULT_LIMITS = FileLimits()


@dataclass(frozen=True)
class SavedResults:
    """What became of the files that a run wrote, changed or removed.

    :param commit: the commit that holds all of it: the run's own, or its input commit when it changed nothing; None
        when its files were not looked at.
    :param head: the commit by which the main line has it; None when it is kept beside the main line.
    :param overwritten: files that somebody else changed on the main line while the run executed, and the run too: the
        main line has the run's version now.
    :param other: the commit of the main line that has the other versions of those.
    :param spared: files that the run removed and the main line keeps, since somebody else changed them meanwhile.
    :param problem: why not everything could be saved, or not where it belongs; None when it could.
    :param is_changed: whether there is something of the run in its commit.
    """

    commit: str | None
    head: str | None = None
    overwritten: tuple[str, ...] = ()
    other: str | None = None
    spared: tuple[str, ...] = ()
    problem: str | None = None
    is_changed: bool = True

    def as_document(self, setting: str) -> dict[str, Any]:
        """Give what the run remembers of it.

        :param setting: the results setting of its project, ``main`` or ``isolated``.
        """
        return {
            "commitId": self.commit,
            "branch": setting,
            "mainCommitId": self.head,
            "overwritten": list(self.overwritten),
            "otherCommitId": self.other,
            "spared": list(self.spared),
            "problem": self.problem,
        }

    def sentences(self) -> list[str]:
        """Say where the results are, for the log of the run."""
        if self.commit is None or not self.is_changed:
            return [self.problem or "The run changed no files"]
        said = [f"Results are in commit {self.commit}"]
        if self.problem is not None:
            said.append(self.problem)
        if self.head is None:
            said.append("They stay beside the main line; a run has them when it starts from that commit")
        elif self.head != self.commit:
            said.append(f"The main line has them, with what others wrote meanwhile, since commit {self.head}")
        if self.overwritten:
            said.append(
                f"{_listed(self.overwritten)} changed on the main line too while the run executed: the main line now "
                f"has this run's version, and commit {self.other} the other one"
            )
        if self.spared:
            said.append(
                f"{_listed(self.spared)} changed on the main line while the run executed, and stays there although the "
                "run removed it"
            )
        return said


def _listed(paths: tuple[str, ...]) -> str:
    more = f" and {len(paths) - _MOST_NAMED} more" if len(paths) > _MOST_NAMED else ""
    return ", ".join(map(repr, paths[:_MOST_NAMED])) + more


def _size(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.4g} {unit}"
        count /= 1024
    return f"{count:.4g} GiB"
