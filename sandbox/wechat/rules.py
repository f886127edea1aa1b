"""What WeChat accepts as an answer to a push. Every rule stands here once, with its words.

Pure: it sees one answer and the push it belongs to, and says what the follower would see.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from sandbox.wechat.crypto import Cipher, Undecipherable, sign
from sandbox.wechat.documents import Element, NotWellFormed, Parsed, parse

Mode = Literal["safe", "compatible", "plain"]

TEXT_BYTES = 2048
"""UTF-8 bytes of a text's Content; longer ones break in the client."""
SUCCESS = b"success"


class Rule(StrEnum):
    """One sentence for each way to make a follower read 「该公众号提供的服务出现故障」."""

    LATE = "no complete answer came in time, and WeChat cut the connection"
    LOST = "the connection failed or broke off"
    STATUS = "the HTTP status is not 200"
    LEADING = "something stands before the first `<`: white space or a byte order mark"
    QUOTED = "`success` is quoted; it must be the seven bare letters"
    JSON = "the body is JSON, not XML"
    NOT_UTF8 = "the body is not UTF-8"
    NOT_WELL_FORMED = "the body is neither `success`, nor empty, nor well-formed XML"
    ROOT = "the root element is not <xml>"
    PLAINTEXT = "safe mode wants the reply encrypted, and it came as plain text"
    ENVELOPE = "the envelope lacks Encrypt, MsgSignature, TimeStamp or Nonce"
    SIGNATURE = "MsgSignature does not fit token, TimeStamp, Nonce and Encrypt"
    UNDECIPHERABLE = "Encrypt cannot be decrypted"
    ENCRYPTED_SUCCESS = "`success` was encrypted; it must be sent bare in every mode"
    REPEATED = "an element stands there twice"
    ADDRESSES = "ToUserName must be the follower's openid and FromUserName the account's gh_ id"
    CREATE_TIME = "CreateTime is not whole unix seconds"
    MILLISECONDS = "CreateTime is in milliseconds; it must be whole seconds"
    ECHO = "the event was echoed: MsgType `event` is no reply"
    MSG_TYPE = "MsgType is not one of text, image, voice, video, music, news, transfer_customer_service"
    BACKGROUND = "this event is no dialogue and takes only `success` or nothing"
    TRANSFER = "an event cannot be transferred to customer service, only a message can"
    EMPTY = "Content is empty"
    TOO_LONG = f"Content is longer than {TEXT_BYTES} bytes of UTF-8"
    MEDIA = "the reply lacks its MediaId or ThumbMediaId"
    ARTICLES = "ArticleCount is not the number of articles"
    TOO_MANY = "there are more articles than this push may be answered with"


