"""How the bot introduces itself, as its owner wrote it on Coze; remembered, because every page asks."""

from __future__ import annotations

import logging
import threading
import time

from coze.client import CozeClient
from coze.errors import CozeError
from handler.message import BotProfile
from settings import Settings
from texts import Texts

log = logging.getLogger(__name__)

FRESH_SECONDS = 600.0
AGAIN_SECONDS = 30.0
"""Pause after a failure: each page that opens must not knock at a door that stays shut."""
CALL_SECONDS = 4.0
"""A page waits for this."""


class Profiles:
    """The profile of the configured bot. Safe to share between threads."""

    def __init__(self, client: CozeClient, settings: Settings, texts: Texts) -> None:
        self.client = client
        self.bot_id = settings.coze_bot
        self._profile = BotProfile(texts.web_name, welcome=texts.web_welcome)
        self._due = 0.0
        self._asking = threading.Lock()

    def get(self) -> BotProfile:
        """The newest there is; words of ours where Coze has none, or was never reached."""
        # whoever comes while another asks takes what is there
        if self.bot_id and time.monotonic() >= self._due and self._asking.acquire(blocking=False):
            try:
                self._refresh()
            finally:
                self._asking.release()
        return self._profile

    def _refresh(self) -> None:
        try:
            info = self.client.bot_info(self.bot_id, deadline=time.monotonic() + CALL_SECONDS)
        except CozeError as problem:
            self._due = time.monotonic() + AGAIN_SECONDS
            log.warning("the bot's profile cannot be read", extra={"error": problem.name})
            return
        self._due = time.monotonic() + FRESH_SECONDS
        known = self._profile
        self._profile = BotProfile(
            name=info.name or known.name,
            description=info.description,
            icon_url=info.icon_url if info.icon_url.startswith(("https://", "http://")) else "",
            welcome=info.welcome or known.welcome,
            suggestions=info.suggestions,
        )
