"""Which operations Domino's own client was seen to ask, and that all of its methods were called that can be.

The list is written anew where AIRFLOW_DOMINO_WRITE_PARITY is set.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from airflow_domino.local import described

pytestmark = pytest.mark.timeout(600)

# What docs/local-domino.md says of this client is made from this list.
PUBLISHED = Path(__file__).parents[2] / "contract" / "asked_by_dominos_client.txt"
SUBJECTS = ("jobs", "runs", "examples", "files", "projects", "environments")
# Methods for things that the local Domino does not have; the documentation says so.
NOT_EMULATED = (
    "app_",
    "endpoint_",
    "model",
    "datasets_",
    "budget_",
    "billing_tag",
    "active_billing_tag",
    "project_billing_tag",
    "projects_by_billing_tag",
    "custom_metrics_client",
)
# Members that ask nothing by themselves.
ASK_NOTHING = ("log",)


@pytest.fixture(scope="module")
def driven(dominos_client: Any) -> Any:
    for subject in SUBJECTS:
        dominos_client.drive(subject)
    return dominos_client


def test_all_of_the_clients_methods_are_driven_but_those_for_what_is_not_emulated(driven):
    left = driven.methods - driven.called - set(ASK_NOTHING)
    assert [name for name in sorted(left) if not name.startswith(NOT_EMULATED)] == []


def test_what_it_asks_for_is_what_is_published(driven):
    asked = sorted(operations_asked(driven.server))
    if os.environ.get("AIRFLOW_DOMINO_WRITE_PARITY"):
        PUBLISHED.write_text("".join(f"{name}\n" for name in asked))
    assert PUBLISHED.read_text().splitlines() == asked


def operations_asked(server: Any) -> set[str]:
    """The operations that the client asked for with success, as the server describes them."""
    operations = []
    for generation in described.GENERATIONS:
        operations += described.operations(server.get(generation.address))
    found = set()
    for asked in server.get("/_local/requests", limit=100_000)["requests"]:
        fitting = [one for one in operations if one.method == asked["method"] and _fits(one.path, asked["path"])]
        if fitting and asked.get("status", 200) < 400:
            best = min(fitting, key=lambda one: one.path.count("{"))
            found.add(f"{best.method} {best.path}")
    return found


def _fits(template: str, path: str) -> bool:
    pattern = re.sub(r"{([^}]*)}", lambda name: ".*" if name[1] == "path" else "[^/]+", template)
    return re.fullmatch(pattern, path) is not None
