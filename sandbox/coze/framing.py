"""From events to bytes: the dialects of server-sent events seen on the platform, and their odd variants."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sandbox.coze.faults import Plan
from sandbox.coze.script import COMPLETED, DELTA, DONE, Event


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one server writes events."""

    gap: str = ""
    """Between the colon and the value."""
    eol: str = "\n"
    blank: bool = True
    final_newline: bool = True
    first_id: int | None = None
    """Number of the first event; None writes no id lines."""
    id_gap: bool = False
    shuffled: bool = False
    multiline: bool = False
    bom: bool = False
    comments: bool = False
    pings: bool = False
    done: str | None = '"[DONE]"'
    """Data of the last event; None leaves it out."""
    done_event: str = DONE


CLOUD = Dialect()
DEBUG_URL = '{"debug_url":"https://www.coze.cn/work_flow?execute_id=7400000000000000401&execute_mode=2"}'
DIALECTS = {
    "cloud": CLOUD,
    "chatflow": Dialect(gap=" ", shuffled=True, done=DEBUG_URL),
    "workflow": Dialect(gap=" ", first_id=0, done=DEBUG_URL, done_event="Done"),
    "studio": Dialect(done="", done_event="conversation.stream.done"),
    "studio_chatflow": Dialect(
        gap=" ", first_id=1, shuffled=True, multiline=True, comments=True, done=DEBUG_URL
    ),
}
_CHANGES: dict[str, dict[str, object]] = {
    "spaced": {"gap": " "},
    "ids": {"first_id": 1},
    "crlf": {"eol": "\r\n"},
    "cr": {"eol": "\r"},
    "no_blank_lines": {"blank": False},
    "no_final_newline": {"final_newline": False},
    "multiline_data": {"multiline": True},
    "bom": {"bom": True},
    "comments": {"comments": True},
    "pings": {"pings": True},
    "shuffled": {"shuffled": True},
    "no_done": {"done": None},
    "studio_done": {"done": "", "done_event": "conversation.stream.done"},
    "id_gap": {"id_gap": True},
}


def choose_dialect(default: str, plan: Plan, asked: str = "") -> Dialect:
    """The endpoint's dialect, another one asked for by name, with the variants of the plan."""
    named = plan.find("dialect")
    name = named.text("like", default) if named else asked or default
    dialect = DIALECTS.get(name, DIALECTS[default])
    for fault in plan:
        change = _CHANGES.get(fault.name, {})
        dialect = replace(dialect, **change)  # type: ignore[arg-type] # the table's values fit their fields
        if fault.name == "done":
            dialect = replace(dialect, done=fault.text("data", ""))
    return dialect


@dataclass(frozen=True, slots=True)
class Frame:
    """The bytes of one event and when they are due, in seconds after the start."""

    data: bytes
    at: float = 0.0
    event: str = ""

    @property
    def ends_something(self) -> bool:
        """Whether it tells what a cancelled chat never reaches."""
        return self.event == COMPLETED or self.event.startswith("conversation.chat.")


def frame_events(events: Sequence[Event], dialect: Dialect) -> list[Frame]:
    """Each event in the dialect; what stands between events belongs to the frame before it."""
    frames: list[Frame] = []
    number = dialect.first_id
    for event in events:
        name, data = event.name, event.data
        if name == DONE and data is None:
            if dialect.done is None:
                continue
            name, data = dialect.done_event, dialect.done
        if number is not None and dialect.id_gap and len(frames) == 2:
            number += 1
        written = _write(name, data, number, dialect)
        if dialect.comments and len(frames) % 3 == 1:
            written += f":keep-alive{dialect.eol}retry: 3000{dialect.eol}{dialect.eol}"
        number = None if number is None else number + 1
        if dialect.pings and name != dialect.done_event and len(frames) % 3 == 1:
            written += _write("PING", {"content": "{}"}, number, dialect)
            number = None if number is None else number + 1
        # half a surrogate pair can come in by JSON, and cannot leave in UTF-8
        frames.append(Frame(written.encode("utf-8", "replace"), event.at, name))
    if dialect.bom and frames:
        frames[0] = replace(frames[0], data=b"\xef\xbb\xbf" + frames[0].data)
    if not dialect.final_newline and frames:
        frames[-1] = replace(frames[-1], data=frames[-1].data.rstrip(b"\r\n"))
    return frames


def first_completed(frames: Sequence[Frame]) -> int:
    """Index of the first completed message after a delta, where the answer was all sent; else the last."""
    spoke = False
    for index, frame in enumerate(frames):
        if spoke and frame.event == COMPLETED:
            return index
        spoke = spoke or frame.event == DELTA
    return max(0, len(frames) - 1)


def _write(name: str, data: object, number: int | None, dialect: Dialect) -> str:
    text = data if isinstance(data, str) else _dump(data, dialect)
    lines = [] if number is None else [f"id:{dialect.gap}{number}"]
    lines.append(f"event:{dialect.gap}{name}")
    lines += [f"data:{dialect.gap}{line}" for line in text.split("\n")]
    return dialect.eol.join(lines) + dialect.eol * (2 if dialect.blank else 1)


def _dump(data: object, dialect: Dialect) -> str:
    if dialect.shuffled and isinstance(data, dict):
        data = {key: data[key] for key in sorted(data, key=lambda each: each[::-1])}
    if dialect.multiline:
        return json.dumps(data, ensure_ascii=False, indent=1)
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))
