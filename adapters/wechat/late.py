"""Bringing what missed its five seconds: the answer as customer-service messages, and a sign of life before.

When that happens is decided by strategy.py and the jobs; how WeChat is called, by client.py. An answer takes
no more messages than the customer's quota has; what does not fit waits for 继续.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass

from adapters.gateway import Gateway
from adapters.wechat.client import OfficialApi
from adapters.wechat.cut import split
from adapters.wechat.passive import made_by_ai, more, rendered
from adapters.wechat.pictures import NoPicture, download
from adapters.wechat.quota import open_window
from adapters.wechat.reply import TEXT_BYTES, cleaned
from errors import InDoubt, NotNow, Undeliverable, UpstreamError
from handler.message import Grant, LateReply
from handler.run import Follows
from settings.accounts import WeChatAccount

log = logging.getLogger(__name__)

PARTS = 3
"""Bubbles of one answer's words. A message allows five in 48 hours, and other answers may be due."""
PICTURES = 2
"""Pictures of one answer; more stay links."""
AGAIN_AFTER = (1.0, 3.0)
"""Seconds before a part that WeChat was too busy for is sent again."""
TYPISTS = 8
"""Typing calls at once: should WeChat's API hang, the signs of life are what is left out."""
ALL = 1000
"""More than any quota."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One customer-service message; `words` say the same should it not be sent."""

    kind: str
    content: Mapping[str, object]
    words: str


class Pushes:
    """Brings the answers of one account."""

    def __init__(self, gateway: Gateway, account: WeChatAccount, api: OfficialApi) -> None:
        self._texts = gateway.texts
        self._command = gateway.settings.command_continue[0]
        self._quotas = gateway.quotas
        self._pictures = gateway.pictures
        self._leftovers = gateway.leftovers
        self._anywhere = gateway.settings.development
        self._account = account
        self._api = api

    def push(self, late: LateReply, sending: Callable[[], None]) -> None:
        """Sends as much of the answer as may be sent; raises as an adapter's `push`."""
        who = "wechat", self._account.name, late.user
        if late.raw and late.reply.source != "agent":  # a person's words open no window
            # noted when it came, unless the database was away just then
            open_window(self._quotas, self._account.name, late.raw, late.asked_ms)
        if late.pictures:
            # one message: a grant that is smaller is none
            media, messages, rest = {}, self._from_agent(late), ""
        else:
            media = self._uploaded(late)
            messages, rest = self._plan(late, media, PARTS + PICTURES)
        grant = self._quotas.take(*who, len(messages))
        if not grant.count:
            raise Undeliverable("wechat_45047: used up by our own count")
        if grant.count < len(messages) and late.reply.source == "agent":
            # a person's line goes whole with the customer's next message, rather than in part now
            self._give_back(late, grant, grant.count)
            raise Undeliverable("wechat_45047: not enough is left for the whole of it")
        if grant.count < len(messages):
            messages, rest = self._plan(late, media, grant.count)
        sent = Sent()
        try:
            send_in_order(
                self._api, late.user, messages, sending, ai=made_by_ai(late.reply, self._texts), sent=sent
            )
        except Undeliverable as refusal:
            if sent.count:
                unsent = [each.words for each in messages[sent.count :]]
                self._leftovers.keep(late.exchange_id, "\n\n".join(filter(None, (*unsent, rest))))
            if refusal.message.endswith("wechat_45047"):
                # WeChat counts more than we do: what it was is not known, what is left is
                self._quotas.take(*who, ALL)
                sent.spent = grant.count
            raise
        finally:
            self._give_back(late, grant, grant.count - sent.spent)
        if rest:
            self._leftovers.keep(late.exchange_id, rest)

    def _give_back(self, late: LateReply, grant: Grant, number: int) -> None:
        try:
            self._quotas.give_back("wechat", self._account.name, late.user, grant, number)
        except Exception:
            # counted as sent: what became of the answer is not to be forgotten over it
            log.exception("a quota was not given back", extra={"exchange": late.exchange_id})

    def _plan(self, late: LateReply, media: Mapping[str, str], most: int) -> tuple[list[Outgoing], str]:
        """The answer in at most `most` messages, and what of it they do not hold."""
        plain = rendered(self._account, self._texts, late.reply)
        if self._account.send_news and (article := plain.article) is not None:
            content = {"title": article.title, "description": article.description, "url": article.url}
            news = {"articles": [{**content, "picurl": article.picture}]}
            return [Outgoing("news", news, plain.text)], ""
        for number in range(min(len(media), most - 1), -1, -1):
            shown = list(media)[:number]
            text = rendered(self._account, self._texts, late.reply, frozenset(shown)).text
            suffix = more(self._texts, self._command)
            pieces, rest = split(text, TEXT_BYTES, min(PARTS, most - number), suffix)
            if not rest or not number:
                break
        # a bubble in which nothing is to be seen is refused
        words = [each for each in pieces if cleaned(each)] or [self._texts.no_answer]
        messages = [Outgoing("text", {"content": each}, each.removesuffix(suffix)) for each in words]
        pictures = [Outgoing("image", {"media_id": media[url]}, url) for url in shown]
        return [*messages, *pictures], rest

    def _from_agent(self, late: LateReply) -> list[Outgoing]:
        """The picture that an agent sent; raises as `push`."""
        media = late.pictures[0]
        picture = self._pictures.get(media.id)
        if picture is None:
            raise Undeliverable("the picture is not there any more")
        number = self._api.upload_image(picture.content, picture.mime)
        return [Outgoing("image", {"media_id": number}, late.reply.text)]

    def _uploaded(self, late: LateReply) -> dict[str, str]:
        """Address → media_id of the answer's first pictures; what cannot be had is left a link."""
        media: dict[str, str] = {}
        if not self._account.send_images:
            return media
        pictures = rendered(self._account, self._texts, late.reply).pictures
        for url in list(dict.fromkeys(each.url for each in pictures))[:PICTURES]:
            try:
                picture = download(url, anywhere=self._anywhere)
                media[url] = self._api.upload_image(picture.content, picture.mime)
            except NoPicture as problem:
                log.info("a picture stays a link", extra={"exchange": late.exchange_id, "why": str(problem)})
            except UpstreamError as problem:
                log.warning(
                    "a picture stays a link", extra={"exchange": late.exchange_id, "why": problem.message}
                )
        return media


