"""Recordings as files: what is hidden in them, which requests are the same, and which files are no recordings."""

from __future__ import annotations

import json

import pytest

from airflow_domino.local.recordings import Exchange, Masks, RecordingError, key, load, to_entry


def written(exchange: Exchange, masks: Masks) -> str:
    return masks.text(json.dumps(to_entry(exchange, masks)))


@pytest.mark.parametrize(
    "header",
    [
        ("Authorization", "Bearer canary-0123456789"),
        ("X-Domino-Api-Key", "canary-0123456789"),
        ("Cookie", "session=canary-0123456789"),
        ("Set-Cookie", "session=canary-0123456789"),
    ],
)
def test_credentials_in_headers_are_hidden_wherever_they_show_up(header):
    exchange = Exchange(
        "GET",
        "http://domino/v4/jobs?query=canary-0123456789",
        request_headers=[header],
        body=b"it says canary-0123456789",
        headers=[header, ("Location", "http://domino/?token=canary-0123456789")],
    )
    assert "canary" not in written(exchange, Masks())


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/pat/v1/tokens", {"token": "canary-0123456789", "name": "mine"}),
        ("/v4/accounts", {"git": [{"password": "canary-0123456789"}]}),
        ("/v4/accounts", {"apiKey": "canary-0123456789"}),
        ("/v4/accounts", {"clientSecret": "canary-0123456789", "text": "with canary-0123456789 in it"}),
        ("/v4/projects/1/environmentVariables", {"name": "DATABASE", "value": "canary-0123456789"}),
        ("/v4/users/environmentVariables", {"vars": [{"name": "A", "value": "canary-0123456789"}]}),
    ],
)
def test_credentials_in_bodies_are_hidden_in_both_directions(path, body):
    content = json.dumps(body).encode()
    for exchange in (
        Exchange("POST", f"http://domino{path}", request_body=content),
        Exchange("GET", f"http://domino{path}", status=200, body=content),
    ):
        assert "canary" not in written(exchange, Masks())


def test_what_is_no_credential_is_kept():
    body = json.dumps({"latestTimeNano": "123456789", "key": "0123456789abcdef", "value": "0.918", "tokens": 3})
    exchange = Exchange("GET", "http://domino/v4/jobs/1", status=200, body=body.encode())
    assert to_entry(exchange, Masks())["response"]["content"]["text"] == body


@pytest.mark.parametrize("content", [b"", b"text", bytes(range(256)), "ü".encode()])
def test_any_body_comes_back_from_a_file_as_it_was(tmp_path, content):
    exchange = Exchange("PUT", "http://domino/v1/projects/a/b/c", request_body=content, status=201, body=content)
    file = tmp_path / "recording.har"
    file.write_text(json.dumps({"log": {"entries": [to_entry(exchange, Masks())]}}))
    (found,) = load(file)
    assert (found.request_body, found.body, found.status) == (content, content, 201)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Exchange("GET", "http://a/v4/jobs?x=1&y=2"), Exchange("GET", "https://b:1/v4/jobs?y=2&x=1")),
        (Exchange("GET", "/a%20b/%7Ec"), Exchange("GET", "/a b/~c")),
        (
            Exchange("POST", "/x", request_body=b'{"a": 1, "b": 2}'),
            Exchange("POST", "/x", request_body=b'{"b":2,"a":1}'),
        ),
        (
            Exchange("POST", "/x", [("Content-Type", "multipart/form-data; boundary=11")], b"--11\r\nx\r\n--11--"),
            Exchange("POST", "/x", [("content-type", 'multipart/form-data; boundary="22"')], b"--22\r\nx\r\n--22--"),
        ),
        (
            Exchange("POST", "/x", request_body=b'{"token": "one-0123456789"}'),
            Exchange("POST", "/x", request_body=b'{"token": "***"}'),
        ),
    ],
)
def test_requests_that_mean_the_same_are_the_same(one, other):
    assert key(one, Masks()) == key(other, Masks())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Exchange("GET", "/v4/jobs"), Exchange("POST", "/v4/jobs")),
        (Exchange("GET", "/v4/jobs/1"), Exchange("GET", "/v4/jobs/2")),
        (Exchange("GET", "/v4/jobs?x=1"), Exchange("GET", "/v4/jobs?x=2")),
        (Exchange("GET", "/v4/jobs?x="), Exchange("GET", "/v4/jobs")),
        (Exchange("POST", "/x", request_body=b'{"a":1}'), Exchange("POST", "/x", request_body=b'{"a":2}')),
        (Exchange("PUT", "/x", request_body=b"\xff"), Exchange("PUT", "/x", request_body=b"\xfe")),
    ],
)
def test_requests_that_differ_are_not_the_same(one, other):
    assert key(one, Masks()) != key(other, Masks())


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"log": {"entries": [{}]}}', '{"log": {"entries": 1}}'])
def test_a_file_that_is_no_recording_is_refused(tmp_path, content):
    file = tmp_path / "bad.har"
    file.write_text(content)
    with pytest.raises(RecordingError, match=r"bad\.har is no HTTP Archive"):
        load(file)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(RecordingError, match=r"missing\.har"):
        load(tmp_path / "missing.har")
