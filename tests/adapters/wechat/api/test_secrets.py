"""What is never told: neither to a stranger's server nor to the logs."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from adapters.wechat.client import OfficialApi
from errors import NotNow, UpstreamError
from tests.adapters.wechat.api.conftest import OPENID, QUICK, SECRET, TOKEN, account
from tests.coze.wire import Hang, answer_json
from tests.gateway_double import FakeTokens


def test_a_server_with_another_s_certificate_is_told_nothing(tmp_path: Path) -> None:
    heard: list[bytes] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))

    def listen(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            heard.append(context.wrap_socket(connection, server_side=True).recv(1000))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=listen, args=(listener,), daemon=True)
        thread.start()
        api = OfficialApi(account(f"https://localhost:{listener.getsockname()[1]}"), FakeTokens(), QUICK)
        with pytest.raises(NotNow, match="certificate"):
            api.prepare()
        thread.join(5)
    assert heard in ([], [b""])


def self_signed(folder: Path) -> Path:
    """A PEM file with a fresh key and a certificate for localhost that nobody signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file = folder / "server.pem"
    file.write_bytes(private + certificate.public_bytes(Encoding.PEM))
    return file


@pytest.mark.parametrize(
    "script",
    [
        answer_json({"errcode": 40003, "errmsg": f"invalid {OPENID} t0ken-of-this-test {SECRET} rid: 6f-12"}),
        answer_json({"errcode": 40001, "errmsg": f"invalid t0ken-of-this-test {OPENID} rid: 6f-12"}),
        [],
        [Hang(1.6)],
        answer_json(b"<html>"),
    ],
)
def test_no_secret_token_or_openid_is_told(
    scripted: Any, caplog: pytest.LogCaptureFixture, script: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("urllib3").setLevel(logging.INFO)  # as ops.logs has it
    api, _ = scripted(TOKEN, script, TOKEN)
    with pytest.raises(UpstreamError) as caught:
        api.custom_send(OPENID, "好")
    logging.getLogger("test").error("it failed", exc_info=caught.value)
    told = " ".join(
        [repr(caught.value), repr(api), repr(vars(caught.value)), caplog.text]
        + [repr(each.__dict__) for each in caplog.records]
    )
    for secret in (OPENID, SECRET, "t0ken-of-this-test"):
        assert secret not in told
    if isinstance(script, bytes) and b"rid" in script:
        assert "rid: 6f-12" in told


def test_the_settings_show_no_secret(url: str) -> None:
    assert SECRET not in repr(account(url, appsecret=SecretStr(SECRET)))
