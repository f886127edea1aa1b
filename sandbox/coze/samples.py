"""Contents of the rarer messages: cards, tool calls, verbose packets, knowledge, long and formatted answers.

Everything that is a JSON string within JSON on the platform is one here. A `knowledge` message holds
`{"documents": [{"id", "name", "url", "score", "content"}]}`; a `knowledge_recall` packet holds the verbose
envelope whose `data` is again a string: `{"chunks": [{"slice", "score", "meta": {"document", "link"}}]}`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence

from sandbox.coze.brain import Document

TOOL_CALL = json.dumps(
    {
        "name": "weather-query",
        "arguments": {"city": "北京"},
        "plugin_id": 7400000000000000201,
        "plugin_type": 1,
    },
    ensure_ascii=False,
)
TOOL_RESPONSE = json.dumps({"city": "北京", "weather": "晴", "temperature": 21}, ensure_ascii=False)
CARD = json.dumps(
    {"card_type": 3, "template_url": "https://cards.example.com/1", "response_type": "card"},
    ensure_ascii=False,
)
QUESTION = "请问您要办理哪项业务？A. 查询进度 B. 提交申请"
REASONING = "用户提出了一个问题，我先想一想该怎么回答。"
FOLLOW_UPS = ("还有哪些注意事项？", "在哪里可以查看进度？", "怎样联系人工客服？", "办理需要多久？")
SECOND_ANSWER = "第{}条补充：以上内容供您参考。"
MARKDOWN = (
    "## 办理步骤\n\n1. 打开[办事大厅](https://hall.example.com/?a=1&b=2)\n2. 点击 **新建**\n\n"
    "![示意图](https://img.example.com/step.png)\n\n```python\nprint(1 < 2)\n```\n"
)
FILLER = "我继续说，"
AUDIO = base64.b64encode(bytes(4800)).decode()
TOOL_CALLS = [
    {
        "id": "call_7400000000000000301",
        "type": "function",
        "function": {"name": "get_location", "arguments": '{"accuracy":"city"}'},
    }
]


def filler(chars: int, mark: str = "") -> str:
    """At least so many characters; with a `mark` its sentences begin with 〔mark·1〕, 〔mark·2〕, …"""
    if not mark:
        return FILLER * (chars // len(FILLER) + 1)
    text = ""
    while len(text) < chars:
        text += f"〔{mark}·{text.count('〔') + 1}〕{FILLER}"
    return text


def verbose(msg_type: str, data: object) -> str:
    """A verbose packet; `data` is a string within the string."""
    inner = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    packet = {"msg_type": msg_type, "data": inner, "from_module": None, "from_unit": None}
    return json.dumps(packet, ensure_ascii=False)


FINISH = verbose("generate_answer_finish", {"finish_reason": 0, "FinData": ""})


def knowledge(documents: Sequence[Document]) -> str:
    shown = [
        {"id": each.id, "name": each.name, "url": each.url, "score": each.score, "content": each.content}
        for each in documents
    ]
    return json.dumps({"documents": shown}, ensure_ascii=False)


def knowledge_recall(documents: Sequence[Document]) -> str:
    chunks = [
        {
            "slice": each.content,
            "score": each.score,
            "meta": {
                "document": {"id": each.id, "name": each.name},
                "link": {"title": each.name, "url": each.url},
            },
        }
        for each in documents
    ]
    return verbose("knowledge_recall", {"chunks": chunks})


def reply_message(question: str) -> list[dict[str, object]]:
    """The tool call of a question node: nothing to submit, the next message answers it."""
    arguments = json.dumps({"content": question}, ensure_ascii=False)
    return [
        {
            "id": "call_7400000000000000302",
            "type": "reply_message",
            "function": {"name": "question", "arguments": arguments},
        }
    ]
