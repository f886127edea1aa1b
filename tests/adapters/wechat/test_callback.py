"""The callback through a Flask app: who is let in, and what a genuine push gets."""

from __future__ import annotations

import base64
import time
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.gateway import Gateway
from adapters.wechat import WeChatAdapter
from errors import ConfigurationError
from sandbox.wechat.crypto import Cipher, sign
from settings import load_settings

OTHER_KEY = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"


# the handshake


def handshake(account: Any, **changes: str | None) -> Any:
    query = {**account.query(), "echostr": "7164827152183391823", **changes}
    query.pop("openid")
    return account.client.get(account.path, query_string={k: v for k, v in query.items() if v is not None})


def test_the_handshake_echoes_verbatim_in_every_mode(account: Any) -> None:
    response = handshake(account)
    assert (response.status_code, response.data) == (200, b"7164827152183391823")
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "changes",
    [
        {"signature": "0" * 40},
        {"signature": None},
        {"timestamp": None},
        {"nonce": None},
        {"echostr": None},
        {"signature": ""},
        {"signature": "é" * 40},
        {"timestamp": "1500000000"},
        {"nonce": "other"},
    ],
)
def test_a_wrong_or_missing_parameter_is_refused_without_an_echo(
    safe: Any, changes: dict[str, str | None]
) -> None:
    response = handshake(safe, **changes)
    assert (response.status_code, response.data) == (403, b"forbidden")


@pytest.mark.parametrize("echo", ["<script>", "a b", "1\n", "é", "1" * 129, ""])
def test_an_echo_that_is_not_wechats_is_refused(safe: Any, echo: str) -> None:
    response = handshake(safe, echostr=echo)
    assert (response.status_code, response.data) == (400, b"bad_request")


@pytest.mark.parametrize("name", ["signature", "timestamp", "nonce", "echostr"])
def test_a_repeated_parameter_is_refused(safe: Any, name: str) -> None:
    query = [*safe.query().items(), ("echostr", "1"), (name, safe.query().get(name, "1"))]
    assert safe.client.get(safe.path, query_string=query).status_code == 403


# which account


@pytest.mark.parametrize(
    "path", ["/api/wechat", "/api/wechat/", "/api/wechat/default", "/api/wechat/default/"]
)
def test_every_form_of_the_address_works_without_a_redirect(safe: Any, path: str) -> None:
    safe.path = path
    assert handshake(safe).status_code == 200
    assert safe.said(safe.post()) == "好的"


def test_an_unknown_account_is_not_found(safe: Any) -> None:
    safe.path = "/api/wechat/other"
    assert handshake(safe).status_code == 404
    response = safe.post()
    assert (response.status_code, response.data) == (404, b"not_found")
    assert not safe.gateway.asked


def test_each_account_has_its_own_token_and_name(make_account: Any, tmp_path: Path) -> None:
    file = tmp_path / "accounts.toml"
    file.write_text(
        "".join(
            f'[[account]]\nname = "{name}"\ntokens = ["{name}-token"]\nappid = "wx{name}"\nmode = "plain"\n'
            for name in ("first", "second")
        )
    )
    account = make_account("plain", wechat_accounts_file=file)
    same = account.xml(MsgId=7)
    for name, path in [("first", ""), ("first", "/first"), ("second", "/second")]:
        account.path, account.token = f"/api/wechat{path}", f"{name}-token"
        assert account.post(same).status_code == 200
        assert account.gateway.asked[-1].account == name
    account.path = "/api/wechat/first"
    assert account.post().status_code == 403


def test_a_message_for_another_account_is_refused(account: Any) -> None:
    response = account.post(account.xml(ToUserName="gh_another"))
    assert response.status_code == 403
    assert not account.gateway.asked


def test_without_accounts_there_is_no_adapter(make_settings: Any, safe: Any) -> None:
    safe.gateway.settings = make_settings(app_env="production")
    assert WeChatAdapter.build(cast(Gateway, safe.gateway)) is None
    safe.gateway.settings = make_settings()
    assert WeChatAdapter.build(cast(Gateway, safe.gateway)) is not None


@pytest.mark.parametrize("broken", [{"wechat_token": ","}, {"wechat_appid": ""}, {"wechat_aes_key": "short"}])
def test_empty_credentials_stop_the_start(broken: dict[str, str]) -> None:
    fine = {"wechat_token": "t" * 16, "wechat_appid": "wx1", "wechat_aes_key": OTHER_KEY}
    assert load_settings(**fine).wechat_accounts
    with pytest.raises(ConfigurationError):
        load_settings(**{**fine, **broken})


