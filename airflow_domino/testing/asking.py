"""Questions to a running local Domino, and what goes wrong with them said so that a test's reader understands it."""

from __future__ import annotations

from typing import Any

import requests

# How long anything may take before a test gives up, in seconds.
PATIENCE = 60.0


class DominoTestError(AssertionError):
    """The local Domino did not do what a test asked or expected of it."""


class Asking:
    """Asks a local Domino over HTTP, with its token and never through a proxy.

    :param url: where it is.
    :param token: the token of its user.
    """

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.token = token
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["X-Domino-Api-Key"] = token

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        """Ask, and give the answer whatever it is.

        :param method: of HTTP.
        :param path: from the root of the server, such as ``/v4/users/self``.
        :param options: what :func:`requests.request` takes.
        """
        return self.session.request(method, f"{self.url}{path}", **({"timeout": PATIENCE} | options))

    def get(self, path: str, /, **query: Any) -> Any:
        """Give the JSON of a good answer to a GET.

        :raises DominoTestError: when the answer is not good.
        """
        return self.answer("GET", path, params=query).json()

    def post(self, path: str, /, **body: Any) -> Any:
        """Give the JSON of a good answer to a POST.

        :raises DominoTestError: when the answer is not good.
        """
        return self.answer("POST", path, json=body).json()

    def answer(self, method: str, path: str, **options: Any) -> requests.Response:
        """Ask, and give a good answer.

        :raises DominoTestError: when the answer is not good.
        """
        answer = self.request(method, path, **options)
        if not answer.ok:
            raise DominoTestError(f"{method} {path} was answered with {answer.status_code}: {answer.text[:2000]}")
        return answer
