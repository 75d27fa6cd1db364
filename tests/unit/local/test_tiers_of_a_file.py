"""Tiers are read from a file, and what could not work is refused with its reason."""

from __future__ import annotations

import json

import pytest

from airflow_domino.local.tiers import DEFAULT_TIERS, TiersError, check_tiers, load_tiers

SMALL = {
    "id": "s",
    "name": "Small",
    "cores": 1,
    "memory_gib": 2,
    "cents_per_minute": 0.5,
    "capacity": 4,
    "default": True,
}

YAML = """\
tiers:
  - {id: s, name: Small, cores: 1, memory_gib: 2, cents_per_minute: 0.5, capacity: 4, default: true}
"""
TOML = """\
[[tiers]]
id = "s"
name = "Small"
cores = 1
memory_gib = 2
cents_per_minute = 0.5
capacity = 4
default = true
"""


@pytest.mark.parametrize(
    ("name", "text"), [("t.yaml", YAML), ("t.yml", YAML), ("t.toml", TOML), ("t.json", json.dumps([SMALL]))]
)
def test_a_file_in_any_of_the_languages_gives_the_same_tiers(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    (tier,) = load_tiers(tmp_path / name)
    assert (tier.id, tier.name, tier.cores, tier.memory_gib) == ("s", "Small", 1.0, 2.0)
    assert (tier.cents_per_minute, tier.capacity, tier.gpus, tier.is_default) == (0.5, 4, 0, True)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ([], "expected a list"),
        ({"other": []}, "expected a list"),
        (["Small"], "must be a table"),
        ([{**SMALL, "price": 1}], "price"),
        ([{key: value for key, value in SMALL.items() if key != "capacity"}], "capacity"),
        ([{**SMALL, "capacity": 0}], "at least 1"),
        ([{**SMALL, "capacity": "4"}], "capacity must be"),
        ([{**SMALL, "capacity": True}], "capacity must be"),
        ([{**SMALL, "cores": -1}], "cores must be"),
        ([{**SMALL, "default": False}], "exactly one"),
        ([SMALL, {**SMALL, "id": "t"}], "exactly one"),
        ([{**SMALL, "archived": True}], "exactly one"),
        ([SMALL, {**SMALL, "default": False}], "must differ"),
    ],
)
def test_tiers_that_could_not_work_are_refused(tmp_path, document, reason):
    path = tmp_path / "tiers.json"
    path.write_text(json.dumps(document))
    with pytest.raises(TiersError, match=reason):
        load_tiers(path)


@pytest.mark.parametrize(("name", "text"), [("t.json", "{"), ("t.toml", "="), ("t.yaml", "a: [b"), ("t.ini", "")])
def test_a_file_that_cannot_be_read_is_named(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(TiersError, match=f"{name}: cannot be read"):
        load_tiers(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("t.yaml", YAML.replace("Small", '"\\ud800"'), "half of a surrogate pair"),
        ("t.json", json.dumps([{**SMALL, "name": "a\0b"}]), "a NUL"),
        ("t.yaml", YAML.replace("0.5", ".inf"), "inf is not a number"),
    ],
)
def test_what_no_answer_could_hold_is_refused(tmp_path, name, text, reason):
    (tmp_path / name).write_text(text)
    with pytest.raises(TiersError, match=reason):
        load_tiers(tmp_path / name)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(TiersError, match=r"missing\.json"):
        load_tiers(tmp_path / "missing.json")


def test_the_default_tiers_leave_room_for_runs_that_start_runs():
    check_tiers(DEFAULT_TIERS)
    assert [tier.name for tier in DEFAULT_TIERS] == ["Small", "Medium", "Large", "X-Large", "GPU"]
    assert all(tier.capacity >= 4 for tier in DEFAULT_TIERS)
