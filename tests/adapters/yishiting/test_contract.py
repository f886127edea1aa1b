"""易事厅 keeps the contract as far as its protocol goes: a shared token, no signature."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import ClassVar

from werkzeug.test import TestResponse

from adapters.yishiting import YishitingAdapter
from tests.contract import AdapterContract, Call

UNSIGNED = {
    "signed_body": "the platform sends a shared token and signs nothing",
    "window": "its requests carry no timestamp to check",
    "rotation": "one token is configured at a time",
    "identity": "a message is known by user, session, id and words together",
}


class Desk(AdapterContract):
    """What both endpoints have in common."""

    adapter = YishitingAdapter
    signature_in = ("headers", "Authorization")
    secrets = ("canary-token-of-the-desk",)
    without: ClassVar[Mapping[str, str]] = UNSIGNED
    path: ClassVar[str]

    def environment(self) -> Mapping[str, str]:
        return {"YISHITING_TOKEN": self.secrets[0]}

    def payload(self, text: str, *, key: str) -> bytes:
        question = {"user": "li.lei", "msg_type": "text", "content": text, "msg_id": key}
        return json.dumps(question, ensure_ascii=False).encode("utf-8", "replace")

    def seal(self, payload: bytes, *, timestamp: str, key: str, secret: str) -> Call:
        headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
        return Call(self.path, payload, headers=headers)

    def error_text(self, response: TestResponse) -> str:
        body = json.loads(response.data)
        assert set(body) == {"code", "err_msg"}
        assert body["code"] == 1
        return str(body["err_msg"])


class TestSync(Desk):
    path = "/chat/sync"

    def reply_text(self, response: TestResponse) -> str:
        body = json.loads(response.data)
        assert (body["code"], body["err_msg"]) == (0, "")
        return str(body["msg_content"])


class TestStream(Desk):
    path = "/chat"

    def reply_text(self, response: TestResponse) -> str:
        records = response.data.decode().split("\n\n")[:-1]
        frames = [json.loads(record.removeprefix("event:delta\ndata:")) for record in records]
        assert [frame["finished"] for frame in frames] == [False] * (len(frames) - 1) + [True]
        return "".join(frame["response"] for frame in frames)
