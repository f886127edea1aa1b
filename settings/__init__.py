"""Every setting: its environment variable, default and meaning.

Values come from the environment, then from `.env`, then from the defaults in groups.py.
"""

from __future__ import annotations

import ipaddress
from functools import cached_property
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationError, field_validator
from pydantic_settings import SettingsConfigDict

from errors import ConfigurationError
from settings.accounts import WeChatAccount, in_words, read_accounts, wechat_account
from settings.desk import DeskSettings
from settings.groups import (
    AgentSettings,
    CommandSettings,
    CozeSettings,
    FallbackSettings,
    RuntimeSettings,
    SandboxSettings,
    WeChatSettings,
    YishitingSettings,
)

SANDBOX_SECRET = "yingda-sandbox"  # noqa: S105 - public on purpose: it opens the local sandbox only
DEVELOPMENT_KEY = "yingda-development-key"
DEVELOPMENT_VISITOR_SECRET = "yingda-development-visitor-secret"  # noqa: S105 - the same in every worker
DEVELOPMENT_AGENT_SECRET = "yingda-development-secret-of-agents"  # noqa: S105 - the same in every worker
WEAK = {"", "changeme", "password", "secret", "test", "token", "your_wechat_token", "your_appsecret",
        "your_coze_api_token_here", "your_token_here", SANDBOX_SECRET, DEVELOPMENT_KEY}  # fmt: skip


