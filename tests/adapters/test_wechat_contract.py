"""WeChat keeps the contract of every platform, with its XML, its AES envelope and its HTTP 200 for all."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import ClassVar
from xml.etree import ElementTree

from wechatpy.crypto import PrpCrypto
from werkzeug.test import TestResponse

from adapters.wechat import WeChatAdapter
from adapters.wechat.cut import cut
from adapters.wechat.passive import more
from adapters.wechat.reply import TEXT_BYTES, tamed
from errors import Unavailable
from sandbox.wechat.crypto import Cipher, sign
from tests.contract import AdapterContract, Call
from texts import Texts

APPID = "wx0123456789abcdef"
AES_KEY = "canaryAesKey0123456789canaryAesKey012345678"
NONCE = "n0nce"


class TestWeChat(AdapterContract):
    adapter = WeChatAdapter
    signature_in = ("query", "msg_signature")
    secrets = ("canary-token-that-is-new", "canary-token-that-is-old", AES_KEY, "canary-app-secret")
    # a genuine push always gets a 200 and words: anything else makes WeChat show its own failure notice
    failed: ClassVar[Mapping[type[Exception], int]] = {RuntimeError: 200, Unavailable: 200}

    def environment(self) -> Mapping[str, str]:
        return {
            "WECHAT_AI_LINE": "false",
            "WECHAT_MARKDOWN": "false",
            "WECHAT_TOKEN": ",".join(self.secrets[:2]),
            "WECHAT_APPID": APPID,
            "WECHAT_AES_KEY": AES_KEY,
            "WECHAT_APPSECRET": self.secrets[3],
        }

    def payload(self, text: str, *, key: str) -> bytes:
        # MsgId is a number; it stands for the key as well as any
        number = int.from_bytes(key.encode()[-7:], "big")
        text = text.replace("]]>", "]]]]><![CDATA[>")
        return (
            "<xml><ToUserName><![CDATA[gh_0123456789ab]]></ToUserName>"
            "<FromUserName><![CDATA[oAbcDef0123456789abcdefghijk]]></FromUserName>"
            f"<CreateTime>{self.now}</CreateTime><MsgType><![CDATA[text]]></MsgType>"
            f"<Content><![CDATA[{text}]]></Content><MsgId>{number}</MsgId></xml>"
        ).encode()

    def seal(self, payload: bytes, *, timestamp: str, key: str, secret: str) -> Call:
        # wechatpy's own encryption: the sender's side is nobody's code of ours
        sealed = PrpCrypto(base64.b64decode(AES_KEY + "=")).encrypt(payload, APPID).decode()
        query = {
            "timestamp": timestamp,
            "nonce": NONCE,
            "openid": "oAbcDef0123456789abcdefghijk",
            "encrypt_type": "aes",
            "signature": sign(secret, timestamp, NONCE),
            "msg_signature": sign(secret, timestamp, NONCE, sealed),
        }
        body = f"<xml><ToUserName><![CDATA[gh_]]></ToUserName><Encrypt><![CDATA[{sealed}]]></Encrypt></xml>"
        return Call("/api/wechat", body.encode(), query=query, headers={"Content-Type": "text/xml"})

    def covered(self, body: bytes) -> range:
        start = body.index(b"<Encrypt><![CDATA[") + 18
        return range(start, body.index(b"]]></Encrypt>"))

    def reply_text(self, response: TestResponse) -> str:
        outer = ElementTree.fromstring(response.get_data(as_text=True))
        sealed = outer.findtext("Encrypt", "")
        parts = (outer.findtext("TimeStamp", ""), outer.findtext("Nonce", ""), sealed)
        assert outer.findtext("MsgSignature") in {sign(token, *parts) for token in self.secrets[:2]}
        inner = ElementTree.fromstring(Cipher(AES_KEY, APPID).decrypt(sealed))
        fields = {each.tag: each.text or "" for each in inner}
        assert set(fields) == {"ToUserName", "FromUserName", "CreateTime", "MsgType", "Content"}
        assert fields["ToUserName"] == "oAbcDef0123456789abcdefghijk"
        return fields["Content"]

    def error_text(self, response: TestResponse) -> str:
        if response.status_code == 200:
            return self.reply_text(response)
        assert response.mimetype == "text/plain"
        text = response.get_data(as_text=True)
        assert len(text) < 64
        return text

    def rendered(self, text: str) -> str:
        # XML has no place for control characters, a reply ends at 2048 bytes, and links that act in the
        # customer's name are made inert; which text that leaves is tested with adapters.wechat.reply
        return cut(tamed(text), TEXT_BYTES, more(Texts()))[0]
