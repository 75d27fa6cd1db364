"""What a pipeline's own code writes holds no secret, and is not long, where it is stored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from airflow.sdk.execution_time.context import ConnectionAccessor, set_current_context
from airflow.sdk.log import mask_secret, redact

from airflow_domino.compat import AirflowFailException
from airflow_domino.luigi.engine.masking import LONGEST_TEXT, secrets_in
from airflow_domino.luigi.graph_record import unpack
from airflow_domino.operators.luigi import LuigiTaskError, LuigiTaskOperator

PIPELINE = """
import os
from urllib.parse import quote
import luigi
from luigi.contrib.external_program import ExternalProgramTask

PRIVATE = luigi.parameter.ParameterVisibility.PRIVATE

class Loads(ExternalProgramTask):
    def program_args(self):
        return ["false"]

class Says(luigi.Task):
    pin = luigi.Parameter(default="", visibility=PRIVATE, significant=False)
    def says(self):
        return f"with {os.environ.get('DB_PASSWORD')} and {self.pin} in {os.environ.get('PLACE')}"
    def complete(self):
        return False

class Raises(Says):
    def run(self):
        raise ValueError(self.says())

class Explains(Says):
    def run(self):
        raise ValueError("no luck")
    def on_failure(self, error):
        return {"why": self.says()}

class Shows(Says):
    def run(self):
        self.set_status_message(self.says())
        self.set_tracking_url("https://jobs/1?key=" + os.environ["DB_PASSWORD"])
        raise ValueError("no luck")

class Unasked(Says):
    def complete(self):
        raise OSError(self.says())

class Unplanned(Says):
    def requires(self):
        raise OSError(self.says())

class Odd(Says):
    def complete(self):
        return self.says()

class Encodes(Says):
    def run(self):
        raise ValueError(quote(os.environ["SETTING"], safe=""))

class Long(Says):
    def run(self):
        raise ValueError("begin " + 100_000 * "x" + " end")
