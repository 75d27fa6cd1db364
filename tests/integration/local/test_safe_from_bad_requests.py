"""Requests that are too large, too long, from elsewhere, or that name files by nasty names do no harm."""

from __future__ import annotations

import http.client
import os
import socket
from urllib.parse import quote, urlsplit

import psutil
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

MIB = 1 << 20


def connected(domino) -> socket.socket:
    where = urlsplit(domino.url)
    return socket.create_connection((where.hostname, where.port), timeout=30)


def raw_answer(domino, *lines: str, body: bytes = b"") -> bytes:
    """The answer to a request that is written by hand."""
    with connected(domino) as connection:
        connection.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1") + body)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def own_lines(domino, *lines: str) -> list[str]:
    return [*lines, f"Host: {urlsplit(domino.url).netloc}", f"X-Domino-Api-Key: {domino.token}"]


# Sizes


def test_a_head_without_an_end_is_cut_off_and_not_kept_in_memory(local_domino):
    server = psutil.Process(local_domino.process.pid)
    before = server.memory_info().rss
    sent = 0
    with connected(local_domino) as connection:
        connection.sendall(b"GET /version HTTP/1.1\r\nX-Long: ")
        try:
            while sent < 64 * MIB:
                sent += connection.send(b"x" * 65536)
            answer = b""
        except OSError:
            answer = b"cut off"
    assert answer == b"cut off"
    assert server.memory_info().rss - before < 32 * MIB
    assert local_domino.request("GET", "/version").ok


def test_many_and_long_headers_are_refused_and_reasonable_ones_not(local_domino):
    assert (
        status(raw_answer(local_domino, *own_lines(local_domino, "GET /version HTTP/1.1"), f"X-A: {'a' * 9000}")) == 200
    )
    long = [f"X-{number}: {'a' * 1000}" for number in range(200)]
    with connected(local_domino) as connection:
        try:
            connection.sendall("\r\n".join([*own_lines(local_domino, "GET /version HTTP/1.1"), *long]).encode())
            connection.sendall(b"more" * 1000)
            answer = connection.recv(65536)
        except OSError:
            answer = b""
    assert answer == b"" or status(answer) == 431


@pytest.mark.parametrize("path", ["/v4/jobs/start", "/api/jobs/v1/jobs", "/_local/faults", "/v4/no/such/route"])
def test_a_body_that_is_told_to_be_too_large_is_refused_before_it_comes(local_domino, path):
    lines = own_lines(local_domino, f"POST {path} HTTP/1.1")
    answer = raw_answer(local_domino, *lines, "Content-Type: application/json", f"Content-Length: {9 * MIB}")
    assert status(answer) == 413
    assert b"larger than" in answer


def test_a_body_of_unknown_length_is_counted(local_domino):
    def pieces():
        for _ in range(20):
            yield b" " * MIB

    assert local_domino.request("POST", "/v4/jobs/start", data=pieces()).status_code == 413
    assert local_domino.request("GET", "/version").ok


def test_an_upload_may_be_larger_than_other_bodies(local_domino):
    content = os.urandom(9 * MIB)
    name = quote("large file.bin")
    local_domino.answer("PUT", f"/v1/projects/{local_domino.project}/{name}", data=content)
    assert local_domino.content(local_domino.head(), name) == content


def test_a_refused_body_is_worded_as_the_generation_of_the_api_does(local_domino):
    big = b"[" + b" " * 9 * MIB + b"]"
    assert set(local_domino.request("POST", "/api/jobs/v1/jobs", data=big).json()) == {"requestId", "errors"}
    assert set(local_domino.request("POST", "/v4/jobs/start", data=big).json()) == {"message"}


# Where requests come from


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.nip.io",
        "localhost@evil.example",
        "evil.example#localhost",
        "127.1.evil",
        "2130706433",
        "0x7f000001",
        "[::1].evil.example",
        "localhost,evil.example",
        "localhost evil.example",
        "",
    ],
)
def test_a_name_that_could_be_bound_to_this_machine_is_refused(local_domino, host):
    lines = ("GET /v4/users/self HTTP/1.1", f"Host: {host}", f"X-Domino-Api-Key: {local_domino.token}")
    assert status(raw_answer(local_domino, *lines)) in (400, 403)


def test_a_second_host_does_not_help(local_domino):
    own = own_lines(local_domino, "GET /v4/users/self HTTP/1.1")
    assert status(raw_answer(local_domino, own[0], "Host: evil.example", *own[1:])) in (400, 403)


def test_the_whole_address_in_the_request_line_is_no_other_way_in(local_domino):
    answer = raw_answer(local_domino, "GET http://evil.example/v4/users/self HTTP/1.1", "Host: evil.example")
    assert status(answer) in (400, 403, 404)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1", "[::1]", "[0:0:0:0:0:0:0:1]:8890"])
