"""The decoder: any framing and any cutting of the same stream give the same events."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coze.errors import TooLarge
from coze.sse import Decoder, Event


def decode(*pieces: bytes) -> list[Event]:
    decoder = Decoder()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return events + decoder.end()


def test_a_record_is_given_out_at_its_blank_line() -> None:
    decoder = Decoder()
    assert decoder.feed(b"event:a\ndata:1\n") == []
    assert decoder.feed(b"\n") == [Event("a", "1", "")]


def test_at_most_one_space_after_the_colon_is_dropped() -> None:
    assert (
        decode(b"event: a\ndata:  x\n\n") == decode(b"event:a\ndata: " + b" x\n\n") == [Event("a", " x", "")]
    )


@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n", b"\r\n"])
def test_the_last_record_needs_no_line_end(end: bytes) -> None:
    assert decode(b'event:done\ndata:"[DONE]"' + end) == [Event("done", '"[DONE]"', "")]


def test_records_without_blank_lines_between_them_are_told_apart() -> None:
    events = decode(b"event:a\ndata:1\nevent:b\ndata:2\nid:7\nevent:c\ndata:3\n")
    assert events == [Event("a", "1", ""), Event("b", "2", ""), Event("c", "3", "7")]


def test_several_data_lines_are_joined() -> None:
    assert decode(b"event:a\ndata:1\ndata:\ndata: 2\n\n") == [Event("a", "1\n\n2", "")]


def test_comments_retry_and_unknown_fields_are_accepted() -> None:
    body = b":keep-alive\n\nretry: 10\nid: 4\nevent: a\nwhat: ever\nfield\ndata: 1\n: more\n\n"
    assert decode(body) == [Event("a", "1", "4")]


def test_an_event_without_data_is_an_event() -> None:
    assert decode(b"event:conversation.stream.done\ndata:\n\n") == [Event("conversation.stream.done", "", "")]
    assert decode(b"event:done\n\n") == [Event("done", "", "")]


def test_blank_lines_alone_are_nothing() -> None:
    assert decode(b"\n\n\r\n\r\n") == []


def test_a_carriage_return_at_the_end_of_a_piece_makes_no_false_blank_line() -> None:
    assert decode(b"event:a\r", b"\ndata:1\r", b"\n\r", b"\n") == [Event("a", "1", "")]


def test_a_lone_carriage_return_ends_a_line_at_once() -> None:
    decoder = Decoder()
    assert decoder.feed(b"event:a\rdata:1\r\r") == [Event("a", "1", "")]


def test_unicode_line_separators_are_content() -> None:
    text = "a\u2028b\u0085c\x0bd\x1ce"
    assert decode(f"data:{text}\n\n".encode()) == [Event("", text, "")]


def test_a_byte_order_mark_is_dropped_even_in_pieces() -> None:
    assert decode(b"\xef", b"\xbb", b"\xbfevent:a\ndata:1\n\n") == [Event("a", "1", "")]


def test_only_the_very_first_bytes_are_a_byte_order_mark() -> None:
    assert decode(b" ", b"\xef\xbb\xbfdata:1\n\ndata:2") == decode(b" \xef\xbb\xbfdata:1\n\ndata:2")


def test_invalid_utf8_is_replaced_and_counted() -> None:
    decoder = Decoder()
    assert decoder.feed(b"data:a\xffb\n\n") == [Event("", "a\ufffdb", "")]
    assert decoder.replaced == 1


def test_a_json_document_instead_of_a_stream_is_kept_whole() -> None:
    decoder = Decoder()
    assert decoder.feed(b"\xef\xbb\xbf \n") + decoder.feed(b'{"code":\n') + decoder.feed(b"\n4000}") == []
    assert decoder.end() == []
    assert decoder.envelope == b'{"code":\n\n4000}'


def test_a_stream_has_no_envelope() -> None:
    decoder = Decoder()
    decoder.feed(b'data:{"code":1}\n\n')
    assert decoder.envelope is None


@pytest.mark.parametrize("size", [1, 700, 5000])
def test_a_line_over_the_cap_is_refused(size: int) -> None:
    decoder = Decoder(line_cap=1000)
    with pytest.raises(TooLarge):
        [decoder.feed(b"x" * size) for _ in range(0, 3000, size)]


def test_many_short_lines_in_one_piece_are_not_too_long() -> None:
    decoder = Decoder(line_cap=1000)
    assert len(decoder.feed(b"data:1\n\n" * 500)) == 500


@pytest.mark.parametrize("start", [b"data:", b"{"])
def test_a_response_over_the_cap_is_refused(start: bytes) -> None:
    decoder = Decoder(total_cap=1000)
    with pytest.raises(TooLarge):
        [decoder.feed(start + b"x\n\n   ") for _ in range(200)]


def test_a_line_of_almost_a_megabyte_passes() -> None:
    body = b"event:conversation.audio.delta\ndata:" + b"x" * 1_000_000 + b"\n\n"
    decoder = Decoder()
    events = [event for at in range(0, len(body), 8192) for event in decoder.feed(body[at : at + 8192])]
    assert len(events[0].data) == 1_000_000


RECORDS = (
    b'event:conversation.message.delta\nid:1\ndata:{"content":"\xe4\xbd\xa0\xf0\x9f\x98\x80"}\n\n'
    b': ping\n\nevent: a\ndata: 1\ndata: 2\n\nevent:done\ndata:"[DONE]"'
)


@given(
    cuts=st.lists(st.integers(0, len(RECORDS) + 20), max_size=12),
    ending=st.sampled_from([b"\n", b"\r\n", b"\r"]),
)
def test_any_cutting_gives_the_same_events(cuts: list[int], ending: bytes) -> None:
    body = RECORDS.replace(b"\n", ending)
    places = [0, *sorted(cuts), len(body)]
    pieces = [body[start:end] for start, end in pairwise(places)]
    assert decode(*pieces) == [
        Event("conversation.message.delta", '{"content":"你😀"}', "1"),
        Event("a", "1\n2", ""),
        Event("done", '"[DONE]"', ""),
    ]


@given(st.binary(max_size=200), st.integers(1, 7))
def test_no_bytes_make_it_stumble(body: bytes, size: int) -> None:
    assert decode(body) == decode(*(body[at : at + size] for at in range(0, len(body), size)))


LINE = st.binary(max_size=8).map(lambda line: line.replace(b"\r", b"").replace(b"\n", b""))


@given(st.lists(st.tuples(st.sampled_from([b"", b"id:7\n", b": x\n", b"data:0\n"]), LINE, LINE), max_size=5))
def test_a_record_that_comes_by_itself_is_the_one_that_comes_in_bits(
    records: list[tuple[bytes, bytes, bytes]],
) -> None:
    pieces = [b"event:first\n\n"]
    pieces += [before + b"event:" + name + b"\ndata:" + data + b"\n\n" for before, name, data in records]
    by_itself, in_bits = Decoder(), Decoder()
    came = [event for piece in pieces for event in by_itself.feed(piece)]
    assert came == [event for byte in b"".join(pieces) for event in in_bits.feed(bytes([byte]))]
    assert by_itself.replaced == in_bits.replaced