"""
PASSWORD = "hunter-2 'ü"


@pytest.fixture
def fail(tmp_path: Path, task_context, state_store, capfd, monkeypatch):
    """Execute a task that fails; everything that Airflow would store or show of it."""
    (tmp_path / "leaks.py").write_text(PIPELINE)
    monkeypatch.setenv("AIRFLOW_CONN_MYDB", json.dumps({"conn_type": "postgres", "password": PASSWORD}))
    monkeypatch.setenv("PLACE", "/data/here")

    def execute(family, **arguments) -> dict:
        operator = LuigiTaskOperator(task_id="leaks", task=f"leaks:{family}", project_path=tmp_path, **arguments)
        context = task_context(state_store)
        operator.render_template_fields({"conn": ConnectionAccessor()})
        with set_current_context(context), pytest.raises((LuigiTaskError, AirflowFailException)) as failed:
            operator.execute(context)
        graph = context["ti"].xcoms.get("luigi_graph")
        return {
            "exception": str(failed.value),
            "graph": json.dumps(unpack(graph), ensure_ascii=False) if graph else "",
            "xcoms": json.dumps(context["ti"].xcoms, ensure_ascii=False),
            "store": json.dumps(state_store, ensure_ascii=False),
            "log": redact(capfd.readouterr().out),
        }

    return execute


def told(kept: dict) -> str:
    return "\n".join(kept.values())


@pytest.mark.parametrize("password", ["{{ conn.mydb.password }}", PASSWORD], ids=["template", "value"])
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("family", ["Loads", "Raises", "Explains", "Shows", "Unasked", "Unplanned", "Odd"])
def test_a_password_in_the_environment_is_stored_and_shown_nowhere(fail, family, password, workers):
    kept = fail(family, env={"DB_PASSWORD": password}, workers=workers)
    assert "hunter" not in told(kept)
    assert "***" in kept["exception"] + kept["xcoms"]
    assert family == "Loads" or "/data/here" in told(kept)


def test_a_password_in_an_address_is_stored_nowhere(fail):
    kept = fail("Loads", env={"DATABASE": "postgres://ada:hunter-2%40x@warehouse/sales"})
    assert "hunter-2" not in told(kept)
    assert "DATABASE='***'" in kept["xcoms"]


@pytest.mark.parametrize("family", ["Loads", "Encodes"])
def test_what_airflow_masks_is_masked_whatever_its_variable_is_called(fail, family):
    mask_secret("unremarkable/value")
    assert "unremarkable" not in told(fail(family, env={"SETTING": "unremarkable/value"}))


@pytest.mark.parametrize("family", ["Raises", "Explains", "Unasked", "Unplanned", "Odd"])
def test_a_private_parameter_is_stored_and_shown_nowhere(fail, family):
    kept = fail(family, params={"pin": "0815-4711"})
    assert "0815" not in told(kept)
    assert "and *** in /data/here" in kept["exception"]


def test_short_and_common_values_leave_texts_as_they_are(fail):
    kept = fail("Raises", env={"DB_PASSWORD": "true"}, params={"pin": "1"})
    assert "with true and 1 in /data/here" in kept["exception"]


def test_a_long_text_is_cut_in_its_middle_and_says_so(fail):
    kept = fail("Long")
    (task,) = json.loads(kept["store"])["luigi_tasks"]["tasks"]
    assert len(task["message"]) < LONGEST_TEXT + 50
    assert task["message"].startswith("ValueError: begin xxx")
    assert task["message"].endswith("xxx end")
    assert "characters cut) …" in task["message"]
    assert len(kept["exception"]) < LONGEST_TEXT + 500


@pytest.mark.parametrize(
    ("name", "value", "is_secret"),
    [
        ("DB_PASSWORD", "hunter22", True),
        ("db_passwd", "hunter22", True),
        ("SNOWFLAKE_TOKEN", "hunter22", True),
        ("AWS_SECRET_ACCESS_KEY", "hunter22", True),
        ("OPENAI_API_KEY", "hunter22", True),
        ("DB_PASSWORD", "abcd", False),
        ("USE_TOKEN", "false", False),
        ("SMTP_PASS", "hunter22", True),
        ("AZURE_STORAGE_CONNECTION_STRING", "hunter22", True),
        ("FERNET_KEY", "hunter22", True),
        ("TOKEN_FILE", "/run/token", False),
        ("MAX_TOKENS", "128000", False),
        ("OPENAI_MAX_TOKENS", "128000", False),
        ("TOKENIZER", "bert-base", False),
        ("TOKENIZERS_PARALLELISM", "false", False),
        ("PASSWORD_LENGTH", "10000", False),
        ("AWS_REGION", "eu-west-1", False),
        ("BYPASS", "everything", False),
        ("PATH", "/usr/bin", False),
        ("KEYBOARD", "qwertz", False),
        ("PWD", "/home/ada", False),
        ("MONKEY", "banana", False),
        ("NO_PROXY", "localhost", False),
    ],
)
def test_names_tell_which_variables_hold_secrets(name, value, is_secret):
    assert secrets_in({name: value}) == ([value] if is_secret else [])


@pytest.mark.parametrize(
    ("value", "secrets"),
    [
        ("postgres://ada:hunter-2@warehouse/sales", ["hunter-2"]),
        ("postgresql+psycopg2://ada:hunter@2@warehouse:5432/sales", ["hunter@2"]),
        ("redis://:hunter-2@one:6379,redis://:hunter-3@other:6379", ["hunter-2", "hunter-3"]),
        ("jdbc:postgresql://warehouse/sales?user=ada&password=hunter-2&ssl=true", ["hunter-2"]),
        ("host=warehouse user=ada password=hunter-2 dbname=sales", ["hunter-2"]),
        ("DefaultEndpointsProtocol=https;AccountName=ada;AccountKey=aHVudGVyLTI=;", ["aHVudGVyLTI="]),
        ("https://warehouse:8080/at@noon", []),
        ("--tokenizer=bert-base --max_tokens=128000", []),
    ],
)
def test_passwords_within_addresses_are_secrets(value, secrets):
    assert secrets_in({"ADDRESS": value}) == secrets
