"""Every way in which the local Coze can misbehave or answer unusually, in one table.

A fault is asked for by `coze.faults.queue(name, on=endpoint, **params)`, by `POST /_sandbox/faults`, or by a
directive in the customer's words: `[[fault:NAME key=value]]`, short `[[NAME]]`. What a fault does is coded
where its part of the protocol lives: `refusals.py`, `script.py`, `framing.py`, `delivery.py` and the routes.
"""

from __future__ import annotations

import re
import shlex
import threading
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

ENDPOINTS = frozenset(
    "chat retrieve list cancel conversation conversation_retrieve conversation_list conversation_edit "
    "conversation_clear message_create message_list workflow_run workflow_stream workflow_resume "
    "upload bot audio token".split()
)
"""What `on=` may name. `chat` is also the chatflow and submit_tool_outputs."""

_TABLE = """
# Refusals: the endpoint does not serve the request
json_error_200       | chat | HTTP 200 with an error envelope as JSON, streamed or not: code=4000 msg=
code                 | chat | an error envelope with the HTTP status that fits: code=5000 msg= status=
http_status          | chat | status=500 retry_after=; 400 and 500 are text, 502 and 504 HTML, others JSON. \
After a 504 the chat runs on
html_200             | chat | a login page of some proxy with HTTP 200
empty_body           | chat | HTTP 200 and nothing
broken_json          | chat | HTTP 200 and half a JSON document, cleanly ended
# Script: what happens in the chat
chat_failed          | chat | the chat fails, with last_error: code=5000 msg= after=N deltas
chat_failed_bare     | chat | the same, and the event holds nothing but code and msg
error_event          | chat | event error and the end, the chat fails: code=5000 msg= after=N deltas, \
shape=int|string|empty|text, alone=1 no event before it, done=1 done after it
empty_answer         | chat | the answer is the empty text and the chat completes
completed_differs    | chat | the deltas miss the last character that the completed message has
only_completed       | chat | no deltas, the answer comes whole
deltas_only          | chat | the answer's completed message is never sent, the chat completes
untyped_delta        | chat | deltas without a type
duplicate_completed  | chat | the answer's completed message comes twice
answers              | chat | several answers with ids of their own: n=2
ask                  | chat | a question node: the question as answer, requires_action of type reply_message
tool_call            | chat | requires_action of type function; submit_tool_outputs goes on
tool                 | chat | function_call and tool_response before the answer
card                 | chat | the answer is a card: content_type card, JSON content, no deltas
knowledge            | chat | a knowledge message with two documents, whatever was asked
knowledge_recall     | chat | the same documents as a verbose packet of msg_type knowledge_recall
verbose              | chat | verbose packets of other kinds before the answer
reasoning            | chat | a thinking model: deltas with reasoning_content and empty content first
follow_up            | chat | suggestions after the answer: n=3
markdown             | chat | an answer with a heading, a list, a link, an image and code
long                 | chat | an answer of at least chars=5000 characters; mark=甲 numbers its sentences
audio_after_completed | chat | conversation.audio.delta after the chat completed
unknown_events       | chat | events of unknown names, with JSON and with other data
malformed_event      | chat | a delta whose data is not JSON, between good ones
big_event            | chat | one event of bytes=1100000, a tool_response, or the answer with type=answer
odd_chat_object      | chat | last_error null, required_action present but empty, usage {}
other_conversation_id | chat | the given conversation is ignored and a new one is used
endless              | chat | the answer goes on for seconds=600, a delta every=0.05
# Framing: how events become bytes
dialect              | chat | a whole dialect: like=cloud|chatflow|workflow|studio|studio_chatflow
spaced               | chat | a space after the colon
ids                  | chat | an id line before each event
crlf                 | chat | lines end with CR LF
cr                   | chat | lines end with CR
no_blank_lines       | chat | no blank line between events
no_final_newline     | chat | the stream ends without newline
multiline_data       | chat | data over several data lines
bom                  | chat | a byte order mark at the start
comments             | chat | comment and retry lines between events
pings                | chat | PING events between events
shuffled             | chat | JSON keys in another order
no_done              | chat | no done event
done                 | chat | the done event with other data: data=
studio_done          | chat | conversation.stream.done with empty data ends the stream
id_gap               | chat | an id is left out
# Delivery: how bytes reach the client; these work on every endpoint
no_content_type      | chat | no Content-Type header
wrong_content_type   | chat | another Content-Type: type=application/json
unchunked            | chat | no chunks: the end of the connection ends the body
gzip                 | chat | Content-Encoding gzip, whether asked for or not
bytewise             | chat | one byte at a time
split_utf8           | chat | characters cut over two chunks
slow_first_byte      | chat | nothing at all for seconds=2
hang_after_headers   | chat | headers, then silence for seconds=3600
hang_mid_stream      | chat | silence for seconds=3600 after=4 events, then on
cut_mid_event        | chat | the connection ends within an event, after=4 whole ones
cut_mid_utf8         | chat | the connection ends within a character
cut_before_completed | chat | the connection ends when all deltas were sent
reset                | chat | the connection is reset (RST) after=4 events; after=0 sends nothing
# Endpoints of their own
sse_for_nonstream    | chat | stream=false is answered with a stream
created_status       | chat | stream=false is answered with status created
status               | retrieve | the chat's status is told as value=expired
list_unordered       | list | messages newest first
list_no_data         | list | code and msg without data
cancel_4104          | cancel | the chat cannot be cancelled in its state
studio_cancel_key    | cancel | the answer is under ChatV3ChatDetail
token_slow           | token | the token comes after seconds=2
token_html           | token | a gateway's HTML page: status=502
token_error          | token | error_code=invalid_client error_message= status=401
token_empty          | token | HTTP 200 without a token
# Workflows
plain                | workflow_run | data is plain text
wrapped              | workflow_run | data is wrapped by a return-text end node
interrupt            | workflow_stream | a question interrupts the run
workflow_error       | workflow_stream | an Error event in mid run: code=5000 msg=
output_node          | workflow_stream | an output node streams the text, the end node repeats it as JSON
"""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a fault does, and the endpoint that suffers it when none is named."""

    home: str
    effect: str


def _read_table(text: str) -> dict[str, Kind]:
    rows = (line.split("|", 2) for line in text.strip().splitlines() if not line.startswith("#"))
    return {name.strip(): Kind(home.strip(), effect.strip()) for name, home, effect in rows}


FAULTS = _read_table(_TABLE)
"""Name -> what happens."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault asked for, with its parameters as they were given."""

    name: str
    params: Mapping[str, object] = field(default_factory=dict)

    def text(self, key: str, default: str) -> str:
        return str(self.params.get(key, default))

    def whole(self, key: str, default: int) -> int:
        return int(self.number(key, default))

    def number(self, key: str, default: float) -> float:
        try:
            return float(str(self.params.get(key, default)))
        except ValueError:
            return default


