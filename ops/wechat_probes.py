"""What is asked of WeChat and of our own callback, once for each account: by `doctor`, and by `wechat check`.

Nothing here reaches a customer. The token is asked of the stable endpoint without force, which leaves every
token that is in use as it is.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import requests

from adapters.wechat.crypto import Cipher, signature
from adapters.wechat.errcodes import CONSOLE, Meaning, caller_address, meaning
from adapters.wechat.strategy import strategy_of
from coze.errors import code_number
from ops.findings import Finding, fine, worth_a_look, wrong
from ops.probes import Answer, ask, clock
from settings import Settings
from settings.accounts import WeChatAccount

WRONG_SECRET = Meaning("the AppSecret is wrong", f"copy it anew from the console: {CONSOLE}")
TOO_SLOW = 4.5
"""Seconds after which an answer may miss WeChat's five."""
NOBODY = "yingda-check"
"""An openid that cannot exist: what is asked about it is refused for that, or for a missing permission."""


def check_wechat(settings: Settings) -> Iterator[Finding]:
    """Each account's settings, AppID and AppSecret, tried by asking for a token."""
    if not settings.wechat_accounts:
        yield worth_a_look("WeChat", "no account is set", "set WECHAT_TOKEN, WECHAT_APPID and WECHAT_AES_KEY")
    for account in settings.wechat_accounts:
        yield from check_choices(account)
        yield from check_token(account, settings.sandbox_wechat)


def check_callbacks(settings: Settings) -> Iterator[Finding]:
    """Plays WeChat's handshake with the gateway on this machine, once for each account."""
    for account in settings.wechat_accounts:
        yield from check_handshake(account, f"{local_gateway(settings)}/api/wechat/{account.name}")


def check_choices(account: WeChatAccount) -> Iterator[Finding]:
    """Settings that contradict each other, or leave a door open."""
    subject = f"WeChat {account.name}"
    if account.mode == "plain":
        yield worth_a_look(
            subject,
            "plain mode: the signature does not cover the messages, so they can be forged",
            "choose 安全模式 in the console and set WECHAT_MODE=safe",
        )
    elif not account.aes_keys:
        yield wrong(subject, f"{account.mode} mode needs an EncodingAESKey", "set WECHAT_AES_KEY")
    if account.strategy == "push" and account.kind == "unverified":
        yield wrong(
            f"{subject} strategy",
            "push with an unverified account: WeChat refuses each late answer (48001)",
            "set WECHAT_STRATEGY=hold, or WECHAT_ACCOUNT_KIND=verified once the account is",
        )
    if strategy_of(account) == "push" and account.appsecret is None:
        yield wrong(f"{subject} strategy", "push needs an AppSecret", "set WECHAT_APPSECRET")


def check_token(account: WeChatAccount, sandbox: bool) -> Iterator[Finding]:
    """AppID, AppSecret, IP white list and clock."""
    subject = f"WeChat {account.name}"
    if account.appsecret is None:
        yield worth_a_look(
            subject,
            "no AppSecret, so AppID and clock are not checked",
            "not needed to answer messages; set WECHAT_APPSECRET to check",
        )
        return
    answer = _ask_token(account)
    if isinstance(answer, str):
        remedy = "run `make run`" if sandbox else "check the network and WECHAT_API_BASE"
        state = worth_a_look if sandbox else wrong
        yield state(subject, f"{account.api_base} cannot be reached ({answer})", remedy)
        return
    code = code_number(answer.fields.get("errcode"))
    if answer.fields.get("access_token"):
        yield fine(subject, "AppID and AppSecret are right")
        yield from clock(subject, answer)
    elif code == 40164:
        address = caller_address(answer.text) or "this machine's address"
        yield wrong(
            subject,
            f"WeChat does not take calls from {address} (40164)",
            f"add {address} to the console's list: {CONSOLE} → IP白名单",
        )
    elif code:
        # for a wrong secret this endpoint also says what elsewhere means a token
        found = WRONG_SECRET if code == 40001 else meaning(code)
        yield wrong(subject, f"{found.words} ({code})", found.remedy)
    else:
        yield wrong(subject, f"no token (HTTP {answer.status})", "check WECHAT_API_BASE")


def check_permission(account: WeChatAccount) -> Iterator[Finding]:
    """Whether the account may send customer-service messages, against what the settings say it is."""
    subject = f"WeChat {account.name} kind"
    answer = _ask_token(account) if account.appsecret is not None else "no AppSecret"
    if isinstance(answer, str) or not (token := str(answer.fields.get("access_token", ""))):
        return  # said already
    try:
        tried = ask(
            "POST",
            f"{account.api_base}/cgi-bin/message/custom/typing",
            params={"access_token": token},
            json={"touser": NOBODY, "command": "Typing"},
        )
    except requests.RequestException as problem:
        yield worth_a_look(subject, f"could not be asked ({type(problem).__name__})", "try again")
        return
    code = code_number(tried.fields.get("errcode"))
    if code in {48001, 48004}:
        if account.kind == "verified":
            yield wrong(
                subject,
                f"WECHAT_ACCOUNT_KIND=verified, but the account may not send messages ({code})",
                "look at 设置与开发 → 接口权限 → 客服接口; until then set WECHAT_ACCOUNT_KIND=unverified",
            )
        else:
            yield fine(subject, "unverified, as the settings say: late answers wait to be fetched")
    elif account.kind == "verified":
        yield fine(subject, "may send customer-service messages")
    else:
        yield worth_a_look(
            subject,
            "may send customer-service messages, but the settings say unverified",
            "set WECHAT_ACCOUNT_KIND=verified to have late answers pushed",
        )


