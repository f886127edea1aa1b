"""JS-SDK signatures: what lets a company's own page share, scan or locate in the account's name.

The ticket that signs stays here; a page gets the signature for its own address only.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from flask import Response, request
from pydantic import Field

from adapters.base import Route
from adapters.shape import Shape
from adapters.wechat import jsonapi
from adapters.wechat.client import OfficialApi
from errors import BadRequest, Forbidden
from settings.accounts import WeChatAccount

URL_CHARACTERS = 2048
ODD = re.compile(r"[\s\\\x00-\x1f\x7f]")
"""What a browser never has in a page's address, or reads in another way than we do."""
UNDERSTOOD = frozenset({"url", "account", "_"})
"""`_` is what libraries add to keep an answer from being cached."""


class JsApiQuery(Shape):
    """Which page asks."""

    url: str = Field(max_length=URL_CHARACTERS, description="location.href, through encodeURIComponent")
    account: str = Field("", description="name of the account; the first one if left out")


class JsApiSignature(Shape):
    """What `wx.config` takes."""

    appId: str
    timestamp: str = Field(description="unix seconds")
    nonceStr: str
    signature: str
    url: str = Field(description="what was signed: the page's address without its fragment")


class JsSdk:
    """The endpoint. With `everywhere` an account without a list of hosts signs for every page."""

    def __init__(
        self,
        accounts: Mapping[str, WeChatAccount],
        apis: Mapping[str, OfficialApi],
        *,
        everywhere: bool,
    ) -> None:
        self._accounts = accounts
        self._apis = apis
        self._everywhere = everywhere

    def routes(self) -> Sequence[Route]:
        return [
            Route(
                path,
                ("GET",),
                self.sign,
                "JS-SDK signature for a page",
                query=JsApiQuery,
                answer=JsApiSignature,
                tag="wechat",
            )
            for path in ("/api/wechat/jsapi", "/api/wechat/<account>/jsapi")
        ]

    def sign(self, account: str = "") -> Response:
        """Signs the page's address; refuses pages and origins that are not on the account's list."""
        allowed_origin = ""

        def steps() -> Response:
            nonlocal allowed_origin
            chosen = jsonapi.chosen(self._accounts, account or request.args.get("account", ""))
            if origin := request.headers.get("Origin", ""):
                self._admit(chosen, origin)
                allowed_origin = origin
            page = page_address(request.args.getlist("url"))
            if not request.args.keys() <= UNDERSTOOD:
                # the rest of an address that was not encoded: its signature would be for another page
                raise BadRequest("url must be passed through encodeURIComponent")
            self._admit(chosen, page)
            return jsonapi.answered(self._signed(chosen, page))

        response = jsonapi.guarded(steps)
        response.vary.add("Origin")
        if allowed_origin:
            response.headers["Access-Control-Allow-Origin"] = allowed_origin
        return response

    def _admit(self, account: WeChatAccount, address: str) -> None:
        if not account.jsapi_hosts and self._everywhere:
            return
        if host_of(address) not in account.jsapi_hosts:
            raise Forbidden("this host is not in WECHAT_JSAPI_HOSTS")

    def _signed(self, account: WeChatAccount, page: str) -> dict[str, object]:
        ticket = self._apis[account.name].ticket()
        nonce, timestamp = secrets.token_hex(8), str(int(time.time()))
        return {
            "appId": account.appid,
            "timestamp": timestamp,
            "nonceStr": nonce,
            "signature": signature(ticket, nonce, timestamp, page),
            "url": page,
        }


def signature(ticket: str, nonce: str, timestamp: str, url: str) -> str:
    """SHA-1 in hex over the four in this order, none of them encoded."""
    joined = f"jsapi_ticket={ticket}&noncestr={nonce}&timestamp={timestamp}&url={url}"
    return hashlib.sha1(joined.encode(), usedforsecurity=False).hexdigest()


def page_address(given: Sequence[str]) -> str:
    """The address as the browser signs it: no fragment, and a bare host ends in a slash. `BadRequest`."""
    if len(given) != 1 or not given[0]:
        raise BadRequest("url is missing or repeated")
    page = given[0].partition("#")[0]
    try:
        parts = urlsplit(page)
        well_formed = parts.scheme in {"http", "https"} and parts.hostname and not parts.username
        page.encode()
        _ = parts.port
    except ValueError:
        well_formed = False
    if not well_formed or ODD.search(page) or len(page) > URL_CHARACTERS:
        raise BadRequest("url is not the http(s) address of a page")
    return page if parts.path or parts.query else f"{page}/"


def host_of(address: str) -> str:
    """Host in lower case, with the port unless it is the scheme's own; empty when there is none."""
    try:
        parts = urlsplit(address)
        usual = {"http": 80, "https": 443}.get(parts.scheme)
        port = "" if parts.port in {None, usual} else f":{parts.port}"
        return f"{parts.hostname}{port}" if parts.hostname else ""
    except ValueError:
        return ""
