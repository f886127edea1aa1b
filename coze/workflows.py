"""Results of workflow runs, whole or streamed. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from coze.errors import CozeError, error_from
from coze.protocol import Json, integer, loads_object, mapping, nested, text, usage_of
from coze.sse import Event
from handler.message import Usage

LAYERS = 4
"""Wrappings taken off an output: JSON in a string, and the envelopes of a "return text" end node."""


@dataclass(frozen=True, slots=True)
class Interrupt:
    """The workflow asks something; `resume` with `event_id` and `type` answers it (three times at most)."""

    event_id: str
    type: int
    """2 question, 5 input, 1 local plugin, 7 sign-in"""
    data: str = ""
    node: str = ""


@dataclass(frozen=True, slots=True)
class WorkflowResult:
    """What a run returned."""

    output: object
    """Decoded JSON, or the text itself."""
    interrupt: Interrupt | None = None
    """Set when the run is not finished."""
    execute_id: str = ""
    debug_url: str = ""
    logid: str = ""
    usage: Usage | None = None

    @property
    def text(self) -> str:
        return output_text(self.output)


def workflow_result(answer: Json, logid: str) -> WorkflowResult:
    """The flat answer of a run."""
    return WorkflowResult(
        output=unwrapped(answer.get("data")),
        interrupt=interrupt_of(answer.get("interrupt_data")),
        execute_id=text(answer.get("execute_id")),
        debug_url=text(answer.get("debug_url")),
        logid=logid,
        usage=usage_of(answer.get("usage")),
    )


def unwrapped(data: object) -> object:
    """The output without the strings and envelopes around it."""
    for _ in range(LAYERS):
        inner = nested(data)
        # a text that happens to be a number or a word of JSON stays the text it is
        inner = inner if isinstance(inner, dict | list) else data
        if isinstance(inner, dict) and {"content_type", "data", "type_for_model"} <= inner.keys():
            inner = inner["data"]
        elif isinstance(inner, dict) and inner.keys() == {"Output"}:
            inner = inner["Output"]
        if inner is data:
            break
        data = inner
    return data


def output_text(output: object) -> str:
    """The words of an output: itself, the value of its one field `output`, or all of it as JSON."""
    if isinstance(output, dict) and output.keys() == {"output"}:
        output = output["output"]
    return text(output)


def interrupt_of(value: object, node: str = "") -> Interrupt | None:
    """Interrupt data; None when there is none."""
    data = mapping(value)
    if not data.get("event_id"):
        return None
    return Interrupt(text(data["event_id"]), integer(data.get("type")), text(data.get("data")), node)


@dataclass(slots=True)
class WorkflowRun:
    """A streamed run, put together from its records by `take`."""

    interrupt: Interrupt | None = None
    error: CozeError | None = None
    debug_url: str = ""
    ended: bool = False
    """Something said that the run is over or waits: Done, Error or Interrupt."""
    lost: int = 0
    """Records missing, by the gaps in their ids."""
    ignored: int = 0
    """Records of a name or form unknown to us."""
    usage: Usage | None = None
    logid: str = ""
    _nodes: dict[str, list[str]] = field(default_factory=dict)
    _next_id: int = 0

    def take(self, event: Event) -> str:
        """Adds a record; returns the content that it brought."""
        self._count(event.id)
        name = event.event.lower()
        if name == "message":
            return self._message(loads_object(event.data))
        if name == "interrupt":
            data = mapping(nested(event.data))
            self.interrupt = interrupt_of(data.get("interrupt_data"), text(data.get("node_title")))
            self.ended = True
        elif name == "error":
            data = mapping(nested(event.data))
            code, words = (
                data.get("error_code") or data.get("code"),
                data.get("error_message") or data.get("msg"),
            )
            self.error = error_from(code, words or ("" if data else event.data), self.logid)
            self.debug_url = text(data.get("debug_url"))
            self.ended = True
        elif name == "done":
            self.debug_url = text(mapping(nested(event.data)).get("debug_url")) or self.debug_url
            self.ended = True
        elif name not in {"ping", ""}:
            self.ignored += 1
        return ""

    @property
    def text(self) -> str:
        """The nodes' texts in order of appearance; an end node that repeats earlier ones is left out."""
        parts: list[str] = []
        for pieces in self._nodes.values():
            whole = output_text(unwrapped("".join(pieces)))
            if whole and whole not in parts and whole != "".join(parts):
                parts.append(whole)
        return "\n".join(parts)

    def _count(self, record: str) -> None:
        if record.isdecimal():
            number = int(record)
            self.lost += max(0, number - self._next_id)
            self._next_id = number + 1

    def _message(self, data: Json) -> str:
        content = text(data.get("content"))
        key = data.get("node_execute_uuid") or data.get("node_id") or data.get("node_title")
        self._nodes.setdefault(text(key), []).append(content)
        self.usage = usage_of(data.get("usage")) or self.usage
        return content
