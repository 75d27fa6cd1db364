"""Addresses of code repositories, and logins for private ones, which are told to their server and to nobody else."""

from __future__ import annotations

import base64
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pygit2
import pytest

from airflow_domino.local.code_repository import CodeRepositories, parted
from airflow_domino.local.database import Database
from airflow_domino.local.git_credentials import CodeError

SECRET = "s3cr3t-t0ken"
AUTHOR = pygit2.Signature("ada", "ada@localhost", 1_700_000_000, 0)
HEAD = {"type": "head"}


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    """A repository with one commit."""
    repository = pygit2.init_repository(str(tmp_path / "served" / "forest.git"), bare=True, initial_head="trunk")
    builder = repository.TreeBuilder()
    builder.insert("main.py", repository.create_blob(b"print(1)\n"), 0o100644)
    repository.create_commit("refs/heads/trunk", AUTHOR, AUTHOR, "first", builder.write(), [])
    return tmp_path / "served" / "forest.git"


@pytest.fixture
def server(remote: Path) -> Iterator[str]:
    """A git server on this machine that wants the user ada and the secret; gives where it is."""
    wanted = "Basic " + base64.b64encode(f"ada:{SECRET}".encode()).decode()
    backend = shutil.which("git")
    assert backend is not None

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.headers.get("Authorization") != wanted:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            parts = urlsplit(self.path)
            environment = {
                "GIT_PROJECT_ROOT": str(remote.parent),
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": parts.path,
                "QUERY_STRING": parts.query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "REMOTE_USER": "ada",
                "PATH": "/usr/bin:/bin",
            }
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            made = subprocess.run(
                [backend, "http-backend"], input=body, env=environment, capture_output=True, check=True
            )
            head, _, content = made.stdout.partition(b"\r\n\r\n")
            self.send_response(200)
            for line in head.decode().splitlines():
                name, _, value = line.partition(": ")
                if name.lower() != "status":
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815 - the names of http.server

        def log_message(self, *_: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}/forest.git"
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def repositories(tmp_path: Path, credentials: Path | None = None) -> CodeRepositories:
    return CodeRepositories(Database(tmp_path / "state.sqlite"), tmp_path / "copies", credentials)


def with_login(server: str, password: str = SECRET) -> str:
    return server.replace("://", f"://ada:{password}@")


def test_a_login_in_the_address_opens_the_repository_and_is_shown_nowhere(server, tmp_path):
    known = repositories(tmp_path)
    repository = known.add(with_login(server))
    assert known.copy(repository).find(HEAD).branch == "trunk"
    assert repository.uri == server
    copy = known.copy(repository)
    copy.check_out(copy.find(HEAD), tmp_path / "clone")
    assert (tmp_path / "clone" / "main.py").exists()
    told = [repr(repository), str(repository.as_document()), repr(copy._credentials)]
    kept = [file.read_bytes() for folder in ("copies", "clone") for file in (tmp_path / folder).rglob("config")]
    assert not [text for text in told if SECRET in text]
    assert not [text for text in kept if SECRET.encode() in text]


def test_a_login_is_remembered_with_the_repository(server, tmp_path):
    repository = repositories(tmp_path).add(with_login(server))
    again = repositories(tmp_path)
    assert again.add(server, known=repository) == repository
    assert again.copy(repository).find(HEAD).branch == "trunk"


def test_a_login_comes_from_a_file_as_git_keeps_them(server, tmp_path):
    file = tmp_path / "logins"
    file.write_text(f"https://other:x@example.org\n{with_login(server)}\n")
    known = repositories(tmp_path, file)
    assert known.copy(known.add(server)).find(HEAD).branch == "trunk"


@pytest.mark.parametrize(
    ("address", "message"),
    [("plain", "there is none"), ("wrong", "does not accept the login")],
)
def test_without_the_right_login_the_reason_is_told_and_no_secret(server, tmp_path, address, message):
    known = repositories(tmp_path)
    repository = known.add(server if address == "plain" else with_login(server, "wr0ng-t0ken"))
    with pytest.raises(CodeError, match=message) as caught:
        known.copy(repository).find(HEAD)
    assert "wr0ng-t0ken" not in f"{caught.value!r} {caught.value.__cause__!r}"


