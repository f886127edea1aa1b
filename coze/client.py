"""Coze's endpoints, one method each: plain arguments in, typed objects and streams out.

What a conversation is for, and when a question may be put again, is `coze.bot`'s matter: a chat is posted
once for each call here (and once more when the token had to be renewed).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import quote

from coze.auth import Credentials, make_credentials
from coze.calls import Calls
from coze.protocol import Chat, Json, Message, chat_of, items, mapping, message_of, text
from coze.records import BotInfo, Conversation, MessagePage, Said, UploadedFile
from coze.retries import READING
from coze.streams import ChatStream, WorkflowStream
from coze.transport import Transport
from coze.workflows import WorkflowResult, workflow_result
from settings import Settings

UPLOAD_SECONDS = 60.0
WORKFLOW_SECONDS = 100.0
"""A synchronous run: Coze's own gateway gives up after 90 seconds."""


class CozeClient:
    """All calls to one Coze. Threads share it.

    `deadline` is always `time.monotonic()`; `session_name` chooses whose token is used (OAuth only). Every
    method raises `coze.errors.CozeError`.
    """

    def __init__(
        self,
        base: str,
        credentials: Credentials,
        *,
        connect_timeout: float = 5.0,
        read_timeout: float = 130.0,
    ) -> None:
        self._transport = Transport(base, connect_timeout, read_timeout)
        self._calls = Calls(self._transport, credentials)

    def close(self) -> None:
        """Closes idle connections; running calls are not disturbed."""
        self._transport.close()

    # chats

    def chat(
        self,
        bot_id: str,
        user_id: str,
        messages: Iterable[Said],
        *,
        conversation_id: str | None = None,
        meta_data: Mapping[str, str] | None = None,
        parameters: Mapping[str, object] | None = None,
        stream: bool = True,
        session_name: str | None = None,
        deadline: float | None = None,
    ) -> ChatStream:
        """Asks a bot. Raises when Coze refuses at once; later failures come out of the stream."""
        body: dict[str, object] = {
            "bot_id": str(bot_id),
            "user_id": str(user_id),
            "additional_messages": [each.as_json() for each in messages],
            "stream": stream,
            "auto_save_history": True,
            "enable_card": False,
        }
        if meta_data:
            body["meta_data"] = dict(meta_data)
        if parameters:
            body["parameters"] = dict(parameters)
        query = {"conversation_id": str(conversation_id)} if conversation_id else None
        return self._chat_stream("/v3/chat", body, query, session_name, deadline)

    def chat_flow(
        self,
        workflow_id: str,
        messages: Iterable[Said],
        *,
        app_id: str = "",
        bot_id: str = "",
        user_id: str = "",
        conversation_id: str | None = None,
        parameters: Mapping[str, object] | None = None,
        session_name: str | None = None,
        deadline: float | None = None,
    ) -> ChatStream:
        """Asks a chatflow; of `app_id` and `bot_id` only the first that is set is sent."""
        body: dict[str, object] = {
            "workflow_id": str(workflow_id),
            "additional_messages": [each.as_json() for each in messages],
            "parameters": dict(parameters or {}),
            "stream": True,
        }
        body |= {"app_id": str(app_id)} if app_id else {"bot_id": str(bot_id)}
        if conversation_id:
            body["conversation_id"] = str(conversation_id)
        if user_id:
            body["ext"] = {"user_id": str(user_id)}
        return self._chat_stream("/v1/workflows/chat", body, None, session_name, deadline)

    def submit_tool_outputs(
        self,
        conversation_id: str,
        chat_id: str,
        outputs: Mapping[str, str],
        *,
        session_name: str | None = None,
        deadline: float | None = None,
    ) -> ChatStream:
        """Answers every tool call of a chat at once: call id to output."""
        body = {
            "tool_outputs": [{"tool_call_id": call, "output": output} for call, output in outputs.items()],
            "stream": True,
        }
        query = {"conversation_id": conversation_id, "chat_id": chat_id}
        return self._chat_stream("/v3/chat/submit_tool_outputs", body, query, session_name, deadline)

    def retrieve_chat(
        self,
        conversation_id: str,
        chat_id: str,
        *,
        session_name: str | None = None,
        deadline: float | None = None,
    ) -> Chat:
        """The chat as it is now."""
        query = {"conversation_id": conversation_id, "chat_id": chat_id}
        answer, logid = self._calls.get("/v3/chat/retrieve", query, session_name, deadline)
        return chat_of(mapping(answer.get("data")), logid)

    def list_messages(
        self,
        conversation_id: str,
        chat_id: str,
        *,
        session_name: str | None = None,
        deadline: float | None = None,
    ) -> tuple[Message, ...]:
        """The messages of a chat without the question, in no order to rely on."""
        query = {"conversation_id": conversation_id, "chat_id": chat_id}
        answer, _ = self._calls.get("/v3/chat/message/list", query, session_name, deadline)
        return tuple(message_of(mapping(each)) for each in items(answer.get("data")))

    def cancel(
        self,
        conversation_id: str,
        chat_id: str,
        *,
        session_name: str | None = None,
        deadline: float | None = None,
    ) -> None:
        """Stops a chat; code 4104 says that it had ended before."""
        body = {"conversation_id": conversation_id, "chat_id": chat_id}
        self._calls.post("/v3/chat/cancel", body, session_name, deadline)

    # conversations

    def create_conversation(
        self, *, bot_id: str = "", session_name: str | None = None, deadline: float | None = None
    ) -> Conversation:
        """A new conversation; a chat without one makes its own, so this is rarely needed."""
        body = {"bot_id": str(bot_id)} if bot_id else {}
        answer, _ = self._calls.post("/v1/conversation/create", body, session_name, deadline)
        return _conversation(answer)

    def retrieve_conversation(
        self, conversation_id: str, *, session_name: str | None = None, deadline: float | None = None
    ) -> Conversation:
        query = {"conversation_id": conversation_id}
        return _conversation(self._calls.get("/v1/conversation/retrieve", query, session_name, deadline)[0])

    def clear_conversation(
        self, conversation_id: str, *, session_name: str | None = None, deadline: float | None = None
    ) -> str:
        """Empties the context and keeps the id; returns the id of the new section."""
        path = f"/v1/conversations/{quote(conversation_id, safe='')}/clear"
        answer, _ = self._calls.post(path, {}, session_name, deadline)
        return text(mapping(answer.get("data")).get("id"))

    def create_message(
        self,
        conversation_id: str,
        said: Said,
        *,
        session_name: str | None = None,
        deadline: float | None = None,
        mark: str = "",
    ) -> Message:
        """Writes into the context without asking the bot: what a human agent said, for example.

        By its `mark` the message is found again when nobody knows whether it was written.
        """
        body: dict[str, object] = {
            "role": said.role,
            "content": said.content,
            "content_type": said.content_type,
        }
        if mark:
            body["meta_data"] = {"yingda": mark}
        query = {"conversation_id": conversation_id}
        answer, _ = self._calls.post(
            "/v1/conversation/message/create", body, session_name, deadline, query=query
        )
        return message_of(mapping(answer.get("data")))

    def list_conversation(
        self,
        conversation_id: str,
        *,
        limit: int = 50,
        order: str = "desc",
        after_id: str = "",
        session_name: str | None = None,
        deadline: float | None = None,
    ) -> MessagePage:
        """One page of a conversation; `after_id` is the `last_id` of the page before."""
        body = {"order": order, "limit": limit} | ({"after_id": after_id} if after_id else {})
        query = {"conversation_id": conversation_id}
        answer, _ = self._calls.post(
            "/v1/conversation/message/list", body, session_name, deadline, query=query, repeatable=READING
        )
        messages = tuple(message_of(mapping(each)) for each in items(answer.get("data")))
        return MessagePage(messages, text(answer.get("last_id")), answer.get("has_more") is True)

    # workflows

    def run_workflow(
        self,
        workflow_id: str,
        parameters: Mapping[str, object] | None = None,
        *,
        app_id: str = "",
        bot_id: str = "",
        session_name: str | None = None,
        deadline: float | None = None,
    ) -> WorkflowResult:
        """Runs a workflow and waits for its result, up to `WORKFLOW_SECONDS`."""
        body = _run_body(workflow_id, parameters, app_id, bot_id)
        answer, logid = self._calls.post(
            "/v1/workflow/run", body, session_name, deadline, seconds=WORKFLOW_SECONDS
        )
        return workflow_result(answer, logid)

    def stream_workflow(
        self,
        workflow_id: str,
        parameters: Mapping[str, object] | None = None,
        *,
        app_id: str = "",
        bot_id: str = "",
        session_name: str | None = None,
        deadline: float | None = None,
    ) -> WorkflowStream:
        """Runs a workflow and follows it."""
        body = _run_body(workflow_id, parameters, app_id, bot_id)
        return self._workflow_stream("/v1/workflow/stream_run", body, session_name, deadline)

    def resume(
        self,
        workflow_id: str,
        event_id: str,
        interrupt_type: int,
        resume_data: str,
        *,
        session_name: str | None = None,
        deadline: float | None = None,
    ) -> WorkflowStream:
        """Answers an interrupt of a streamed run; three times at most, then the run fails."""
        body: dict[str, object] = {
            "workflow_id": str(workflow_id),
            "event_id": event_id,
            "interrupt_type": interrupt_type,
            "resume_data": resume_data,
        }
        return self._workflow_stream("/v1/workflow/stream_resume", body, session_name, deadline)

    # bots, files, audio

    def bot_info(self, bot_id: str, *, deadline: float | None = None) -> BotInfo:
        """The published bot; a failure here is a wrong id, token or region."""
        answer, _ = self._calls.get("/v1/bot/get_online_info", {"bot_id": str(bot_id)}, None, deadline)
        data = mapping(answer.get("data"))
        opening = mapping(data.get("onboarding_info"))
        return BotInfo(
            text(data.get("bot_id")),
            text(data.get("name")),
            text(data.get("description")),
            icon_url=text(data.get("icon_url")),
            welcome=text(opening.get("prologue")),
            suggestions=tuple(filter(None, map(text, items(opening.get("suggested_questions"))))),
        )

    def upload_file(
        self,
        name: str,
        content: bytes,
        mime: str = "application/octet-stream",
        *,
        session_name: str | None = None,
        deadline: float | None = None,
    ) -> UploadedFile:
        """Uploads one file; `name` needs the right ending, Coze judges by it."""
        answer, _ = self._calls.post(
            "/v1/files/upload",
            None,
            session_name,
            deadline,
            file=(name, content, mime),
            seconds=UPLOAD_SECONDS,
        )
        data = mapping(answer.get("data"))
        size = data.get("bytes")
        return UploadedFile(
            text(data.get("id")), text(data.get("file_name")), size if isinstance(size, int) else 0
        )

    def transcribe(
        self,
        name: str,
        content: bytes,
        mime: str = "application/octet-stream",
        *,
        session_name: str | None = None,
        deadline: float | None = None,
    ) -> str:
        """The words of a recording; may be empty."""
        answer, _ = self._calls.post(
            "/v1/audio/transcriptions",
            None,
            session_name,
            deadline,
            file=(name, content, mime),
            seconds=UPLOAD_SECONDS,
        )
        return text(mapping(answer.get("data")).get("text"))

    def _chat_stream(
        self,
        path: str,
        body: object,
        query: dict[str, str] | None,
        session_name: str | None,
        deadline: float | None,
    ) -> ChatStream:
        opened = self._calls.open(path, body, session_name, deadline, query)
        return ChatStream(opened, lambda error: self._calls.refused(error, session_name, opened.token))

    def _workflow_stream(
        self, path: str, body: object, session_name: str | None, deadline: float | None
    ) -> WorkflowStream:
        opened = self._calls.open(path, body, session_name, deadline)
        return WorkflowStream(opened, lambda error: self._calls.refused(error, session_name, opened.token))


def _conversation(answer: Json) -> Conversation:
    data = mapping(answer.get("data"))
    return Conversation(text(data.get("id")), text(data.get("name")), text(data.get("last_section_id")))


def _run_body(
    workflow_id: str, parameters: Mapping[str, object] | None, app_id: str, bot_id: str
) -> dict[str, object]:
    body: dict[str, object] = {"workflow_id": str(workflow_id), "parameters": dict(parameters or {})}
    if app_id or bot_id:
        # Coze refuses both at once
        body |= {"app_id": str(app_id)} if app_id else {"bot_id": str(bot_id)}
    return body


def make_client(settings: Settings) -> CozeClient:
    """The client of these settings. Raises `ConfigurationError` when the credentials cannot work."""
    return CozeClient(
        settings.coze_base,
        make_credentials(settings),
        connect_timeout=settings.coze_connect_timeout,
        read_timeout=settings.coze_read_timeout,
    )
