"""From a thought to the events of one chat, in order and with a time for each.

The script is the truth: it fills the chat's messages, outcome and usage, whatever happens to the stream
that tells of it. Bytes are not its business.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from sandbox.coze import samples
from sandbox.coze.brain import LIBRARY, Thought, count_tokens
from sandbox.coze.faults import Fault, Plan
from sandbox.coze.state import Chat, Json, Message

SIZES = (2, 1, 3, 4)
"""Characters of successive deltas."""
PROMPT_TOKENS = 120

CREATED = "conversation.chat.created"
IN_PROGRESS = "conversation.chat.in_progress"
DELTA = "conversation.message.delta"
COMPLETED = "conversation.message.completed"
AUDIO = "conversation.audio.delta"
DONE = "done"


@dataclass(frozen=True, slots=True)
class Event:
    """One event: `data` is what becomes JSON, or a ready string; `at` is seconds after the start."""

    name: str
    data: object
    at: float = 0.0


def pieces(text: str, whole: bool = False) -> Iterator[str]:
    """The text cut into deltas of one to four characters."""
    start, turn = 0, 0
    while start < len(text):
        size = len(text) if whole else SIZES[turn % len(SIZES)]
        yield text[start : start + size]
        start, turn = start + size, turn + 1


class Script:
    """Writes the events of one chat; `new_id` names its messages."""

    def __init__(self, chat: Chat, plan: Plan, pace: float, new_id: Callable[[], str]) -> None:
        self.chat = chat
        self.plan = plan
        self.pace = pace if plan.pace is None else plan.pace
        self.new_id = new_id
        self.events: list[Event] = []
        self.now = 0.0
        self.spoken = ""

    def write(self, thought: Thought, question: str) -> list[Event]:
        """The whole turn."""
        self._open()
        self._before_the_answer(thought)
        self.now += self.plan.delay
        failure = self.plan.find("chat_failed", "chat_failed_bare", "error_event")
        if failure:
            self._fail(failure, thought.answer)
        elif "tool_call" in self.plan:
            self._require({"tool_calls": samples.TOOL_CALLS})
        elif "ask" in self.plan:
            self._answer(samples.QUESTION)
            self._require({"tool_calls": samples.reply_message(samples.QUESTION)})
        else:
            self._answers(thought.answer)
            self._after_the_answer()
            self._complete(question)
        return self.events

    def resume(self, answer: str, question: str) -> list[Event]:
        """The rest of a chat that waited for tool outputs."""
        self._tell(IN_PROGRESS, self._chat("in_progress"))
        self._answers(answer)
        self._after_the_answer()
        self._complete(question)
        return self.events

    # the parts of a turn

    def _open(self) -> None:
        self._tell(CREATED, self._chat("created") | {"completed_at": self.chat.created_at})
        self._tell(IN_PROGRESS, self._chat("in_progress"))
        if "unknown_events" in self.plan:
            self._tell("conversation.chat.thinking", {"stage": 1})
            self._tell("heartbeat.v9", "not json {")

    def _before_the_answer(self, thought: Thought) -> None:
        documents = thought.documents or (LIBRARY if self.plan.find("knowledge", "knowledge_recall") else ())
        if documents and "knowledge_recall" in self.plan:
            self._whole("verbose", samples.knowledge_recall(documents))
        elif documents:
            self._whole("knowledge", samples.knowledge(documents))
        if "tool" in self.plan:
            self._whole("function_call", samples.TOOL_CALL)
            self._whole("tool_response", samples.TOOL_RESPONSE)
        big = self.plan.find("big_event")
        if big and big.text("type", "tool_response") != "answer":
            self._whole("tool_response", "大" * (big.whole("bytes", 1_100_000) // 3))
        if "verbose" in self.plan:
            self._whole("verbose", samples.verbose("empty result", ""))
            self._whole("verbose", samples.verbose("multi_agents_jump_to", {"agent_name": "售后"}))

    def _answers(self, text: str) -> None:
        if "empty_answer" in self.plan:
            text = ""
        if "markdown" in self.plan:
            text = samples.MARKDOWN
        text = self._stretched(text)
        if "card" in self.plan:
            self._whole("answer", samples.CARD, content_type="card")
        else:
            self._answer(text)
        several = self.plan.find("answers")
        for turn in range(2, 1 + several.whole("n", 2) if several else 2):
            self._answer(samples.SECOND_ANSWER.format(turn))

    def _stretched(self, text: str) -> str:
        long, big, endless = self.plan.find("long"), self.plan.find("big_event"), self.plan.find("endless")
        if long:
            text += samples.filler(long.whole("chars", 5000), long.text("mark", ""))
        if big and big.text("type", "tool_response") == "answer":
            text += "大" * (big.whole("bytes", 1_100_000) // 3)
        if endless:
            self.pace = max(0.001, endless.number("every", 0.05))
            deltas = endless.number("seconds", 600.0) / self.pace
            characters = int(deltas * sum(SIZES) / len(SIZES))
            text += samples.FILLER * (characters // len(samples.FILLER) + 1)
        return text

    def _answer(self, text: str) -> None:
        message = self._message("answer", text)
        if "reasoning" in self.plan:
            for piece in pieces(samples.REASONING):
                self._wait()
                self._tell(DELTA, replace(message, content="", reasoning_content=piece).as_json())
            message = replace(message, reasoning_content=samples.REASONING)
        spoken = text[:-1] if "completed_differs" in self.plan else text
        if "only_completed" not in self.plan:
            self._deltas(message, spoken)
        self._finish(message, told="deltas_only" not in self.plan)
        if "duplicate_completed" in self.plan:
            self._tell(COMPLETED, message.as_json())

    def _deltas(self, message: Message, text: str) -> None:
        big = self.plan.find("big_event")
        whole = big is not None and big.text("type", "tool_response") == "answer"
        for turn, piece in enumerate(pieces(text, whole)):
            self._wait()
            shown = replace(message, content=piece, reasoning_content="").as_json()
            if "untyped_delta" in self.plan:
                del shown["type"]
            self._tell(DELTA, shown)
            if turn == 1 and "unknown_events" in self.plan:
                self._tell("conversation.message.reaction", {"emoji": "👍"})
            if turn == 1 and "malformed_event" in self.plan:
                self._tell(DELTA, '{"content":"坏')

    def _after_the_answer(self) -> None:
        self._whole("verbose", samples.FINISH)
        follow_up = self.plan.find("follow_up")
        for text in samples.FOLLOW_UPS[: follow_up.whole("n", 3)] if follow_up else ():
            self._whole("follow_up", text)

    def _complete(self, question: str) -> None:
        self._end("completed", question)
        self._tell("conversation.chat.completed", self._chat("completed"))
        if "audio_after_completed" in self.plan:
            sound = replace(self._message("answer", samples.AUDIO), content_type="audio").as_json()
            self._tell(AUDIO, sound)
            self._tell(AUDIO, sound)
        self._tell(DONE, None)

    def _require(self, submit: Json) -> None:
        self.chat.required_action = {"type": "submit_tool_outputs", "submit_tool_outputs": submit}
        self._end("requires_action", "")
        self._tell("conversation.chat.requires_action", self._chat("requires_action"))
        self._tell(DONE, None)

    def _fail(self, fault: Fault, answer: str) -> None:
        code, msg = fault.whole("code", 5000), fault.text("msg", "event interval error")
        message = self._message("answer", answer)
        for piece in list(pieces(answer))[: fault.whole("after", 0)]:
            self._wait()
            self._tell(DELTA, replace(message, content=piece).as_json())
        self.chat.last_error = {"code": code, "msg": msg}
        self._end("failed", "")
        if fault.name == "error_event":
            if fault.whole("alone", 0):
                self.events.clear()
            self._tell("error", _error_data(fault.text("shape", "int"), code, msg))
            if fault.whole("done", 0):
                self._tell(DONE, None)
            return
        bare = fault.name == "chat_failed_bare"
        self._tell("conversation.chat.failed", {"code": code, "msg": msg} if bare else self._chat("failed"))
        self._tell(DONE, None)

    # the strokes

    def _wait(self) -> None:
        self.now += self.pace

    def _tell(self, name: str, data: object) -> None:
        self.events.append(Event(name, data, self.now))

    def _message(self, kind: str, content: str) -> Message:
        chat = self.chat
        return Message(
            self.new_id(),
            chat.conversation_id,
            "assistant",
            kind,
            content,
            bot_id=chat.bot_id,
            chat_id=chat.id,
            section_id=chat.section_id,
            created_at=int(time.time() + self.now),
        )

    def _whole(self, kind: str, content: str, content_type: str = "text") -> None:
        self._finish(replace(self._message(kind, content), content_type=content_type))

    def _finish(self, message: Message, told: bool = True) -> None:
        self.chat.messages.append((self.now, message))
        if message.type == "answer":
            self.spoken += message.content
        if told:
            self._tell(COMPLETED, message.as_json())

    def _end(self, outcome: str, question: str) -> None:
        self.chat.outcome = outcome
        self.chat.ends_after = self.now
        asked, said = PROMPT_TOKENS + count_tokens(question), count_tokens(self.spoken)
        self.chat.usage = {"token_count": asked + said, "output_count": said, "input_count": asked}

    def _chat(self, status: str) -> Json:
        shown = self.chat.as_json(status)
        if "odd_chat_object" in self.plan:
            shown |= {"last_error": None, "required_action": {"type": ""}, "usage": {}}
        return shown


def _error_data(shape: str, code: int, msg: str) -> object:
    """The error event's data in one of the shapes seen; text is no JSON at all."""
    forms: dict[str, object] = {
        "int": {"code": code, "msg": msg},
        "string": {"code": str(code), "msg": msg, "debug_url": "https://www.coze.cn/work_flow?execute_id=1"},
        "empty": {},
        "text": f"internal error\n{json.dumps(code)}: {msg}",
    }
    return forms.get(shape, forms["int"])