def test_a_server_that_cannot_be_reached_is_told(tmp_path):
    known = repositories(tmp_path)
    with pytest.raises(CodeError, match=r"http://127\.0\.0\.1:1/x\.git cannot be fetched"):
        known.copy(known.add("http://ada:secret@127.0.0.1:1/x.git")).find(HEAD)


def test_a_commit_that_is_known_needs_no_repository_that_can_be_reached(remote, tmp_path):
    known = repositories(tmp_path)
    copy = known.copy(known.add(str(remote)))
    found = copy.find(HEAD)
    remote.rename(remote.with_name("gone"))
    assert copy.find({"type": "commitId", "value": found.id}).id == found.id
    with pytest.raises(CodeError, match="cannot be fetched"):
        copy.find(HEAD)


def test_a_reference_outside_branches_and_tags_stays_unknown_where_it_is_made_up(remote, tmp_path):
    known = repositories(tmp_path)
    copy = known.copy(known.add(str(remote)))
    for value in ("refs/pull/1/head", "0" * 40, "../../x", "a b", "refs/heads/*"):
        with pytest.raises(CodeError, match="no reference"):
            copy.find({"type": "ref", "value": value})


def test_a_submodule_is_left_alone(remote, tmp_path):
    repository = pygit2.Repository(str(remote))
    builder = repository.TreeBuilder(repository.revparse_single("trunk").tree)
    builder.insert("library", pygit2.Oid(hex="1" * 40), 0o160000)
    repository.create_commit(
        "refs/heads/trunk", AUTHOR, AUTHOR, "second", builder.write(), [repository.revparse_single("trunk").id]
    )
    known = repositories(tmp_path)
    copy = known.copy(known.add(str(remote)))
    found = copy.find(HEAD)
    copy.check_out(found, tmp_path / "clone")
    assert not copy.keep(tmp_path / "clone", found, "r1", "ada").is_kept
    (tmp_path / "clone" / "new.txt").write_text("1")
    kept = copy.keep(tmp_path / "clone", found, "r2", "ada")
    tree = pygit2.Repository(str(copy.path))[kept.commit].tree
    assert {entry.name for entry in tree} == {"library", "main.py", "new.txt"}


def test_what_a_run_left_is_kept_although_it_removed_its_clone(remote, tmp_path):
    known = repositories(tmp_path)
    copy = known.copy(known.add(str(remote)))
    found = copy.find(HEAD)
    copy.check_out(found, tmp_path / "clone")
    shutil.rmtree(tmp_path / "clone" / ".git")
    (tmp_path / "clone" / "new.txt").write_text("1")
    kept = copy.keep(tmp_path / "clone", found, "r1", "ada")
    assert kept.is_kept
    assert "could not be read" in kept.notes[0]


@pytest.mark.parametrize(
    ("uri", "shown", "login"),
    [
        ("https://github.com/a/b.git", "https://github.com/a/b.git", None),
        ("https://TOKEN@github.com/a/b", "https://github.com/a/b", ("TOKEN", "")),
        ("https://u:p%40ss@h:8443/a", "https://h:8443/a", ("u", "p@ss")),
        ("ssh://git@h/a.git", "ssh://git@h/a.git", None),
        ("git@github.com:a/b.git", "git@github.com:a/b.git", None),
    ],
)
def test_an_address_is_parted_from_its_login(uri, shown, login):
    found, secret = parted(uri)
    assert found == shown
    assert (secret and (secret.user, secret.password)) == login


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "-u",
        "ext::sh -c true",
        "ftp://h/a",
        "https://",
        "https://[::1",
        "/nowhere/at/all",
        "file:///nowhere",
        "a\nb",
    ],
)
def test_what_is_no_address_of_a_repository_is_refused(uri):
    with pytest.raises(ValueError, match="git repository"):
        parted(uri)
