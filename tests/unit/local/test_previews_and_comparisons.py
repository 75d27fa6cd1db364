"""What a page shows of a file, and of the difference between two commits."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from airflow_domino.local.changes import MOST_LINES
from airflow_domino.local.previews import LARGEST_TEXT, MOST_ROWS, preview
from airflow_domino.local.repository import ProjectRepository


def shown(path: str, content: bytes, *, plain: bool = False):
    return preview(path, len(content), iter([content[:7], content[7:]]), plain=plain)


def test_a_table_is_shown_with_its_cells_unless_its_text_is_wanted() -> None:
    content = b'name,"a ""quoted"" one"\n1,"two\nlines"\n'
    assert shown("t.csv", content).rows == [["name", 'a "quoted" one'], ["1", "two\nlines"]]
    assert shown("t.csv", content, plain=True).text == content.decode()


def test_a_long_table_is_cut_with_a_note() -> None:
    found = shown("t.tsv", b"a\tb\n" * (MOST_ROWS + 100))
    assert len(found.rows) == MOST_ROWS + 1
    assert f"first {MOST_ROWS} rows" in found.note


def test_json_is_indented_where_it_can_be_read() -> None:
    assert shown("a.json", b'{"a":[1]}').text == '{\n  "a": [\n    1\n  ]\n}'
    assert shown("a.json", b'{"a":').text == '{"a":'
    assert shown("a.json", b"[" * 100_000).kind == "text"


def test_the_beginning_of_a_large_text_is_shown_and_cut_between_characters() -> None:
    found = shown("log.txt", "aé".encode() * LARGEST_TEXT)
    assert set(found.text) == {"a", "é"}
    assert "first 512 KiB" in found.note


def test_the_names_in_an_archive_are_listed() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("model/weights.bin", b"12345")
    assert shown("m.zip", file.getvalue()).rows == [["model/weights.bin", "5"]]


@pytest.mark.parametrize(
    ("path", "content", "kind"),
    [
        ("x.png", b"any", "image"),
        (".png", b"any", "image"),
        ("x.svg", b"<svg/>", "text"),
        ("x.csv", b"a\0b", "none"),
        ("x.bin", b"\0", "none"),
        ("x", b"\xff", "none"),
        ("broken.zip", b"PK", "none"),
    ],
)
def test_other_files_are_an_image_a_text_or_nothing_to_be_shown(path: str, content: bytes, kind: str) -> None:
    assert shown(path, content).kind == kind


@pytest.fixture
def repository(tmp_path: Path) -> ProjectRepository:
    return ProjectRepository(tmp_path / "project.git")


def put(repository: ProjectRepository, tmp_path: Path, **files: bytes) -> str:
    for name, content in files.items():
        (tmp_path / "content").write_bytes(content)
        repository.put_file(f"{name}.txt", tmp_path / "content", "domino")
    return repository.head()


def test_changed_files_are_compared_line_by_line(repository: ProjectRepository, tmp_path: Path) -> None:
    old = put(repository, tmp_path, same=b"same\n", changed=b"one\ntwo\n")
    new = put(repository, tmp_path, changed=b"one\n2\n", new=b"<b>\n", binary=b"\0")
    assert [(change.path, change.kind) for change in repository.changes(old, new)] == [
        ("binary.txt", "added"),
        ("changed.txt", "changed"),
        ("new.txt", "added"),
    ]
    binary, changed, added = repository.comparisons(old, new)
    assert binary.note == "The file is binary."
    assert changed.lines[1:] == [("same", "one"), ("removed", "two"), ("added", "2")]
    assert added.lines[1:] == [("added", "<b>")]
    (back,) = repository.comparisons(new, old, "new.txt")
    assert (back.change.kind, back.lines[1:]) == ("removed", [("removed", "<b>")])


def test_a_long_comparison_ends_with_a_note(repository: ProjectRepository, tmp_path: Path) -> None:
    old = repository.head()
    new = put(repository, tmp_path, a=b"x\n" * (MOST_LINES + 10), b=b"y\n", c=b"z" * (1 << 20))
    first, second, large = repository.comparisons(old, new)
    assert len(first.lines) == MOST_LINES
    assert "its end is not shown" in first.note
    assert second.lines == large.lines == []
    assert second.note
    assert large.note


def test_the_results_of_a_run_are_compared_with_what_they_were_made_from(
    repository: ProjectRepository, tmp_path: Path
) -> None:
    first = repository.head()
    second = put(repository, tmp_path, a=b"a")
    assert repository.parent(second) == first
    assert repository.parent(first) is None
