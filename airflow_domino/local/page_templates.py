"""Rendering of the pages: templates that escape all they are given, and headers that let nothing foreign in."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import jinja2
from starlette.responses import HTMLResponse

from airflow_domino.local.errors import NotFound
from airflow_domino.local.platform import Platform
from airflow_domino.local.projects import Project
from airflow_domino.local.runs import Run

# Seconds after which a page that is watched is loaded anew, at most.
LONGEST_REFRESH = 3600


class Templates:
    """The templates in the folder ``templates``."""

    def __init__(self) -> None:
        loader = jinja2.FileSystemLoader(Path(__file__).with_name("templates"))
        self._templates = jinja2.Environment(
            loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        self._templates.filters |= {
            "moment": moment,
            "size": size,
            "quoted": quote,
            "duration": duration,
            "cents": cents,
        }

    def render(self, template: str, status_code: int = 200, **values: Any) -> HTMLResponse:
        """Render a page that loads nothing from elsewhere and runs no script but its own.

        :param template: name of its file.
        :param status_code: status of the answer.
        :param values: what the template shows.
        """
        nonce = secrets.token_urlsafe(16)
        text = self._templates.get_template(template).render(nonce=nonce, **values)
        policy = (
            f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; "
            "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        )
        # With a stricter policy browsers would send the login form with the origin "null", which is refused.
        headers = {"Content-Security-Policy": policy, "Referrer-Policy": "same-origin", "Cache-Control": "no-store"}
        # Names of files may hold what is no character, which no answer can carry.
        return HTMLResponse(text.encode("utf-8", "replace"), status_code=status_code, headers=headers)


class Pages(Templates):
    """The templates, and what all pages look up.

    :param platform: what they show.
    """

    def __init__(self, platform: Platform) -> None:
        super().__init__()
        self.platform = platform

    def run(self, owner: str, name: str, run_id: str) -> tuple[Project, Run]:
        """Look up the run of a page's address.

        :raises NotFound: when the project has no such run.
        """
        project, run = self.platform.project_named(owner, name), self.platform.run(run_id)
        if run.project_id != project.id:
            raise NotFound(f"There is no job with the id {run_id} in project {project.full_name}")
        return project, run

    def commit(self, owner: str, name: str, commit_id: str) -> tuple[Project, str]:
        """Look up the commit of a page's address.

        :raises NotFound: when the project has no such commit.
        """
        project = self.platform.project_named(owner, name)
        return project, self.platform.commit_id(project, commit_id)


def address(path: str, **query: object) -> str:
    """Write the address of a page.

    :param path: its path, already encoded.
    :param query: its parameters; empty ones are left out.
    """
    text = urlencode({key: value for key, value in query.items() if value not in ("", None)})
    return f"{path}?{text}" if text else path


def moment(milliseconds: int | None) -> str:
    """Write a time for people, in UTC; a dash for none.

    :param milliseconds: epoch milliseconds.
    """
    if milliseconds is None:
        return "–"
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def duration(milliseconds: float) -> str:
    """Write a length of time for people."""
    seconds = max(0.0, milliseconds / 1000)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min"


def cents(amount: float) -> str:
    """Write a price in dollars, with as many digits as tell something."""
    dollars = amount / 100
    if 0 < dollars < 0.0001:
        return "< $0.0001"
    return f"${dollars:.2f}" if dollars >= 1 or not dollars else f"${dollars:.4f}"


def size(count: int) -> str:
    """Write a number of bytes for people."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"
