"""Web pages and servers of our own: `/api/chat` answers with one JSON, `/api/chat/stream` with SSE.

A browser shows a visitor's token, a server an API key with the scope `chat`; in development anybody may ask.
"""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar, Self

from flask import Request, Response, request
from pydantic import BaseModel, Field

from adapters.base import (
    Adapter,
    PlatformSettings,
    Route,
    as_json,
    event_stream,
    idempotency_key,
    read_body,
    request_id,
    validated,
)
from adapters.gateway import Gateway
from adapters.images import with_picture
from adapters.web.cors import Cors, View
from adapters.web.limits import RETRY_SECONDS, Limit
from adapters.web.models import (
    Again,
    Answer,
    Beginning,
    Begun,
    FileAnswer,
    Health,
    Listener,
    Profile,
    ProfileAnswer,
    Question,
)
from adapters.web.news import News, news_since
from adapters.web.stream import KEEP_ALIVE, QUIET_SECONDS, Told, answer_frames, frame, in_manual_mode, place
from adapters.web.uploads import FRAME_BYTES, read_upload
from adapters.web.visitors import FILE_SECONDS, TOKEN_SECONDS, Caller, Visitors, new_name
from adapters.web.widget import widget_script
from errors import BadRequest, Conflict, Forbidden, NotFound, Unavailable, YingdaError
from handler.message import MANUAL, InboundMessage, Media, Reply, VisitorEvent
from handler.run import Follows

log = logging.getLogger(__name__)

ACCOUNT = "default"
LISTENING_SECONDS = 300.0
"""Life of an event stream: a page comes back by itself, and no restart waits longer for it."""


class WebSettings(PlatformSettings, env_prefix="WEB_"):
    """Web chat"""

    messages_per_minute: int = Field(20, ge=0, description="messages and files of one visitor; 0: any number")
    visitors_per_minute: int = Field(
        10, ge=0, description="conversations that one address may begin without a key; 0: any number"
    )
    max_file_mb: int = Field(10, ge=1, le=20, description="largest file that a visitor may send")