NEEDED: dict[str, tuple[tuple[str, ...], ...]] = {
    "text": (),
    "image": (("Image", "MediaId"),),
    "voice": (("Voice", "MediaId"),),
    "video": (("Video", "MediaId"),),
    "music": (("Music", "ThumbMediaId"),),
    "news": (),
    "transfer_customer_service": (),
}
"""The reply types, each with the elements it cannot do without."""
BACKGROUND_EVENTS = frozenset({"location", "view", "view_miniprogram", "unsubscribe"})
MESSAGE_ARTICLES, EVENT_ARTICLES = 1, 8
"""Articles in one reply: a message may be answered with one since 2018, an event with eight."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a push matters for its answer."""

    openid: str
    original_id: str
    token: str
    mode: Mode
    event: str = ""
    """Lower-case name of the event; empty for a message."""

    @property
    def background(self) -> bool:
        return (
            self.event in BACKGROUND_EVENTS or self.event.endswith("finish") or self.event.startswith("kf_")
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What WeChat makes of one answer: a broken rule, a reply, or (neither) silence."""

    rule: Rule | None = None
    detail: str = ""
    decrypted: str = ""
    """The plain XML of the reply, whether or not it travelled encrypted."""
    msg_type: str = ""
    text: str = ""
    """What the follower reads; empty for types without words."""
    fields: dict[str, Parsed] | None = None
    """The reply's elements; None when nothing is shown."""

    @property
    def problem(self) -> str:
        return "" if self.rule is None else f"{self.rule} ({self.detail})" if self.detail else str(self.rule)


class Broken(Exception):
    """A rule was broken; `detail` tells this case from others."""

    def __init__(self, rule: Rule, detail: str = "") -> None:
        super().__init__(rule, detail)
        self.rule = rule
        self.detail = detail


def judge(status: int, body: bytes, asked: Asked, cipher: Cipher) -> Verdict:
    """What WeChat does with this answer."""
    decrypted = ""
    try:
        if status != 200:
            raise Broken(Rule.STATUS, str(status))
        if body in (b"", SUCCESS):
            return Verdict()
        text = _text(body)
        root = _document(text)
        decrypted = text
        if root.find("Encrypt") is not None and asked.mode != "plain":
            decrypted = _opened(root, asked.token, cipher)
            root = _document(decrypted)
        elif asked.mode == "safe":
            raise Broken(Rule.PLAINTEXT)
        _check_head(root, asked)
        return Verdict(
            decrypted=decrypted,
            msg_type=(msg_type := root.value("MsgType")),
            text=_words(root, msg_type, asked),
            fields={each.name: each.plain() for each in root.children},
        )
    except Broken as broken:
        return Verdict(broken.rule, broken.detail, decrypted)


def _text(body: bytes) -> str:
    if body[:3] == b"\xef\xbb\xbf" or body[:1].isspace():
        raise Broken(Rule.LEADING)
    if body.strip(b"\"'") == SUCCESS:
        raise Broken(Rule.QUOTED)
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise Broken(Rule.NOT_UTF8) from None
    try:
        json.loads(text)
    except ValueError:
        return text
    raise Broken(Rule.JSON)


def _document(text: str) -> Element:
    try:
        root = parse(text)
    except NotWellFormed as problem:
        raise Broken(Rule.NOT_WELL_FORMED, str(problem)) from None
    if root.name != "xml":
        raise Broken(Rule.ROOT, f"it is <{root.name}>")
    names = [each.name for each in root.children]
    if twice := {name for name in names if names.count(name) > 1}:
        raise Broken(Rule.REPEATED, ", ".join(sorted(twice)))
    return root


def _opened(envelope: Element, token: str, cipher: Cipher) -> str:
    sealed, signature, timestamp, nonce = (
        envelope.value(name) for name in ("Encrypt", "MsgSignature", "TimeStamp", "Nonce")
    )
    if not (sealed and signature and timestamp and nonce):
        raise Broken(Rule.ENVELOPE)
    if signature != sign(token, timestamp, nonce, sealed):
        raise Broken(Rule.SIGNATURE)
    try:
        message = cipher.decrypt(sealed)
    except Undecipherable as problem:
        raise Broken(Rule.UNDECIPHERABLE, str(problem)) from None
    if message.strip() in ("", "success"):
        raise Broken(Rule.ENCRYPTED_SUCCESS)
    return message


def _check_head(root: Element, asked: Asked) -> None:
    """The four elements every reply begins with, and whether this push takes a reply at all."""
    msg_type = root.value("MsgType")
    if msg_type == "event":
        raise Broken(Rule.ECHO)
    if asked.background:
        raise Broken(Rule.BACKGROUND, asked.event)
    to, sender = root.value("ToUserName"), root.value("FromUserName")
    if (to, sender) != (asked.openid, asked.original_id):
        swapped = (sender, to) == (asked.openid, asked.original_id)
        raise Broken(Rule.ADDRESSES, "they are not swapped" if swapped else f"they are {to!r} and {sender!r}")
    created = root.value("CreateTime")
    if not (created.isascii() and created.isdigit()):
        raise Broken(Rule.CREATE_TIME, repr(created))
    if len(created) != 10:
        raise Broken(Rule.MILLISECONDS if len(created) == 13 else Rule.CREATE_TIME, created)
    if msg_type not in NEEDED:
        raise Broken(Rule.MSG_TYPE, repr(msg_type))
    if msg_type == "transfer_customer_service" and asked.event:
        raise Broken(Rule.TRANSFER, asked.event)


def _words(root: Element, msg_type: str, asked: Asked) -> str:
    """The words of the reply's own part, after checking that part."""
    for path in NEEDED[msg_type]:
        if not root.value(*path):
            raise Broken(Rule.MEDIA, "/".join(path))
    if msg_type == "text":
        content = root.value("Content")
        if not content.strip():
            raise Broken(Rule.EMPTY)
        if (size := len(content.encode())) > TEXT_BYTES:
            raise Broken(Rule.TOO_LONG, f"{size} bytes")
        return content
    if msg_type == "news":
        articles = root.find("Articles")
        items = articles.all("item") if articles else []
        if not items or root.value("ArticleCount") != str(len(items)):
            raise Broken(Rule.ARTICLES, f"{root.value('ArticleCount')!r} for {len(items)}")
        if len(items) > (allowed := EVENT_ARTICLES if asked.event else MESSAGE_ARTICLES):
            raise Broken(Rule.TOO_MANY, f"{len(items)}, not {allowed}")
        return "\n".join(item.value("Title") for item in items)
    return ""
