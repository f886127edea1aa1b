"""WeChat's signatures and its AES envelope, written from the protocol's formulas alone.

Nothing of the gateway's own code is used here: two independent readings of one protocol must agree.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
import struct

from cryptography.hazmat.primitives.ciphers import Cipher as BlockCipher
from cryptography.hazmat.primitives.ciphers import algorithms, modes

PREFIX_BYTES = 16
"""Random bytes before every message, so that equal messages never look equal."""
PADDING_BLOCK = 32
"""WeChat pads to 32 bytes although AES works on 16."""


class Undecipherable(Exception):
    """The ciphertext is not one that this key and appid made; the words say what gave it away."""


def sign(*parts: str) -> str:
    """Lower-case hex SHA-1 over the parts, sorted bytewise and joined without a delimiter."""
    return hashlib.sha1(b"".join(sorted(map(str.encode, parts))), usedforsecurity=False).hexdigest()


class Cipher:
    """AES-256-CBC as WeChat uses it, for one EncodingAESKey (43 characters) and one appid."""

    def __init__(self, aes_key: str, appid: str) -> None:
        key = base64.b64decode(aes_key + "=")
        if len(aes_key) != 43 or len(key) != 32:
            raise ValueError("an EncodingAESKey has 43 letters and digits")
        self._appid = appid.encode()
        self._cipher = BlockCipher(algorithms.AES(key), modes.CBC(key[:16]))

    def encrypt(self, text: str, prefix: bytes | None = None) -> str:
        """Base64 of prefix, length, message and appid; `prefix` is 16 random bytes unless given."""
        message = text.encode()
        block = (prefix or secrets.token_bytes(PREFIX_BYTES)) + struct.pack(">I", len(message))
        block += message + self._appid
        padding = PADDING_BLOCK - len(block) % PADDING_BLOCK
        encryptor = self._cipher.encryptor()
        sealed = encryptor.update(block + bytes([padding]) * padding) + encryptor.finalize()
        return base64.b64encode(sealed).decode()

    def decrypt(self, sealed: str) -> str:
        """The message inside. Raises `Undecipherable`."""
        try:
            data = base64.b64decode(sealed, validate=True)
        except (binascii.Error, ValueError):
            raise Undecipherable("it is not base64") from None
        if not data or len(data) % PADDING_BLOCK:
            raise Undecipherable(f"its length is no multiple of {PADDING_BLOCK} bytes")
        decryptor = self._cipher.decryptor()
        block = decryptor.update(data) + decryptor.finalize()
        padding = block[-1]
        if not 1 <= padding <= PADDING_BLOCK or block[-padding:] != bytes([padding]) * padding:
            raise Undecipherable("the padding is wrong")
        rest = block[PREFIX_BYTES:-padding]
        if len(rest) < 4:
            raise Undecipherable("there is no length in it")
        end = 4 + struct.unpack(">I", rest[:4])[0]
        if end > len(rest):
            raise Undecipherable("the length in it is longer than the message")
        if rest[end:] != self._appid:
            raise Undecipherable("it was sealed for another appid")
        try:
            return rest[4:end].decode()
        except UnicodeDecodeError:
            raise Undecipherable("the message is not UTF-8") from None
