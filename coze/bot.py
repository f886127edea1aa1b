"""The bot: a customer's question in, a `Reply` out, whatever Coze does in between.

Here is decided whose conversation a question belongs to, when it may be put again, how an answer that broke
off is fetched, and what the customer reads when nothing helps. No HTTP and no parsing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from coze.answer import Answer, from_messages
from coze.breaker import Breaker, Call
from coze.client import CozeClient
from coze.errors import (
    Abandoned,
    CodeError,
    CozeError,
    Disconnected,
    Empty,
    Malformed,
    Policy,
    Resting,
    TimedOut,
    Truncated,
)
from coze.names import customer_name, token_of
from coze.protocol import Message
from coze.records import Said, said_with
from coze.replies import bad_reply, good_reply
from coze.retries import Retries, seconds_left
from coze.sink import Sink
from coze.streams import ChatStream
from handler.message import Line, Media, Reply
from settings import Settings
from storage.models import DialogueSession
from storage.sessions import Sessions
from texts import Texts

log = logging.getLogger(__name__)

SUGGESTION_SECONDS = 1.5
"""How long a finished answer waits for suggestions and usage: the customer is waiting, too."""
DONE_SECONDS = 0.2
"""How long an ended chat waits for the stream's last record, which holds the debug address."""
POLL_SECONDS = 1.0
"""Coze wants at least a second between two looks at a chat."""
CANCEL_SECONDS = 0.8  # the deadline has passed already, and nothing may outlive it by a second


@dataclass(slots=True)
class _Question:
    """One question on its way: what stays the same over its tries, and what they have brought so far."""

    session: DialogueSession
    text: str
    media: Sequence[Media]
    earlier: Sequence[Line]
    parameters: Mapping[str, object]
    request_id: str
    who: str
    """The customer's name towards Coze: stable, and no platform's id."""
    token_name: str | None
    owner: str
    conversation_id: str | None
    sink: Sink
    deadline: float
    answer: Answer
    logid: str = ""


