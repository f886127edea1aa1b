"""The small XML that WeChat speaks: rendering what it pushes, parsing what it is answered.

Documents are fetched from nowhere: a reply with a DOCTYPE or an entity is not a document.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from xml.parsers import expat

Value = str | int | float | Mapping[str, "Value"] | Sequence["Value"]
"""A field: strings go out as CDATA, numbers bare, a sequence repeats its element."""
Parsed = str | dict[str, "Parsed"] | list["Parsed"]
"""A reply's element as JSON shows it; repeated elements become a list."""


class NotWellFormed(Exception):
    """The text is not one XML document of the plain kind that WeChat accepts."""


@dataclass(slots=True)
class Element:
    """One element of a reply, everything in it kept in order."""

    name: str
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def all(self, name: str) -> list[Element]:
        return [each for each in self.children if each.name == name]

    def find(self, name: str) -> Element | None:
        """The first child of that name."""
        return next((each for each in self.children if each.name == name), None)

    def value(self, *path: str) -> str:
        """The text at the end of `path`; empty when any step is missing."""
        here: Element | None = self
        for name in path:
            here = here.find(name) if here else None
        return here.text if here else ""

    def plain(self) -> Parsed:
        """The element as strings, dicts and lists."""
        if not self.children:
            return self.text
        shown: dict[str, Parsed] = {}
        for name in dict.fromkeys(each.name for each in self.children):
            values = [each.plain() for each in self.all(name)]
            shown[name] = values if len(values) > 1 else values[0]
        return shown


def render(fields: Mapping[str, Value]) -> str:
    """The document `<xml>…</xml>` as WeChat pushes it: control characters stay in, as they do there."""
    return f"<xml>{_inside(fields)}</xml>"


def _inside(value: Value) -> str:
    if isinstance(value, Mapping):
        return "".join(_element(name, each) for name, each in value.items())
    if isinstance(value, str):
        return f"<![CDATA[{value.replace(']]>', ']]]]><![CDATA[>')}]]>"
    return str(value)


def _element(name: str, value: Value) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "".join(_element(name, each) for each in value)
    return f"<{name}>{_inside(value)}</{name}>"


def parse(text: str) -> Element:
    """The root element. Raises `NotWellFormed` with the parser's words."""
    parser = expat.ParserCreate()
    parser.buffer_text = True
    open_elements: list[Element] = [Element("")]

    def start(name: str, _attributes: dict[str, str]) -> None:
        element = Element(name)
        open_elements[-1].children.append(element)
        open_elements.append(element)

    def end(_name: str) -> None:
        element = open_elements.pop()
        if element.children:
            element.text = ""

    def characters(data: str) -> None:
        open_elements[-1].text += data

    def doctype(*_: object) -> None:
        raise NotWellFormed("a DOCTYPE is not allowed")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = characters
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(text, True)
    except expat.ExpatError as problem:
        raise NotWellFormed(str(problem)) from None
    return open_elements[0].children[0]
