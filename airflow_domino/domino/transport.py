"""HTTP to one Domino: timeouts on everything, repetition of what may be repeated, one meaning for each answer."""

from __future__ import annotations

import json
import random
import re
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter

from airflow_domino import __version__
from airflow_domino.domino.auth import ApiProxy, Credentials
from airflow_domino.domino.errors import (
    AuthenticationError,
    ConfigurationError,
    DominoError,
    DominoUnavailableError,
    LaunchOutcomeUnknownError,
)
from airflow_domino.domino.failures import (
    TURNED_AWAY,
    NothingSentError,
    UntrustedConnectionError,
    answer_failure,
    connection_failure,
    looks_like_html,
)
from airflow_domino.domino.hosts import is_loopback, normalise_host, origin

__all__ = ["RetryPolicy", "Transport", "normalise_host"]

T = TypeVar("T")
Query = Mapping[str, str | int]
OpenContent = Callable[[], AbstractContextManager[bytes | BinaryIO]]

MOST_REDIRECTS = 5
LARGEST_JSON = 256 * 1024 * 1024
_LOGIN_PATH = re.compile(r"log-?in|sign-?in|/auth\b|/oauth2?\b|/realms/", re.IGNORECASE)


@dataclass(frozen=True)
class RetryPolicy:
    """How a request that may be repeated is repeated: after random waits whose upper bound doubles ("full jitter").

    :param retries: further attempts after the first.
    :param first_wait: upper bound of the first wait in seconds.
    :param longest_wait: largest upper bound in seconds.
    :param longest_retry_after: seconds up to which Domino's own `Retry-After` is obeyed.
    """

    retries: int = 4
    first_wait: float = 0.5
    longest_wait: float = 8.0
    longest_retry_after: float = 60.0

    def wait(self, attempt: int, retry_after: float | None) -> float:
        """Seconds to wait after that attempt (counted from 0) failed."""
        bound = min(self.longest_wait, self.first_wait * 2**attempt)
        jitter = random.uniform(0, bound)  # noqa: S311  spreads load, guards nothing
        return jitter if retry_after is None else min(retry_after, self.longest_retry_after) + jitter


class Transport:
    """Sends requests to one origin and says what each answer means.

    :param host: normalised address.
    :param timeout: connect and read timeout in seconds, for every request.
    :param ui_host: address of Domino's pages, for the log-in link.
    :param known_by: where host and credentials are written down, for error messages.
    :raises ConfigurationError: when `verify` names a file that is not there.
    """

    def __init__(
        self,
        host: str,
        credentials: Credentials,
        *,
        verify: bool | str,
        timeout: tuple[float, float],
        retry_policy: RetryPolicy,
        max_connections: int,
        ui_host: str,
        known_by: str = "",
    ) -> None:
        # An empty string would leave certificates unchecked.
        if isinstance(verify, str) and not (verify and Path(verify).exists()):
            raise ConfigurationError(
                f"The file of CA certificates does not exist: {verify!r}; correct its path on this machine"
            )
        if not all(seconds > 0 for seconds in timeout):
            raise ConfigurationError(
                f"Timeouts must be more than 0 seconds; change {timeout[0]:g} (connect) or {timeout[1]:g} (read)"
            )
        self.base = _behind_proxy(host, credentials) if isinstance(credentials, ApiProxy) else host
        self._credentials = credentials
        self._verify = verify
        self._timeout = timeout
        self._retry_policy = retry_policy
        self._known_by = f" ({known_by})" if known_by else ""
        self._login_url = f"{ui_host}/relogin?redirectPath=/"
        self._closed = threading.Event()
        self._session = requests.Session()
        self._session.trust_env = not is_loopback(self.base)
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = HTTPAdapter(pool_connections=2, pool_maxsize=max_connections, max_retries=0, pool_block=True)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    def use(self, credentials: Credentials) -> None:
        """Sign the requests to come in another way."""
        self._credentials = credentials

    def close(self) -> None:
        """Close the connections; a request that is under way is not repeated any more."""
        self._closed.set()
        self._session.close()

    def get(self, path: str, read: Callable[[Any], T], *, subject: str, params: Query | None = None) -> T:
        """Ask for JSON, repeatedly if need be.

        :param path: from the host, each part already encoded.
        :param read: makes the value; a ValueError in it means an unreadable answer.
        :param subject: what is asked for, as a noun, for error messages.
        """
        return self._repeat(lambda: self._once("GET", path, _reading_json(read), subject=subject, params=params))

    def post(self, path: str, body: Mapping[str, Any], read: Callable[[Any], T], *, subject: str) -> T:
        """Send JSON that does no harm when it arrives twice."""
        return self._repeat(lambda: self._once("POST", path, _reading_json(read), subject=subject, json=body))

    def put(self, path: str, content: OpenContent, read: Callable[[Any], T], *, subject: str) -> T:
        """Send bytes that do no harm when they arrive twice.

        :param content: opens the bytes anew for each attempt.
        """
        return self._repeat(lambda: self._once("PUT", path, _reading_json(read), subject=subject, content=content))

    def consume(self, path: str, use: Callable[[requests.Response], T], *, subject: str) -> T:
        """Hand a successful answer to `use` while its body still streams, repeatedly if the stream breaks."""
        return self._repeat(lambda: self._once("GET", path, use, subject=subject))

    def start(self, path: str, body: Mapping[str, Any], read: Callable[[Any], T], *, subject: str) -> T:
        """Send JSON that starts a run: once.

        :raises DominoUnavailableError: when it certainly did not arrive or was turned away.
        :raises LaunchOutcomeUnknownError: when it may have been carried out.
        """
        try:
            return self._once("POST", path, _reading_json(read), subject=subject, json=body)
        except NothingSentError:
            raise
        except DominoUnavailableError as error:
            if error.status in TURNED_AWAY:
                raise
            raise LaunchOutcomeUnknownError(
                f"{error}. The run may have been started. Look for it before launching again",
                retry_after=error.retry_after,
                status=error.status,
            ) from None

    def _repeat(self, attempt: Callable[[], T]) -> T:
        for number in range(self._retry_policy.retries):
            try:
                return attempt()
            except UntrustedConnectionError:
                raise
            except DominoUnavailableError as error:
                if self._closed.wait(self._retry_policy.wait(number, error.retry_after)):
                    raise
        return attempt()

    def _once(
        self,
        method: str,
        path: str,
        use: Callable[[requests.Response], T],
        *,
        subject: str,
        params: Query | None = None,
        json: Mapping[str, Any] | None = None,
        content: OpenContent | None = None,
    ) -> T:
        try:
            headers = self._credentials.headers()
            with (
                (content or nullcontext)() as data,
                self._send(method, self.base + path, headers, params=params, json=json, data=data) as response,
            ):
                failure = answer_failure(response, subject, self._login_url, lambda text: _hide(text, headers))
                if failure:
                    raise failure
                return use(response)
        except requests.RequestException as error:
            failed = connection_failure(error, self.base, self._timeout)
            raise self._told(failed) from None
        except DominoError as error:
            raise self._told(error) from None

    def _told(self, error: DominoError) -> DominoError:
        """Let a message end with where host and credentials are to be changed."""
        error.args = (f"{error}{self._known_by}", *error.args[1:])
        return error

    def _send(self, method: str, url: str, headers: dict[str, str], **options: Any) -> requests.Response:
        for _ in range(MOST_REDIRECTS):
            response = self._session.request(
                method,
                url,
                headers=_plain_headers(options),
                # Given as an authenticator, they go before what requests would find in a .netrc file.
                auth=_Authenticator(headers),
                allow_redirects=False,
                stream=True,
                timeout=self._timeout,
                # Given with each request, False is not overruled by REQUESTS_CA_BUNDLE.
                verify=self._verify,
                **options,
            )
            if not response.is_redirect:
                return response
            response.close()
            target = urljoin(url, response.headers["Location"])
            _check_redirect(method, url, target)
            url, options = target, {}
        raise DominoUnavailableError(
            f"{self.base} redirects in circles; check the host, and the scheme that it begins with"
        )


