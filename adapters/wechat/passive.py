"""What a passive reply says: one bubble of 2048 bytes, with a way to have what does not fit.

Before the answer stand late answers that nobody else brings, after it the line that marks it as made by AI.
The rest of what is too long waits for 继续. Whatever a retry of the same message gets is the same again.
"""

from __future__ import annotations

import logging

from adapters.gateway import Gateway
from adapters.wechat.cut import cut
from adapters.wechat.markdown import Rendered, render
from adapters.wechat.reply import TAP, TEXT_BYTES, cleaned, tamed
from adapters.wechat.strategy import strategy_of
from handler.message import Reply
from settings.accounts import WeChatAccount
from texts import Texts

log = logging.getLogger(__name__)

OWN_BYTES = TEXT_BYTES // 2
"""What late answers leave of a bubble to the answer that was asked for now."""
QUESTION = 30
"""Characters of a question that remind of it."""
BETWEEN = "\n\n————\n\n"
OUR_OWN = frozenset({"command", "rest"})
"""Answers to 继续: what else waits has its own turn."""


def rendered(
    account: WeChatAccount, texts: Texts, reply: Reply, shown: frozenset[str] = frozenset()
) -> Rendered:
    """An answer's words as WeChat may show them; empty text when there are none."""
    # what a person wrote means what it says, asterisks included
    if reply.source in {"rest", "agent"} or not account.markdown:
        return Rendered(tamed(reply.text))
    found = render(cleaned(reply.text), texts.picture, shown)
    return Rendered(tamed(found.text), found.pictures, found.article)


def made_by_ai(reply: Reply, texts: Texts) -> bool:
    """Whether these are a model's words; 继续 brings them, too, where a command does not speak for itself."""
    if reply.source in OUR_OWN:
        ours = {texts.forgotten, texts.reach_a_person, texts.nothing_to_continue}
        return reply.error is None and reply.text not in ours
    return reply.source in {"coze", "fallback"}


def more(texts: Texts, command: str = "继续") -> str:
    """What the last bubble of an answer ends in when the rest can be had; `command` is what fetches it."""
    return texts.more.format(fetch=TAP.format(command=command, words=texts.more_fetch))


class Passive:
    """Composes the passive replies of every account."""

    def __init__(self, gateway: Gateway) -> None:
        self._command = gateway.settings.command_continue[0]
        self._leftovers = gateway.leftovers
        self._desk = gateway.desk
        self._texts = gateway.texts

    def answer(
        self, account: WeChatAccount, exchange_id: int, reply: Reply, heard: bool, alone: bool = False
    ) -> str:
        """The bubble with this answer. `heard` says that WeChat still listens: nothing is used up else.

        `alone` says that no other answer waits.
        """
        own = rendered(account, self._texts, reply).text or self._texts.no_answer
        alone = alone or not heard or reply.source in OUR_OWN
        late, ai = ([], False) if alone else self._late(account, exchange_id, own)
        line = self._ai_line(account, ai or made_by_ai(reply, self._texts))
        text, limit = BETWEEN.join((*late, own)), TEXT_BYTES - len(line.encode())
        shown, rest = cut(text, limit, more(self._texts, self._command))
        if cleaned(rest) and heard and not self._kept(exchange_id, rest):
            shown = cut(text, limit, self._texts.truncated)[0]
        return shown + line

    def waiting(self, account: WeChatAccount, exchange_id: int) -> str:
        """The bubble for a message that nobody answers: a person's words that no push brought, or nothing."""
        late, _ = self._late(account, exchange_id, "", only="agent")
        return BETWEEN.join(late)

    def placeholder(self, account: WeChatAccount, exchange_id: int, heard: bool) -> str:
        """The bubble that stands for an answer which is still being made."""
        tap = TAP.format(command=self._command, words=self._texts.thinking_fetch)
        thinking = self._texts.thinking.format(fetch=tap)
        late, ai = self._late(account, exchange_id, thinking) if heard else ([], False)
        return BETWEEN.join((*late, thinking)) + self._ai_line(account, ai)

    def _late(
        self, account: WeChatAccount, exchange_id: int, own: str, only: str = ""
    ) -> tuple[list[str], bool]:
        """Late answers that go along, each with its question, and whether any of them is the bot's.

        `only` names the one source whose answers may.
        """
        held_up = False
        try:
            riders = self._leftovers.riders(exchange_id)
            waiting = [each for each in riders if only in {"", each.reply.source}]
            room = TEXT_BYTES - len(self._ai_line(account, True).encode()) - min(len(own.encode()), OWN_BYTES)
            fitting = {}
            for each in waiting:
                agents = each.reply.source == "agent"
                if agents and held_up:
                    continue
                question = " ".join(tamed(each.question).split())[:QUESTION]
                words = rendered(account, self._texts, each.reply).text
                block = self._texts.late_answer.format(question=question, answer=words)
                if agents:
                    block = words
                size = len((block + BETWEEN).encode())
                if words and size <= room:
                    room -= size
                    fitting[each.exchange_id] = block, made_by_ai(each.reply, self._texts)
                else:
                    # what an agent said after a line that is too long must not come before it
                    held_up |= agents
            aboard = self._leftovers.carry(exchange_id, fitting) if fitting else ()
            if riders:
                self._go_on(account, exchange_id)
        except Exception:
            # they wait on; the answer that was asked for must not wait with them
            log.exception("late answers could not go along", extra={"exchange": exchange_id})
            return [], False
        going = [pair for number, pair in fitting.items() if number in aboard]
        return [block for block, _ in going], any(ai for _, ai in going)

    def _go_on(self, account: WeChatAccount, exchange_id: int) -> None:
        """Has sent by itself what an agent said and what found no room: this message made some quota."""
        if account.appsecret is None or strategy_of(account) != "push":
            return
        try:
            self._desk.go_on(exchange_id)
        except Exception:
            log.exception("an agent's words wait on", extra={"exchange": exchange_id})

    def _kept(self, exchange_id: int, rest: str) -> bool:
        try:
            return self._leftovers.keep(exchange_id, rest)
        except Exception:
            log.exception("the rest of an answer could not be kept", extra={"exchange": exchange_id})
            return False

    def _ai_line(self, account: WeChatAccount, ai: bool) -> str:
        line = self._texts.ai_line
        return (
            f"\n\n{line}" if ai and account.ai_line and line and len(line.encode()) < OWN_BYTES // 4 else ""
        )