class Settings(
    RuntimeSettings,
    CommandSettings,
    CozeSettings,
    FallbackSettings,
    WeChatSettings,
    YishitingSettings,
    AgentSettings,
    DeskSettings,
    SandboxSettings,
):
    """All settings together; what `create_app` takes."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
        frozen=True,
        hide_input_in_errors=True,
    )

    @field_validator(
        "api_keys",
        "cors_origins",
        "adapters",
        "wechat_jsapi_hosts",
        "command_continue",
        "command_human",
        "command_forget",
        "command_queue",
        "holidays",
        "working_days",
        "regulator_keywords",
        "regulator_urgent_keywords",
        "regulator_fail_phrases",
        "regulator_vip_users",
        "smtp_recipients",
        "yishiting_allowed_ips",
        "yishiting_callback_hosts",
        "yishiting_msg_types",
        "yishiting_file_hosts",
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value

    @field_validator("yishiting_allowed_ips")
    @classmethod
    def _addresses_can_be_read(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        for each in addresses:
            ipaddress.ip_network(each, strict=False)  # raises ValueError in words of its own
        return addresses

    @field_validator("command_continue")
    @classmethod
    def _one_word_is_needed(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        if not words or any(set(word) & set("<>\"'&") for word in words):
            raise ValueError("needs a word, and none with <, >, & or quotes: it stands in a link")
        return words

    @field_validator("cors_origins")
    @classmethod
    def _origins_are_exact(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for each in origins:
            parts = urlsplit(each)
            if parts.scheme not in {"http", "https"} or each != f"{parts.scheme}://{parts.netloc}".lower():
                raise ValueError("an origin is written https://host or https://host:port, in lower case")
        return origins

    @property
    def development(self) -> bool:
        return self.app_env == "development"

    @cached_property
    def sandbox_coze(self) -> bool:
        """Whether Coze is the local stand-in: development, and nothing of a real one is set."""
        named = self.coze_api_base or self.coze_api_token or self.coze_oauth_client_id
        return self.development and self.app_mode == "remote" and not named

    @cached_property
    def sandbox_wechat(self) -> bool:
        """Whether WeChat is the local stand-in, which uses well-known credentials."""
        return self.development and not (self.wechat_token or self.wechat_appid or self.wechat_accounts_file)

    @cached_property
    def coze_base(self) -> str:
        """Scheme and host of Coze, without a trailing path: endpoint paths are the client's matter."""
        if self.sandbox_coze:
            return f"http://127.0.0.1:{self.sandbox_coze_port}"
        if not self.coze_api_base:
            return "http://localhost:5000/coze" if self.app_mode == "local" else "https://api.coze.cn"
        base = self.coze_api_base.rstrip("/")
        # older guides give the address of one endpoint; what is wanted is everything before it
        for suffix in ("/v3/chat", "/open_api/v2/chat", "/open_api/v2", "/v1", "/v3"):
            base = base.removesuffix(suffix)
        return base

    @cached_property
    def coze_token(self) -> SecretStr | None:
        return SecretStr(f"pat_{SANDBOX_SECRET}") if self.sandbox_coze else self.coze_api_token

    @cached_property
    def coze_bot(self) -> str:
        return self.coze_bot_id or ("7000000000000000001" if self.sandbox_coze else "")

    @cached_property
    def wechat_accounts(self) -> tuple[WeChatAccount, ...]:
        """Every configured account; the first is what `/api/wechat` without a name means.

        Raises `ConfigurationError` when the file or a value cannot be used.
        """
        if self.sandbox_wechat:
            return (self._sandbox_account(),)
        if self.wechat_accounts_file is not None:
            return tuple(wechat_account(entry) for entry in read_accounts(self.wechat_accounts_file))
        if self.wechat_token is None:
            return ()
        return (
            wechat_account(
                {
                    "name": "default",
                    "tokens": _several(self.wechat_token),
                    "appid": self.wechat_appid,
                    "appsecret": self.wechat_appsecret,
                    "aes_keys": _several(self.wechat_aes_key),
                    "mode": self.wechat_mode,
                    "kind": self.wechat_account_kind,
                    "strategy": self.wechat_strategy,
                    "ai_label": self.wechat_ai_label,
                    "ai_line": self.wechat_ai_line,
                    "markdown": self.wechat_markdown,
                    "send_images": self.wechat_send_images,
                    "send_news": self.wechat_send_news,
                    **self._wechat_incoming(),
                    "original_id": self.wechat_original_id,
                    "api_base": self.wechat_api_base,
                    "token_api": self.wechat_token_api,
                    "jsapi_hosts": self.wechat_jsapi_hosts,
                }
            ),
        )

    def _sandbox_account(self) -> WeChatAccount:
        return WeChatAccount(
            name="default",
            tokens=(SecretStr(SANDBOX_SECRET),),
            appid="wx5a9db0c5a9db0c5a",
            appsecret=SecretStr(SANDBOX_SECRET),
            aes_keys=(SecretStr("yingdaSandbox0yingdaSandbox0yingdaSandbox0A"),),
            kind=self.wechat_account_kind,
            strategy=self.wechat_strategy,
            ai_label=self.wechat_ai_label,
            ai_line=self.wechat_ai_line,
            markdown=self.wechat_markdown,
            send_images=self.wechat_send_images,
            send_news=self.wechat_send_news,
            **self._wechat_incoming(),
            original_id="gh_yingda_sandbox",
            token_api=self.wechat_token_api,
            jsapi_hosts=self.wechat_jsapi_hosts,
            api_base=f"http://127.0.0.1:{self.sandbox_wechat_port}",
        )

    def _wechat_incoming(self) -> dict[str, bool]:
        """What the only account does with messages and events."""
        return {
            "transcribe_voice": self.wechat_transcribe_voice,
            "transfer": self.wechat_transfer,
            "ask_scene": self.wechat_ask_scene,
            "erase_on_unsubscribe": self.wechat_erase_on_unsubscribe,
        }

    @cached_property
    def visitor_secrets(self) -> tuple[str, ...]:
        """What signs web visitors' tokens, the first; the others are still believed. Empty: none is given."""
        if self.visitor_secret is None and self.development:
            return (DEVELOPMENT_VISITOR_SECRET,)
        return _several(self.visitor_secret)

    @cached_property
    def agent_secrets(self) -> tuple[str, ...]:
        """What signs the sign-ins of agents, the first; the others are still believed."""
        return _several(self.agent_secret) or ((DEVELOPMENT_AGENT_SECRET,) if self.development else ())

    def problems(self) -> list[str]:
        """What production would refuse, one line per variable; empty when it may start."""
        found: list[str] = []
        if self.coze_auth_mode == "OAUTH_JWT":
            for name in ("coze_oauth_client_id", "coze_oauth_public_key_id"):
                if not getattr(self, name):
                    found.append(f"{name.upper()} is missing (COZE_AUTH_MODE=OAUTH_JWT needs it)")
            if not (self.coze_oauth_private_key or self.coze_oauth_private_key_file):
                found.append("COZE_OAUTH_PRIVATE_KEY_FILE or COZE_OAUTH_PRIVATE_KEY is missing")
        elif self.coze_token is None or self.coze_token.get_secret_value() in WEAK:
            found.append("COZE_API_TOKEN is missing or a placeholder")
        if not (self.coze_bot or self.coze_workflow_id):
            found.append("COZE_BOT_ID or COZE_WORKFLOW_ID is missing")
        if self.coze_workflow_id and not (self.coze_app_id or self.coze_bot_id):
            found.append("COZE_APP_ID is missing (COZE_WORKFLOW_ID needs it, or COZE_BOT_ID)")
        if urlsplit(self.coze_base).scheme not in {"http", "https"}:
            found.append("COZE_API_BASE must begin with https://")
        if self.fallback_api_base:
            if urlsplit(self.fallback_api_base).scheme not in {"http", "https"}:
                found.append("FALLBACK_API_BASE must begin with https://")
            if not self.fallback_model:
                found.append("FALLBACK_MODEL is missing (FALLBACK_API_BASE needs it)")
        found += [
            f"WECHAT_TOKEN of account {account.name} is weak: use 16 or more random letters and digits"
            for account in self.wechat_accounts
            if any(len(t := each.get_secret_value()) < 16 or t in WEAK for each in account.tokens)
        ]
        found += [
            f"WECHAT_AES_KEY of account {account.name} is missing (WECHAT_MODE={account.mode} needs it)"
            for account in self.wechat_accounts
            if account.mode != "plain" and not account.aes_keys
        ]
        if any(len(each) < 32 or each == DEVELOPMENT_VISITOR_SECRET for each in self.visitor_secrets):
            found.append("VISITOR_SECRET is weak: use 32 or more random letters and digits")
        if not self.agent_secrets:
            found.append("AGENT_SECRET is missing: use 32 or more random letters and digits")
        elif any(len(each) < 32 or each == DEVELOPMENT_AGENT_SECRET for each in self.agent_secrets):
            found.append("AGENT_SECRET is weak: use 32 or more random letters and digits")
        if self.cors_origins and not self.visitor_secrets:
            found.append("VISITOR_SECRET is missing (CORS_ORIGINS opens the chat to browsers)")
        for number, entry in enumerate(self.api_keys, 1):
            parts = entry.split(":")
            if len(parts) != 3 or not all(parts):
                found.append(f"API_KEYS entry {number} is not name:key:scopes")
            elif len(parts[1]) < 16 or parts[1] in WEAK:
                found.append(f"API_KEYS entry {number} ({parts[0]}) has a weak key: 16 characters at least")
        if self.smtp_host and not (self.smtp_recipients and (self.smtp_sender or self.smtp_username)):
            found.append("SMTP_RECIPIENTS or SMTP_SENDER is missing (SMTP_HOST needs them)")
        if self.smtp_security == "plain" and self.smtp_host not in {"", "localhost", "127.0.0.1", "::1"}:
            found.append("SMTP_SECURITY=plain is for a server on the same machine only")
        if self.yishiting_token and len(self.yishiting_token.get_secret_value()) < 16:
            found.append("YISHITING_TOKEN is weak: use 16 or more random letters and digits")
        return found

    def require_fit(self) -> None:
        """Refuses a production start with missing or weak secrets, naming every variable at once."""
        if not self.development and (found := self.problems()):
            raise ConfigurationError("\n".join(found))


def load_settings(**overrides: object) -> Settings:
    """Settings from the environment and `.env`; `overrides` win. Raises `ConfigurationError`."""
    try:
        settings = Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as problem:
        raise ConfigurationError("\n".join(in_words(problem))) from None
    settings.wechat_accounts  # noqa: B018 - read now, so that a bad file stops the start and not a request
    return settings


def _several(value: SecretStr | None) -> tuple[str, ...]:
    return tuple(filter(None, map(str.strip, value.get_secret_value().split(",")))) if value else ()
