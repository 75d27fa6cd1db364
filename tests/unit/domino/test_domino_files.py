"""Files: whole or not at all, never outside the folder, and under their real names."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

from airflow_domino.domino import (
    Commit,
    DominoClient,
    DominoUnavailableError,
    NotFoundError,
    PermissionDeniedError,
    Project,
    ProjectFile,
    RequestError,
    UnsafePathError,
    safe_join,
)
from airflow_domino.domino.files import _check_length

PROJECT = Project("p1", "ada", "quick-start")
V1 = "/v1/projects/ada/quick-start"
COMMIT = "c0ffee"
STRANGE_NAMES = [
    "models/my model.zip",
    "däta/日本.csv",
    "what?.txt",
    "a#b.txt",
    "100%.txt",
    "50%20off.txt",
    "a+b&c=d.txt",
]


def content_route(encoded: str) -> str:
    return f"/api/projects/v1/projects/p1/files/{COMMIT}/{encoded}/content"


@pytest.fixture
def listed(domino: Any) -> None:
    """Three files at the commit."""
    names = ["README.md", "models/forest.zip", "models/net.zip"]
    domino.says(f"{V1}/files/{COMMIT}/", {"data": [{"path": name, "size": 1, "key": "k"} for name in names]})


# ---- commits and listings


def test_commits_are_bare_ids_newest_first(domino: Any, client: DominoClient) -> None:
    domino.says(f"{V1}/commits", ["new", "old"])

    assert client.commits(PROJECT) == [Commit("new"), Commit("old")]
    assert client.head_commit(PROJECT) == "new"


def test_commits_may_also_be_objects(domino: Any, client: DominoClient) -> None:
    domino.says(f"{V1}/commits", [{"id": "new"}])

    assert client.head_commit(PROJECT) == "new"


def test_commits_with_times_come_from_v4_or_without_them_from_v1(domino: Any, client: DominoClient) -> None:
    domino.says(f"{V1}/commits", ["new"])
    without = client.dated_commits(PROJECT)
    domino.says("/v4/projects/p1/commits", [{"id": "new", "name": "n", "commitTime": 1_700_000_000_000}])

    assert without == [Commit("new")]
    assert client.dated_commits(PROJECT) == [Commit("new", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC))]


def test_a_project_without_commits_says_so(domino: Any, client: DominoClient) -> None:
    domino.says(f"{V1}/commits", [])

    with pytest.raises(NotFoundError, match="no commits yet"):
        client.head_commit(PROJECT)


@pytest.mark.usefixtures("listed")
def test_files_are_listed_without_leading_slashes(client: DominoClient) -> None:
    assert [file.path for file in client.files(PROJECT, COMMIT)] == ["README.md", "models/forest.zip", "models/net.zip"]


def test_folders_in_a_listing_are_gone_into(domino: Any, client: DominoClient) -> None:
    domino.says(f"{V1}/files/{COMMIT}/", {"data": [{"path": "/a b/", "size": 0}, {"path": "/top", "size": 1}]})
    domino.says(
        f"{V1}/files/{COMMIT}/a%20b",
        {"data": [{"path": "a b/", "size": 0}, {"path": "a b/deep", "size": 2, "key": "k"}]},
    )

    assert {file.path for file in client.files(PROJECT, COMMIT)} == {"top", "a b/deep"}


def test_an_unknown_commit_is_named(client: DominoClient) -> None:
    with pytest.raises(NotFoundError, match="commit c0ffee of the project ada/quick-start"):
        client.files(PROJECT, COMMIT)


# ---- downloads


@pytest.mark.parametrize("name", STRANGE_NAMES)
def test_a_file_of_any_name_comes_whole(
    domino: Any, client: DominoClient, answer: Any, tmp_path: Path, name: str
) -> None:
    data = os.urandom(600_000)
    domino.on("GET", content_route(quote(name, safe="")), answer(data))

    size = client.download_file(PROJECT, COMMIT, name, tmp_path / "deep" / "file")

    assert size == len(data)
    assert (tmp_path / "deep" / "file").read_bytes() == data


@pytest.mark.parametrize("name", ["/models/forest.zip", "./models/forest.zip", "models//forest.zip"])
def test_a_name_is_brought_into_dominos_form(
    domino: Any, client: DominoClient, answer: Any, tmp_path: Path, name: str
) -> None:
    domino.on("GET", content_route("models%2Fforest.zip"), answer(b"zip"))

    assert client.download_file(PROJECT, COMMIT, name, tmp_path / "file") == 3


def test_an_empty_file_comes_too(domino: Any, client: DominoClient, answer: Any, tmp_path: Path) -> None:
    domino.on("GET", content_route("empty"), answer(b""))

    assert client.download_file(PROJECT, COMMIT, "empty", tmp_path / "file") == 0
    assert (tmp_path / "file").exists()


def test_a_download_replaces_an_older_file_and_leaves_nothing_beside_it(
    domino: Any, client: DominoClient, answer: Any, tmp_path: Path
) -> None:
    domino.on("GET", content_route("a"), answer(b"new"))
    (tmp_path / "file").write_text("old")
    client.download_file(PROJECT, COMMIT, "a", tmp_path / "file")

    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "new"


def test_a_file_that_comes_cut_off_is_fetched_again(
    domino: Any, client: DominoClient, answer: Any, tmp_path: Path
) -> None:
    domino.on("GET", content_route("a"), [answer(b"x" * 999, fault="half"), answer(b"x" * 999)])

    assert client.download_file(PROJECT, COMMIT, "a", tmp_path / "file") == 999


def test_a_file_that_stays_cut_off_leaves_the_older_one_and_no_half_one(
    domino: Any, client: DominoClient, answer: Any, tmp_path: Path
) -> None:
    domino.on("GET", content_route("a"), answer(b"x" * 999_999, fault="half"))
    (tmp_path / "file").write_text("old")

    with pytest.raises(DominoUnavailableError):
        client.download_file(PROJECT, COMMIT, "a", tmp_path / "file")

    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "old"


def test_a_length_that_was_promised_is_checked_whatever_the_http_library_does() -> None:
    response = requests.Response()
    response.headers["Content-Length"] = "4"

    _check_length(response, 4, "data.csv")
    with pytest.raises(DominoUnavailableError, match="cut off: 3 of 4 bytes"):
        _check_length(response, 3, "data.csv")
    response.headers["Content-Encoding"] = "gzip"
    _check_length(response, 3, "data.csv")


def test_a_disk_that_refuses_leaves_no_half_file(
    domino: Any, client: DominoClient, answer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("airflow_domino.domino.files.os.fsync", full)
    domino.on("GET", content_route("a"), answer(b"x"))

    with pytest.raises(OSError, match="No space left"):
        client.download_file(PROJECT, COMMIT, "a", tmp_path / "file")

    assert list(tmp_path.iterdir()) == []


def test_a_downloaded_file_has_the_permissions_of_any_new_file(
    domino: Any, client: DominoClient, answer: Any, tmp_path: Path
) -> None:
    domino.on("GET", content_route("a"), answer(b"x"))
    client.download_file(PROJECT, COMMIT, "a", tmp_path / "file")
    (tmp_path / "ordinary").write_text("x")

    assert (tmp_path / "file").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


@pytest.mark.usefixtures("listed")
def test_a_missing_file_is_named_with_its_commit_and_names_like_it(client: DominoClient, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no file 'models/forrest.zip' at commit c0ffee.*'models/forest.zip'"):
        client.download_file(PROJECT, COMMIT, "models/forrest.zip", tmp_path / "file")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("listed")
def test_a_file_in_another_folder_is_suggested(client: DominoClient, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"near names: 'models/net\.zip'"):
        client.download_file(PROJECT, COMMIT, "net.zip", tmp_path / "file")


@pytest.mark.usefixtures("listed")
def test_a_folder_is_no_file(client: DominoClient, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"it is a folder with 2 files, such as 'models/forest\.zip'"):
        client.download_file(PROJECT, COMMIT, "models/", tmp_path / "file")


def test_a_file_at_an_unknown_commit_says_that_the_commit_is_unknown(client: DominoClient, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="the commit itself is unknown"):
        client.download_file(PROJECT, COMMIT, "a", tmp_path / "file")


@pytest.mark.usefixtures("listed")
def test_a_refusal_for_a_file_that_is_there_is_passed_on(
    domino: Any, client: DominoClient, answer: Any, tmp_path: Path
) -> None:
    domino.on("GET", content_route("README.md"), answer({"message": "file is quarantined"}, 400))

    with pytest.raises(RequestError, match="quarantined"):
        client.download_file(PROJECT, COMMIT, "README.md", tmp_path / "file")


def test_a_file_that_may_not_be_read_is_not_called_missing(
    domino: Any, client: DominoClient, answer: Any, tmp_path: Path
) -> None:
    domino.on("GET", content_route("a"), answer(status=403))

    with pytest.raises(PermissionDeniedError):
        client.download_file(PROJECT, COMMIT, "a", tmp_path / "file")


# ---- staying inside


@pytest.mark.parametrize("name", ["../secret", "a/../../b", "..", "", "/", "a\0b"])
def test_a_name_that_leads_out_of_the_project_is_refused_before_asking(
    domino: Any, client: DominoClient, tmp_path: Path, name: str
) -> None:
    with pytest.raises(UnsafePathError):
        client.download_file(PROJECT, COMMIT, name, tmp_path / "file")
    with pytest.raises(UnsafePathError):
        client.upload_file(PROJECT, name, b"x")

    assert domino.asked == []


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/etc/passwd", "", ".", "..", "a\0b", "C:\\x", "c:x", "a\\..\\b", "a/.."]
)
def test_a_name_chosen_by_others_never_leads_out_of_a_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnsafePathError):
        safe_join(tmp_path, name)


@pytest.mark.parametrize("name", ["a", "a/b", "./a/./b", "ä b/c#d?e%.txt", "..a/b..", "a/c:d"])
def test_an_honest_name_is_put_under_the_folder(tmp_path: Path, name: str) -> None:
    assert safe_join(tmp_path, name).is_relative_to(tmp_path)


def test_a_link_that_leads_out_of_the_folder_is_not_followed(
    domino: Any, client: DominoClient, answer: Any, tmp_path: Path
) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (inside / "link").symlink_to(outside)
    domino.on("GET", content_route("a"), answer(b"x"))

    with pytest.raises(UnsafePathError):
        safe_join(inside, "link/a")
    with pytest.raises(UnsafePathError):
        client.download_file(PROJECT, COMMIT, "a", inside / "link" / "a", within=inside)

    assert list(outside.iterdir()) == []
    assert domino.asked == []


@pytest.mark.parametrize("destination", ["../a", "x/../../a", "/tmp/elsewhere/a"])
def test_a_destination_outside_the_folder_is_refused_before_asking(
    domino: Any, client: DominoClient, tmp_path: Path, destination: str
) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()

    with pytest.raises(UnsafePathError, match="outside"):
        client.download_file(PROJECT, COMMIT, "a", inside / destination, within=inside)

    assert domino.asked == []


def test_a_link_at_the_destination_itself_is_replaced_not_written_through(
    domino: Any, client: DominoClient, answer: Any, tmp_path: Path
) -> None:
    inside, target = tmp_path / "inside", tmp_path / "precious"
    inside.mkdir()
    target.write_text("precious")
    (inside / "a").symlink_to(target)
    domino.on("GET", content_route("a"), answer(b"x"))
    client.download_file(PROJECT, COMMIT, "a", inside / "a", within=inside)

    assert target.read_text() == "precious"
    assert (inside / "a").read_bytes() == b"x"


def test_a_folder_at_the_destination_is_said(client: DominoClient, tmp_path: Path) -> None:
    with pytest.raises(UnsafePathError, match="is a folder; name the file"):
        client.download_file(PROJECT, COMMIT, "a", tmp_path)


def test_a_folder_that_is_itself_reached_by_a_link_is_fine(
    domino: Any, client: DominoClient, answer: Any, tmp_path: Path
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    domino.on("GET", content_route("a"), answer(b"x"))
    client.download_file(PROJECT, COMMIT, "a", tmp_path / "link" / "sub" / "a", within=tmp_path / "link")

    assert (tmp_path / "real" / "sub" / "a").read_bytes() == b"x"


# ---- uploads


class OneWay(io.RawIOBase):
    """A stream that cannot be rewound."""

    def __init__(self, data: bytes) -> None:
        self._inner = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._inner.read(size)

    def seekable(self) -> bool:
        return False


def sources(tmp_path: Path) -> dict[str, Callable[[], Any]]:
    (tmp_path / "source").write_bytes(b"content")
    rest = io.BytesIO(b"skipped content")
    rest.seek(8)
    return {
        "bytes": lambda: b"content",
        "path": lambda: tmp_path / "source",
        "rest": lambda: rest,
        "pipe": lambda: OneWay(b"content"),
    }


@pytest.mark.parametrize("kind", ["bytes", "path", "rest", "pipe"])
def test_a_file_is_put_into_the_project_whole_even_at_the_second_attempt(
    domino: Any, client: DominoClient, answer: Any, tmp_path: Path, kind: str
) -> None:
    done = answer({"path": "data/a b.csv", "size": 7, "key": "k", "lastModified": 1}, 201)
    domino.on("PUT", f"{V1}/data/a%20b.csv", [answer(status=503), done])

    file = client.upload_file(PROJECT, "/data/a b.csv", sources(tmp_path)[kind]())

    assert (file.path, file.size, file.key) == ("data/a b.csv", 7, "k")
    assert [asked.body for asked in domino.asked] == [b"content"] * 2
    assert domino.asked[0].headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize("empty", [b"", "path"])
def test_an_empty_file_is_put_too(domino: Any, client: DominoClient, answer: Any, tmp_path: Path, empty: Any) -> None:
    (tmp_path / "empty").touch()
    domino.on("PUT", f"{V1}/empty", answer({"path": "empty"}, 201))

    assert client.upload_file(PROJECT, "empty", tmp_path / "empty" if empty else b"") == ProjectFile("empty")
    assert domino.asked[0].headers["content-length"] == "0"


@pytest.mark.parametrize("name", STRANGE_NAMES)
def test_a_file_of_any_name_is_put_under_that_name(domino: Any, client: DominoClient, answer: Any, name: str) -> None:
    domino.on("PUT", f"{V1}/{quote(name)}", answer({}, 201))

    assert client.upload_file(PROJECT, name, b"x").path == name


def test_a_missing_source_is_the_callers_own_error(client: DominoClient, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        client.upload_file(PROJECT, "a", tmp_path / "nowhere")


def test_how_far_a_transfer_is_is_told_and_begins_anew_with_each_attempt(
    domino: Any, client: DominoClient, answer: Any, tmp_path: Path
) -> None:
    told: list[tuple[int, int | None]] = []
    (tmp_path / "source").write_bytes(b"content")
    domino.on("PUT", f"{V1}/a", [answer(status=503), answer({"path": "a"}, 201)])
    domino.on("GET", content_route("a"), answer(b"content"))

    client.upload_file(PROJECT, "a", tmp_path / "source", on_moved=lambda done, total: told.append((done, total)))
    assert set(told) == {(7, None)}
    assert len(told) > 1
    told.clear()
    client.download_file(PROJECT, COMMIT, "a", tmp_path / "a", on_moved=lambda done, total: told.append((done, total)))
    assert told == [(7, 7)]
    assert [asked.body for asked in domino.asked if asked.method == "PUT"] == [b"content"] * 2
