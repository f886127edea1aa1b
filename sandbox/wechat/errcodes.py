"""The error codes WeChat's API answers with, and the exception that carries one."""

from __future__ import annotations

import secrets

WORDS = {
    -1: "system error",
    40001: "invalid credential, access_token is invalid or not latest",
    40002: "invalid grant_type",
    40003: "invalid openid",
    40004: "invalid media type",
    40007: "invalid media_id",
    40008: "invalid message type",
    40009: "invalid media size",
    40013: "invalid appid",
    40016: "invalid button size",
    40017: "invalid button type",
    40018: "invalid button name size",
    40019: "invalid button key size",
    40020: "invalid button url size",
    40023: "invalid sub button size",
    40024: "invalid sub button type",
    40025: "invalid sub button name size",
    40026: "invalid sub button key size",
    40027: "invalid sub button url size",
    40037: "invalid template_id",
    40035: "invalid parameter",
    40097: "invalid args",
    40125: "invalid appsecret",
    40164: "invalid ip, not in whitelist",
    41001: "access_token missing",
    41005: "media data missing",
    42001: "access_token expired",
    43002: "require POST method",
    43004: "require subscribe",
    43101: "user refuse to accept the msg",
    44004: "empty content",
    45002: "content size out of limit",
    45008: "article size out of limit",
    45009: "reach max api daily quota limit",
    45011: "api minute-quota reach limit, must slower, retry next minute",
    45015: "response out of time limit or subscription is canceled",
    45047: "out of response count limit",
    45072: "command invalid",
    45080: "need interaction or customer service permission before typing",
    45081: "already typing",
    46003: "menu no exist",
    47003: "argument invalid",
    47001: "data format error",
    48001: "api unauthorized",
}


class Refusal(Exception):
    """The API says no. It travels as HTTP 200 with `errcode` in the body."""

    def __init__(self, errcode: int, words: str = "") -> None:
        super().__init__(errcode)
        self.words = words
        self.errcode = errcode

    def as_json(self) -> dict[str, object]:
        words = self.words or WORDS.get(self.errcode, "error")
        return {
            "errcode": self.errcode,
            "errmsg": f"{words} rid: {secrets.token_hex(4)}-{secrets.token_hex(4)}",
        }