def test_the_names_of_loopback_are_the_servers_in_each_spelling(local_domino, host):
    assert status(raw_answer(local_domino, "GET /version HTTP/1.1", f"Host: {host}")) == 200


@pytest.mark.parametrize(
    "path", ["/_local/reset", "/_local/seed", "/_local/projects", "/_local/freeze", "/_local/tokens"]
)
def test_the_control_plane_needs_the_token_and_no_foreign_page_reaches_it(local_domino, path):
    own = own_lines(local_domino, f"POST {path} HTTP/1.1")
    end = ("Content-Type: application/json", "Content-Length: 2")
    assert status(raw_answer(local_domino, *own[:2], *end, body=b"{}")) == 401
    assert status(raw_answer(local_domino, *own, "Origin: http://evil.example", *end, body=b"{}")) == 403


# Names of files

NASTY = st.one_of(
    st.sampled_from(
        [
            "../out",
            "..",
            "a/../../out",
            "a/..",
            "./../out",
            "/etc/passwd",
            "//etc/passwd",
            "..\\out",
            "C:\\out",
            ".git/config",
            "a/.git/hooks/x",
            ".GIT/config",
            "git~1/config",
            ".git\u200c/config",
            "a\0b",
            "a\nb",
            "a b",
            "é",
            "e\u0301",
            "\udcff",
            "a" * 300,
            "a/" * 200 + "b",
            "-rf",
            "~root",
            "$HOME",
            "%2e%2e/out",
            "con",
            "a.",
            "a ",
            ":x",
            "?",
            "*",
        ]
    ),
    st.lists(
        st.sampled_from(["..", ".", "", "a", ".git", "\0", "~", " ", "\n", "\\", "%2e%2e", "é"]), min_size=1, max_size=5
    ).map("/".join),
    st.text(max_size=20),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(name=".GIT/config", content=b"1")
@example(name=".git\u200c/config", content=b"1")
@example(name="a" * 300, content=b"1")
@example(name="a/" * 1500 + "b", content=b"1")
@example(name="../out", content=b"1")
@given(name=NASTY, content=st.binary(max_size=8))
def test_a_nasty_name_is_kept_as_it_is_or_refused_and_never_leaves_the_project(local_domino, name, content):
    path = quote(name.encode("utf-8", "surrogateescape"), safe="/")
    folder = local_domino.root.parent
    outside = {entry.name for entry in folder.iterdir()}
    answer = sent(local_domino, "PUT", f"/v1/projects/{local_domino.project}/{path}", content)
    assert answer.status in (201, 307, 308, 400, 404, 405), (name, answer.status)
    assert {entry.name for entry in folder.iterdir()} == outside
    if answer.status == 201:
        head = local_domino.head()
        where = f"/api/projects/v1/projects/{local_domino.project_id}/files/{head}/{path}/content"
        assert sent(local_domino, "GET", where).content == content


def sent(domino, method: str, path: str, body: bytes | None = None) -> http.client.HTTPResponse:
    """Send a path just as it is: other clients would tidy it up."""
    connection = http.client.HTTPConnection(urlsplit(domino.url).netloc, timeout=30)
    connection.request(method, path, body=body, headers={"X-Domino-Api-Key": domino.token})
    answer = connection.getresponse()
    answer.content = answer.read()  # type: ignore[attr-defined]
    connection.close()
    return answer


def test_a_run_works_with_what_nasty_names_have_left_in_the_project(local_domino):
    """Whatever was uploaded, its files can be put into a folder, and none of them lands beside it."""
    job = local_domino.run("sh -c 'pwd; ls -a .. | wc -l'")
    assert job["statuses"]["executionStatus"] == "Succeeded", local_domino.log(job["id"], "prepareoutput")


def test_a_link_out_of_the_project_is_kept_as_a_link_and_leads_no_download_astray(local_domino):
    job = local_domino.run("sh -c 'ln -sf /etc/passwd secret.txt; ln -sfn /etc folder'")
    commit = job["commitDetails"]["outputCommitId"]
    assert local_domino.content(commit, "secret.txt") == b"/etc/passwd"
    where = f"/api/projects/v1/projects/{local_domino.project_id}/files/{commit}/folder/passwd/content"
    assert local_domino.request("GET", where).status_code == 404


# Commands


def test_a_command_has_no_shell_unless_it_asks_for_one(local_domino):
    job = local_domino.run("echo $HOME `id` $(id) ; touch made > redirected && true | cat * ~")
    assert local_domino.log(job["id"]) == ["$HOME `id` $(id) ; touch made > redirected && true | cat * ~"]
    assert "outputCommitId" not in job["commitDetails"] or "made" not in local_domino.files(
        job["commitDetails"]["outputCommitId"]
    )
