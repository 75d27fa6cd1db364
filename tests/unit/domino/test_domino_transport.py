"""What a connection or an answer means: timeouts, repetition, redirects, pages where data was due."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import requests

from airflow_domino.domino import (
    ApiKey,
    AuthenticationError,
    BearerToken,
    ConfigurationError,
    DominoClient,
    DominoError,
    DominoUnavailableError,
    LaunchOutcomeUnknownError,
    NotFoundError,
    PermissionDeniedError,
    ReloginRequiredError,
    RequestError,
    RetryPolicy,
    RunRequest,
)

Connect = Callable[..., DominoClient]
REQUEST = RunRequest("p1", "train.py")
START = "/v4/jobs/start"
LOGIN_PAGE = b"<!DOCTYPE html><html><title>Sign in to Domino</title></html>"


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


# ---- repetition


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_read_is_asked_again_until_it_is_answered(
    domino: Any, client: DominoClient, answer: Any, status: int
) -> None:
    domino.on("GET", "/version", [answer(status=status), answer(status=status), answer({"version": "6.3.0"})])

    assert client.version().version == "6.3.0"
    assert len(domino.asked) == 3


@pytest.mark.parametrize("fault", ["reset", "half"])
def test_a_read_whose_answer_broke_off_is_asked_again(
    domino: Any, client: DominoClient, answer: Any, fault: str
) -> None:
    domino.on("GET", "/version", [answer({"version": "0.0.0 (cut)"}, fault=fault), answer({"version": "6.3.0"})])

    assert client.version().version == "6.3.0"


def test_a_read_that_stays_without_answer_ends_in_one_clear_error(
    domino: Any, client: DominoClient, answer: Any
) -> None:
    domino.on("GET", "/version", answer({"message": "out of order"}, 503))

    with pytest.raises(DominoUnavailableError, match="503: out of order") as caught:
        client.version()

    assert len(domino.asked) == 4
    assert caught.value.status == 503


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409])
def test_a_refusal_is_not_asked_again(domino: Any, client: DominoClient, answer: Any, status: int) -> None:
    domino.on("GET", "/version", answer(status=status))

    with pytest.raises(RequestError):
        client.version()

    assert len(domino.asked) == 1


def test_closing_the_client_ends_the_repetition(domino: Any, connect: Connect, answer: Any) -> None:
    client = connect(retries=RetryPolicy(retries=1000, first_wait=60.0, longest_wait=60.0))

    def close_and_fail(asked: Any) -> Any:
        client.close()
        return answer(status=503)

    domino.on("GET", "/version", close_and_fail)

    with pytest.raises(DominoUnavailableError):
        client.version()

    assert len(domino.asked) == 1


def test_waits_double_in_their_bound_and_are_spread_at_random() -> None:
    policy = RetryPolicy(first_wait=1.0, longest_wait=4.0)
    waits = [[policy.wait(attempt, None) for _ in range(200)] for attempt in range(5)]

    assert [max(some) <= bound for some, bound in zip(waits, [1, 2, 4, 4, 4], strict=True)] == [True] * 5
    assert len(set(waits[2])) > 100


def test_the_servers_own_wish_is_obeyed_up_to_a_limit() -> None:
    policy = RetryPolicy(first_wait=0.0, longest_retry_after=60.0)

    assert policy.wait(0, 7.0) == 7.0
    assert policy.wait(0, 86_400.0) == 60.0


@pytest.mark.parametrize(("away", "low", "high"), [(timedelta(hours=1), 3500, 3600), (timedelta(hours=-1), 0, 0)])
def test_retry_after_is_read_as_a_date(
    domino: Any, connect: Connect, answer: Any, away: timedelta, low: float, high: float
) -> None:
    date = format_datetime(datetime.now(UTC) + away, usegmt=True)
    domino.on("GET", "/version", answer(status=429, headers={"Retry-After": date}))

    with pytest.raises(DominoUnavailableError) as caught:
        connect(retries=0).version()

    assert low <= caught.value.retry_after <= high


def test_retry_after_is_read_as_seconds(domino: Any, connect: Connect, answer: Any) -> None:
    domino.on("GET", "/version", answer(status=429, headers={"Retry-After": "7"}))

    with pytest.raises(DominoUnavailableError) as caught:
        connect(retries=0).version()

    assert caught.value.retry_after == 7


@pytest.mark.parametrize("value", ["soon", "-5", ""])
def test_an_unreadable_retry_after_is_no_wish(domino: Any, connect: Connect, answer: Any, value: str) -> None:
    domino.on("GET", "/version", answer(status=429, headers={"Retry-After": value}))

    with pytest.raises(DominoUnavailableError) as caught:
        connect(retries=0).version()

    assert caught.value.retry_after is None


# ---- starting a run


@pytest.mark.parametrize("status", [500, 502, 504, 408])
def test_a_start_whose_fate_is_unknown_is_sent_once_and_says_so(
    domino: Any, client: DominoClient, answer: Any, status: int
) -> None:
    domino.on("POST", START, answer({"message": "gateway"}, status))

    with pytest.raises(LaunchOutcomeUnknownError, match="may have been started"):
        client.start_run(REQUEST)

    assert len(domino.asked) == 1


@pytest.mark.parametrize("fault", ["reset", "half"])
def test_a_start_whose_answer_broke_off_may_have_started_a_run(
    domino: Any, client: DominoClient, answer: Any, job: Any, fault: str
) -> None:
    domino.on("POST", START, answer(job(), fault=fault))

    with pytest.raises(LaunchOutcomeUnknownError):
        client.start_run(REQUEST)

    assert len(domino.asked) == 1


@pytest.mark.parametrize("body", [b"", b"{", b"null", b"[]", b'{"title": "no id"}', b"\xff\xfe"])
def test_a_start_with_an_unreadable_answer_may_have_started_a_run(
    domino: Any, client: DominoClient, answer: Any, body: bytes
) -> None:
    domino.on("POST", START, answer(body))

    with pytest.raises(LaunchOutcomeUnknownError):
        client.start_run(REQUEST)


def test_a_start_that_is_not_answered_in_time_may_have_started_a_run(
    domino: Any, connect: Connect, answer: Any, job: Any
) -> None:
    gate = threading.Event()
    domino.on("POST", START, answer(job(), gate=gate))
    client = connect(read_timeout=0.1)

    try:
        with pytest.raises(LaunchOutcomeUnknownError, match="did not answer within"):
            client.start_run(REQUEST)
    finally:
        gate.set()

    assert len(domino.asked) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_a_start_that_was_turned_away_started_nothing(
    domino: Any, client: DominoClient, answer: Any, status: int
) -> None:
    domino.on("POST", START, answer(status=status, headers={"Retry-After": "3"}))

    with pytest.raises(DominoUnavailableError) as caught:
        client.start_run(REQUEST)

    assert not isinstance(caught.value, LaunchOutcomeUnknownError)
    assert caught.value.retry_after == 3.0
    assert len(domino.asked) == 1


def test_a_start_without_a_connection_started_nothing(connect: Connect, closed_port: int) -> None:
    with pytest.raises(DominoUnavailableError, match="could not be connected to") as caught:
        connect(f"http://127.0.0.1:{closed_port}").start_run(REQUEST)

    assert not isinstance(caught.value, LaunchOutcomeUnknownError)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, RequestError), (401, AuthenticationError), (403, PermissionDeniedError), (404, NotFoundError)],
)
def test_a_refused_start_says_what_was_wrong(
    domino: Any, client: DominoClient, answer: Any, status: int, kind: type[RequestError]
) -> None:
    domino.on("POST", START, answer({"message": "no such commit"}, status))

    with pytest.raises(kind, match="no such commit") as caught:
        client.start_run(REQUEST)

    assert type(caught.value) is kind
    assert caught.value.status == status


def test_a_start_answered_by_a_login_page_started_nothing(domino: Any, client: DominoClient, answer: Any) -> None:
    domino.on("POST", START, answer(LOGIN_PAGE, headers={"Content-Type": "text/html"}))

    with pytest.raises(AuthenticationError):
        client.start_run(REQUEST)


def test_a_start_answered_with_200_or_201_is_a_start(domino: Any, client: DominoClient, answer: Any, job: Any) -> None:
    domino.on("POST", START, [answer(job("a"), 200), answer(job("b"), 201)])

    assert [client.start_run(REQUEST).id for _ in range(2)] == ["a", "b"]


# ---- what answers mean


def test_409_asks_for_a_new_login_and_gives_the_page(domino: Any, connect: Connect, answer: Any) -> None:
    domino.on("POST", START, answer({"message": "conflict"}, 409))

    with pytest.raises(ReloginRequiredError, match="log in again") as caught:
        connect(ui_host="https://ui.example.com").start_run(REQUEST)

    assert caught.value.login_url == "https://ui.example.com/relogin?redirectPath=/"


def test_a_page_where_data_was_due_is_a_matter_of_credentials(domino: Any, client: DominoClient, answer: Any) -> None:
    domino.on("GET", "/version", answer(b"\n " + LOGIN_PAGE, headers={"Content-Type": "text/html; charset=utf-8"}))

    with pytest.raises(AuthenticationError, match="web page where data was due"):
        client.version()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"message": "v4 says"}, "v4 says"),
        ({"requestId": "r", "errors": ["one", "two"]}, "one; two"),
        ({"errors": [{"code": 1, "message": "deep"}]}, "deep"),
        ({"error": "legacy says"}, "legacy says"),
        (b"plain words", "plain words"),
        (b"<html><title>502 Bad &amp; Gateway</title><body>" + b"x" * 9000, "502 Bad"),
        (b"x" * 5000, "xxx…"),
    ],
)
def test_the_servers_words_are_found_in_every_form(
    domino: Any, client: DominoClient, answer: Any, body: Any, said: str
) -> None:
    domino.on("GET", "/version", answer(body, 400))

    with pytest.raises(RequestError) as caught:
        client.version()

    assert said in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("body", [b"[" * 100_000, b'"text"', b"[1]"])
def test_an_answer_of_another_shape_is_trouble_not_a_traceback(
    domino: Any, connect: Connect, answer: Any, body: bytes
) -> None:
    domino.on("GET", "/version", answer(body))

    with pytest.raises(DominoUnavailableError, match="cannot be read"):
        connect(retries=0).version()


# ---- redirects


def test_credentials_never_follow_a_redirect_to_another_origin(
    domino: Any, client: DominoClient, answer: Any, other_site: Any
) -> None:
    domino.on("GET", "/version", answer(status=302, headers={"Location": f"{other_site.url}/auth/realms/x?state=1"}))

    with pytest.raises(AuthenticationError, match="login page"):
        client.version()

    assert other_site.asked == []


def test_a_redirect_to_where_domino_has_moved_says_so(
    domino: Any, client: DominoClient, answer: Any, other_site: Any
) -> None:
    domino.on("GET", "/version", answer(status=301, headers={"Location": f"{other_site.url}/version"}))

    with pytest.raises(ConfigurationError, match="set the host"):
        client.version()

    assert other_site.asked == []


def test_a_redirect_within_the_origin_is_followed_for_reads(domino: Any, client: DominoClient, answer: Any) -> None:
    domino.on("GET", "/version", answer(status=307, headers={"Location": "/assets/version"}))
    domino.says("/assets/version", {"version": "6.3.0"})

    assert client.version().version == "6.3.0"


def test_a_start_never_follows_a_redirect(domino: Any, client: DominoClient, answer: Any, job: Any) -> None:
    domino.on("POST", START, answer(status=307, headers={"Location": "/v4/elsewhere"}))
    domino.on("POST", "/v4/elsewhere", answer(job()))

    with pytest.raises(ConfigurationError, match="redirects POST"):
        client.start_run(REQUEST)

    assert len(domino.asked) == 1


def test_a_start_redirected_to_a_login_page_started_nothing(domino: Any, client: DominoClient, answer: Any) -> None:
    domino.on("POST", START, answer(status=302, headers={"Location": "/login?redirect=x"}))

    with pytest.raises(AuthenticationError):
        client.start_run(REQUEST)


def test_redirects_in_circles_end(domino: Any, connect: Connect, answer: Any) -> None:
    domino.on("GET", "/version", answer(status=302, headers={"Location": "/version"}))

    with pytest.raises(DominoUnavailableError, match="circles"):
        connect(retries=0).version()


# ---- connections


def test_a_name_that_resolves_to_nothing_says_what_to_check(connect: Connect) -> None:
    with pytest.raises(DominoUnavailableError, match=r"cannot be resolved; check the host's spelling"):
        connect("https://domino.invalid", retries=0).version()


def test_a_refused_connection_says_what_to_check(connect: Connect, closed_port: int) -> None:
    with pytest.raises(DominoUnavailableError, match=r"refused\); check the host, the port"):
        connect(f"http://127.0.0.1:{closed_port}", retries=0).version()


def test_tls_with_a_server_that_speaks_none_is_not_tried_again(
    domino: Any, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[int] = []
    monkeypatch.setattr(RetryPolicy, "wait", lambda self, attempt, retry_after: waits.append(attempt) or 0.0)

    with pytest.raises(DominoUnavailableError, match="check the certificate"):
        connect(domino.url.replace("http:", "https:")).version()

    assert waits == []


def test_a_server_that_never_answers_is_given_up(domino: Any, connect: Connect, answer: Any) -> None:
    gate = threading.Event()
    domino.on("GET", "/version", answer({}, gate=gate))

    try:
        with pytest.raises(DominoUnavailableError, match=r"did not answer within 0\.1 s"):
            connect(read_timeout=0.1, retries=1).version()
    finally:
        gate.set()

    assert len(domino.asked) == 2


@pytest.mark.parametrize("timeouts", [{"connect_timeout": 0}, {"read_timeout": -1.0}])
def test_a_timeout_that_is_none_is_refused(connect: Connect, timeouts: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="Timeouts must be more than 0"):
        connect(**timeouts)


def test_every_request_has_both_timeouts(
    domino: Any, connect: Connect, answer: Any, job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    send = requests.adapters.HTTPAdapter.send

    def spy(self: Any, request: Any, **options: Any) -> Any:
        seen.append(options["timeout"])
        return send(self, request, **options)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", spy)
    domino.says("/version", {"version": "1"})
    domino.on("POST", START, answer(job()))
    client = connect(connect_timeout=3.0, read_timeout=5.0)
    client.version()
    client.start_run(REQUEST)

    assert seen == [(3.0, 5.0)] * 2


def test_connections_are_kept_and_shared_between_threads(domino: Any, connect: Connect) -> None:
    domino.says("/version", {"version": "1"})
    client = connect(max_connections=2)
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(client.version().version)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == ["1"] * 20


def test_a_path_prefix_of_the_host_is_kept(domino: Any, connect: Connect) -> None:
    domino.says("/domino/version", {"version": "6.3.0"})

    assert connect(f"{domino.url}/domino/").version().version == "6.3.0"


def test_cookies_of_the_server_are_not_sent_back(domino: Any, client: DominoClient, answer: Any) -> None:
    domino.on("GET", "/version", answer({"version": "1"}, headers={"Set-Cookie": "session=abc; Path=/"}))
    client.version()
    client.version()

    assert "cookie" not in domino.asked[1].headers


def test_a_netrc_file_never_replaces_the_credentials(
    domino: Any, connect: Connect, canary: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login other password other\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setattr("airflow_domino.domino.transport.is_loopback", lambda url: False)
    domino.says("/version", {"version": "1"})
    connect(credentials=BearerToken(canary)).version()

    assert domino.asked[0].headers["authorization"] == f"Bearer {canary}"


# ---- secrets


@pytest.mark.parametrize("credentials", [ApiKey, BearerToken])
def test_the_secret_shows_in_no_error_and_no_log(
    domino: Any,
    connect: Connect,
    answer: Any,
    canary: str,
    closed_port: int,
    caplog: pytest.LogCaptureFixture,
    credentials: Any,
) -> None:
    caplog.set_level(logging.DEBUG)
    shown: list[str] = []
    for status in (302, 400, 401, 403, 404, 409, 429, 500):
        echo = answer({"message": f"bad token {canary}"}, status, {"Location": f"/login?token={canary}"})
        domino.on("GET", "/version", echo)
        domino.on("POST", START, echo)
        client = connect(credentials=credentials(canary), retries=0)
        for ask in (client.version, lambda client=client: client.start_run(REQUEST)):
            with pytest.raises(DominoError) as caught:
                ask()
            shown.append(f"{caught.value} {caught.value!r} {vars(caught.value)}")
    with pytest.raises(DominoError) as refused:
        connect(f"http://127.0.0.1:{closed_port}", credentials(canary), retries=0).version()
    shown.append(repr(refused.value))

    assert canary not in "".join(shown)
    assert canary not in caplog.text
