"""Ready-made fields of a trigger form, as Airflow checks them."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.exceptions import ParamValidationError
from airflow.sdk import Param, ParamsDict

from airflow_domino import forms

SHA = "0123456789abcdef0123456789abcdef01234567"
FIELDS: dict[str, Param] = {
    "tier": forms.tier_field("Small", ["Small", "GPU"]),
    "target": forms.target_field("Report", {"Report": "Report: all", "Model": "Model: a part"}),
    "commit": forms.commit_field(),
    "day": forms.day_field(),
    "moment": forms.moment_field(),
    "address": forms.address_field(),
}
GOOD: dict[str, list[Any]] = {
    "tier": ["Small", "GPU"],
    "target": ["Report", "Model"],
    "commit": [None, SHA],
    "day": [None, "2026-11-21", "2024-02-29"],
    "moment": [
        None,
        "2026-11-21T18:00",  # what a browser's calendar gives
        "2026-11-21T18:00:00.000Z",
        "2026-11-21T18:00:00+00:00",
        "2026-11-21 18:00:00.123456+02:00",
        "2026-11-21 18:00 -0530",
    ],
    "address": [None, "s3://sales/here", "s3://my.bucket-1/a/b c/d"],
}
BAD: dict[str, list[Any]] = {
    "tier": ["small", "", None, 1],
    "target": ["report", None],
    "commit": ["", "main", SHA[:39], SHA + "0", SHA.upper(), f" {SHA}", 7],
    "day": ["", "21.11.2026", "2026-13-01", "2026-02-29", "2026-11-21T18:00", 20261121],
    "moment": ["", "soon", "18:00", "2026-11-21", "2026-11-21T18", "2026-11-21T18:00 CET", 0],
    "address": ["", "sales", "s3://", "s3://sales", "s3://sales/", "s3://sales//x", "https://sales/x", "s3://Sales/x"],
}


def resolved(name: str, value: object) -> Any:
    return FIELDS[name].__copy__().resolve(value)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in GOOD.items() for value in values])
def test_a_field_takes_what_it_is_for(name: str, value: object) -> None:
    assert resolved(name, value) == value


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_a_field_refuses_all_else_in_words(name: str, value: object) -> None:
    with pytest.raises(ParamValidationError) as refused:
        resolved(name, value)
    wanted = FIELDS[name].schema
    said = str(refused.value)
    # Airflow prints the schema in lines: of each text, its words are there, in their order.
    assert wanted["title"] in said
    assert all(word in said for word in wanted["description_md"].split())


def test_the_text_of_a_field_is_shown_once(  # the form shows a description, or else its Markdown
) -> None:
    assert all(field.description is None and field.schema["description_md"] for field in FIELDS.values())


def test_a_choice_shows_names_or_what_they_mean() -> None:
    assert "values_display" not in FIELDS["tier"].schema
    assert FIELDS["target"].schema["values_display"] == {"Report": "Report: all", "Model": "Model: a part"}


def test_a_choice_must_offer_its_default() -> None:
    with pytest.raises(ParamValidationError, match="Huge"):
        ParamsDict({"tier": forms.tier_field("Huge", ["Small"])}).validate()


def test_further_arguments_reach_airflow() -> None:
    assert forms.day_field(section="When").schema["section"] == "When"
    assert forms.commit_field(title="Base").schema["title"] == "Base"
