"""Who a dialogue is towards Coze: the customer's name, and the kind of token that opens the conversation."""

from __future__ import annotations

import hashlib

from settings import Settings
from storage.models import DialogueSession


def customer_name(session: DialogueSession) -> str:
    """A stable name for a dialogue that gives away neither openid nor login: 51 ASCII characters."""
    key = "\0".join((session.platform, session.account, session.user_id, session.session_key))
    return "yd_" + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:48]


def token_of(session: DialogueSession, settings: Settings) -> tuple[str | None, str]:
    """The `session_name` of the token for this dialogue, and what owns a conversation made with it."""
    oauth = settings.coze_auth_mode == "OAUTH_JWT"
    name = customer_name(session) if oauth and settings.coze_session_name else None
    # a conversation is seen only by the kind of token that made it
    return name, name or settings.coze_auth_mode.lower()
