"""The dialogue that a client means by a `session_name`; storage/session_names.py makes them."""

from __future__ import annotations

from urllib.parse import unquote

from errors import NotFound
from storage.models import DialogueSession
from storage.session_names import WEB as WEB
from storage.session_names import name_of as name_of
from storage.sessions import Sessions

PARTS = 4


def found(sessions: Sessions, name: str) -> DialogueSession:
    """The dialogue of this session_name; a web visitor's own name means their newest one. `NotFound`."""
    parts = name.split(":")
    dialogue = None
    if len(parts) == PARTS:
        platform, account, user, key = map(unquote, parts)
        dialogue = sessions.exactly(platform, account, user, key)
    elif ":" not in name:
        dialogue = sessions.named(WEB, name)
    if dialogue is None:
        raise NotFound("there is no such session")
    return dialogue
