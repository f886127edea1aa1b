"""Signatures and the AES envelope, checked against the sandbox's independent code."""

from __future__ import annotations

import base64
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wechatpy.crypto.cryptography import WeChatCipher

from adapters.wechat.crypto import Cipher, Credentials, signature
from errors import BadRequest, ConfigurationError, Forbidden
from sandbox.wechat.crypto import Cipher as SandboxCipher
from sandbox.wechat.crypto import sign

KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
OTHER_KEY = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"
APPID = "wx1111222233334444"
NOW = 1_700_000_000.0
STAMP = "1700000000"

ours = Cipher(KEY, APPID)
theirs = SandboxCipher(KEY, APPID)


def envelope(block: bytes) -> str:
    """Any 32-byte-aligned plaintext, encrypted: what somebody with the key could send."""
    key = base64.b64decode(KEY + "=")
    return base64.b64encode(WeChatCipher(key).encrypt(block)).decode()


def framed(message: bytes = b"<xml/>", appid: bytes = APPID.encode(), length: int | None = None) -> bytes:
    return b"r" * 16 + struct.pack(">I", len(message) if length is None else length) + message + appid


def padded(frame: bytes) -> bytes:
    padding = 32 - len(frame) % 32
    return frame + bytes([padding]) * padding


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=400))
def test_what_either_side_encrypts_the_other_reads(message: str) -> None:
    assert ours.decrypt(theirs.encrypt(message)) == message
    assert theirs.decrypt(ours.encrypt(message)) == message


def test_equal_messages_are_encrypted_differently() -> None:
    assert len({ours.encrypt("same") for _ in range(20)}) == 20


def test_the_unused_bits_of_the_last_character_of_a_key_do_not_matter() -> None:
    assert Cipher(KEY[:-1] + "A", APPID).decrypt(Cipher(KEY[:-1] + "B", APPID).encrypt("x")) == "x"


BROKEN = [
    ("", "length"),
    ("====", "base64"),
    ("ab*c", "base64"),
    ("é" * 44, "base64"),
    (theirs.encrypt("x")[:-1], "base64"),
    (base64.b64encode(b"x" * 8).decode(), "length"),
    (base64.b64encode(b"x" * 48).decode(), "length"),
    (envelope(padded(framed())[:-1] + b"\0"), "padding"),
    (envelope(framed()[:16] + bytes([48]) * 48), "padding"),
    (envelope(b"p" * 31 + b"\x21"), "padding"),
    (envelope(padded(framed())[:-2] + b"\x07" + padded(framed())[-1:]), "padding"),
    (envelope(b"\x20" * 32), "length field"),
    (envelope(padded(b"r" * 18)), "length field"),
    (envelope(padded(framed(length=1000))), "length field"),
    (envelope(padded(framed(length=2**32 - 1))), "length field"),
    (envelope(padded(framed(b"\xff\xfe"))), "UTF-8"),
]


# ids by number: the ciphertexts are random, and every worker must call a test the same
@pytest.mark.parametrize(("sealed", "problem"), BROKEN, ids=map(str, range(len(BROKEN))))
def test_a_broken_envelope_is_malformed(sealed: str, problem: str) -> None:
    with pytest.raises(BadRequest, match=problem):
        ours.decrypt(sealed)


@pytest.mark.parametrize(
    "appid", ["", "wx", APPID[:-1], APPID + "0", APPID.upper(), "wx9999222233334444", "é"]
)
def test_another_appid_is_refused(appid: str) -> None:
    with pytest.raises(Forbidden, match="appid"):
        ours.decrypt(envelope(padded(framed(appid=appid.encode()))))


def test_a_message_shorter_than_its_length_field_cannot_borrow_from_the_appid() -> None:
    with pytest.raises(Forbidden):
        ours.decrypt(envelope(padded(framed(b"<xml/>", length=7))))


def test_signatures_are_those_of_the_protocol() -> None:
    assert signature("token", STAMP, "42") == sign("token", STAMP, "42")
    assert signature("token", STAMP, "42", "abc=") == sign("token", STAMP, "42", "abc=")


def test_while_a_token_is_replaced_both_work_and_the_one_used_is_told() -> None:
    both = Credentials(["new", "old"])
    for token in ("new", "old"):
        assert both.signer(sign(token, STAMP, "1"), STAMP, "1", now=NOW) == (token, "")
    with pytest.raises(Forbidden):
        both.signer(sign("older", STAMP, "1"), STAMP, "1", now=NOW)


def test_while_a_key_is_replaced_both_work_and_the_one_used_is_told() -> None:
    new = Cipher(OTHER_KEY, APPID)
    both = Credentials(["t"], [new, ours])
    assert both.decrypt(theirs.encrypt("a")) == ("a", ours)
    assert both.decrypt(SandboxCipher(OTHER_KEY, APPID).encrypt("b")) == ("b", new)
    with pytest.raises((BadRequest, Forbidden)):
        both.decrypt(SandboxCipher(KEY[::-1], APPID).encrypt("c"))


def test_the_signature_tells_which_candidate_is_genuine() -> None:
    credentials = Credentials(["t"])
    assert (
        credentials.signer(sign("t", STAMP, "1", "real"), STAMP, "1", ["fake", "real"], now=NOW)[1] == "real"
    )


@pytest.mark.parametrize("skew", [-300, -1, 0, 300])
def test_a_timestamp_inside_the_window_is_accepted(skew: int) -> None:
    stamp = str(int(NOW) + skew)
    assert Credentials(["t"]).signer(sign("t", stamp, "1"), stamp, "1", now=NOW)


@pytest.mark.parametrize(
    ("stamp", "nonce"),
    [
        (str(int(NOW) - 301), "1"),
        (str(int(NOW) + 301), "1"),
        ("17000000001", "2"),
        ("170000000", "01"),
        ("", "17000000001"),
        ("17000000001", ""),
        ("1700000000", ""),
        ("１７００００００００", "1"),
        ("1700000000\n", "1"),
        ("1700000000", "1\n"),
        ("1700000000", "1-2"),
        ("1700000000", "七"),
        ("1700000000", "1" * 65),
    ],
)
def test_a_stale_or_misshapen_stamp_is_refused_even_when_signed(stamp: str, nonce: str) -> None:
    with pytest.raises(Forbidden):
        Credentials(["t"]).signer(sign("t", stamp, nonce), stamp, nonce, now=NOW)


def test_digits_cannot_move_from_the_timestamp_to_the_nonce() -> None:
    given = sign("t", STAMP, "711492")
    assert given == sign("t", STAMP + "711492", "")
    for stamp, nonce in [("17000000007", "11492"), ("170000000", "0711492"), (STAMP + "711492", "")]:
        with pytest.raises(Forbidden):
            Credentials(["t"]).signer(given, stamp, nonce, now=NOW)


def test_an_empty_token_is_refused_at_the_start() -> None:
    for tokens in ([], [""], ["good", ""]):
        with pytest.raises(ConfigurationError):
            Credentials(tokens)


def test_without_a_key_nothing_is_decrypted() -> None:
    with pytest.raises(Forbidden, match="EncodingAESKey"):
        Credentials(["t"]).decrypt(theirs.encrypt("x"))


def test_no_secret_stands_in_a_repr() -> None:
    assert KEY not in repr(ours) + repr(vars(ours).keys())
    assert "s3cret" not in repr(Credentials(["s3cret"], [ours]))
