"""Our own JSON endpoints beside the callback: one form for every answer and every error."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from flask import Response

from adapters.base import as_json
from errors import NotFound, Unavailable, YingdaError
from settings.accounts import WeChatAccount

log = logging.getLogger(__name__)


def guarded(view: Callable[[], Response]) -> Response:
    """Runs a view; what goes wrong is `{"error": {"code", "message"}}` with the error's own status."""
    try:
        return view()
    except YingdaError as error:
        if error.status in {401, 403}:
            log.warning("refused", extra={"platform": "wechat", "error": error.code, "why": error.message})
        failed = error
    except Exception:
        log.exception("failed inside", extra={"platform": "wechat"})
        failed = YingdaError("internal error")
    return answered({"error": {"code": failed.code, "message": failed.message}}, failed.status)


def answered(content: Mapping[str, object], status: int = 200) -> Response:
    """A JSON object that nobody on the way keeps."""
    response = Response(as_json(content), status, mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response


def chosen(accounts: Mapping[str, WeChatAccount], name: str) -> WeChatAccount:
    """The account of this name, or the first. `NotFound`; `Unavailable` for one without AppSecret."""
    account = accounts.get(name) if name else next(iter(accounts.values()))
    if account is None:
        raise NotFound("there is no such account")
    if account.appsecret is None:
        raise Unavailable(f"no AppSecret is set for the account {account.name}")
    return account
