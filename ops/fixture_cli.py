"""`flask fixture`: sends a platform's recorded request to a running gateway, freshly signed.

The requests lie in ops/fixtures/<platform>/; `$text`, `$user`, `$id`, `$created` and `$to` in them are filled
in. What comes back is printed as the platform would read it: for WeChat that means decrypted.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

import click
import orjson
import requests

from adapters.wechat.crypto import Cipher, signature
from adapters.wechat.envelope import sealed_parts
from errors import ConfigurationError, YingdaError
from settings import DEVELOPMENT_KEY, Settings, load_settings
from settings.accounts import WeChatAccount

FIXTURES = Path(__file__).parent / "fixtures"
TIMEOUT = (3.0, 65.0)
"""Seconds to connect, and between bytes: 易事厅 waits a minute, so nobody waits longer."""
ANSWER_CAP = 1024 * 1024
"""Bytes of an answer that are read and shown."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request ready to be sent."""

    path: str
    body: bytes
    headers: dict[str, str]
    query: dict[str, str] = field(default_factory=dict)
    account: WeChatAccount | None = None
    """The WeChat account whose key opens the answer."""


@click.group("fixture")
def fixture_commands() -> None:
    """Recorded requests of every platform, to try a running gateway with."""


@fixture_commands.command("list")
def list_fixtures() -> None:
    """Print what can be sent."""
    for path in _files():
        click.echo(f"{path.parent.name} {path.stem}")


@fixture_commands.command("send")
@click.argument("platform")
@click.argument("name")
@click.option("--text", default="你好", help="The customer's words.")
@click.option("--user", default="oFixtureUser0000000000000001", help="Who writes.")
@click.option("--id", "message_id", default="", help="Message id; the same one twice is a platform's retry.")
@click.option("--url", default="", help="The gateway; default: this machine, PORT.")
@click.option("--account", default="", help="WeChat account by name; default: the first.")
def send(platform: str, name: str, text: str, user: str, message_id: str, url: str, account: str) -> None:
    """Send fixture NAME of PLATFORM and print the answer."""
    path = next((each for each in _files() if (each.parent.name, each.stem) == (platform, name)), None)
    if path is None:
        raise click.ClickException(f"there is no fixture {platform} {name}: see `flask fixture list`")
    try:
        settings = load_settings()
    except ConfigurationError as problem:
        raise click.ClickException(str(problem)) from None
    values = {
        "text": text,
        "user": user,
        "id": message_id or str(secrets.randbelow(9 * 10**18) + 10**18),
        "created": str(int(time.time())),
    }
    base = url.rstrip("/") or f"http://127.0.0.1:{settings.port}"
    if platform == "wechat":
        outgoing = _to_wechat(path, values, _account(settings, account))
    else:
        outgoing = _to_json(path, values, settings)
    try:
        with requests.Session() as session:
            # a proxy in the environment is for the outside, not for this machine
            session.trust_env = not base.startswith(("http://127.", "http://localhost", "http://[::1]"))
            with session.post(
                base + outgoing.path,
                params=outgoing.query,
                data=outgoing.body,
                headers=outgoing.headers,
                timeout=TIMEOUT,
                allow_redirects=False,
                stream=True,
            ) as response:
                fine = _show(response, outgoing)
    except requests.RequestException as problem:
        raise click.ClickException(
            f"{base} does not answer ({type(problem).__name__}): is it running?"
        ) from None
    if not fine:
        raise SystemExit(1)


def _files() -> list[Path]:
    return sorted(path for path in FIXTURES.glob("*/*") if path.suffix in {".xml", ".json"})


def _account(settings: Settings, name: str) -> WeChatAccount:
    for account in settings.wechat_accounts:
        if name in {"", account.name}:
            return account
    raise click.ClickException(f"there is no WeChat account {name or 'configured'}")


def _to_wechat(path: Path, values: dict[str, str], account: WeChatAccount) -> Outgoing:
    # inside CDATA only its end must not occur
    safe = {name: value.replace("]]>", "]]]]><![CDATA[>") for name, value in values.items()}
    xml = Template(path.read_text("utf-8")).substitute(safe, to=account.original_id or "gh_fixture")
    token = account.tokens[0].get_secret_value()
    timestamp, nonce = str(int(time.time())), secrets.token_hex(8)
    query = {
        "signature": signature(token, timestamp, nonce),
        "timestamp": timestamp,
        "nonce": nonce,
        "openid": values["user"],
    }
    if account.mode != "plain":
        if not account.aes_keys:
            raise click.ClickException(f"WeChat account {account.name} has no EncodingAESKey")
        sealed = Cipher(account.aes_keys[0].get_secret_value(), account.appid).encrypt(xml)
        query |= {"encrypt_type": "aes", "msg_signature": signature(token, timestamp, nonce, sealed)}
        xml = f"<xml><ToUserName>gh_fixture</ToUserName><Encrypt><![CDATA[{sealed}]]></Encrypt></xml>"
    headers = {"Content-Type": "text/xml"}
    return Outgoing(f"/api/wechat/{account.name}", xml.encode(), headers, query, account)


def _to_json(path: Path, values: dict[str, str], settings: Settings) -> Outgoing:
    recorded = orjson.loads(path.read_bytes())
    body = {name: _filled(value, values) for name, value in recorded["body"].items()}
    headers = {"Content-Type": "application/json"}
    if key := _credential(path.parent.name, settings):
        headers["Authorization"] = f"Bearer {key}"
    return Outgoing(recorded["path"], orjson.dumps(body), headers)


def _filled(value: object, values: dict[str, str]) -> object:
    return Template(value).substitute(values) if isinstance(value, str) else value


def _credential(platform: str, settings: Settings) -> str:
    if platform == "yishiting":
        return settings.yishiting_token.get_secret_value() if settings.yishiting_token else ""
    for entry in settings.api_keys:
        _, key, scopes = entry.split(":")
        if {"chat", "*"} & set(scopes.split("+")):
            return key
    return DEVELOPMENT_KEY if settings.development else ""


def _show(response: requests.Response, outgoing: Outgoing) -> bool:
    click.echo(f"HTTP {response.status_code} after {response.elapsed.total_seconds() * 1000:.0f} ms")
    kind = response.headers.get("Content-Type", "")
    if kind.startswith("text/event-stream"):
        for line in _lines(response):
            click.echo(line)
        return response.ok
    text = response.raw.read(ANSWER_CAP, decode_content=True).decode("utf-8", "replace")
    sealed = sealed_parts(text.encode()) if outgoing.account else []
    if not sealed or outgoing.account is None:
        click.echo(text)
        return response.ok
    try:
        key = outgoing.account.aes_keys[0].get_secret_value()
        click.echo(Cipher(key, outgoing.account.appid).decrypt(sealed[0]))
    except YingdaError as problem:
        raise click.ClickException(f"the answer cannot be decrypted: {problem.message}") from None
    return response.ok


def _lines(response: requests.Response) -> Iterable[str]:
    # `iter_lines` holds pieces back until a buffer is full; seeing them come is the point here
    pending = b""
    while piece := response.raw.read1(65536, decode_content=True):
        *lines, pending = (pending + piece).split(b"\n")
        yield from (line.decode("utf-8", "replace") for line in lines)
    if pending:
        yield pending.decode("utf-8", "replace")
