"""The snippets of docs/kubernetes.md, held against Airflow's chart, this package and each other."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from airflow.sdk import Connection

from airflow_domino.cli import build_parser
from airflow_domino.hooks.connection import ConnectionSettings
from airflow_domino.provider_info import get_provider_info

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "kubernetes.md").read_text()
FENCES = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
# What the chart knows (its values.yaml, 1.19 to 1.22), as far as the page uses it; None is anything.
CHART = {
    "airflowVersion": None,
    "apiSecretKeySecretName": None,
    "config": None,
    "data": {"metadataSecretName": None},
    "dags": {"gitSync": {"branch": None, "enabled": None, "ref": None, "repo": None, "subPath": None}},
    "env": None,
    "executor": None,
    "fernetKeySecretName": None,
    "images": {"airflow": {"repository": None, "tag": None}},
    "jwtSecretName": None,
    "postgresql": {"enabled": None},
    "secret": None,
    "triggerer": {"enabled": None, "replicas": None},
    "volumeMounts": None,
    "volumes": None,
    "workers": {"celery": {"replicas": None}},
}
# Which key of a secret the chart reads, by the value that names the secret.
KEYS = {
    "fernetKeySecretName": "fernet-key",
    "apiSecretKeySecretName": "api-secret-key",
    "jwtSecretName": "jwt-secret",
}


def only(kind: str) -> str:
    (code,) = [code for found, code in FENCES if found == kind]
    return code


def commands(*beginning: str) -> Iterator[list[str]]:
    for kind, code in FENCES:
        if kind == "shell":
            for line in code.splitlines():
                words = shlex.split(line)
                if words[: len(beginning)] == list(beginning):
                    yield words


VALUES = yaml.safe_load(only("yaml"))
AIRFLOW = next(
    line.removeprefix("apache-airflow==")
    for line in (ROOT / "requirements.txt").read_text().splitlines()
    if line.startswith("apache-airflow==")
)


def unknown(values: dict, known: dict, where: str = "") -> list[str]:
    names = [f"{where}{name}" for name in values.keys() - known.keys()]
    below = [name for name in values if known.get(name) is not None]
    return names + [found for name in below for found in unknown(values[name], known[name], f"{where}{name}.")]


def test_the_chart_knows_every_value():
    assert unknown(VALUES, CHART) == []


def test_every_value_that_the_text_names_is_one_of_the_charts():
    named = re.findall(r"`((?:postgresql|data|triggerer|images|dags|workers)\.[\w.]+)", PAGE)

    for path in named:
        known = CHART
        for name in path.split("."):
            assert known is not None, path
            assert name in known, path
            known = known[name]
    assert named


def test_image_version_and_tag_are_the_same_everywhere():
    dockerfile = only("dockerfile")
    image = f"{VALUES['images']['airflow']['repository']}:{VALUES['images']['airflow']['tag']}"
    (build,) = commands("docker", "build")
    (push,) = commands("docker", "push")

    assert VALUES["airflowVersion"] == AIRFLOW
    assert f"FROM apache/airflow:{AIRFLOW}-python3." in dockerfile
    assert f'"apache-airflow=={AIRFLOW}"' in dockerfile
    assert image in build
    assert push[-1] == image


@pytest.mark.parametrize("value", KEYS)
def test_the_secrets_that_the_values_name_are_made_with_the_key_that_the_chart_reads(value):
    made = {words[words.index("generic") + 1]: words[-1] for words in commands("kubectl") if "secret" in words}

    assert made[VALUES[value]].startswith(f"--from-literal={KEYS[value]}=")


def test_the_connection_is_given_to_all_parts_from_a_secret_and_can_be_read():
    (given,) = VALUES["secret"]
    (made,) = [words for words in commands("kubectl") if given["secretName"] in words]
    connection = json.loads(only("json"))

    assert given["envName"] == "AIRFLOW_CONN_DOMINO_DEFAULT"
    assert made[-1] == f"--from-file={given['secretKey']}=connection.json"
    assert connection["conn_type"] == "domino"
    settings = ConnectionSettings.from_connection(Connection.from_json(only("json")))
    assert (settings.host, settings.credential) == ("https://domino.example.com", "bearer")
    assert "THE TOKEN" not in yaml.safe_dump(VALUES)


def test_no_secret_is_among_the_values():
    text = yaml.safe_dump(VALUES).lower()

    assert not re.search(r"password|token|secretkey: (?!connection)", text)


def test_the_settings_of_the_package_are_there():
    assert VALUES["config"]["domino"].keys() <= get_provider_info()["config"]["domino"]["options"].keys()


def test_what_is_asked_of_our_command_is_understood():
    behind = [words[words.index("--") + 1 :] for words in commands("kubectl") if "--" in words]
    asked = [words for program, *words in behind if program == "airflow-domino"]

    assert asked
    for words in asked:
        build_parser(words[0]).parse_args(words)
