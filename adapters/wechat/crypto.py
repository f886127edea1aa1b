"""Signatures and the AES envelope: proof that WeChat sent a push, and the way to read and answer it.

Only typed errors leave this module: `Forbidden` for what WeChat did not make, `BadRequest` for what is
broken. The AES primitive is wechatpy's; framing and checks are ours, since a broken envelope makes wechatpy
raise half a dozen untyped errors and wrong padding makes it raise none.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets
from collections.abc import Sequence
from typing import Self

from adapters import signing
from errors import BadRequest, ConfigurationError, Forbidden
from settings.accounts import WeChatAccount

NONCE = re.compile(r"[0-9A-Za-z]{1,64}", re.ASCII)
BLOCK = 32
"""Bytes the plaintext is padded to: twice AES's own block, a rule of WeChat's."""
RANDOM = 16
"""Random bytes in front of every plaintext, so that equal messages look different."""
LENGTH = 4


def signature(token: str, timestamp: str, nonce: str, sealed: str = "") -> str:
    """SHA-1 in hex over the sorted parts; `sealed` is the Encrypt element where there is one."""
    joined = "".join(sorted((token, timestamp, nonce, sealed)))
    return hashlib.sha1(joined.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()


class Cipher:
    """One EncodingAESKey for one appid."""

    def __init__(self, encoding_key: str, appid: str) -> None:
        # loaded for accounts that encrypt: it brings the whole of wechatpy and cryptography
        from wechatpy.crypto.cryptography import WeChatCipher

        key = base64.b64decode(encoding_key + "=", validate=True)
        # keeps nothing of a message: every call begins anew, and threads may share it
        self._aes = WeChatCipher(key)
        self._appid = appid.encode()

    def decrypt(self, sealed: str) -> str:
        """The message inside. Raises `BadRequest` for a broken envelope, `Forbidden` for another appid."""
        try:
            block = base64.b64decode(sealed, validate=True)
        except (binascii.Error, ValueError):
            raise BadRequest("Encrypt is not base64") from None
        if not block or len(block) % BLOCK:
            raise BadRequest("Encrypt has the wrong length")
        plain: bytes = self._aes.decrypt(block)
        padding = plain[-1]
        if not 1 <= padding <= BLOCK or plain[-padding:] != bytes([padding]) * padding:
            raise BadRequest("Encrypt has wrong padding")
        framed = plain[RANDOM:-padding]
        length = int.from_bytes(framed[:LENGTH], "big")
        rest = framed[LENGTH:]
        if len(framed) < LENGTH or length > len(rest):
            raise BadRequest("Encrypt has a wrong length field")
        try:
            message = rest[:length].decode("utf-8")
        except UnicodeDecodeError:
            raise BadRequest("the message is not UTF-8") from None
        # latin-1 keeps every byte apart: the comparison is of bytes, not of characters
        if not signing.same(self._appid.decode("latin-1"), rest[length:].decode("latin-1")):
            raise Forbidden("the message was sealed for another appid")
        return message

    def encrypt(self, message: str) -> str:
        """The message as an Encrypt element carries it."""
        text = message.encode()
        framed = secrets.token_bytes(RANDOM) + len(text).to_bytes(LENGTH, "big") + text + self._appid
        padding = BLOCK - len(framed) % BLOCK
        sealed: bytes = self._aes.encrypt(framed + bytes([padding]) * padding)
        return base64.b64encode(sealed).decode()


class Credentials:
    """What one account shares with WeChat. While a token or key is replaced, the old and the new one work."""

    def __init__(self, tokens: Sequence[str], ciphers: Sequence[Cipher] = ()) -> None:
        # sha1 over an empty token is a signature that anybody can make
        if not tokens or not all(tokens):
            raise ConfigurationError("a WeChat token is empty")
        self._tokens = tuple(tokens)
        self._ciphers = tuple(ciphers)

    @classmethod
    def of(cls, account: WeChatAccount) -> Self:
        """The credentials in an account's settings."""
        return cls(
            [token.get_secret_value() for token in account.tokens],
            [Cipher(key.get_secret_value(), account.appid) for key in account.aes_keys],
        )

    def signer(
        self, given: str, timestamp: str, nonce: str, candidates: Sequence[str] = ("",), *, now: float
    ) -> tuple[str, str]:
        """The token that made the signature `given`, and which of the `candidates` it covers.

        Raises `Forbidden` when none fits, or when timestamp or nonce are not what WeChat sends. Their form
        is checked because nothing separates them under the hash: digits could move from one to the other.
        """
        signing.check_window(timestamp, now)
        if not NONCE.fullmatch(nonce):
            raise Forbidden("the nonce is not letters and digits")
        for sealed in candidates:
            fits = [signing.same(signature(token, timestamp, nonce, sealed), given) for token in self._tokens]
            if any(fits):
                return self._tokens[fits.index(True)], sealed
        raise Forbidden("the signature does not fit")

    def decrypt(self, sealed: str) -> tuple[str, Cipher]:
        """The message, and the cipher that opened it: its reply must be sealed with the same."""
        if not self._ciphers:
            raise Forbidden("an encrypted message, and no EncodingAESKey is set")
        *others, last = self._ciphers
        for cipher in others:
            try:
                return cipher.decrypt(sealed), cipher
            except (BadRequest, Forbidden):
                continue
        return last.decrypt(sealed), last
