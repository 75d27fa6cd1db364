"""What a person reads who starts a local Domino in a terminal: where things are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_domino.local.platform import Platform

_WIDTH = 13


def greeting(platform: Platform, announcement: Mapping[str, Any]) -> str:
    """Say where a server is, how to get in, and what it has. Tokens are named by their files, never shown.

    :param platform: what is served.
    :param announcement: what the line of readiness says.
    """
    url, names = announcement["url"], [project.full_name for project in platform.projects.all()]
    lines = [
        ("Local Domino", str(url)),
        ("", "develop and test against it; Ctrl-C ends it, and the next start goes on from where it was"),
        ("pages", f"{url}/  (projects and runs)"),
        ("description", f"{url}/assets/public-api.json   {url}/assets/swagger.json"),
        ("token", _token(platform, announcement)),
        ("projects", ", ".join(names) or "none yet; --project OWNER/NAME=FOLDER makes one"),
        ("tiers", ", ".join(_tier(tier) for tier in platform.tiers if not tier.is_archived)),
        ("kept in", str(platform.root)),
    ]
    for user in announcement.get("users", ()):
        lines.insert(5, ("", f"of {user['name']} in {', '.join(user['token_files'])}"))
    if names:
        owner, _, name = names[0].partition("/")
        variables = f"DOMINO_API_HOST={url} DOMINO_PROJECT_OWNER={owner} DOMINO_PROJECT_NAME={name}"
        lines.append(("try", f"{_credential(platform, announcement)} {variables} airflow-domino check"))
    return "".join(f"{name:<{_WIDTH}} {text}\n" for name, text in lines)


def _file(platform: Platform, announcement: Mapping[str, Any]) -> str | None:
    if "token_file" in announcement:
        return str(announcement["token_file"])
    kept = platform.root / "token"
    return str(kept) if kept.is_file() and kept.read_text().strip() == announcement.get("token") else None


def _token(platform: Platform, announcement: Mapping[str, Any]) -> str:
    file = _file(platform, announcement)
    return "the one that was given" if file is None else f"in the file {file}"


def _credential(platform: Platform, announcement: Mapping[str, Any]) -> str:
    file = _file(platform, announcement)
    return "DOMINO_USER_API_KEY=..." if file is None else f"DOMINO_TOKEN_FILE={file}"


def _tier(tier: Any) -> str:
    return f"{tier.name} (${tier.cents_per_minute * 0.6:.2f} an hour, {tier.capacity} at once)"
