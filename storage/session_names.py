"""What clients call a dialogue: `session_name`, the same string for every platform's dialogues.

A dialogue of the web chat goes by its own name, as its page knows it; every other one by
`platform:account:user:session`, each part percent-encoded.
"""

from __future__ import annotations

from urllib.parse import quote

from storage.models import DialogueSession

WEB = "web"


def name_of(dialogue: DialogueSession) -> str:
    """The session_name of a dialogue."""
    if dialogue.platform == WEB and ":" not in dialogue.session_key:
        return dialogue.session_key
    parts = dialogue.platform, dialogue.account, dialogue.user_id, dialogue.session_key
    return ":".join(quote(part, safe="") for part in parts)
