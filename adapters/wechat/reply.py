"""A text → the XML that WeChat shows, whatever the text contains.

wechatpy pastes a text into CDATA as it is, so that an answer with `]]>` in its code would break out; hence
an own renderer. What a bot says is tamed first: only the gateway itself may offer links that speak for the
customer.
"""

from __future__ import annotations

import re

from adapters.wechat.crypto import Cipher, signature
from adapters.wechat.cut import cut
from adapters.wechat.envelope import ILLEGAL

TEXT_BYTES = 2048
"""UTF-8 bytes of Content that WeChat shows; about 680 Chinese characters."""
TAP = '<a href="weixin://bizmsgmenu?msgmenucontent={command}&msgmenuid=1">{words}</a>'
"""A link that sends a command in the customer's name when it is tapped."""
FOREIGN_LINK = re.compile(
    r"""<(?=\s*a\b)(?!a\s{1,8}href\s{0,8}=\s{0,8}(?:"https?://[^"<>\s]+"|'https?://[^'<>\s]+')\s{0,8}>)""",
    re.IGNORECASE,
)
"""The bracket that opens any link but one to a web page."""
WEIXIN_SCHEME = re.compile(r"(weixin)\s{0,8}:(?=\s{0,8}/)", re.IGNORECASE)


def cleaned(text: str) -> str:
    """The text without what XML cannot carry and without space around it; empty when nothing is visible."""
    text = ILLEGAL.sub("", text).replace("\r\n", "\n").replace("\r", "\n").strip()
    return text if any(letter.isprintable() and not letter.isspace() for letter in text) else ""


def tamed(text: str) -> str:
    """A bot's text in which only web links are live: full-width signs take the place of the active ones."""
    text = FOREIGN_LINK.sub("＜", cleaned(text))
    return WEIXIN_SCHEME.sub(r"\1：", text)


def fitted(text: str, suffix: str) -> str:
    """As much of the text as one passive reply carries; `suffix` says that there is more."""
    return cut(text, TEXT_BYTES, suffix)[0]


def text_reply(to: str, sender: str, created: int, content: str) -> str:
    """The plain XML of a text reply; `created` in unix seconds, `content` not empty."""
    return _reply(to, sender, created, "text", f"<Content>{_cdata(content)}</Content>")


def hand_over(to: str, sender: str, created: int) -> str:
    """The plain XML that gives a message to WeChat's own customer service, whose people then see it."""
    return _reply(to, sender, created, "transfer_customer_service")


def _reply(to: str, sender: str, created: int, msg_type: str, content: str = "") -> str:
    return (
        f"<xml><ToUserName>{_cdata(to)}</ToUserName><FromUserName>{_cdata(sender)}</FromUserName>"
        f"<CreateTime>{created}</CreateTime><MsgType>{_cdata(msg_type)}</MsgType>{content}</xml>"
    )


def sealed_reply(xml: str, token: str, cipher: Cipher, timestamp: int, nonce: str) -> str:
    """The encrypted envelope around a reply; `nonce` as it came with the push."""
    sealed = cipher.encrypt(xml)
    return (
        f"<xml><Encrypt>{_cdata(sealed)}</Encrypt>"
        f"<MsgSignature>{_cdata(signature(token, str(timestamp), nonce, sealed))}</MsgSignature>"
        f"<TimeStamp>{timestamp}</TimeStamp><Nonce>{_cdata(nonce)}</Nonce></xml>"
    )


def _cdata(text: str) -> str:
    return f"<![CDATA[{ILLEGAL.sub('', text).replace(']]>', ']]]]><![CDATA[>')}]]>"
