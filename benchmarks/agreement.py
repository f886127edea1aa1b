"""Whether every server gives the same text: each is asked once in each form before it is timed."""

from __future__ import annotations

import http.client
import json
import re
from xml.etree import ElementTree

from benchmarks import questions
from benchmarks.questions import Question, Stack
from benchmarks.servers import Running
from benchmarks.workloads import Bench
from sandbox.wechat.crypto import Cipher

STAMP = re.compile(r"@\d+;")
TEXT = "#20x0 您好，居住证怎么办理？"
ANSWER = "您好，请带上身份证。" * 20


def require(bench: Bench, server: Running) -> None:
    """Raises `SystemExit` unless this server says the upstream's words, all of them, in every form."""
    found = texts(server, bench.stack)
    server.contestant.replies += len(found)
    if set(found) != {ANSWER}:
        raise SystemExit(f"{server.contestant.name} does not say what the upstream said: {found}")


def texts(server: Running, stack: Stack) -> list[str]:
    """The answer to one question as JSON, as a stream and, where it is served, as WeChat gets it, without the
    moments in it."""
    cipher = Cipher(questions.WECHAT_AES_KEY, questions.WECHAT_APPID)
    number = next(stack.numbers(1))

    def asked(question: Question) -> str:
        return _body(server.port, question(number))

    def unsealed(xml: str) -> str:
        # both documents come from a server that we have started ourselves
        sealed = ElementTree.fromstring(xml).findtext("Encrypt") or ""
        return ElementTree.fromstring(cipher.decrypt(sealed)).findtext("Content") or ""

    whole = json.loads(asked(questions.web("/api/chat", TEXT, 1)))["message"]
    number = next(stack.numbers(1))
    stream = asked(questions.web("/api/chat/stream", TEXT, 1))
    frames = [json.loads(line[5:]) for line in stream.splitlines() if line.startswith("data:")]
    streamed = "".join(frame["content"] for frame in frames)
    found = [whole, streamed]
    if server.contestant.wechat:
        number = next(stack.numbers(1))
        found.append(unsealed(asked(questions.wechat(TEXT, 1))))
    return [STAMP.sub("", each) for each in found]


def _body(port: int, request: bytes) -> str:
    head, _, content = request.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    method, path, _ = first.split(" ")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, content, dict(line.split(": ", 1) for line in lines[1:]))
        response = connection.getresponse()
        body = response.read().decode()
        if response.status != 200:
            raise RuntimeError(f"{path}: {response.status} {body[:300]}")
        return body
    finally:
        connection.close()