# who is let in


def test_a_message_is_answered_in_the_mode_it_came(account: Any) -> None:
    xml = account.xml(Content="多少钱？", CreateTime=int(time.time()) - 3)
    response = account.post(xml)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/xml; charset=utf-8"
    assert response.data.startswith(b"<xml>")
    asked = account.gateway.asked[0]
    assert account.read(response) == {
        "ToUserName": asked.user,
        "FromUserName": "gh_0123456789ab",
        "CreateTime": str(int(asked.sent_at)),
        "MsgType": "text",
        "Content": "好的",
    }
    assert (asked.text, asked.session, asked.account) == ("多少钱？", asked.user, "default")
    assert 0 < asked.seconds_left() <= 0.25
    assert account.gateway.delivered == [(1, "passive")]


def test_in_safe_mode_the_plain_signature_proves_nothing_and_is_not_needed(safe: Any) -> None:
    assert safe.post(signature=None).status_code == 200
    assert safe.post(msg_signature=safe.query()["signature"]).status_code == 403
    assert safe.post(msg_signature=None).status_code == 403


@pytest.mark.parametrize("mode", ["safe", "compatible"])
@pytest.mark.parametrize("encrypt_type", [None, "raw", "", "AES"])
def test_an_encrypted_account_takes_no_plaintext(
    make_account: Any, mode: str, encrypt_type: str | None
) -> None:
    account = make_account(mode)
    forged = make_account("plain")
    address, body = forged.request(forged.xml(), encrypt_type=encrypt_type)
    assert account.client.post(address, data=body).status_code == 403
    assert account.post(encrypt_type=encrypt_type).status_code == 403
    assert not account.gateway.asked


def test_in_compatible_mode_only_the_encrypted_part_counts(make_account: Any) -> None:
    account = make_account("compatible")
    address, body = account.request(account.xml(Content="genuine"))
    forged = body.replace(b"genuine", b"forged!").replace(b"oAbc-Def", b"oEvil123")
    response = account.client.post(address, data=forged)
    assert account.said(response) == "好的"
    assert (account.gateway.asked[0].text, account.gateway.asked[0].user[:8]) == ("genuine", "oAbc-Def")


def test_a_customer_may_write_an_encrypt_tag(account: Any) -> None:
    words = "<Encrypt>ZmFrZQ==</Encrypt> <![CDATA[ <!DOCTYPE html>"
    assert account.post(account.xml(Content=words)).status_code == 200
    assert account.gateway.asked[0].text == words


@pytest.mark.parametrize("encrypt_type", [None, "raw"])
def test_raw_means_plain(plain: Any, encrypt_type: str | None) -> None:
    assert plain.said(plain.post(encrypt_type=encrypt_type)) == "好的"


def test_a_plain_account_with_a_key_also_takes_the_safer_mode(make_account: Any) -> None:
    account = make_account("plain")
    account.mode = "safe"
    assert account.said(account.post()) == "好的"
    keyless = make_account("plain", wechat_aes_key=None)
    keyless.mode = "safe"
    assert keyless.post().status_code == 403


@pytest.mark.parametrize(
    "changes",
    [{"timestamp": str(int(time.time()) + delta)} for delta in (-4000, 4000)]
    + [{"nonce": "1"}, {"nonce": None}, {"timestamp": None}, {"nonce": "1-1"}],
)
def test_a_push_with_a_wrong_stamp_is_refused(account: Any, changes: dict[str, str | None]) -> None:
    response = account.post(**changes)
    assert (response.status_code, response.data) == (403, b"forbidden")
    assert not account.gateway.asked


@pytest.mark.parametrize("delta", [-4000, 4000])
def test_a_recorded_push_is_worth_nothing_later(account: Any, delta: int) -> None:
    stamp = str(int(time.time()) + delta)
    query = account.query
    account.query = lambda: query(stamp)
    assert account.post().status_code == 403


@pytest.mark.parametrize("name", ["msg_signature", "timestamp", "nonce", "encrypt_type"])
def test_a_repeated_parameter_of_a_push_is_refused(safe: Any, name: str) -> None:
    address, body = safe.request(safe.xml())
    own = parse_qs(urlsplit(address).query)[name][0]
    for again in (own, "x", ""):
        for twice in (f"{address}&{name}={again}", address.replace("?", f"?{name}={again}&")):
            assert safe.client.post(twice, data=body).status_code == 403