class WebAdapter(Adapter):
    """The chat API."""

    name: ClassVar[str] = "web"
    is_silent = True

    def __init__(self, gateway: Gateway, own: WebSettings) -> None:
        super().__init__(gateway)
        settings = gateway.settings
        self.visitors = Visitors(settings.visitor_secrets, gateway.keys, settings.development)
        self.cors = Cors(settings.cors_origins)
        self.max_file_bytes = own.max_file_mb * 1024 * 1024
        self._messages = Limit(own.messages_per_minute)
        self._beginnings = Limit(own.visitors_per_minute)

    @classmethod
    def build(cls, gateway: Gateway) -> Self:
        return cls(gateway, WebSettings.load())

    def routes(self) -> Sequence[Route]:
        events = "text/event-stream"
        ask, stream, again = (
            self._open(self.receive),
            self._open(self.receive_stream),
            self._open(self.resume),
        )
        begin, listen = self._open(self.begin), self._open(self.listen)
        profile, upload = self._open(self.profile), self._open(self.upload)
        return (
            Route("/api/chat", ("POST", "OPTIONS"), ask, "Ask, one JSON back", body=Question, answer=Answer),
            Route(
                "/api/chat/stream",
                ("POST", "OPTIONS"),
                stream,
                "Ask, the answer streamed",
                body=Question,
                content_type=events,
            ),
            Route(
                "/api/chat/stream", ("GET",), again, "Go on with an answer", query=Again, content_type=events
            ),
            *(
                Route(
                    f"/api/conversation/{verb}",
                    ("POST", "OPTIONS"),
                    begin,
                    "Begin a conversation without memory",
                    body=Beginning,
                    answer=Begun,
                )
                for verb in ("new", "create", "clear")
            ),
            Route(
                "/api/events",
                ("GET", "OPTIONS"),
                listen,
                "Follow what agents say",
                query=Listener,
                content_type=events,
            ),
            Route("/api/files", ("POST", "OPTIONS"), upload, "Hand in a file", answer=FileAnswer),
            Route("/api/bot/info", ("GET", "OPTIONS"), profile, "Who answers", answer=ProfileAnswer),
            Route("/api/health", ("GET",), self.health, "Is the service there", answer=Health),
            Route(
                "/widget.js", ("GET",), widget_script, "The chat for a page", content_type="text/javascript"
            ),
        )

    def verify(self, request: Request, body: bytes) -> None:
        self._limited(self.visitors.caller(request))

    def parse(self, request: Request, body: bytes) -> InboundMessage:
        question = validated(Question, body)
        caller = self.visitors.caller(request)
        user = caller.user(question.user_id) or uuid.uuid4().hex
        media = tuple(self.visitors.file(each, user) for each in question.files)
        text = question.message
        if not text.strip():
            if not media:
                raise BadRequest("message: is empty")
            text = "\n".join(self._description(each) for each in media)
        message_id = idempotency_key(request, question.message_id or "") or uuid.uuid4().hex
        return InboundMessage(
            platform=self.name,
            account=ACCOUNT,
            user=user,
            session=self._dialogue(user, question.conversation_id),
            newest=not question.conversation_id,
            dedupe_key=_dedupe_key(user, message_id),
            text=text,
            kind=media[0].kind if media and not question.message.strip() else "text",
            media=media,
            parameters=question.parameters or {},
            reply_by=time.monotonic() + self.gateway.settings.coze_answer_timeout,
            raw={"message_id": message_id},
            request_id=request_id(),
        )

    def respond(self, message: InboundMessage, run: Follows) -> Response:
        reply = run.wait(message.seconds_left(), "sync") or self._out_of_time()
        if reply.source in MANUAL:
            self.gateway.deliver(run, "sync")
            raise Conflict(in_manual_mode(reply))
        answer = Answer(
            success=reply.error is None,
            user_id=message.user,
            conversation_id=run.session,
            message_id=str(message.raw["message_id"]),
            trace_id=run.trace_id,
        )
        if reply.error is None:
            self.gateway.deliver(run, "sync")
            answer.message, answer.suggestions = reply.text, list(reply.suggestions) or None
        else:
            answer.error = reply.text
        return _json(answer)

    def receive_stream(self) -> Response:
        """The view of `POST /api/chat/stream`: also the second try of a question that was cut off."""

        def respond(message: InboundMessage, run: Follows) -> Response:
            message_id, start = str(message.raw["message_id"]), 0
            if last := request.headers.get("Last-Event-ID"):
                before, start = place(last)
                if before != message_id:
                    raise BadRequest("Last-Event-ID: is not one of this message")
            claimed = replace(message, session=run.session)
            news = partial(news_since, self.gateway, claimed, time.time())
            return self._streamed(run, message_id, start, message.seconds_left(), news)

        return self.received(respond)

    def resume(self) -> Response:
        """The view of `GET /api/chat/stream`: goes on with an answer, and asks nothing."""

        def steps() -> Response:
            query = validated(Again, request.args.to_dict())
            caller = self.visitors.caller(request, query.token)
            self._limited(caller)
            message_id, start = query.message_id, query.offset
            if last := request.headers.get("Last-Event-ID"):
                message_id, start = place(last)
            user = caller.user(query.user_id)
            if message_id is None or user is None:
                raise BadRequest("message_id and user_id are needed, or a visitor's token")
            run = self.gateway.follow(self.name, ACCOUNT, _dedupe_key(user, message_id))
            if run is None:
                raise NotFound("there is no such message of this visitor")
            return self._streamed(run, message_id, start, self.gateway.settings.coze_answer_timeout)

        return self.guarded(steps)

    def begin(self) -> Response:
        """The view of `/api/conversation/…`: one that remembers nothing, for an old or new visitor."""

        def steps() -> Response:
            body = read_body(request)
            caller = self.visitors.beginner(request)
            if caller.limited:
                self._beginnings.count(request.remote_addr or "")
            # a stranger does not choose whom to be
            named = validated(Beginning, body).session_id if body.strip() else None
            user = caller.visitor or named or new_name()
            begun = Begun(
                conversation_id=self.gateway.dialogues.begin(self.name, ACCOUNT, user), session_id=user
            )
            if self.visitors.has_tokens:
                begun.token, begun.expires_in = self.visitors.issue(user), TOKEN_SECONDS
            return _json(begun)

        return self.guarded(steps)

    def listen(self) -> Response:
        """The view of `/api/events`."""

        def steps() -> Response:
            query = validated(Listener, request.args.to_dict())
            caller = self.visitors.caller(request, query.token)
            self._limited(caller)
            if (user := caller.user(query.user_id)) is None:
                raise BadRequest("user_id is needed, or a visitor's token")
            dialogues = self.gateway.dialogues
            name = query.conversation_id or dialogues.newest(self.name, ACCOUNT, user) or user
            number = dialogues.number(self.name, ACCOUNT, user, name)
            if number is None:
                raise NotFound("there is no such conversation of this visitor: begin one first")
            after = query.after
            if last := request.headers.get("Last-Event-ID"):
                if not re.fullmatch(r"[0-9]{1,18}", last, re.ASCII):
                    raise BadRequest("Last-Event-ID: is not one of this stream")
                after = int(last)
            return event_stream(self._events(number, after))

        return self.guarded(steps)

    def upload(self) -> Response:
        """The view of `/api/files`."""

        def steps() -> Response:
            caller = self.visitors.caller(request)
            self._limited(caller)
            if not self.visitors.has_tokens:
                raise Forbidden("files are not taken: VISITOR_SECRET is not set")
            body = read_body(request, self.max_file_bytes + FRAME_BYTES)
            file = read_upload(request, body, self.max_file_bytes)
            if (user := caller.user(file.user_id)) is None:
                raise BadRequest("user_id is needed, or a visitor's token")
            media = self.gateway.files.upload(file.kind, file.name, file.content, file.mime)
            media = with_picture(self.gateway.pictures, media, file.content)
            token = self.visitors.issue_file(user, media)
            return _json(FileAnswer(file=token, name=media.name, kind=media.kind, expires_in=FILE_SECONDS))

        return self.guarded(steps)

    def profile(self) -> Response:
        """The view of `/api/bot/info`: whoever sees the page may see this."""
        bot = self.gateway.bot_profile()
        shown = Profile(
            name=bot.name,
            description=bot.description,
            icon_url=bot.icon_url,
            welcome=bot.welcome,
            suggestions=list(bot.suggestions),
        )
        return _json(ProfileAnswer(bot=shown))

    def health(self) -> Response:
        """Alive, in the words of older clients."""
        return _json(Health(timestamp=int(time.time())))

    def refuse(self, error: YingdaError) -> Response:
        answer = Answer(success=False, error=error.message)
        if isinstance(error, Conflict):
            answer.detail = error.message
        response = _json(answer)
        response.status_code = error.status
        if error.status in {429, 503}:
            response.headers["Retry-After"] = str(RETRY_SECONDS)
        return response

    def _open(self, view: View) -> View:
        return self.cors.opened(view)

    def _limited(self, caller: Caller) -> None:
        if caller.limited:
            self._messages.count(str(caller.visitor))

    def _dialogue(self, user: str, named: str | None) -> str:
        """The dialogue a message belongs to: the named one, or the user's own.

        A name counts within its user only: that of somebody else cannot be reached, whatever is sent.
        """
        if not named or named == user:
            return user
        try:
            if self.gateway.dialogues.number(self.name, ACCOUNT, user, named) is None:
                raise NotFound("conversation_id: there is no such conversation of this user")
        except Unavailable:
            # the message is kept all the same; a wrong name would only be a new dialogue of the same user
            pass
        return named

    def _description(self, media: Media) -> str:
        texts = self.gateway.texts
        return texts.describe_image if media.kind == "image" else texts.describe_file.format(title=media.name)

    def _streamed(
        self, run: Follows, message_id: str, start: int, seconds: float | None, news: News = tuple
    ) -> Response:
        def frames() -> Iterator[bytes]:
            told = Told(message_id, start)
            yield from answer_frames(run, told, seconds, self._out_of_time(), news)
            if (reply := run.wait(0)) is not None and reply.error is None:
                self.gateway.deliver(run, "stream")

        return event_stream(frames(), X_Message_Id=message_id)

    def _events(self, dialogue: int, after: int | None) -> Iterator[bytes]:
        ends = time.monotonic() + LISTENING_SECONDS
        for event in self.gateway.events.follow(dialogue, after, QUIET_SECONDS):
            if event is None:
                yield KEEP_ALIVE
                if time.monotonic() >= ends:
                    return
            elif isinstance(event, int):
                # an id without data is remembered and shown to nobody
                yield f": listening\nid: {event}\n\n".encode()
            else:
                yield frame({**event.payload, "type": event.kind}, event.id)
                # asked for the next one: the page has taken this one
                if event.kind == "manual_message":
                    self._seen(event)

    def _seen(self, event: VisitorEvent) -> None:
        try:
            self.gateway.desk.seen(int(str(event.payload.get("message_id", 0))))
        except Exception:
            # the agent sees it as not yet read, no more
            log.exception("that a page shows an agent's words was not recorded")

    def _out_of_time(self) -> Reply:
        return Reply(self.gateway.texts.busy, "system", error="out_of_time")


def _dedupe_key(user: str, message_id: str) -> str:
    # of this user: another one's message of the same id is another message
    return f"{user}\0{message_id}"


def _json(model: BaseModel) -> Response:
    return Response(as_json(model.model_dump(exclude_none=True)), mimetype="application/json")
