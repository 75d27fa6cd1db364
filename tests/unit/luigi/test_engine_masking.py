"""Texts of a pipeline are masked by the engine itself, whoever asked it, and wherever it sends them."""

from __future__ import annotations

import json
import socketserver
import threading
from email import message_from_string
from urllib.parse import quote

import pytest

from airflow_domino.luigi.engine.masking import keep_secret, kept_text, masked
from airflow_domino.luigi.execute import engine_environment

LEAKS = """
    import os, subprocess, sys
    class Leaks(luigi.Task):
        pin = luigi.Parameter(visibility=luigi.parameter.ParameterVisibility.PRIVATE)
        def output(self):
            return luigi.LocalTarget("never.txt")
        def run(self):
            secrets = f"{self.pin} and {os.environ['API_TOKEN']}"
            print("printed", secrets)
            print("written", secrets, file=sys.stderr)
            self.set_status_message(f"status {secrets}")
            raise ValueError(f"raised {secrets}")
    """
ENVIRONMENT = {"API_TOKEN": "tok-en-123", "SHOUTS": "ordinary"}


@pytest.mark.parametrize("workers", [1, 2])
def test_what_the_command_shows_holds_neither_masked_variables_nor_private_parameters(ask, write_module, workers):
    write_module("leaks", LEAKS)
    answer = ask("run", "leaks:Leaks", {"pin": "0815-4711"}, env=engine_environment(ENVIRONMENT), workers=workers)
    shown = "\n".join([*ask.lines, answer.message, json.dumps(dict(answer.facts))])
    assert "0815-4711" not in shown
    assert "tok-en-123" not in shown
    for word in ("printed", "written", "status", "raised"):
        assert f"{word} *** and ***" in shown


def test_variables_that_are_named_as_secret_are_masked_whatever_their_names_say(ask, write_module):
    write_module(
        "shouts",
        "import os\nclass T(luigi.Task):\n    def complete(self):\n        raise OSError(os.environ['SHOUTS'])\n",
    )
    environment = engine_environment(ENVIRONMENT)
    assert "OSError: ordinary" in ask("check", "shouts:T", env=environment).message
    assert "OSError: ***" in ask("check", "shouts:T", env=environment, masked_variables=["SHOUTS"]).message


@pytest.mark.parametrize(
    "answer", ["[os.environ['API_TOKEN']]", "Made(note=os.environ['API_TOKEN'])", "{os.environ['API_TOKEN']: 1}"]
)
def test_what_is_said_of_requirements_that_are_wrong_holds_no_secret(ask, write_module, answer):
    write_module(
        "wrong",
        "import os\nclass Made(luigi.Task):\n    pass\n"
        f"class T(luigi.Task):\n    def requires(self):\n        return {answer}\n",
    )
    found = ask("run", "wrong:T", env=engine_environment(ENVIRONMENT))
    assert found.outcome == "scheduling_failed"
    assert "tok-en-123" not in found.message + json.dumps(dict(found.facts)) + "\n".join(ask.lines)


class Mail(socketserver.StreamRequestHandler):
    """Takes a mail, as an SMTP server does."""

    def handle(self) -> None:
        self.wfile.write(b"220 ready\r\n")
        in_data = False
        for line in self.rfile:
            if in_data:
                self.server.mail.append(line.decode())
                if line == b".\r\n":
                    in_data = False
                    self.wfile.write(b"250 ok\r\n")
            elif line.upper().startswith(b"DATA"):
                in_data = True
                self.wfile.write(b"354 go on\r\n")
            elif line.upper().startswith(b"QUIT"):
                self.wfile.write(b"221 bye\r\n")
                return
            else:
                self.wfile.write(b"250 ok\r\n")


@pytest.fixture
def mails():
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mail) as server:
        server.mail = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_a_mail_of_a_failure_holds_no_secret(ask, write_module, work, mails):
    (work / "luigi.cfg").write_text(
        "[email]\nreceiver = ada@example.com\nsender = luigi@example.com\nforce_send = true\nmethod = smtp\n"
        f"[smtp]\nhost = 127.0.0.1\nport = {mails.server_address[1]}\n"
    )
    write_module("leaks", LEAKS)
    ask("run", "leaks:Leaks", {"pin": "0815-4711"}, env=engine_environment(ENVIRONMENT))
    parts = message_from_string("".join(mails.mail)).walk()
    mail = "".join(part.get_payload(decode=True).decode() for part in parts if not part.is_multipart())
    assert "raised *** and ***" in mail, ask.lines
    assert "0815-4711" not in mail
    assert "tok-en-123" not in mail


PASSWORD = "p@ss'wörd \\ 1"
KEY = "wJalr/XUtn+FEMI=K7"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (PASSWORD, "***"),
        (repr({"x": PASSWORD}), """{'x': "***"}"""),
        (json.dumps(PASSWORD), '"***"'),
        ("u:p%40ss%27w%C3%B6rd%20%5C%201@host", "u:***@host"),
        (json.dumps({"x": PASSWORD}, ensure_ascii=False), '{"x": "***"}'),
        (json.dumps(json.dumps([PASSWORD])), r'"[\"***\"]"'),
        (repr([repr(PASSWORD)]), """['"***"']"""),
        (repr(PASSWORD.encode()), """b"***\""""),
        ("p%40ss%27w%c3%b6rd+%5c+1", "***"),
        ("p%2540ss%2527w%25C3%25B6rd%2520%255C%25201", "***"),
        (quote(KEY, safe=""), "***"),
        (quote(KEY), "***"),
        ("nested-one", "***"),
        ("Nested-One, nested one and nested", "Nested-One, nested one and nested"),
        ("no 471100815", "no ***"),
        ("a line, MIIEvQIBADANBg, of a key", "a line, ***, of a key"),
    ],
)
def test_a_secret_is_masked_in_each_form_in_which_texts_hold_it(text, left):
    keep_secret([PASSWORD, KEY, "-----BEGIN-----\nMIIEvQIBADANBg\n-----END-----", {"deep": ["nested-one"]}, 471100815])
    assert masked(text) == left


def test_what_cannot_be_written_is_named_by_its_type():
    class Odd:
        def __str__(self) -> str:
            raise ValueError("no")

    assert kept_text(Odd()) == "(a Odd that cannot be written: ValueError)"
