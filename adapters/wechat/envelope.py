"""XML from outside → flat text fields. No meaning of any message type lives here.

Strict where it protects (declarations, depth, repeated elements) and deaf where it may be (elements that
nobody reads), so that a field WeChat adds tomorrow does not break today's gateway.
"""

from __future__ import annotations

import re
from xml.parsers import expat

from errors import BadRequest

Fields = dict[str, str]

DEPTH = 8
"""Nested elements; the deepest genuine event (an article list) has five."""
ELEMENTS = 500
"""Elements in one document; the largest genuine event has under a hundred."""
CDATA = "<![CDATA["
SEALED = re.compile(
    rb"<Encrypt>\s{0,8}(?:<!\[CDATA\[)?([A-Za-z0-9+/]{4,}={0,2})(?:\]\]>)?\s{0,8}</Encrypt>", re.ASCII
)
ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 has no place for. They do come: customers paste them."""
READ_OF_EVENTS = frozenset(
    {"xml", "ToUserName", "FromUserName", "CreateTime", "MsgType", "Event", "EventKey", "Encrypt"}
)
"""What must be plain text in an event too; its other elements may be lists and structures."""


def sealed_parts(body: bytes) -> list[str]:
    """Every Encrypt element's text, found without parsing XML whose sender is not yet known.

    In compatible mode the customer's own words stand beside it and may contain the same tags, so there can be
    more than one; the signature tells which is WeChat's.
    """
    return [found.decode("ascii") for found in SEALED.findall(body)]


def decoded(body: bytes) -> str:
    """The body as text. Raises `BadRequest` unless it is UTF-8, with or without a byte order mark."""
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadRequest("the body is not UTF-8") from None


def fields(xml: str) -> Fields:
    """The text of each element directly below `<xml>`.

    Raises `BadRequest` for anything malformed. A message's elements are all plain text, each at most once and
    without attributes; in an event only those of `READ_OF_EVENTS` are held to that, and others are left out.
    """
    xml = ILLEGAL.sub("", xml).strip()
    _refuse_declarations(xml)
    reader = _Reader()
    try:
        reader.parse(xml)
    except expat.ExpatError:
        raise BadRequest("the body is not well-formed XML") from None
    odd = reader.odd
    if reader.fields.get("MsgType") == "event":
        odd = odd & READ_OF_EVENTS
    if odd:
        raise BadRequest("an element is repeated, nested or has attributes")
    return {name: text for name, text in reader.fields.items() if name not in reader.odd}


def _refuse_declarations(xml: str) -> None:
    # customers may write "<!DOCTYPE html>": inside CDATA it is only text
    at = 0
    while (at := xml.find("<!", at)) >= 0:
        end = xml.find("]]>", at)
        if not xml.startswith(CDATA, at) or end < 0:
            raise BadRequest("XML declarations are not accepted")
        at = end + 3


class _Reader:
    """Collects leaf texts, and the names of top elements that are more than one plain text (`odd`)."""

    def __init__(self) -> None:
        self.fields: Fields = {}
        self.odd: set[str] = set()
        self._path: list[str] = []
        self._text: list[str] = []
        self._elements = 0

    def parse(self, xml: str) -> None:
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text.append
        parser.Parse(xml, True)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        if len(self._path) >= DEPTH or self._elements > ELEMENTS:
            raise BadRequest("the XML is too deep or has too many elements")
        if not self._path and name != "xml":
            raise BadRequest("the root element is not <xml>")
        self._path.append(name)
        top = self._path[min(1, len(self._path) - 1)]
        if attributes or len(self._path) > 2 or (len(self._path) == 2 and name in self.fields):
            self.odd.add(top)
        self._text.clear()

    def _end(self, name: str) -> None:
        if len(self._path) == 2:
            self.fields[name] = "".join(self._text).strip()
        self._path.pop()
