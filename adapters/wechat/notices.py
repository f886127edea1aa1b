"""Template and subscription messages for a company's own systems: asked for by HTTP, sent by a job.

The request only writes the job, under the caller's own key. WeChat knows no repetition without harm, so a
message whose fate is unknown is shown as in doubt and never sent again by itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from flask import Response, request

from adapters.base import Route, read_body, validated
from adapters.gateway import Gateway
from adapters.wechat import jsonapi
from adapters.wechat.client import OfficialApi
from adapters.wechat.errcodes import meaning
from adapters.wechat.notice_bodies import NoticeBody, NoticeState, OnceBody, SubscriptionBody, TemplateBody
from errors import NotFound, Undeliverable
from handler.message import Notice
from settings.accounts import WeChatAccount

SCOPE = "wechat"
ERRCODE = re.compile(r"wechat_(-?\d+)", re.ASCII)
KINDS: dict[str, tuple[str, type[NoticeBody], str]] = {
    "template": ("/api/wechat/template", TemplateBody, "Send a template message"),
    "subscription": ("/api/wechat/subscribe-message", SubscriptionBody, "Send a subscription message"),
    "once": ("/api/wechat/subscribe-message/once", OnceBody, "Send a one-time subscription message"),
}
"""Path, body and summary of each kind; how WeChat is called for it is the client's matter."""


class Notices:
    """The endpoints, and the sending behind them."""

    def __init__(
        self, gateway: Gateway, accounts: Mapping[str, WeChatAccount], apis: Mapping[str, OfficialApi]
    ) -> None:
        self._gateway = gateway
        self._accounts = accounts
        self._apis = apis

    def routes(self) -> Sequence[Route]:
        routes: list[Route] = []
        for kind, (path, body, summary) in KINDS.items():
            ask = self._view(partial(self._ask, kind, body))
            routes.append(Route(path, ("POST",), ask, summary, body=body, answer=NoticeState, tag="wechat"))
            look = self._view(partial(self._look, kind))
            state = f"What became of it: {summary.lower()}"
            routes.append(
                Route(f"{path}/<int:number>", ("GET",), look, state, answer=NoticeState, tag="wechat")
            )
        return routes

    def send(self, notice: Notice, sending: Callable[[], None]) -> str:
        """Sends it now; returns WeChat's number. Errors are the API's; `sending` comes before the call."""
        if (api := self._apis.get(notice.account)) is None:
            raise Undeliverable(f"no AppSecret is set for the account {notice.account}")
        api.prepare()
        sending()
        return api.notify(notice.content["kind"], notice.content["message"])

    def _view(self, steps: Callable[..., Response]) -> Callable[..., Response]:
        def view(**path: int) -> Response:
            def checked() -> Response:
                self._gateway.keys.require(request, SCOPE)
                return steps(**path)

            return jsonapi.guarded(checked)

        return view

    def _ask(self, kind: str, body: type[NoticeBody]) -> Response:
        asked = validated(body, read_body(request))
        account = jsonapi.chosen(self._accounts, asked.account)
        content = {"kind": kind, "message": asked.message()}
        notice = self._gateway.notices.put("wechat", account.name, asked.key, content)
        return jsonapi.answered(state_of(notice), 202)

    def _look(self, kind: str, number: int) -> Response:
        notice = self._gateway.notices.get("wechat", number)
        if notice is None or notice.content["kind"] != kind:
            raise NotFound("there is no such message, or it was sent more than a day ago")
        return jsonapi.answered(state_of(notice))


def state_of(notice: Notice) -> dict[str, object]:
    """The notice as its caller is told about it: without its words and its openid."""
    code = ERRCODE.match(notice.error or "")
    return NoticeState(
        id=notice.id,
        account=notice.account,
        kind=notice.content["kind"],
        key=notice.key,
        state=notice.state,
        tries=notice.tries,
        error=notice.error,
        meaning=meaning(int(code[1])).words if code else None,
        msgid=notice.message_id or None,
        created_ms=notice.created_ms,
        finished_ms=notice.finished_ms,
    ).model_dump()
