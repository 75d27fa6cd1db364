"""With a seed, ids depend on it and on their order alone, and none is given twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_domino.local import repository
from airflow_domino.local.ids import ObjectIds, is_object_id


def seeded(seed: int) -> ObjectIds:
    ids = ObjectIds()
    ids.seed(seed)
    return ids


def test_the_same_seed_gives_the_same_ids_and_another_one_others() -> None:
    first = [seeded(1).new() for _ in range(2)]
    ids = seeded(1)
    assert first[0] == first[1] == ids.new()
    assert ids.new() != first[0]
    assert seeded(2).new() != first[0]
    assert is_object_id(first[0])


def test_ids_sort_by_age() -> None:
    ids = seeded(1)
    made = [ids.new() for _ in range(300)]
    assert made == sorted(made)


def test_an_id_that_something_has_is_not_given_again() -> None:
    taken = seeded(1).new()
    ids = ObjectIds()
    ids.seed(1, lambda object_id: object_id == taken)
    assert ids.new() != taken


def test_without_a_seed_ids_are_by_chance_again() -> None:
    ids = seeded(1)
    first = ids.new()
    ids.seed(None)
    assert first != ids.new()


def test_the_commits_of_a_new_project_are_the_same_in_two_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads = []
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.txt").write_text("1")
    for name in ("one", "two"):
        monkeypatch.setattr(repository, "IDS", seeded(1))
        project = repository.ProjectRepository(tmp_path / f"{name}.git")
        project.import_folder(tmp_path / "files", "ada")
        heads.append(project.head())
    assert heads[0] == heads[1]
