"""The requests of a measurement, written out whole before it begins: making one must cost it nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sandbox.wechat.crypto import Cipher, sign
from sandbox.wechat.documents import Value, render

API_KEY = "k7Qm2xVf9LpR4tZc8WnB3yHd"
"""Opens the servers under test, which listen on loopback and hold nothing."""
WECHAT_TOKEN = "hB5tYw2QpX8mZr4K"
WECHAT_APPID = "wx7c1e5a9d3b8f2046"
WECHAT_AES_KEY = "k3Jd9sLq2Wm7Xc5Vb8Nz1Tf4Gh6Yp0Ru3Ie7Oa9Sd2Q"
WECHAT_ORIGINAL_ID = "gh_1b2c3d4e5f60"

Question = Callable[[int], bytes]
"""One whole HTTP request by its number; no two are the same message."""


def web(path: str, text: str, users: int) -> Question:
    """A question to the chat API, by one of so many users in turn."""
    return web_of(path, [text], users)


def web_of(path: str, texts: Sequence[str], users: int) -> Question:
    """One of several questions in turn, as `web`."""

    def question(number: int) -> bytes:
        text = texts[number % len(texts)]
        body = {"message": text, "user_id": f"u{number % users}", "message_id": f"bench-{number}"}
        content = json.dumps(body, ensure_ascii=False).encode()
        return post(path, content, "application/json", f"Authorization: Bearer {API_KEY}\r\n")

    return question


def wechat(text: str, users: int) -> Question:
    """A follower's text message in safe mode, signed and encrypted."""
    cipher = Cipher(WECHAT_AES_KEY, WECHAT_APPID)

    def question(number: int) -> bytes:
        now = int(time.time())
        fields: dict[str, Value] = {
            "ToUserName": WECHAT_ORIGINAL_ID,
            "FromUserName": f"oBench{number % users:022d}",
            "CreateTime": now,
            "MsgType": "text",
            "Content": text,
            "MsgId": str(time.time_ns() + number),
        }
        sealed = cipher.encrypt(render(fields))
        nonce = str(100_000_000 + number)
        signed = sign(WECHAT_TOKEN, str(now), nonce, sealed)
        plain = sign(WECHAT_TOKEN, str(now), nonce)
        path = (
            f"/api/wechat?signature={plain}&timestamp={now}&nonce={nonce}&openid={fields['FromUserName']}"
            f"&encrypt_type=aes&msg_signature={signed}"
        )
        content = render({"ToUserName": WECHAT_ORIGINAL_ID, "Encrypt": sealed}).encode()
        return post(path, content, "text/xml")

    return question


def coze(text: str) -> Question:
    """The same question put to the upstream itself."""
    body = json.dumps({"bot_id": "1", "user_id": "u", "additional_messages": [{"content": text}]}).encode()
    return lambda _number: post("/v3/chat", body, "application/json")


def get(path: str, headers: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n".encode()


def post(path: str, content: bytes, mime: str, headers: str = "") -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\nContent-Type: {mime}\r\n"
        f"{headers}Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


class Stack:
    """Writes the next requests into a file for the load client; numbers go on from file to file."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "requests"
        self._next = 0

    def file(self, question: Question, count: int) -> Path:
        """A file with `count` requests; the next call replaces it."""
        with self._path.open("wb") as file:
            for request in map(question, self.numbers(count)):
                file.write(b"%d\n" % len(request) + request)
        return self._path

    def numbers(self, count: int) -> Iterator[int]:
        """The next numbers that no request has had."""
        first = self._next
        self._next += count
        return iter(range(first, first + count))