def test_another_token_is_refused(account: Any) -> None:
    account.token = "another-token"
    assert account.post().status_code == 403


def test_another_appid_under_a_good_signature_is_refused(safe: Any) -> None:
    safe.cipher = Cipher("abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG", "wx9999222233334444")
    assert safe.post().status_code == 403
    assert not safe.gateway.asked


def test_while_secrets_are_replaced_the_reply_uses_those_of_the_push(make_account: Any) -> None:
    account = make_account(
        wechat_token="the-new-token-of-it,a-token-of-these-tests",
        wechat_aes_key=f"{OTHER_KEY},abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
    )
    assert account.said(account.post()) == "好的"
    account.token, account.cipher = "the-new-token-of-it", Cipher(OTHER_KEY, "wx1111222233334444")
    assert account.said(account.post()) == "好的"


def test_every_byte_of_an_encrypted_push_counts(safe: Any) -> None:
    address, body = safe.request(safe.xml())
    begin = body.index(b"CDATA[") + 6
    for at in range(begin, body.index(b"]]>")):
        for replaced in (bytes([body[at] ^ 1]), b"A" if body[at] != 65 else b"B", b"\x00", b""):
            response = safe.client.post(address, data=body[:at] + replaced + body[at + 1 :])
            assert response.status_code in (400, 403)
    assert not safe.gateway.asked


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_mutilated_push_never_brings_the_gateway_down(safe: Any, data: st.DataObject) -> None:
    address, body = safe.request(safe.xml())
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, len(body)))
    body = body[:start] + data.draw(st.binary(max_size=40)) + body[end:]
    assert safe.client.post(address, data=body).status_code in (200, 400, 403)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(block=st.binary(max_size=200))
def test_a_signed_ciphertext_of_anything_is_refused(safe: Any, block: bytes) -> None:
    sealed = base64.b64encode(block).decode()
    query = safe.query()
    signature = sign(safe.token, query["timestamp"], query["nonce"], sealed)
    response = safe.client.post(
        safe.path,
        query_string={**query, "encrypt_type": "aes", "msg_signature": signature},
        data=f"<xml><Encrypt>{sealed}</Encrypt></xml>",
    )
    assert response.status_code in (400, 403)


# what is malformed


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not xml",
        "<xml><MsgType>文字</MsgType></xml>".encode("gbk"),
        "<xml/>".encode("utf-16"),
        b"\x1f\x8b\x08\x00compressed",
        b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><xml><MsgType>&e;</MsgType></xml>',
        b"<xml><MsgType>text</MsgType></xml>",
    ],
)
def test_a_malformed_body_is_told_so(plain: Any, body: bytes) -> None:
    address, _ = plain.request("")
    response = plain.client.post(address, data=body)
    assert (response.status_code, response.data) == (400, b"bad_request")
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_duplicate_nested_and_attributed_elements_are_malformed(account: Any) -> None:
    for wrong in ("<MsgId>1</MsgId>", "<X><Y>1</Y></X>", '<X a="1">b</X>'):
        assert account.post(account.xml().replace("</xml>", wrong + "</xml>")).status_code == 400
    assert not account.gateway.asked


def test_a_byte_order_mark_and_control_characters_are_forgiven(account: Any) -> None:
    assert account.said(account.post("\ufeff" + account.xml(Content="在\x1d吗\x00"))) == "好的"
    assert account.gateway.asked[0].text == "在吗"


def test_an_oversized_body_is_refused(account: Any) -> None:
    response = account.post(account.xml(Content="x" * 70_000))
    assert (response.status_code, response.data) == (413, b"payload_too_large")


def test_fields_that_nobody_knows_are_ignored(account: Any) -> None:
    xml = account.xml(MsgDataId="1", Idx="2").replace("<xml>", "<xml><URL>http://x</URL>")
    assert account.said(account.post(xml)) == "好的"
    assert account.gateway.asked[0].raw["URL"] == "http://x"


def test_nothing_secret_is_logged_or_shown(safe: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    safe.gateway.broken = OSError("away")
    bodies = [
        safe.post().data,
        safe.post(msg_signature="0" * 40).data,
        handshake(safe, signature="f" * 40).data,
    ]
    safe.token = "another-token"
    bodies.append(safe.post().data)
    told = caplog.text + repr([vars(each) for each in caplog.records]) + repr(bodies)
    for secret in ("a-token-of-these-tests", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG", "oAbc-Def"):
        assert secret not in told