class _Authenticator(requests.auth.AuthBase):
    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.update(self._headers)
        return request


def _plain_headers(options: Mapping[str, Any]) -> dict[str, str]:
    headers = {"User-Agent": f"airflow-domino/{__version__}", "Accept": "application/json, */*;q=0.5"}
    if options.get("data") is not None:
        headers["Content-Type"] = "application/octet-stream"
    return headers


def _hide(text: str, headers: Mapping[str, str]) -> str:
    for value in headers.values():
        text = text.replace(value.removeprefix("Bearer "), "***")
    return text


def _behind_proxy(host: str, proxy: ApiProxy) -> str:
    return normalise_host(proxy.url) + urlsplit(host).path if origin(host) != origin(proxy.url) else host


def _check_redirect(method: str, url: str, target: str) -> None:
    parts = urlsplit(target)
    shown = f"{parts.scheme}://{parts.hostname}{parts.path}"
    same_name = parts.hostname == urlsplit(url).hostname
    moved = parts.path == urlsplit(url).path
    if _LOGIN_PATH.search(parts.path) or not (same_name or moved):
        raise AuthenticationError(
            f"Domino sent us to a login page ({shown}): the credentials are missing, wrong or expired; renew them"
        )
    if origin(url) != origin(target) or method != "GET":
        raise ConfigurationError(f"Domino redirects {method} {url} to {shown}; set the host to where it really is")


def _reading_json(read: Callable[[Any], T]) -> Callable[[requests.Response], T]:
    def use(response: requests.Response) -> T:
        body = bytearray()
        for chunk in response.iter_content(1 << 16):
            body += chunk
            if len(body) > LARGEST_JSON:
                raise _unreadable(response, f"it is longer than {LARGEST_JSON} bytes")
        text = body.decode("utf-8", "replace")
        if looks_like_html(text):
            raise AuthenticationError(
                f"{response.request.method} {response.request.path_url.partition('?')[0]} was answered with a web page "
                "where data was due: the credentials are missing, wrong or expired, or this host is not Domino's API; "
                "renew the credentials, or correct the host"
            )
        try:
            return read(json.loads(text))
        except (ValueError, RecursionError) as error:
            raise _unreadable(response, str(error)) from None

    return use


def _unreadable(response: requests.Response, reason: str) -> DominoError:
    where = f"{response.request.method} {response.request.path_url.partition('?')[0]}"
    return DominoUnavailableError(
        f"The answer to {where} cannot be read: {reason}; `airflow-domino check` tells what this Domino serves"
    )
