"""TLS: certificates are checked, a CA file is believed, and failures say what to do."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import urllib3.exceptions
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from airflow_domino.domino import ApiKey, DominoClient, DominoUnavailableError, LaunchOutcomeUnknownError, RunRequest


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"version": "6.3.0"}')

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for localhost, with its key beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return folder / "cert.pem"


@pytest.fixture
def port(certificate: Path) -> Iterator[int]:
    """A server that speaks TLS with that certificate."""

    class Server(HTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            pass

        def get_request(self) -> tuple[ssl.SSLSocket, object]:
            connection, address = super().get_request()
            return context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


def test_an_unknown_certificate_is_refused_and_nothing_was_started(port: int) -> None:
    with DominoClient(f"https://localhost:{port}", ApiKey("k")) as client:
        with pytest.raises(
            DominoUnavailableError, match=r"certificate verify failed.*check the certificate, the CA file"
        ):
            client.version()
        with pytest.raises(DominoUnavailableError) as caught:
            client.start_run(RunRequest("p", "x"))

    assert not isinstance(caught.value, LaunchOutcomeUnknownError)


def test_a_certificate_for_another_name_is_refused(port: int, certificate: Path) -> None:
    with (
        DominoClient(f"https://127.0.0.1:{port}", ApiKey("k"), verify=str(certificate)) as client,
        pytest.raises(DominoUnavailableError, match="certificate"),
    ):
        client.version()


def test_a_file_of_ca_certificates_is_believed(port: int, certificate: Path) -> None:
    with DominoClient(f"https://localhost:{port}", ApiKey("k"), verify=str(certificate)) as client:
        assert client.version().version == "6.3.0"


def test_unchecked_certificates_stay_unchecked_whatever_the_environment_says(
    port: int, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "nowhere.pem"))
    monkeypatch.setattr("airflow_domino.domino.transport.is_loopback", lambda url: False)

    with (
        DominoClient(f"https://localhost:{port}", ApiKey("k"), verify=False) as client,
        pytest.warns(urllib3.exceptions.InsecureRequestWarning),
    ):
        assert client.version().version == "6.3.0"
