"""WeChat accounts: one from the environment, or several from a TOML file."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from errors import ConfigurationError


class WeChatAccount(BaseModel):
    """One official account as the adapter sees it."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, str_strip_whitespace=True
    )

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    """Last part of its callback path."""
    tokens: tuple[SecretStr, ...] = Field(min_length=1, max_length=2)
    appid: str = Field(min_length=1)
    appsecret: SecretStr | None = None
    aes_keys: tuple[SecretStr, ...] = Field((), max_length=2)
    mode: Literal["safe", "compatible", "plain"] = "safe"
    kind: Literal["verified", "unverified"] = "unverified"
    strategy: Literal["push", "hold", "placeholder"] | None = None
    ai_label: bool = True
    ai_line: bool = True
    markdown: bool = True
    send_images: bool = True
    send_news: bool = False
    transcribe_voice: bool = False
    transfer: bool = False
    ask_scene: bool = False
    erase_on_unsubscribe: bool = True
    click: dict[str, str] = {}
    """Menu key → what its tap says; empty words are only acknowledged. Other keys speak for themselves."""
    original_id: str = ""
    api_base: str = "https://api.weixin.qq.com"
    token_api: Literal["stable", "classic"] = "stable"  # noqa: S105 - a choice
    """Which endpoint gives its access token; `classic` where other programs share a token of that kind."""
    jsapi_hosts: tuple[str, ...] = ()
    """Hosts, with the port if it is unusual, whose pages may use the JS-SDK in this account's name."""

    @field_validator("name")
    @classmethod
    def _name_is_not_a_fixed_path(cls, name: str) -> str:
        if name in {"messages", "jsapi", "template", "subscribe-message"}:
            raise ValueError("this name is the last part of another endpoint of /api/wechat")
        return name

    @field_validator("jsapi_hosts")
    @classmethod
    def _hosts_without_scheme(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        # a whole origin is what people copy; the scheme means nothing here
        return tuple(re.sub(r"^https?://", "", each.lower()).rstrip("/") for each in hosts)

    @field_validator("tokens")
    @classmethod
    def _tokens_not_empty(cls, tokens: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        # sha1 over an empty token is a signature anybody can make
        if not all(each.get_secret_value().strip() for each in tokens):
            raise ValueError("a token is empty")
        return tokens

    @field_validator("aes_keys")
    @classmethod
    def _keys_have_43_characters(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if not all(len(k := each.get_secret_value()) == 43 and k.isascii() and k.isalnum() for each in keys):
            raise ValueError("an EncodingAESKey has 43 letters and digits")
        return keys


def wechat_account(entry: dict[str, object]) -> WeChatAccount:
    try:
        return WeChatAccount.model_validate(entry)
    except ValidationError as problem:
        name = entry.get("name", "?")
        raise ConfigurationError(
            "\n".join(f"WeChat account {name}: {line}" for line in in_words(problem))
        ) from None


def read_accounts(path: Path) -> list[dict[str, object]]:
    try:
        entries = tomllib.loads(path.read_text("utf-8")).get("account", [])
    except (OSError, ValueError) as problem:
        raise ConfigurationError(
            f"WECHAT_ACCOUNTS_FILE: cannot be read as TOML ({type(problem).__name__})"
        ) from None
    if not isinstance(entries, list) or not entries:
        raise ConfigurationError("WECHAT_ACCOUNTS_FILE: needs at least one [[account]]")
    if len({entry.get("name") for entry in entries}) != len(entries):
        raise ConfigurationError("WECHAT_ACCOUNTS_FILE: two accounts have the same name")
    return entries


def in_words(problem: ValidationError) -> list[str]:
    # never `input`: it may be the secret itself
    return [
        f"{'.'.join(str(part) for part in error['loc']).upper()}: {error['msg']}"
        for error in problem.errors()
    ]
