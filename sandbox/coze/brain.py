"""The bot behind the local Coze: a pure function from what was said to what it says.

Small, deterministic and honest about what it does not know. Nothing of the protocol is here.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

_NAME = re.compile(
    r"我(?:的名字|名字)?(?:叫做|叫|是叫)([\u3400-\u9fff·]{1,8}|[A-Za-z][A-Za-z ]{0,29})"
    r"|我的名字是([\u3400-\u9fff·A-Za-z]{1,12})"
)
_AGE = re.compile(r"(?:我今年|今年|我)(?:已经)?(\d{1,3})\s*岁")
_ASKS_NAME = re.compile(r"我(?:叫|的名字(?:是|叫)?)(?:什么|啥)|我是谁|我的名字(?:是)?[?？]|知道我的名字")
_ASKS_AGE = re.compile(r"我(?:今年)?(?:几岁|多大|多少岁)|我的年龄")
_ASKS_PERSON = re.compile(
    r"(?:人工|客服|同事)(?:刚才|之前|都)*(?:说|答应|承诺|保证)(?:了|过)?(?:我|些)*(?:什么|啥|哪些)"
)
_GREETING = re.compile(r"^(?:你好|您好|hello|hi|嗨|在吗)[!！。,，~ ]*$", re.IGNORECASE)

_CLOSINGS = (
    "如果还有不清楚的地方，请告诉我更多细节。",
    "您也可以换一种说法再问我一次。",
    "需要人工帮助时，回复“转人工”即可。",
)


@dataclass(frozen=True, slots=True)
class Document:
    """A document of the bot's knowledge base; `score` is how well it fits, 0 to 1."""

    id: str
    name: str
    url: str
    score: float
    content: str


LIBRARY = (
    Document(
        "7400000000000000101",
        "新手使用指南",
        "https://docs.example.com/guide",
        0.93,
        "第一步，登录后点击右上角的“新建”；第二步，按提示填写信息；第三步，提交并等待通知。",
    ),
    Document(
        "7400000000000000102",
        "常见问题文档",
        "https://docs.example.com/faq",
        0.81,
        "忘记密码时，在登录页点击“找回密码”，验证码会发送到绑定的手机。",
    ),
)


@dataclass(frozen=True, slots=True)
class Thought:
    """What the bot says, and the documents it found first."""

    answer: str
    documents: tuple[Document, ...] = ()


def think(
    question: str,
    history: Sequence[str] = (),
    *,
    files: int = 0,
    expected: bool = False,
    written: Sequence[str] = (),
) -> Thought:
    """`history` are the customer's earlier words in this context, oldest first, and `written` what was put
    into it in the bot's name; `expected` says that the question answers one of the bot's own."""
    said = [*history, question]
    if expected:
        return Thought(f"好的，已收到您的选择：{question}。我们会尽快为您办理。")
    if _ASKS_NAME.search(question):
        name = _last(_NAME, said)
        return Thought(f"您叫{name}。" if name else "您还没有告诉过我您的名字，我暂时不知道。")
    if _ASKS_AGE.search(question):
        age = _last(_AGE, said)
        return Thought(f"您今年{age}岁。" if age else "您还没有告诉过我您的年龄，我暂时不知道。")
    if _ASKS_PERSON.search(question):
        quoted = "".join(f"“{each}”" for each in written)
        return Thought(f"人工客服对您说过：{quoted}。" if quoted else "这里还没有人工客服说过的话。")
    if "指南" in question or "文档" in question:
        return Thought(
            "为您找到以下资料：\n"
            + "\n".join(f"《{each.name}》：{each.content}" for each in LIBRARY)
            + "\n希望对您有帮助。",
            LIBRARY,
        )
    name, age = _last(_NAME, [question]), _last(_AGE, [question])
    if name or age:
        facts = "，".join(([f"您叫{name}"] if name else []) + ([f"您今年{age}岁"] if age else []))
        return Thought(f"好的，我记住了：{facts}。很高兴认识您！")
    if _GREETING.match(question):
        return Thought("您好！我是应答助手，很高兴为您服务。请问有什么可以帮您？")
    if files:
        seen = f"我收到了{files}个文件。"
        return Thought(f"{seen}您说的是“{question}”。我会结合文件内容为您解答。" if question else seen)
    return Thought(_reflect(question))


def count_tokens(text: str) -> int:
    """About two tokens for three characters, as Chinese models count."""
    return max(1, round(len(text) * 0.67)) if text else 0


def _last(pattern: re.Pattern[str], said: Sequence[str]) -> str:
    for words in reversed(said):
        for match in reversed(list(pattern.finditer(words))):
            found = next(group for group in match.groups() if group).strip()
            if not found.startswith(("什么", "啥")):
                return found
    return ""


def _reflect(question: str) -> str:
    closing = _CLOSINGS[zlib.crc32(question.encode("utf-8", "replace")) % len(_CLOSINGS)]
    return f"您问的是“{question}”。这是本地沙箱机器人的回答，内容只作演示。{closing}"
