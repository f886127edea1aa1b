"""The protocol's formulas, worked by hand and by another library."""

import base64
import hashlib
import struct

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher as BlockCipher
from cryptography.hazmat.primitives.ciphers import algorithms, modes
from wechatpy.crypto import WeChatCrypto

from sandbox.wechat.crypto import Cipher, Undecipherable, sign

KEY = "yingdaSandbox0yingdaSandbox0yingdaSandbox0A"
APPID = "wx5a9db0c5a9db0c5a"
RAW_KEY = base64.b64decode(KEY + "=")


def seal(block: bytes) -> str:
    encryptor = BlockCipher(algorithms.AES(RAW_KEY), modes.CBC(RAW_KEY[:16])).encryptor()
    return base64.b64encode(encryptor.update(block) + encryptor.finalize()).decode()


def padded(block: bytes) -> bytes:
    count = 32 - len(block) % 32
    return block + bytes([count]) * count


def block_of(message: bytes, appid: bytes = APPID.encode(), length: int | None = None) -> bytes:
    return b"r" * 16 + struct.pack(">I", len(message) if length is None else length) + message + appid


def test_a_signature_is_the_sha1_of_the_sorted_parts() -> None:
    assert sign("token", "1714036504", "99") == hashlib.sha1(b"171403650499token").hexdigest()


def test_the_order_of_the_parts_does_not_matter() -> None:
    assert sign("b", "c", "a") == sign("a", "b", "c") == hashlib.sha1(b"abc").hexdigest()


@pytest.mark.parametrize("length", [1, 9, 10, 26, 42, 500])
def test_the_block_is_random_length_message_appid_padded_to_32(length: int) -> None:
    message = "x" * length
    assert Cipher(KEY, APPID).encrypt(message, b"r" * 16) == seal(padded(block_of(message.encode())))


def test_an_aligned_block_gets_a_whole_block_of_padding() -> None:
    message = "x" * (32 * 2 - 16 - 4 - len(APPID))
    assert len(base64.b64decode(Cipher(KEY, APPID).encrypt(message))) == 96


def test_the_same_message_never_looks_the_same() -> None:
    cipher = Cipher(KEY, APPID)
    assert cipher.encrypt("一样") != cipher.encrypt("一样")


def test_another_library_reads_the_reply_and_is_read() -> None:
    theirs, ours = WeChatCrypto("token", KEY, APPID), Cipher(KEY, APPID)
    envelope = theirs.encrypt_message("<xml>你好🌸</xml>", "77", "1714036504")
    sealed = envelope.split("<Encrypt><![CDATA[")[1].split("]]>")[0]
    assert ours.decrypt(sealed) == "<xml>你好🌸</xml>"
    made = ours.encrypt("<xml>再见</xml>")
    body = f"<xml><ToUserName>gh</ToUserName><Encrypt>{made}</Encrypt></xml>"
    signature = sign("token", "1714036504", "77", made)
    assert theirs.decrypt_message(body, signature, "1714036504", "77") == "<xml>再见</xml>"


@pytest.mark.parametrize(
    ("sealed", "words"),
    [
        ("not base64!", "base64"),
        ("", "multiple"),
        (base64.b64encode(b"x" * 33).decode(), "multiple"),
        (seal(block_of(b"hi").ljust(64, b"\0")), "padding"),
        (seal(block_of(b"hello").ljust(63, b"\2") + b"\x21"), "padding"),
        (seal(padded(b"r" * 17)), "no length"),
        (seal(padded(block_of(b"hi", length=4000))), "longer"),
        (seal(padded(block_of(b"hi", b"wxother"))), "another appid"),
        (seal(padded(block_of(b"\xff\xfe"))), "UTF-8"),
    ],
)
def test_a_ciphertext_that_nobody_made_is_refused_in_words(sealed: str, words: str) -> None:
    with pytest.raises(Undecipherable, match=words):
        Cipher(KEY, APPID).decrypt(sealed)


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="43"):
        Cipher(KEY + "A", APPID)