class Bot:
    """Answers questions. One per process; threads share it."""

    def __init__(
        self,
        client: CozeClient,
        sessions: Sessions,
        settings: Settings,
        texts: Texts,
        breaker: Breaker | None = None,
    ) -> None:
        self.client = client
        self.sessions = sessions
        self.settings = settings
        self.texts = texts
        self.breaker = breaker or Breaker()

    def ask(
        self,
        session: DialogueSession,
        text: str,
        *,
        request_id: str,
        sink: Sink,
        deadline: float | None = None,
        media: Sequence[Media] = (),
        earlier: Sequence[Line] = (),
        parameters: Mapping[str, object] | None = None,
    ) -> Reply:
        """The bot's answer, or an apology with `error` set. Raises only `Abandoned`, and what `sink` raises.

        `session` must be as it is now that its turn has come. `deadline` (`time.monotonic()`) can only
        shorten the configured time for an answer. Media without an address of their own are left out.
        `earlier` is told to a new conversation only: an old one remembers it.
        `parameters` are a workflow's inputs by name.
        """
        question = self._question(session, sink, deadline, text, media, request_id, earlier, parameters)
        retries = Retries(question.deadline, repeatable=(Disconnected,))
        fresh_tried = False
        failed: CozeError | None = None
        while True:
            try:
                return self._attempt(question)
            except Abandoned:
                raise
            except CozeError as error:
                self._report(error, question)
                if question.answer.shown:
                    return self._failure(error, question)
                if isinstance(error, Resting | TimedOut):
                    # what the question met before says more than that there is no time left for it
                    return self._failure(failed or error, question)
                failed = error
                if error.policy is Policy.WAIT:
                    sink.refused()
                lost = error.policy is Policy.RECREATE or error.name == "coze_4101"
                again = not (question.answer.chat_id or self.breaker.resting)
                if lost and question.conversation_id and not fresh_tried:
                    fresh_tried = True
                    self._forget(question)
                elif again and (pause := retries.pause(error)) is not None:
                    time.sleep(pause)
                else:
                    return self._failure(error, question)
            question.answer = Answer(self.texts.card)

    def resume(
        self,
        session: DialogueSession,
        conversation_id: str,
        chat_id: str,
        *,
        sink: Sink,
        deadline: float | None = None,
    ) -> Reply:
        """The answer of a chat that was begun before, perhaps by another process; nothing is asked again."""
        question = self._question(session, sink, deadline)
        question.answer.conversation_id, question.answer.chat_id = conversation_id, chat_id
        try:
            return self._fetched(question, Truncated("the process that asked is gone"))
        except Abandoned:
            self._cancel(question)
            raise
        except CozeError as error:
            self._report(error, question)
            return self._failure(error, question)

    def _question(
        self,
        session: DialogueSession,
        sink: Sink,
        deadline: float | None,
        text: str = "",
        media: Sequence[Media] = (),
        request_id: str = "",
        earlier: Sequence[Line] = (),
        parameters: Mapping[str, object] | None = None,
    ) -> _Question:
        latest = time.monotonic() + self.settings.coze_answer_timeout
        who = customer_name(session)
        token_name, owner = token_of(session, self.settings)
        return _Question(
            session=session,
            text=text,
            media=media,
            earlier=earlier,
            parameters=parameters or {},
            request_id=request_id,
            who=who,
            token_name=token_name,
            owner=owner,
            conversation_id=session.conversation_id if session.conversation_owner == owner else None,
            sink=sink,
            deadline=latest if deadline is None else min(latest, deadline),
            answer=Answer(self.texts.card),
        )

    def _attempt(self, question: _Question) -> Reply:
        """Puts the question once and follows the answer to its end."""
        try:
            try:
                self._put(question)
            except (Truncated, TimedOut, Malformed) as error:
                if question.answer.chat_id:
                    return self._fetched(question, error)
                raise
        except Abandoned:
            self._cancel(question)
            raise
        return self._final(question)

    def _put(self, question: _Question) -> None:
        with self.breaker.call() as call:
            if not question.sink.calling():
                raise Abandoned("the exchange is no longer ours")
            try:
                with self._post(question, call.within(question.deadline)) as stream:
                    self._follow(question, stream, call)
            except (Truncated, TimedOut, Malformed):
                if not question.answer.finished:
                    raise
            if question.answer.error is not None:
                call.failed(question.answer.error)

    def _post(self, question: _Question, deadline: float) -> ChatStream:
        settings = self.settings
        before = [] if question.conversation_id else [Said(each.text, each.role) for each in question.earlier]
        if settings.coze_workflow_id:
            return self.client.chat_flow(
                settings.coze_workflow_id,
                [*before, Said(question.text)],
                app_id=settings.coze_app_id,
                bot_id=settings.coze_bot,
                user_id=question.who,
                conversation_id=question.conversation_id,
                parameters=question.parameters,
                session_name=question.token_name,
                deadline=deadline,
            )
        return self.client.chat(
            settings.coze_bot,
            question.who,
            [*before, said_with(question.text, question.media)],
            conversation_id=question.conversation_id,
            parameters=question.parameters,
            meta_data={"request_id": question.request_id[:512]} if question.request_id else None,
            session_name=question.token_name,
            deadline=deadline,
        )

    def _follow(self, question: _Question, stream: ChatStream, call: Call) -> None:
        answer, sink = question.answer, question.sink
        question.logid = stream.logid
        named = spoke = finished = ended = False
        for event in stream:
            piece = answer.take(event)
            # who waits for the next one does not keep this one
            del event
            if not named and answer.chat_id:
                named = True
                call.taken()
                stream.until(question.deadline)
                self._name(question)
            if piece:
                if not spoke:
                    spoke = True
                    call.spoke()
                    stream.followed = sink.followed
                sink.delta(piece)
            if answer.ended and not ended:
                ended = finished = True
                stream.hurry(DONE_SECONDS)
            elif answer.finished and not finished:
                finished = True
                stream.hurry(SUGGESTION_SECONDS)
        question.logid = stream.logid
        if stream.malformed or stream.unknown:
            log.info(
                "coze sent what we do not know",
                extra={"malformed": stream.malformed, "names": [*stream.unknown]},
            )
        if not answer.finished:
            raise Truncated("no stream came, only the chat's name", logid=stream.logid)

    def _name(self, question: _Question) -> None:
        answer, session = question.answer, question.session
        # always the id that Coze answered with: an unknown one is silently replaced by some servers
        conversation, owner = answer.conversation_id, question.owner
        remembered = session.conversation_id, session.conversation_owner
        known = not conversation or remembered == (conversation, owner)
        question.sink.named(conversation, answer.chat_id, question.logid, None if known else owner)
        if not known:
            session.conversation_id, session.conversation_owner = conversation, owner

    def _forget(self, question: _Question) -> None:
        self.sessions.remember(question.session.id, None, None)
        question.session.conversation_id = question.session.conversation_owner = None
        question.conversation_id = None

    def _final(self, question: _Question) -> Reply:
        answer = question.answer
        if answer.error is not None:
            if answer.text:
                self._report(answer.error, question)
                return self._failure(answer.error, question)
            raise answer.error
        if not answer.text.strip():
            raise Empty("the chat was completed without an answer", logid=question.logid)
        if rest := answer.rest(answer.text):
            question.sink.delta(rest)
        if answer.debug_url:
            log.info("coze explains", extra={"logid": question.logid, "debug_url": answer.debug_url})
        return good_reply(answer)

    def _fetched(self, question: _Question, why: CozeError) -> Reply:
        """The answer of a chat whose stream broke, from Coze's records: looked for until the deadline."""
        broken = question.answer
        if not broken.conversation_id:
            broken.conversation_id = question.conversation_id or ""
        self._report(why, question)
        while seconds_left(question.deadline) > 0:
            next_look = time.monotonic() + POLL_SECONDS
            stored = None
            try:
                stored = self._stored(question, question.deadline)
            except CodeError as error:
                if error.policy is not Policy.RETRY:
                    return self._failure(why, question)
            except CozeError as error:
                # the network may come back before the deadline does
                self._report(error, question)
            if stored is not None:
                return self._from_stored(question, stored)
            time.sleep(max(0.0, min(next_look, question.deadline) - time.monotonic()))
        if (stored := self._cancel(question)) is not None:
            return self._from_stored(question, stored)
        return self._failure(why, question)

    def _stored(self, question: _Question, deadline: float) -> Answer | None:
        ids = question.answer.conversation_id, question.answer.chat_id
        name = question.token_name
        with self.breaker.call() as call:
            chat = self.client.retrieve_chat(*ids, session_name=name, deadline=call.within(deadline))
            if not chat.ended:
                return None
            messages: tuple[Message, ...] = ()
            if chat.status in {"completed", "requires_action"}:
                # the list of a chat that failed is a failure itself
                messages = self.client.list_messages(*ids, session_name=name, deadline=call.within(deadline))
        return from_messages(messages, chat, self.texts.card)

    def _from_stored(self, question: _Question, stored: Answer) -> Reply:
        broken = question.answer
        if not stored.text and (stored.error or broken.text):
            # what the customer has read already is more than Coze kept
            error = stored.error or Empty("the stored answer is empty", logid=question.logid)
            self._report(error, question)
            return self._failure(error, question)
        question.answer = stored
        stored.conversation_id, stored.chat_id = broken.conversation_id, broken.chat_id
        stored.showed(broken.shown)
        return self._final(question)

    def _cancel(self, question: _Question) -> Answer | None:
        """Stops a chat that nobody waits for, or its conversation stays busy; returns one that was ready."""
        answer = question.answer
        if not answer.chat_id or answer.ended:
            return None
        deadline = time.monotonic() + CANCEL_SECONDS
        ids = answer.conversation_id, answer.chat_id
        try:
            try:
                with self.breaker.call():
                    self.client.cancel(*ids, session_name=question.token_name, deadline=deadline)
            except CodeError as error:
                if error.number != 4104:
                    raise
                return self._stored(question, deadline)
        except CozeError as error:
            self._report(error, question)
        return None

    def _failure(self, error: CozeError, question: _Question) -> Reply:
        reply = bad_reply(error, question.answer, self.texts)
        if reply.truncated and (rest := question.answer.rest(reply.text)):
            question.sink.delta(rest)
        return reply

    def _report(self, error: CozeError, question: _Question) -> None:
        if isinstance(error, Resting):
            # the breaker has said so once, for everybody
            return
        alerts = {Policy.CONFIG: logging.ERROR, Policy.REFRESH: logging.ERROR, Policy.WAIT: logging.INFO}
        level = alerts.get(error.policy, logging.WARNING)
        log.log(
            level,
            "coze failed",
            extra={
                "error": error.name,
                "why": error.message,
                "hint": error.hint,
                "logid": error.logid or question.logid,
                "chat": question.answer.chat_id,
            },
        )
