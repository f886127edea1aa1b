"""The routes of chats: ask, look, list, cancel, submit tool outputs; and the chatflow, a chat too."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import cast

from flask import Flask, Response, request

from sandbox.coze.asked import Asked, read_chat, read_chatflow
from sandbox.coze.brain import think
from sandbox.coze.context import Call, current, envelope, refusal
from sandbox.coze.delivery import deliver
from sandbox.coze.errors import Refusal
from sandbox.coze.framing import choose_dialect, frame_events
from sandbox.coze.script import Event, Script
from sandbox.coze.state import Chat, Conversation, LocalCoze, Message


def add_chats(app: Flask, coze: LocalCoze) -> None:
    """Registers the routes."""

    @app.post("/v3/chat", endpoint="chat")
    def ask() -> Response:
        call = current()
        asked = read_chat(call.body, coze.files)
        conversation_id = (
            "" if "other_conversation_id" in call.plan else request.args.get("conversation_id", "")
        )
        return _turn(coze, call, asked, conversation_id, "cloud")

    @app.post("/v1/workflows/chat", endpoint="workflow_chat")
    def ask_flow() -> Response:
        call = current()
        given = call.body.get("conversation_id") or ""
        conversation_id = "" if "other_conversation_id" in call.plan else str(given)
        return _turn(coze, call, read_chatflow(call.body), conversation_id, "chatflow")

    @app.route("/v3/chat/retrieve", methods=["GET", "POST"], endpoint="retrieve")
    def retrieve() -> Response:
        call = current()
        if request.method == "POST" and call.who.oauth:
            raise Refusal(4100)
        told = call.plan.find("status")
        return envelope(_asked_chat(coze, call).as_json(told.text("value", "expired") if told else None))

    @app.get("/v3/chat/message/list", endpoint="list")
    def messages() -> Response:
        call = current()
        chat = _asked_chat(coze, call)
        if "list_no_data" in call.plan:
            return refusal(Refusal(int(str(chat.last_error["code"])) or 5000, status=200))
        shown = [message.as_json() for message in chat.visible()]
        return envelope(shown[::-1] if "list_unordered" in call.plan else shown)

    @app.post("/v3/chat/cancel", endpoint="cancel")
    def cancel() -> Response:
        call = current()
        chat = coze.chat(call.who, call.body.get("conversation_id"), call.body.get("chat_id"))
        if "cancel_4104" in call.plan:
            raise Refusal(4104)
        coze.cancel(chat)
        if "studio_cancel_key" in call.plan:
            return envelope(None, ChatV3ChatDetail=chat.as_json())
        return envelope(chat.as_json())

    @app.post("/v3/chat/submit_tool_outputs", endpoint="submit")
    def submit() -> Response:
        call = current()
        chat = _asked_chat(coze, call)
        events = _resume(coze, call, chat)
        return _respond(call, chat, events, call.body.get("stream") is True, "cloud")


def _asked_chat(coze: LocalCoze, call: Call) -> Chat:
    conversation_id, chat_id = request.args.get("conversation_id"), request.args.get("chat_id")
    if not conversation_id or not chat_id:
        raise Refusal(4000, "conversation_id and chat_id are required")
    return coze.chat(call.who, conversation_id, chat_id)


def _turn(coze: LocalCoze, call: Call, asked: Asked, conversation_id: str, dialect: str) -> Response:
    with coze.lock:
        if conversation_id:
            conversation = coze.conversation(call.who, conversation_id, code=4002)
        else:
            conversation = coze.open_conversation(call.who, asked.bot_id)
        if coze.busy(conversation):
            return _occupied(call, asked, dialect)
        chat, events = _begin(coze, call, asked, conversation)
    return _respond(call, chat, events, asked.stream, dialect)


def _begin(
    coze: LocalCoze, call: Call, asked: Asked, conversation: Conversation
) -> tuple[Chat, Sequence[Event]]:
    """Puts the question into the conversation and writes the whole turn; the caller holds the lock."""
    now = int(time.time())
    section = conversation.section_id
    chat = Chat(
        coze.new_id(), conversation.id, section, asked.bot_id, asked.user_id, call.who.session_name,
        asked.saved, asked.meta_data, now, 0.0,
    )  # fmt: skip
    past = coze.history(conversation)
    entered = [
        Message(
            coze.new_id(), conversation.id, each.role, each.type, each.content, each.content_type,
            asked.bot_id, chat.id, section, meta_data=each.meta_data, created_at=now,
        )
        for each in asked.entered
    ]  # fmt: skip
    said = [(each.role, each.content) for each in past] + [(each.role, each.text) for each in asked.entered]
    if not said or said[-1][0] != "user":
        raise Refusal(4000, "additional_messages must end with a message of the user")
    words = [text for role, text in said if role == "user"]
    files = sum(each.files for each in asked.entered)
    # the question may stand in the message before the files
    question = words.pop() or (words.pop() if words else "")
    # an assistant's line that no chat made was entered by somebody: a person's words
    written = [each.content for each in past if each.role == "assistant" and not each.chat_id]
    thought = think(question, words, files=files, expected=conversation.question_open, written=written)
    events = Script(chat, call.plan, coze.pace, coze.new_id).write(thought, question)
    conversation.question_open = "ask" in call.plan
    conversation.updated_at = now
    if asked.saved:
        conversation.messages += entered
    chat.started = time.monotonic()
    coze.add_chat(conversation, chat)
    return chat, events


def _resume(coze: LocalCoze, call: Call, chat: Chat) -> Sequence[Event]:
    outputs = call.body.get("tool_outputs")
    required = cast(dict[str, dict[str, list[dict[str, object]]]], chat.required_action or {})
    calls = required.get("submit_tool_outputs", {}).get("tool_calls", [])
    expected = {each["id"] for each in calls if each["type"] == "function"}
    if not isinstance(outputs, list) or not all(isinstance(each, dict) for each in outputs):
        raise Refusal(4000, "tool_outputs must be an array of objects")
    given = {each.get("tool_call_id"): str(each.get("output", "")) for each in outputs}
    with coze.lock:
        if chat.status != "requires_action" or not expected or set(given) != expected:
            raise Refusal(4000, "tool_outputs must answer the tool calls that the chat waits for")
        chat.messages = [(0.0, message) for _, message in chat.messages]
        answer = f"根据工具返回的结果（{'；'.join(given.values())}），已为您查询完毕。"
        events = Script(chat, call.plan, coze.pace, coze.new_id).resume(answer, answer)
        chat.required_action = None
        chat.started = time.monotonic()
    return events


def _respond(call: Call, chat: Chat, events: Sequence[Event], stream: bool, dialect: str) -> Response:
    if not stream and "sse_for_nonstream" not in call.plan:
        return envelope(chat.as_json("created" if "created_status" in call.plan else "in_progress"))
    call.delivered = True
    frames = frame_events(events, choose_dialect(dialect, call.plan, request.args.get("dialect", "")))
    return deliver(
        frames,
        call.plan,
        call.line,
        started=chat.started,
        skipped=lambda frame: chat.canceled and frame.ends_something,
    )


def _occupied(call: Call, asked: Asked, dialect: str) -> Response:
    """4016 in the form seen for it: the only event of a stream, or an envelope."""
    busy = Refusal(4016)
    if not asked.stream:
        raise busy
    call.delivered = True
    only = [Event("error", {"code": busy.code, "msg": busy.msg})]
    return deliver(frame_events(only, choose_dialect(dialect, call.plan)), call.plan, call.line)
