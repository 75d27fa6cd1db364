"""What is wrong between here and Domino, step by step, and what to do about it."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from airflow_domino.domino.auth import ApiKey
from airflow_domino.domino.client import DominoClient
from airflow_domino.domino.diagnosis import Diagnosis, NoNameError, certificate_of, resolve, role_trouble
from airflow_domino.domino.models import Project
from airflow_domino.domino.transport import RetryPolicy


def diagnose(url, project="domino/quick-start", key="unit-token-7f3a", **options):
    with DominoClient(url, ApiKey(key), retries=RetryPolicy(0), connect_timeout=2, read_timeout=2) as client:
        diagnosis = Diagnosis(client, url, lambda: project, **options)
        return list(diagnosis.steps()), diagnosis


def test_where_all_is_well_each_step_tells_what_was_found(fake_domino):
    steps, found = diagnose(fake_domino.url)
    assert [(step.name, step.is_well) for step in steps] == [
        (name, True) for name in ("host name", "connection", "credentials", "project", "tiers")
    ]
    assert [step.text for step in steps[1:]] == [
        "Domino 6.2.0",
        "user ada",
        "domino/quick-start",
        "Small, X-Large, GPU, GPU",
    ]
    assert (found.user.user_name, found.project.name, len(found.tiers)) == ("ada", "quick-start", 4)


def test_without_a_project_there_is_nothing_to_look_up(fake_domino):
    steps, found = diagnose(fake_domino.url, project=None)
    assert steps[-1].text == "none is named"
    assert (steps[-1].is_well, found.project, found.tiers) == (True, None, None)


@pytest.mark.parametrize(
    ("options", "step", "advice"),
    [
        ({"url": "http://no-such-host.invalid"}, "host name", "VPN"),
        ({"url": "http://127.0.0.1:1"}, "connection", "open the same address in a browser"),
        ({"key": "wrong"}, "credentials", "make a new token or key"),
        ({"key": "wrong", "credential_advice": "choose bearer"}, "credentials", "choose bearer"),
        ({"project": "ann/secret"}, "project", "/u/OWNER/NAME"),
    ],
)
def test_the_first_thing_that_is_wrong_ends_it_with_what_to_do(fake_domino, options, step, advice):
    steps, _ = diagnose(**({"url": fake_domino.url} | options))
    assert [one.name for one in steps if not one.is_well] == [step]
    assert steps[-1].name == step
    assert advice in steps[-1].advice
    assert steps[-1].sentence.endswith(f"What to do: {steps[-1].advice}")


def test_a_project_without_a_tier_is_of_no_use(fake_domino):
    fake_domino.tiers.clear()
    steps, _ = diagnose(fake_domino.url)
    assert (steps[-1].name, steps[-1].is_well) == ("tiers", False)


def test_a_mistake_of_the_caller_fails_the_step_and_other_faults_are_raised(fake_domino):
    class MistakeError(Exception):
        pass

    def forgot():
        raise MistakeError("which project?")

    with DominoClient(fake_domino.url, ApiKey("unit-token-7f3a")) as client:
        steps = list(Diagnosis(client, fake_domino.url, forgot, refusals=(MistakeError,)).steps())
        assert (steps[-1].name, steps[-1].text) == ("project", "which project?")
        with pytest.raises(MistakeError):
            list(Diagnosis(client, fake_domino.url, forgot).steps())


@pytest.mark.parametrize(
    ("role", "may"), [("Contributor", True), ("Owner", True), (None, True), ("Wizard", True), ("Viewer", False)]
)
def test_a_role_that_may_only_look_is_known(role, may):
    assert (role_trouble(Project("p1", "ann", "churn", role=role)) is None) is may


def test_a_name_behind_a_proxy_is_left_to_the_proxy(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://user:s3cret@proxy.example.com:3128")
    monkeypatch.delenv("NO_PROXY", raising=False)
    found = resolve("https://no-such-host.invalid")
    assert "proxy.example.com" in found
    assert "s3cret" not in found
    assert resolve("http://127.0.0.1:1") == "127.0.0.1 needs no name"


def test_what_is_no_name_does_not_resolve():
    with pytest.raises(NoNameError):
        resolve("https://" + "a" * 70 + ".example")


# ---- certificates ----------------------------------------------------------------------------------------------------


def certificate(tmp_path, names=("localhost",), days=30):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Example Authority")])
    now = datetime.now(UTC)
    alternatives = [x509.IPAddress(ip_address(n)) if n[0].isdigit() else x509.DNSName(n) for n in names]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=60))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "both.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return file


@pytest.fixture
def serve_tls(tmp_path):
    """Serves TLS with a certificate of its own; gives the address."""
    listeners = []

    def serve(**how):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate(tmp_path, **how))
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def answer():
            while True:
                try:
                    plain, _ = listener.accept()
                except OSError:
                    return
                try:
                    with plain, context.wrap_socket(plain, server_side=True) as tls:
                        tls.recv(1)
                except (OSError, ssl.SSLError):
                    continue

        threading.Thread(target=answer, daemon=True).start()
        return f"https://127.0.0.1:{listener.getsockname()[1]}"

    yield serve
    for listener in listeners:
        listener.close()


def test_a_certificate_of_an_unknown_authority_is_described_with_where_to_name_it(serve_tls):
    steps, _ = diagnose(serve_tls(names=("127.0.0.1", "domino.example.com")))
    assert (steps[-1].name, steps[-1].is_well) == ("certificate", False)
    assert "is for 127.0.0.1, domino.example.com, was issued by itself and is valid until" in steps[-1].text
    assert "CA file" in steps[-1].advice


def test_a_certificate_that_has_ended_is_described_as_such(serve_tls):
    assert "was valid until" in certificate_of(serve_tls(days=-5))


def test_what_speaks_no_tls_is_asked_without(fake_domino):
    steps, _ = diagnose(fake_domino.url.replace("http:", "https:"))
    assert steps[-1].name == "certificate"
    assert "http://" in steps[-1].advice


def test_nobody_there_shows_no_certificate():
    assert certificate_of("https://127.0.0.1:1") is None


# ---- through the hook ------------------------------------------------------------------------------------------------


@pytest.fixture
def press_test(domino_connection, monkeypatch):
    from airflow_domino.hooks.domino import DominoHook

    monkeypatch.setattr("airflow_domino.domino.transport.RetryPolicy.wait", lambda *_: 0.0)

    def press(**fields):
        domino_connection(**fields)
        return DominoHook().test_connection()

    return press


def test_a_token_that_is_sent_as_a_key_is_recognised(press_test):
    works, message = press_test(password="eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4ifQ.eA")
    assert not works
    assert "looks like a token (a JWT)" in message
    assert "eyJhbGci" not in message


def test_a_limit_of_a_tier_that_there_is_not_is_found_by_the_test(press_test):
    project = {"project": "domino/quick-start"}
    works, message = press_test(extra=project | {"max_active_runs_per_tier": {"Huge": 2}})
    assert not works
    assert "'Huge'" in message


def test_the_test_says_when_the_credential_expires(press_test):
    day = (datetime.now(UTC) + timedelta(days=30)).date().isoformat()
    works, message = press_test(extra={"project": "domino/quick-start", "expires_on": day})
    assert works
    assert f"The credential expires on {day} 00:00 UTC, in 29 days" in message
    assert "make a new one" not in message


def test_a_project_in_which_one_may_only_look_fails_the_test(press_test, monkeypatch):
    monkeypatch.setattr(
        DominoClient, "project", lambda self, name: Project("p1", "domino", "quick-start", role="Viewer")
    )
    works, message = press_test()
    assert not works
    assert "a Viewer may not; ask the owner" in message


def test_settings_that_cannot_work_fail_the_test_and_raise_nothing(press_test):
    works, message = press_test(password="")
    assert not works
    assert "password is empty" in message


def test_nothing_that_is_told_holds_the_secret(press_test):
    for fields in ({"password": "very-secret-token"}, {"password": "very-secret-token", "host": "http://127.0.0.1:1"}):
        assert "very-secret-token" not in json.dumps(press_test(**fields))
