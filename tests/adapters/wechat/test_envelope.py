"""XML from outside, however hostile."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.wechat import envelope
from errors import BadRequest

HEAD = "<ToUserName>gh_1</ToUserName><FromUserName>o1</FromUserName>"


def message(inside: str) -> str:
    return f"<xml>{HEAD}<MsgType>text</MsgType>{inside}</xml>"


def event(inside: str) -> str:
    return f"<xml>{HEAD}<MsgType>event</MsgType><Event>x</Event>{inside}</xml>"


def test_fields_are_the_texts_below_the_root() -> None:
    xml = message("<Content><![CDATA[a < b]]></Content>\n<URL>u</URL><MsgDataId/><Idx> 1 </Idx>")
    assert envelope.fields(xml) == {
        "ToUserName": "gh_1",
        "FromUserName": "o1",
        "MsgType": "text",
        "Content": "a < b",
        "URL": "u",
        "MsgDataId": "",
        "Idx": "1",
    }


def test_a_cdata_section_that_was_split_is_one_text() -> None:
    xml = message("<Content><![CDATA[a]]]]><![CDATA[>b]]></Content>")
    assert envelope.fields(xml)["Content"] == "a]]>b"


@pytest.mark.parametrize(
    "words", ["<!DOCTYPE html>", "<!-- note -->", "<!ENTITY x 'y'>", "<a x='1'>", "&amp;"]
)
def test_customers_may_write_about_markup(words: str) -> None:
    assert envelope.fields(message(f"<Content><![CDATA[{words}]]></Content>"))["Content"] == words


def test_characters_that_xml_forbids_are_dropped() -> None:
    xml = message("<Content><![CDATA[a\x1d\x00b\ufffe\uffffc\td\ne]]></Content>")
    assert envelope.fields(xml)["Content"] == "abc\td\ne"


BOMB = '<!DOCTYPE l [<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9)
)


@pytest.mark.parametrize(
    "xml",
    [
        "<!DOCTYPE xml>" + message(""),
        '<!DOCTYPE xml [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + message("<Content>&e;</Content>"),
        '<!DOCTYPE xml [<!ENTITY % p SYSTEM "http://127.0.0.1:1/x"> %p;]>' + message(""),
        BOMB + "]>" + message("<Content>&j;</Content>"),
        message("<!-- comment -->"),
        message("<Content><![CDATA[x]]></Content><!ELEMENT a ANY>"),
        message("<Content><![CDATA[never ends</Content>"),
        "<!",
    ],
)
def test_declarations_are_refused_fast(xml: str) -> None:
    begun = time.process_time()
    with pytest.raises(BadRequest):
        envelope.fields(xml)
    assert time.process_time() - begun < 0.5


@pytest.mark.parametrize(
    "xml",
    [
        "",
        "   ",
        "success",
        '{"MsgType":"text"}',
        "<xml>",
        "<xml></xml><xml></xml>",
        "<xml></xml>trailing",
        "<html></html>",
        "<XML></XML>",
        "<xml><a></xml>",
        message("<Content>&unknown;</Content>"),
        message("<Content>&#29;</Content>"),
        message("<Content>&#xD800;</Content>"),
        message("<a" * 1000),
        message("<a>" * 9 + "</a>" * 9),
        message("<a>" * 10_000),
        message("<a/>" * 501),
    ],
)
def test_what_is_not_wechats_xml_is_malformed(xml: str) -> None:
    with pytest.raises(BadRequest):
        envelope.fields(xml)


@pytest.mark.parametrize(
    "inside",
    [
        "<Content>a</Content><Content>b</Content>",
        "<Content><b>a</b></Content>",
        "<Content>a<b/>c</Content>",
        '<Content lang="zh">a</Content>',
        "<MsgType>event</MsgType>",
        "<Other><x>1</x></Other>",
    ],
)
def test_a_message_has_each_element_once_and_plain(inside: str) -> None:
    with pytest.raises(BadRequest):
        envelope.fields(message(inside))


def test_attributes_of_the_root_are_malformed() -> None:
    for make in (message, event):
        with pytest.raises(BadRequest):
            envelope.fields(make("").replace("<xml>", '<xml a="1">'))


@pytest.mark.parametrize(
    "inside",
    [
        "<ScanCodeInfo><ScanType>qrcode</ScanType><ScanResult>1</ScanResult></ScanCodeInfo>",
        "<SendPicsInfo><Count>2</Count><PicList><item><PicMd5Sum>a</PicMd5Sum></item>"
        "<item><PicMd5Sum>b</PicMd5Sum></item></PicList></SendPicsInfo>",
        "<SubscribeMsgPopupEvent><List><TemplateId>a</TemplateId></List><List/></SubscribeMsgPopupEvent>",
        "<List>1</List><List>2</List>",
        "<ArticleUrlResult><ResultList><item><ArticleIdx>1</ArticleIdx></item></ResultList></ArticleUrlResult>",
        '<Tomorrow kind="new">x</Tomorrow>',
    ],
)
def test_an_event_may_carry_structures_that_nobody_reads(inside: str) -> None:
    assert envelope.fields(event(inside + "<EventKey>k</EventKey>")) == {
        "ToUserName": "gh_1",
        "FromUserName": "o1",
        "MsgType": "event",
        "Event": "x",
        "EventKey": "k",
    }


@pytest.mark.parametrize(
    "inside", ["<EventKey><x/></EventKey>", "<Event>y</Event>", '<FromUserName a="">o2</FromUserName>']
)
def test_what_is_read_of_an_event_is_plain(inside: str) -> None:
    with pytest.raises(BadRequest):
        envelope.fields(event(inside))


def test_bodies_are_utf8_with_or_without_a_mark() -> None:
    assert envelope.decoded("\ufeff<xml/>".encode()) == "<xml/>"
    for wrong in ("你好".encode("gbk"), "<xml/>".encode("utf-16"), b"\xff", b"\xed\xa0\x80"):
        with pytest.raises(BadRequest):
            envelope.decoded(wrong)


def test_a_declared_encoding_changes_nothing() -> None:
    xml = '<?xml version="1.0" encoding="gbk"?>' + message("<Content>你好</Content>")
    assert envelope.fields(xml)["Content"] == "你好"


def test_encrypt_is_found_with_and_without_cdata_and_among_the_customers_words() -> None:
    words = b"<Content><![CDATA[<Encrypt>ZmFrZQ==</Encrypt>]]></Content>"
    body = b"<xml>" + words + b"<Encrypt><![CDATA[cmVhbA==]]></Encrypt></xml>"
    assert envelope.sealed_parts(body) == ["ZmFrZQ==", "cmVhbA=="]
    assert envelope.sealed_parts(b"<Encrypt>!!</Encrypt><Encrypt></Encrypt>") == []


@pytest.mark.parametrize("piece", [b"<Encrypt>", b"<Encrypt> ", b"<Encrypt>AAAA", b" ", b"A"])
def test_looking_for_encrypt_takes_no_time_on_any_body(piece: bytes) -> None:
    body = b"<Encrypt>" + piece * (65536 // len(piece))
    begun = time.process_time()
    envelope.sealed_parts(body)
    assert time.process_time() - begun < 0.5


@settings(deadline=None)
@given(st.text(st.sampled_from(list("<>!&;[]/xmlCDATA\"' \n?-")), max_size=60))
def test_nothing_but_bad_request_comes_out_of_nonsense(nonsense: str) -> None:
    for xml in (nonsense, message(nonsense), event(nonsense)):
        try:
            found = envelope.fields(xml)
        except BadRequest:
            continue
        assert all(isinstance(text, str) for text in found.values())
