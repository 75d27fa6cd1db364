"""The form of a Domino connection in Airflow's UI: which fields there are, and what each is for.

Every Airflow process loads this module, so it imports nothing heavy.
"""

from __future__ import annotations

from typing import Any

LIMITS = "How much Airflow may run at once"
ELSEWHERE = "A credential from elsewhere"
NETWORK = "Network"


def _optional(kind: str, label: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": [kind, "null"], **schema}}


CONNECTION_FIELDS: dict[str, dict[str, Any]] = {
    "credential": {
        "label": "Credential",
        "description": (
            "What the password above is. Service accounts and personal access tokens are tokens; API keys are what "
            "Domino had before. For the last two leave the password empty."
        ),
        "schema": {
            "type": "string",
            "default": "api_key",
            "enum": ["api_key", "bearer", "token_file", "api_proxy"],
            "values_display": {
                "api_key": "API key (api_key)",
                "bearer": "Token (bearer)",
                "token_file": "Token in a file (token_file)",
                "api_proxy": "Domino's API proxy (api_proxy)",
            },
        },
    },
    "project": _optional(
        "string",
        "Default project",
        "As owner/name, for tasks that name no project. The connection's test looks it up, with its hardware tiers.",
        pattern=r"^\s*[^/\s]+/[^/\s]+\s*$",
    ),
    "expires_on": _optional(
        "string",
        "Credential expires on",
        "Note the day where the token does not tell it itself: tasks, the page Domino and the test warn before.",
        format="date",
    ),
    "max_active_runs": _optional(
        "integer",
        "Runs in flight",
        "How many runs that Airflow has launched may be queued or running at a time; more wait their turn.",
        minimum=1,
        section=LIMITS,
    ),
    "max_active_runs_per_tier": _optional(
        "string",
        "Runs in flight per tier",
        'The same by tier, as a JSON object such as {"GPU": 2, "X-Large": 5}.',
        section=LIMITS,
    ),
    "token_file": _optional(
        "string",
        "Token file",
        "For the credential token_file: path of a file that somebody keeps fresh, read anew for each request, on every "
        "machine of Airflow's that talks to Domino.",
        section=ELSEWHERE,
    ),
    "api_proxy": _optional(
        "string",
        "API proxy",
        "For the credential api_proxy: address of Domino's proxy, which adds the credential itself.",
        section=ELSEWHERE,
    ),
    "ui_host": _optional(
        "string",
        "UI host",
        "Address for links that people open, where it differs from the Domino URL above.",
        section=NETWORK,
    ),
    "verify": {
        "label": "Verify TLS certificate",
        "description": "Refuse a host whose certificate cannot be verified. Only ever switch this off to try things.",
        "schema": {"type": "boolean", "default": True, "section": NETWORK},
    },
    "ca_file": _optional(
        "string",
        "CA file",
        "Path of a file of certificates to trust (PEM), on every machine of Airflow's that talks to Domino.",
        section=NETWORK,
    ),
    "connect_timeout": _optional("number", "Connect timeout", "Seconds (10 if empty).", minimum=1, section=NETWORK),
    "read_timeout": _optional(
        "number", "Read timeout", "Seconds without an answer (60 if empty).", minimum=1, section=NETWORK
    ),
}

FIELD_BEHAVIOUR: dict[str, Any] = {
    "hidden-fields": ["schema", "login", "extra"],
    "relabeling": {"host": "Domino URL", "password": "API key or token"},
    "placeholders": {
        "host": "https://domino.example.com, as in your browser",
        # Not hidden: the button "Test" of Airflow 3.3.2 refuses all connections without a port, of whatever type.
        "port": "443, or what the URL has",
    },
}
