"""What the client sends, on real sockets: bodies, headers, tokens, connections."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from coze.client import CozeClient
from coze.errors import HttpError
from coze.protocol import Done
from coze.records import Said
from sandbox.coze import LocalCoze
from tests.coze.calls import BOT, GOOD, ask, chunked, client_of, served, text_of
from tests.coze.wire import CLOSED, HEAD, NEXT, Wire

pytestmark = pytest.mark.usefixtures("quick_retries")


def test_the_request_is_what_the_protocol_says(client: CozeClient, coze: LocalCoze) -> None:
    conversation = client.create_conversation(bot_id=BOT)
    ask(client, "问", conversation_id=conversation.id, meta_data={"request_id": "r1"})
    sent = coze.requests[-1]
    assert (sent.method, sent.path, dict(sent.query)) == (
        "POST",
        "/v3/chat",
        {"conversation_id": conversation.id},
    )
    assert sent.json == {
        "bot_id": BOT,
        "user_id": "u1",
        "additional_messages": [
            {"role": "user", "type": "question", "content": "问", "content_type": "text"}
        ],
        "stream": True,
        "auto_save_history": True,
        "enable_card": False,
        "meta_data": {"request_id": "r1"},
    }
    assert sent.headers["Authorization"] == "Bearer pat_yingda-sandbox"
    assert sent.headers["Accept-Encoding"] == "identity"


def test_a_chatflow_gets_its_conversation_in_the_body(client: CozeClient, coze: LocalCoze) -> None:
    conversation = client.create_conversation()
    said = [Said("问")]
    with client.chat_flow("7300", said, app_id="9", bot_id=BOT, conversation_id=conversation.id) as stream:
        events = list(stream)
    sent = coze.requests[-1]
    assert isinstance(sent.json, dict)
    assert (sent.path, dict(sent.query)) == ("/v1/workflows/chat", {})
    assert (sent.json["conversation_id"], sent.json["app_id"]) == (conversation.id, "9")
    assert "bot_id" not in sent.json
    assert text_of(events)


def test_ids_are_sent_as_strings() -> None:
    with Wire([chunked(*GOOD)]) as wire, closing(client_of(wire.url)) as client:
        client.chat(7_382_159_487_131_697_202, 5, [Said("x")]).close()  # type: ignore[arg-type]
        body = json.loads(wire.seen[0].body)
    assert (body["bot_id"], body["user_id"]) == ("7382159487131697202", "5")


def test_a_netrc_cannot_replace_the_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    _, wire = served(*chunked(*GOOD))
    assert wire.seen[0].headers["authorization"] == "Bearer pat_yingda-sandbox"


def test_a_redirect_is_not_followed_and_takes_no_token_along() -> None:
    with Wire([[b"never asked"]]) as other:
        head = f"HTTP/1.1 302 Found\r\nLocation: {other.url}/\r\nContent-Length: 0\r\n\r\n"
        with pytest.raises(HttpError, match="302"):
            served(head.encode())
        assert not other.seen


def test_a_cookie_is_not_kept() -> None:
    head = HEAD + b"Set-Cookie: a=b\r\nConnection: close\r\n\r\n"
    with Wire([[head, *GOOD], [CLOSED, *GOOD]]) as wire, closing(client_of(wire.url)) as client:
        ask(client)
        ask(client)
        assert "cookie" not in wire.seen[1].headers


def test_a_finished_stream_leaves_its_connection_to_the_next() -> None:
    script = [*chunked(*GOOD), NEXT, *chunked(*GOOD)]
    with Wire([script]) as wire, closing(client_of(wire.url)) as client:
        for _ in range(2):
            with client.chat(BOT, "u", [Said("x")]) as stream:
                for each in stream:
                    if isinstance(each, Done):
                        break
        # one script is one connection
        assert len(wire.seen) == 2
