"""What WeChat's error codes mean, and what a person can do about each. The only list of them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from errors import InDoubt, NotNow, Undeliverable, UpstreamError

TOKEN_REFUSED = frozenset({40001, 40014, 42001})
BUSY = frozenset({-1, 45011})
WRONG_SETTINGS = frozenset({40013, 40125, 40164, 40243, 50004, 50007})
"""Codes that only an operator can do something about: every call fails until then."""
MISCONFIGURED = {
    40013: "WECHAT_APPID is unknown to WeChat",
    40125: "WECHAT_APPSECRET is wrong",
    40164: "this server is not on WeChat's IP white list",
    40243: "the AppSecret is frozen in WeChat's console",
    50004: "the account may not use the API",
    50007: "the account is frozen",
}
"""What only an operator can mend; short enough for the log's column of delivery errors."""
CONSOLE = "设置与开发 → 基本配置"
ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}|(?=[0-9a-f:]*:[0-9a-f]*:)[0-9a-f:]{3,39}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Meaning:
    """One code in words; `remedy` is what to do, empty where there is nothing."""

    words: str
    remedy: str = ""


MEANINGS: dict[int, Meaning] = {
    -1: Meaning("WeChat is busy", "try again in a while"),
    40001: Meaning("the access token is refused", "look for another program that fetches new tokens"),
    40003: Meaning("the openid is not one of this account's", "take it from a message to this account"),
    40013: Meaning("the AppID is wrong", f"copy it anew from the console: {CONSOLE}"),
    40014: Meaning("the access token is refused", "look for another program that fetches new tokens"),
    40037: Meaning("there is no such template in this account", "copy its id from the console: 模板库"),
    **{code: Meaning("WeChat refuses the menu", "correct the menu file") for code in range(40015, 40029)},
    40054: Meaning("a button's address is refused", "use a full https:// address"),
    40055: Meaning("a button's address is refused", "use a full https:// address"),
    40125: Meaning("the AppSecret is wrong", f"copy it anew from the console: {CONSOLE}"),
    40164: Meaning("WeChat does not take calls from this address", f"{CONSOLE} → IP白名单"),
    40165: Meaning("the page of the mini program does not exist", "publish it, or correct pagepath"),
    40243: Meaning("the AppSecret is frozen", f"unfreeze it in the console: {CONSOLE}"),
    41030: Meaning("the page does not exist", "correct it"),
    42001: Meaning("the access token has ended", "check this machine's clock"),
    43004: Meaning("the customer does not follow the account"),
    43019: Meaning("the customer is on the account's black list"),
    43101: Meaning("the customer has not agreed to this message, or used the agreement up"),
    45002: Meaning("the message is too long", "shorten it"),
    45008: Meaning("too many articles", "one is allowed"),
    45009: Meaning("today's calls are used up", "wait until tomorrow, or clear the quota in 接口权限"),
    45011: Meaning("too many calls in this minute", "try again in a while"),
    45015: Meaning("the customer has not written for 48 hours, or left"),
    45047: Meaning("five messages since the customer wrote are used up", "have the bot answer shorter"),
    45072: Meaning("the typing command is unknown"),
    45080: Meaning("the customer has done nothing for half a minute, so typing cannot be shown"),
    45081: Meaning("typing is shown already"),
    46003: Meaning("the account has no menu"),
    47003: Meaning("a field does not fit the template", "use its own fields, and mind their lengths"),
    48001: Meaning("the account may not do this", "see 接口权限 in the console; most needs 认证"),
    48002: Meaning("the customer refuses messages"),
    48004: Meaning("WeChat has banned the account from this", "see the notices in the console"),
    50004: Meaning("the account may not use the API", "look at the account's state in the console"),
    50005: Meaning("the customer does not follow the account"),
    50007: Meaning("the account is frozen", "look at the account's state in the console"),
    65301: Meaning("the account has no such menu"),
    87014: Meaning("WeChat takes the content for risky", "change the words"),
}  # fmt: skip


def meaning(errcode: int) -> Meaning:
    """What a code means; one that we do not know says so."""
    return MEANINGS.get(errcode) or Meaning("WeChat refuses", "look the number up in WeChat's list of codes")


def in_words(errcode: int, errmsg: str = "") -> str:
    """One line for an operator: meaning, code and remedy. Of WeChat's own words only an address is taken."""
    found = meaning(errcode)
    if errcode == 40164:
        caller = caller_address(errmsg) or "this server's outgoing address"
        return f"WeChat does not take calls from {caller} (40164): add it to {CONSOLE} → IP白名单"
    return f"{found.words} ({errcode})" + (f": {found.remedy}" if found.remedy else "")


def caller_address(errmsg: str) -> str:
    """The address that WeChat saw the call come from, as its 40164 names it; empty when it names none."""
    found = ADDRESS.search(errmsg.lower())
    return found[0] if found else ""


def refusal(errcode: int, else_: type[UpstreamError] = Undeliverable) -> UpstreamError:
    """A definite no: WeChat did nothing."""
    if errcode in BUSY | TOKEN_REFUSED:
        return NotNow(f"wechat_{errcode}")
    if errcode in MISCONFIGURED:
        return Undeliverable(f"wechat_{errcode}: {MISCONFIGURED[errcode]}")
    return else_(f"wechat_{errcode}")


def status_refusal(status: int) -> UpstreamError:
    """What an HTTP status other than 200 says of the call."""
    if status == 504:
        # a server in front gave up waiting for the one that may have sent it
        return InDoubt("wechat_http_504")
    return (
        NotNow(f"wechat_http_{status}")
        if status >= 500 or status == 429
        else Undeliverable(f"wechat_http_{status}")
    )
