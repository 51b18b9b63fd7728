"""Whom and what to believe: certificates, and answers that end where they should."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading

import pytest

from archive.credentials.http import ask
from archive.errors import StoreMisconfigured, TransientStoreError


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for localhost that nobody has signed but itself, with its key, in one file."""
    folder = tmp_path_factory.mktemp("certificate")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"]
    command += ["-keyout", str(folder / "key"), "-out", str(folder / "certificate")]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "certificate", folder / "key"


@pytest.fixture
def secure(certificate):
    """The URL of a server that answers one request over TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    def serve(listener: socket.socket) -> None:
        plain, _ = listener.accept()
        try:
            with context.wrap_socket(plain, server_side=True) as connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except OSError:
            plain.close()  # the client did not trust it

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        yield f"https://localhost:{listener.getsockname()[1]}"
        thread.join(10)


def test_a_certificate_that_nobody_vouches_for_is_refused(secure) -> None:
    with pytest.raises(StoreMisconfigured, match=r"certificate that can't be trusted.*proxy"):
        ask("GET", f"{secure}/", {})


def test_an_authority_named_by_the_usual_variable_is_trusted(secure, certificate, monkeypatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    assert ask("GET", f"{secure}/", {}).body == b"ok"


def test_half_an_answer_is_none(raw) -> None:
    raw.pieces = lambda: iter((b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",))
    with pytest.raises(TransientStoreError, match="broke off"):
        ask("GET", f"{raw.url}/", {})