@dataclass
class Sent:
    """How far a sequence of messages came."""

    count: int = 0
    """Messages that WeChat accepted."""
    spent: int = 0
    """Those, and one whose fate is unknown."""


def send_in_order(
    api: OfficialApi,
    openid: str,
    messages: Sequence[Outgoing],
    sending: Callable[[], None],
    *,
    ai: bool,
    sent: Sent,
) -> None:
    """Sends the messages one after the other; `sending` is called right before the first.

    Until the first is accepted, errors are the API's. Afterwards `NotNow` is never raised: the whole answer
    must not be begun again.
    """
    api.prepare()
    sending()
    for number, message in enumerate(messages, 1):
        try:
            # the first may be left to the job's own, longer patience
            _send(api, openid, message, ai, pauses=AGAIN_AFTER if sent.count else ())
        except UpstreamError as problem:
            sent.spent += isinstance(problem, InDoubt)
            if not sent.count:
                raise
            doubt = InDoubt if isinstance(problem, InDoubt) else Undeliverable
            raise doubt(f"part {number} of {len(messages)}: {problem.message}") from None
        sent.count += 1
        sent.spent += 1


def _send(api: OfficialApi, openid: str, message: Outgoing, ai: bool, pauses: Sequence[float]) -> None:
    for pause in pauses:
        try:
            return api.send(openid, message.kind, message.content, ai=ai)
        except NotNow:
            time.sleep(pause)
    api.send(openid, message.kind, message.content, ai=ai)


class Typing:
    """Shows 「对方正在输入」 to customers whose answer is still being made; never waits, never fails."""

    def __init__(self) -> None:
        self._free = threading.BoundedSemaphore(TYPISTS)

    def show(self, api: OfficialApi, openid: str, run: Follows) -> None:
        """Once for an exchange, with its first delivery, and not when its answer is there already."""
        if run.attempt != 1 or not self._free.acquire(blocking=False):
            return
        # the copied context carries the request id into the log
        work = copy_context().run
        threading.Thread(target=work, args=(self._show, api, openid, run), name="typing", daemon=True).start()

    def _show(self, api: OfficialApi, openid: str, run: Follows) -> None:
        try:
            api.prepare()
            # after the answer it would stand there for fifteen seconds, promising another
            if run.wait(0) is None:
                api.typing(openid)
        except UpstreamError as problem:
            log.info("typing is not shown", extra={"exchange": run.exchange_id, "why": problem.message})
        except Exception:
            log.exception("typing is not shown", extra={"exchange": run.exchange_id})
        finally:
            self._free.release()