def check_handshake(account: WeChatAccount, url: str) -> Iterator[Finding]:
    """Whether the callback at `url` echoes WeChat's string, and only for WeChat's signature."""
    subject, path = f"callback {account.name}", urlsplit(url).path
    echo = secrets.token_hex(8)
    query = {**_signed(account), "echostr": echo}
    try:
        answer = ask("GET", url, params=query)
    except requests.RequestException as problem:
        if urlsplit(url).hostname in {"127.0.0.1", "::1"}:
            port = urlsplit(url).port
            yield worth_a_look(subject, f"no gateway runs on port {port}", "start it, then run this again")
        else:
            yield wrong(
                subject,
                f"{url} cannot be reached ({type(problem).__name__})",
                "check DNS, firewall and certificate: WeChat calls the same address from outside",
            )
        return
    if answer.status == 200 and answer.text == echo:
        yield fine(subject, f"{path} answers WeChat's handshake")
    elif answer.status == 403:
        yield wrong(
            subject,
            f"{path} refuses the signature",
            "the running gateway has another WECHAT_TOKEN: restart it",
        )
    elif answer.status // 100 == 3:
        yield wrong(
            subject,
            f"{path} redirects (HTTP {answer.status}), which WeChat does not follow",
            "enter the address that it leads to, or have the proxy pass this path on",
        )
    else:
        yield wrong(
            subject,
            f"{path} answers with HTTP {answer.status}",
            "is another program on this port, or does the gateway run with other settings?",
        )


def check_event(account: WeChatAccount, url: str) -> Iterator[Finding]:
    """Delivers the console's own test event, sealed as the mode asks, and one with a wrong signature."""
    subject = f"callback {account.name} event"
    try:
        started = time.monotonic()
        answer = _deliver(account, url)
        took = time.monotonic() - started
        forged = _deliver(account, url, forged=True)
    except requests.RequestException as problem:
        yield wrong(subject, f"no answer ({type(problem).__name__})", "see the finding above")
        return
    if answer.status != 200 or answer.text != "success":
        yield wrong(
            subject,
            f"a genuine event is answered with HTTP {answer.status}",
            "compare WECHAT_TOKEN, _AES_KEY, _APPID and _MODE with the console, and restart",
        )
    elif took > TOO_SLOW:
        yield wrong(subject, f"it took {took:.1f} s: WeChat hangs up after 5", "look for a slow proxy")
    elif forged.status != 403:
        yield wrong(
            subject,
            f"a forged event is answered with HTTP {forged.status}, not 403",
            "is it this gateway that answers at this address?",
        )
    else:
        yield fine(subject, f"a {account.mode}-mode event is taken in {took:.1f} s, a forged one refused")


def check_address(account: WeChatAccount, url: str) -> Iterator[Finding]:
    """Whether WeChat would call such an address at all."""
    parts = urlsplit(url)
    if parts.port not in {None, 80, 443}:
        yield worth_a_look(
            f"callback {account.name} address",
            f"port {parts.port}: WeChat calls 80 and 443 only",
            "give the public address: --url https://your.domain, or PUBLIC_URL",
        )
    elif parts.scheme == "http":
        yield worth_a_look(
            f"callback {account.name} address", "without TLS, openids travel in clear", "use https"
        )


def local_gateway(settings: Settings) -> str:
    """Where the gateway of these settings listens on this machine."""
    host = "[::1]" if settings.host in {"::", "::1"} else "127.0.0.1"
    return f"http://{host}:{settings.port}"


def _ask_token(account: WeChatAccount) -> Answer | str:
    """The answer of the token endpoint, or the name of what went wrong."""
    secret = account.appsecret.get_secret_value() if account.appsecret is not None else ""
    wanted = {"grant_type": "client_credential", "appid": account.appid, "secret": secret}
    try:
        return ask("POST", f"{account.api_base}/cgi-bin/stable_token", json=wanted)
    except requests.RequestException as problem:
        return type(problem).__name__


def _signed(account: WeChatAccount) -> dict[str, str]:
    now, nonce = str(int(time.time())), secrets.token_hex(8)
    token = account.tokens[0].get_secret_value()
    return {"signature": signature(token, now, nonce), "timestamp": now, "nonce": nonce}


def _deliver(account: WeChatAccount, url: str, *, forged: bool = False) -> Answer:
    # the event that the console's own debugging page sends: it is acknowledged and asks nothing of the bot
    body = (
        f"<xml><ToUserName><![CDATA[{account.original_id or 'gh_yingda_check'}]]></ToUserName>"
        f"<FromUserName><![CDATA[{NOBODY}]]></FromUserName><CreateTime>{int(time.time())}</CreateTime>"
        "<MsgType><![CDATA[event]]></MsgType><Event><![CDATA[debug_demo]]></Event></xml>"
    )
    query = {**_signed(account), "openid": NOBODY}
    token = account.tokens[0].get_secret_value()
    if account.mode != "plain" and account.aes_keys:
        sealed = Cipher(account.aes_keys[0].get_secret_value(), account.appid).encrypt(body)
        covered = signature(token, query["timestamp"], query["nonce"], sealed)
        query |= {"encrypt_type": "aes", "msg_signature": covered}
        body = f"<xml><Encrypt><![CDATA[{sealed}]]></Encrypt></xml>"
    if forged:
        query |= {name: "0" * 40 for name in ("signature", "msg_signature") if name in query}
    return ask("POST", url, params=query, data=body.encode(), headers={"Content-Type": "text/xml"})
