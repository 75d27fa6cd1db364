"""The deployment files keep what they promise, as far as that can be read off them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSE_TEXT = (ROOT / "docker-compose.yml").read_text()
SERVICES = yaml.safe_load(COMPOSE_TEXT)["services"]
OURS = {name for name, service in SERVICES.items() if service["image"].startswith("airflow-domino:")}
AIRFLOW = {name for name in OURS if "AIRFLOW__CORE__EXECUTOR" in SERVICES[name]["environment"]}
SECRET_NAME = re.compile(
    r"PASSWORD$|_KEY$|SECRET$|TOKEN$|AUTH$|SQL_ALCHEMY_CONN|BROKER_URL|RESULT_BACKEND|AIRFLOW_CONN_"
)
REFERENCE = re.compile(r"\$\{(?P<name>[A-Z_]+)(?::(?P<kind>[-?])(?P<text>[^}]*))?\}")


def example_variables() -> dict[str, str]:
    lines = (ROOT / ".env.example").read_text().splitlines()
    pairs = (line.split("=", 1) for line in lines if line and not line.startswith("#"))
    return {name: value.strip("'") for name, value in pairs}


def with_defaults(text: str) -> str:
    return REFERENCE.sub(lambda found: found["text"] if found["kind"] == "-" else "", text)


def test_the_services_are_those_of_a_whole_airflow_and_a_local_domino():
    core = {"postgres", "init", "api-server", "scheduler", "dag-processor", "triggerer", "local-domino"}

    assert {name for name, service in SERVICES.items() if "profiles" not in service} == core
    assert {name for name, service in SERVICES.items() if service.get("profiles") == ["celery"]} == {
        "redis",
        "worker-1",
        "worker-2",
    }


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_tells_how_it_is_or_is_a_job(name):
    service = SERVICES[name]

    assert "test" in service.get("healthcheck", {}) or (name == "init" and service["restart"] == "no")


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_open_to_this_machine_alone(name):
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned_to_a_version(name):
    image = with_defaults(SERVICES[name]["image"])

    assert re.search(r":\d+\.\d+", image), image


@pytest.mark.parametrize("name", SERVICES)
def test_containers_have_no_rights_that_they_do_not_need(name):
    service = SERVICES[name]

    assert service["user"] == ("50000:0" if name in OURS else name)
    assert service["cap_drop"] == ["ALL"]
    assert "privileged" not in service
    assert "no-new-privileges:true" in service["security_opt"]


@pytest.mark.parametrize("name", SERVICES)
def test_secrets_come_from_outside(name):
    secrets = {key: value for key, value in SERVICES[name]["environment"].items() if SECRET_NAME.search(key)}

    for key, value in secrets.items():
        assert REFERENCE.search(value), f"{key} of {name} is written in the file"
        assert "${" not in with_defaults(value)
        assert all(found["kind"] != "-" for found in REFERENCE.finditer(value)), f"{key} of {name} has a default"


@pytest.mark.parametrize("name", SERVICES)
def test_no_command_line_shows_a_secret(name):
    command = " ".join(SERVICES[name].get("command", []))

    assert not [found["name"] for found in REFERENCE.finditer(command) if SECRET_NAME.search(found["name"])]


def test_every_part_of_airflow_has_the_same_settings():
    shared = {name: dict(SERVICES[name]["environment"]) for name in AIRFLOW}
    shared["init"].pop("AIRFLOW_ADMIN_PASSWORD")

    assert OURS - {"local-domino"} == AIRFLOW
    assert all(environment == shared["scheduler"] for environment in shared.values())
    assert shared["scheduler"]["AIRFLOW__API_AUTH__JWT_SECRET"].startswith("${AIRFLOW_JWT_SECRET:?")


def test_every_part_of_airflow_sees_the_same_dags_data_and_logs():
    for name in AIRFLOW:
        volumes = SERVICES[name]["volumes"]
        data = SERVICES[name]["environment"]["AIRFLOW_DOMINO_DATA"]
        assert "./dags:/opt/airflow/dags:ro" in volumes
        assert f"data:{data}" in volumes
        assert "logs:/opt/airflow/logs" in volumes


def test_the_image_is_built_for_the_executor_that_airflow_is_told_to_use():
    for name in AIRFLOW:
        service = SERVICES[name]
        assert service["build"]["args"]["EXECUTOR"] == service["environment"]["AIRFLOW__CORE__EXECUTOR"]
        assert "EXECUTOR" in service["image"]


def test_every_variable_that_the_file_demands_is_in_the_example_and_no_other():
    asked = {found["name"]: found["kind"] for found in REFERENCE.finditer(COMPOSE_TEXT)}
    demanded = {found["name"] for found in REFERENCE.finditer(COMPOSE_TEXT) if found["kind"] == "?"}

    assert demanded <= set(example_variables()) <= set(asked)


def test_the_example_holds_no_secret():
    secrets = {name: value for name, value in example_variables().items() if SECRET_NAME.search(name)}
    connection = json.loads(secrets.pop("AIRFLOW_CONN_DOMINO_DEFAULT"))

    assert set(secrets.values()) == {""}
    assert connection["password"] == "TOKEN"


def test_the_example_connection_leads_to_the_local_domino_and_its_links_to_the_browsers_machine():
    variables = example_variables()
    connection = json.loads(variables["AIRFLOW_CONN_DOMINO_DEFAULT"])
    (port,) = SERVICES["local-domino"]["ports"]

    assert connection["conn_type"] == "domino"
    assert connection["host"] == "http://local-domino:8888"
    assert "--allow-host=local-domino" in SERVICES["local-domino"]["command"]
    assert connection["extra"]["ui_host"] == f"http://localhost:{variables['LOCAL_DOMINO_PORT']}"
    assert with_defaults(port) == f"127.0.0.1:{variables['LOCAL_DOMINO_PORT']}:8888"
    project = f"--project={connection['extra']['project']}="
    assert any(word.startswith(project) for word in SERVICES["local-domino"]["command"])


@pytest.mark.parametrize("name", ["postgres.txt", "celery.txt"])
def test_what_the_image_adds_is_pinned_and_does_not_contradict_the_other_pins(name):
    lines = [line for line in (ROOT / "docker" / name).read_text().splitlines() if not line.startswith("#")]
    pinned = dict(line.partition(";")[0].split("==") for line in (ROOT / "requirements.txt").read_text().splitlines())

    assert lines
    assert all(re.match(r"[a-z0-9.-]+==\d", line) for line in lines)
    for name, version in (line.split("==") for line in lines):
        assert pinned.get(name, version).strip() == version


def test_the_image_can_be_built_on_another_base_and_does_not_run_as_root():
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    stages = [line for line in lines if line.startswith("FROM ")]
    users = [line for line in lines if line.startswith("USER ")]

    assert any(re.fullmatch(r"ARG BASE_IMAGE=python:\d+\.\d+\.\d+-slim-\w+", line) for line in lines)
    assert all(stage.startswith("FROM ${BASE_IMAGE}") for stage in stages)
    assert users == ["USER airflow"]


def test_the_engines_own_reader_accepts_the_file(tmp_path):
    compose = shutil.which("docker-compose")
    if compose is None:
        pytest.skip("docker-compose is not installed")
    settings = tmp_path / "settings"
    settings.write_text("".join(f"{name}={value or 'made-up'}\n" for name, value in example_variables().items()))

    command = [compose, "--env-file", str(settings), "--profile", "celery", "config", "--services"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == set(SERVICES)


def test_the_token_of_the_local_domino_is_on_no_command_line():
    service = SERVICES["local-domino"]

    assert "DOMINO_LOCAL_TOKEN" in service["environment"]
    assert not [word for word in service["command"] if word.startswith("--token")]
