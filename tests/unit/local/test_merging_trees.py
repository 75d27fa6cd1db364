"""Changes of one tree are carried over to another without a conflict."""

from __future__ import annotations

from pathlib import Path

import pygit2
import pytest

from airflow_domino.local.trees import Ignore, merge_trees, tree_at, walk, with_file

Files = dict[str, str]


@pytest.fixture
def repository(tmp_path: Path) -> pygit2.Repository:
    return pygit2.init_repository(str(tmp_path / "repository"), bare=True)


def make(repository: pygit2.Repository, files: Files) -> pygit2.Tree:
    tree = repository.TreeBuilder().write()
    for path, text in files.items():
        blob = repository.create_blob(text.encode())
        tree = with_file(repository, tree_at(repository, tree), path.split("/"), blob)
    return tree_at(repository, tree)


def read(repository: pygit2.Repository, tree: pygit2.Oid) -> Files:
    return {path: blob.data.decode() for path, blob in walk(tree_at(repository, tree))}


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "merged"),
    [
        pytest.param({"a": "1"}, {"a": "1"}, {"a": "2"}, {"a": "2"}, id="only theirs changed"),
        pytest.param({"a": "1"}, {"a": "2"}, {"a": "1"}, {"a": "2"}, id="only ours changed"),
        pytest.param({"a": "1"}, {"a": "2"}, {"a": "3"}, {"a": "3"}, id="both changed"),
        pytest.param({}, {"a": "2"}, {"a": "3"}, {"a": "3"}, id="both added"),
        pytest.param({}, {"a": "1"}, {"b": "2"}, {"a": "1", "b": "2"}, id="different files added"),
        pytest.param({"a": "1", "b": "1"}, {"a": "1", "b": "1"}, {"b": "1"}, {"b": "1"}, id="theirs removed"),
        pytest.param({"a": "1", "b": "1"}, {"b": "1"}, {"a": "1", "b": "1"}, {"b": "1"}, id="ours removed"),
        pytest.param({"a": "1"}, {"a": "2"}, {}, {"a": "2"}, id="theirs removed what ours changed"),
        pytest.param({"a": "1"}, {}, {"a": "2"}, {"a": "2"}, id="theirs changed what ours removed"),
        pytest.param({"a": "1"}, {"a": "1"}, {"a/b": "2"}, {"a/b": "2"}, id="file became a folder"),
        pytest.param({"a/b": "1"}, {"a/b": "1"}, {"a": "2"}, {"a": "2"}, id="folder became a file"),
        pytest.param({"a": "1"}, {"a": "3"}, {"a/b": "2"}, {"a/b": "2"}, id="a folder wins over a changed file"),
        pytest.param(
            {"d/x": "1", "d/y": "1"}, {"d/x": "1", "d/y": "2"}, {}, {"d/y": "2"}, id="folder removed, one file changed"
        ),
        pytest.param({"d/x": "1"}, {"d/x": "1"}, {}, {}, id="an emptied folder is gone"),
        pytest.param(
            {"d/e/x": "1"},
            {"d/e/x": "1", "d/e/y": "2"},
            {"d/e/x": "3"},
            {"d/e/x": "3", "d/e/y": "2"},
            id="deep in folders",
        ),
        pytest.param(
            {"d/a": "1", "d/b": "1", "d/e/c": "1"},
            {},
            {"d/a": "2", "d/b": "1", "d/e/c": "1"},
            {"d/a": "2"},
            id="theirs changed one file of a folder that ours removed",
        ),
    ],
)
def test_a_change_is_carried_over(repository, base: Files, ours: Files, theirs: Files, merged: Files):
    trees = [make(repository, files) for files in (base, ours, theirs)]
    assert read(repository, merge_trees(repository, *trees)) == merged


@pytest.mark.parametrize(
    ("pattern", "path", "is_covered"),
    [
        ("cache", "cache", True),
        ("cache/", "cache", True),
        ("/cache", "cache", True),
        ("cache", "other/cache", False),
        ("*.log", "a.log", True),
        ("*.log", "deep/a.log", True),
        ("data/*.csv", "data/a.csv", True),
        ("data/*.csv", "a.csv", False),
        ("# cache", "cache", False),
        ("", "anything", False),
        ("nothing", ".git", True),
        ("nothing", "sub/.git", True),
        ("nothing", ".gitignore", False),
    ],
)
def test_a_pattern_of_dominoignore_covers_a_path(pattern: str, path: str, is_covered: bool):
    assert Ignore.parse(pattern).covers(path) is is_covered