class Plan:
    """The faults that one request suffers, and the times asked for in it (seconds)."""

    def __init__(self, faults: Iterable[Fault] = (), delay: float = 0.0, pace: float | None = None) -> None:
        self._faults = {fault.name: fault for fault in faults}
        self.delay = delay
        self.pace = pace

    def __contains__(self, name: str) -> bool:
        return name in self._faults

    def find(self, *names: str) -> Fault | None:
        """The first of these that is suffered."""
        return next((self._faults[name] for name in names if name in self._faults), None)

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._faults.values())


class Faults:
    """Faults that wait for their request, first come first served at each endpoint."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: defaultdict[str, deque[Fault]] = defaultdict(deque)

    def queue(self, name: str, *, on: str | None = None, **params: object) -> None:
        """The next request at `on` (by default the fault's own endpoint) suffers it.

        ValueError when there is no such fault or endpoint.
        """
        if name not in FAULTS:
            raise ValueError(f"unknown fault: {name}")
        endpoint = on or FAULTS[name].home
        if endpoint not in ENDPOINTS:
            raise ValueError(f"unknown endpoint: {endpoint}")
        with self._lock:
            self._waiting[endpoint].append(Fault(name, params))

    def take(self, endpoint: str) -> Fault | None:
        with self._lock:
            waiting = self._waiting[endpoint]
            return waiting.popleft() if waiting else None

    def clear(self) -> None:
        with self._lock:
            self._waiting.clear()


_DIRECTIVE = re.compile(r"\[\[(?:(fault|delay|pace):)?([\w.]+)((?:\s+\w+=(?:\"[^\"]*\"|[^\s\]]+))*)\s*\]\]")


@dataclass(frozen=True, slots=True)
class Directive:
    """One `[[…]]` of a text: `verb` is fault, delay or pace."""

    verb: str
    name: str
    params: Mapping[str, str]


def read_directives(text: str) -> tuple[str, list[Directive]]:
    """The text without its directives, and them. Double brackets around anything else stay text."""
    found: list[Directive] = []

    def take(match: re.Match[str]) -> str:
        verb, name, rest = match.group(1) or "", match.group(2), match.group(3)
        if not verb and name not in FAULTS:
            return match.group(0)
        pairs = (pair.partition("=") for pair in shlex.split(rest))
        found.append(Directive(verb or "fault", name, {key: value for key, _, value in pairs}))
        return ""

    return _DIRECTIVE.sub(take, text).strip(), found
