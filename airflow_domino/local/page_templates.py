"""Rendering of the pages: templates that escape all they are given, and headers that let nothing foreign in."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from starlette.responses import HTMLResponse


class Templates:
    """The templates in the folder ``templates``."""

    def __init__(self) -> None:
        loader = jinja2.FileSystemLoader(Path(__file__).with_name("templates"))
        self._templates = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
        self._templates.filters |= {"moment": moment, "size": size, "quoted": quote}

    def render(self, template: str, status_code: int = 200, **values: Any) -> HTMLResponse:
        """Render a page that loads nothing from anywhere and runs no script but its own.

        :param template: name of its file.
        :param status_code: status of the answer.
        :param values: what the template shows.
        """
        nonce = secrets.token_urlsafe(16)
        text = self._templates.get_template(template).render(nonce=nonce, **values)
        policy = (
            f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; "
            "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        )
        # With a stricter policy browsers would send the login form with the origin "null", which is refused.
        headers = {"Content-Security-Policy": policy, "Referrer-Policy": "same-origin", "Cache-Control": "no-store"}
        return HTMLResponse(text, status_code=status_code, headers=headers)


def moment(milliseconds: int | None) -> str:
    """Write a time for people, in UTC; a dash for none.

    :param milliseconds: epoch milliseconds.
    """
    if milliseconds is None:
        return "–"
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def size(count: int) -> str:
    """Write a number of bytes for people."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"
