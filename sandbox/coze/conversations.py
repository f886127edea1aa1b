"""The routes of conversations and of the messages in them."""

from __future__ import annotations

import time

from flask import Flask, Response, request

from sandbox.coze.asked import Entered, read_message
from sandbox.coze.context import as_json, current, envelope, logid, meta_data_of, text_of
from sandbox.coze.errors import Refusal
from sandbox.coze.state import Conversation, LocalCoze, Message

MOST_LISTED = 50
MOST_INITIAL = 16


def add_conversations(app: Flask, coze: LocalCoze) -> None:
    """Registers the routes."""

    def named() -> Conversation:
        return coze.conversation(current().who, request.args.get("conversation_id"))

    @app.post("/v1/conversation/create", endpoint="conversation")
    def create() -> Response:
        call = current()
        initial = call.body.get("messages") or []
        if not isinstance(initial, list) or len(initial) > MOST_INITIAL:
            raise Refusal(4000, "messages must be an array of at most 16")
        entered = [read_message(each, coze.files) for each in initial]
        conversation = coze.open_conversation(
            call.who,
            text_of(call.body, "bot_id", False),
            text_of(call.body, "name", False)[:100],
            meta_data_of(call.body),
            text_of(call.body, "connector_id", False) or "1024",
        )
        for each in entered:
            _enter(coze, conversation, each)
        return envelope(conversation.as_json())

    @app.get("/v1/conversation/retrieve", endpoint="conversation_retrieve")
    def retrieve() -> Response:
        return envelope(named().as_json())

    @app.get("/v1/conversations", endpoint="conversation_list")
    def listed() -> Response:
        bot_id = request.args.get("bot_id", "")
        if not bot_id:
            raise Refusal(4000, "bot_id is required")
        page, size = _whole("page_num", 1, 1_000_000), _whole("page_size", MOST_LISTED, MOST_LISTED)
        who = current().who
        own = [
            each
            for each in list(coze.conversations.values())
            if each.session_name == who.session_name and each.bot_id == bot_id
        ]
        if request.args.get("sort_order", "DESC").upper() == "DESC":
            own.reverse()
        start = (page - 1) * size
        shown = [each.as_json() for each in own[start : start + size]]
        return envelope({"conversations": shown, "has_more": len(own) > start + size})

    @app.route("/v1/conversations/<conversation_id>", methods=["PUT", "DELETE"], endpoint="conversation_edit")
    def edit(conversation_id: str) -> Response:
        call = current()
        conversation = coze.conversation(call.who, conversation_id)
        if request.method == "DELETE":
            with coze.lock:
                coze.conversations.pop(conversation.id, None)
            return envelope({})
        conversation.name = text_of(call.body, "name")[:100]
        return envelope(conversation.as_json())

    @app.post("/v1/conversations/<conversation_id>/clear", endpoint="conversation_clear")
    def clear(conversation_id: str) -> Response:
        conversation = coze.conversation(current().who, conversation_id)
        with coze.lock:
            conversation.section_id = coze.new_id()
            conversation.question_open = False
        return envelope({"id": conversation.section_id, "conversation_id": conversation.id})

    @app.post("/v1/conversation/message/create", endpoint="message_create")
    def create_message() -> Response:
        entered = read_message(current().body, coze.files)
        return envelope(_enter(coze, named(), entered).as_json())

    @app.post("/v1/conversation/message/list", endpoint="message_list")
    def list_messages() -> Response:
        body = current().body
        messages = coze.history(named())
        if body.get("chat_id"):
            messages = [each for each in messages if each.chat_id == body["chat_id"]]
        if body.get("order", "desc") != "asc":
            messages.reverse()
        ids = [each.id for each in messages]
        after, before, limit = body.get("after_id"), body.get("before_id"), body.get("limit", MOST_LISTED)
        if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MOST_LISTED:
            raise Refusal(4000, "limit must be between 1 and 50")
        if after in ids:
            messages = messages[ids.index(str(after)) + 1 :]
        elif before in ids:
            messages = messages[: ids.index(str(before))][-limit:]
        page = messages[:limit]
        return as_json(
            {
                "code": 0,
                "msg": "",
                "data": [each.as_json() for each in page],
                "first_id": page[0].id if page else "",
                "last_id": page[-1].id if page else "",
                "has_more": len(messages) > len(page),
                "detail": {"logid": logid()},
            }
        )


def _enter(coze: LocalCoze, conversation: Conversation, entered: Entered) -> Message:
    message = Message(
        coze.new_id(),
        conversation.id,
        entered.role,
        entered.type,
        entered.content,
        entered.content_type,
        section_id=conversation.section_id,
        meta_data=entered.meta_data,
        created_at=int(time.time()),
    )
    with coze.lock:
        conversation.messages.append(message)
    return message


def _whole(name: str, default: int, most: int) -> int:
    given = request.args.get(name, str(default))
    if not given.isascii() or not given.isdigit() or not 1 <= int(given) <= most:
        raise Refusal(4000, f"{name} is out of range")
    return int(given)
