"""Pictures at the desk: a customer's shown to agents, and an agent's sent to a customer.

Everything is judged by its first bytes, and served so that a browser takes it for nothing else.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence

from flask import Response, request

from adapters.base import read_body, validated
from adapters.images import KEPT_BYTES, picture_type
from errors import Conflict, NotFound, Unavailable, Undeliverable, UnsupportedMedia
from handler.desk import Desk
from handler.message import Media, Picture
from settings import Settings
from storage.handoff_views import HandoffViews
from storage.pictures import Pictures
from storage.sessions import Sessions
from support.agent import Agent
from support.answers import done
from support.desk_bodies import Done, Showing
from support.guard import Guard
from support.names import WEB, found
from support.routes import DeskRoute, entered, opened
from support.sessions_api import person

SENT = "/api/pictures"
SENDABLE = frozenset({"image/png", "image/jpeg", "image/gif"})
"""What WeChat takes and every browser shows."""
AT_ONCE = 8
"""Pictures fetched from platforms at once: should one hang, the desk's other work goes on."""
PATIENCE_SECONDS = 10.0
"""How long one waits for its turn: a transcript may show more pictures than that."""
NAME = re.compile(r"[A-Za-z0-9_-]{16,48}", re.ASCII)


class PicturesApi:
    """The endpoints. `fetch` gets a customer's picture from its platform, by platform and account."""

    def __init__(
        self,
        desk: Desk,
        sessions: Sessions,
        guard: Guard,
        kept: Pictures,
        fetch: Callable[[str, str, Media], bytes],
        settings: Settings,
    ) -> None:
        self._desk = desk
        self._sessions = sessions
        self._guard = guard
        self._kept = kept
        self._fetch = fetch
        self._public_url = settings.public_url.rstrip("/")
        self._anywhere = settings.development
        self._views = HandoffViews(desk.handoffs.db)
        self._free = threading.BoundedSemaphore(AT_ONCE)

    def routes(self) -> Sequence[DeskRoute]:
        one = "/api/sessions/<path:name>/messages/<int:number>/media/<int:place>"
        return (
            DeskRoute(one, ("GET",), entered(self._guard, "sessions.read", self.look), "A line's picture",
                      content_type="image/*", tag="desk", action="sessions.read"),
            DeskRoute("/api/manual/pictures", ("POST",), entered(self._guard, "sessions.say", self.send),
                      "Send a picture: the body is its bytes", query=Showing, answer=Done, tag="desk",
                      action="sessions.say"),
            DeskRoute(f"{SENT}/<name>", ("GET",), opened(self.sent), "A picture that an agent sent",
                      content_type="image/*", tag="desk"),
        )  # fmt: skip

    def look(self, _agent: Agent, name: str, number: int, place: int) -> Response:
        by_agent, dialogue, media = self._views.media(found(self._sessions, name).id, number, place)
        if media.kind != "image":
            raise NotFound("there is no such picture")
        if by_agent:
            return _shown(self._known(self._kept.get(media.id)))
        if not self._free.acquire(timeout=PATIENCE_SECONDS):
            raise Unavailable("too many pictures are being fetched")
        try:
            content = self._fetch(dialogue.platform, dialogue.account, media)
        except (Undeliverable, UnsupportedMedia):
            # the platform has deleted it, or never had it
            raise NotFound("the picture is not there any more") from None
        finally:
            self._free.release()
        if (kind := picture_type(content)) is None:
            raise NotFound("what the customer sent is no picture")
        return _shown(Picture(content, kind.mime))

    def send(self, agent: Agent) -> Response:
        query = validated(Showing, request.args.to_dict())
        content = read_body(request, KEPT_BYTES)
        kind = picture_type(content)
        if kind is None or kind.mime not in SENDABLE:
            raise UnsupportedMedia("PICTURE_TYPE: PNG, JPEG and GIF are taken")
        dialogue = found(self._sessions, query.session_name)
        below = self._below()
        if below.startswith("/") and dialogue.platform not in {"wechat", WEB}:
            raise Conflict("NO_PUBLIC_URL: set PUBLIC_URL, or its customers cannot fetch the picture")
        spoken = self._desk.show(dialogue.id, person(agent), Picture(content, kind.mime), below)
        return done(
            {
                "message_id": str(spoken.message_id),
                "timestamp": spoken.said_ms / 1000,
                "delivery": self._desk.words.state(spoken.message_id).state,
            }
        )

    def sent(self, name: str) -> Response:
        response = _shown(self._known(self._kept.sent(name) if NAME.fullmatch(name) else None))
        # the customer's page may be anybody's
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        return response

    def _below(self) -> str:
        """Where customers fetch pictures; without a host where the public one is not known."""
        base = self._public_url or (request.host_url.rstrip("/") if self._anywhere else "")
        return f"{base}{SENT}"

    def _known(self, picture: Picture | None) -> Picture:
        if picture is None:
            raise NotFound("the picture is not there any more")
        return picture


def _shown(picture: Picture) -> Response:
    response = Response(picture.content, mimetype=picture.mime)
    response.headers.update(
        {
            # a line's picture never changes; on nobody's disk but the reader's
            "Cache-Control": "private, max-age=86400, immutable",
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "Content-Disposition": "inline",
            "Cross-Origin-Resource-Policy": "same-origin",
        }
    )
    return response
