"""The environment variables, grouped as `.env.example` and docs/configuration.md print them.

A group is a class; its docstring is the group's title.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode

Words = Annotated[tuple[str, ...], NoDecode]
"""A comma-separated list."""


class RuntimeSettings(BaseSettings):
    """Runtime"""

    app_env: Literal["development", "production"] = Field(
        "development", description="`development` (loopback, sandbox) or `production` (strict)"
    )
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=1, le=65535, description="port to listen on")
    public_url: str = Field(
        "",
        description="https://… at which platforms and customers reach this gateway; for the pictures that "
        "agents send, and for `flask wechat check`",
    )
    workers: int = Field(2, ge=1, le=64, description="gunicorn processes; one per core")
    database_url: str = Field(
        "sqlite:///var/yingda.db",
        description="SQLAlchemy URL: sqlite:///…, postgresql+psycopg://…, mysql+pymysql://…",
        repr=False,
    )
    spool_dir: Path = Field(
        Path("var/spool"), description="folder for messages that come while the database is away"
    )
    spool_max_bytes: int = Field(
        64 * 1024 * 1024, ge=4096, description="what they may take on disk; about 16,000 messages"
    )
    run_jobs: bool = Field(
        True, description="work on jobs in each gunicorn worker; if false, run `python -m jobs` somewhere"
    )
    redis_url: SecretStr | None = Field(None, description="optional; losing it loses nothing")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="least level logged")
    api_keys: Words = Field(
        (),
        description="`name:key:scope+scope`, comma-separated; scopes: agent, chat, library, log, wechat, *",
        repr=False,
    )
    enable_auth: bool = Field(True, description="verify callers of the /coze/* session service")
    app_mode: Literal["remote", "local"] = Field(
        "remote", description="`local` expects Coze at localhost:5000"
    )
    cors_origins: Words = Field((), description="exact origins of web pages that may call the chat API")
    visitor_secret: SecretStr | None = Field(
        None,
        description="signs the tokens of web visitors; 32 characters at least; two, comma-separated, while "
        "one replaces the other",
    )
    trusted_proxies: int = Field(
        0, ge=0, le=5, description="reverse proxies in front whose X-Forwarded-For is believed"
    )
    adapters: Words = Field((), description="more platforms, `package.module:Class`, comma-separated")
    merge_seconds: float = Field(
        0.0,
        ge=0,
        le=4,
        description="messages following each other within so many seconds are one question; 0: never",
    )
    texts_file: Path | None = Field(None, description="TOML file that replaces sentences of texts.py")


class CommandSettings(BaseSettings):
    """Commands"""

    command_continue: Words = Field(
        ("继续",),
        description="what fetches a late answer; the first word stands behind the placeholder's link",
    )
    command_human: Words = Field(("转人工", "人工客服"), description="what asks for a person")
    command_queue: Words = Field(("排队",), description="what asks for one's place in the queue")
    command_forget: Words = Field(("清除记忆",), description="what has the bot forget the conversation")


class CozeSettings(BaseSettings):
    """Coze"""

    coze_api_base: str = Field(
        "",
        validation_alias=AliasChoices("COZE_API_BASE", "COZE_API_URL", "COZE_BASE_URL"),
        description="https://api.coze.cn or https://api.coze.com; tokens of one are unknown to the other",
    )
    coze_auth_mode: Literal["PAT", "OAUTH_JWT"] = Field("PAT", description="kind of credential")
    coze_api_token: SecretStr | None = Field(None, description="PAT or SAT (`pat_…`, `sat_…`)")
    coze_bot_id: str = Field("", description="bot to ask (bot mode)")
    coze_workflow_id: str = Field("", description="chatflow to ask instead of a bot (chatflow mode)")
    coze_app_id: str = Field("", description="application that owns the chatflow")
    coze_oauth_client_id: str = Field("", description="OAuth service application id")
    coze_oauth_public_key_id: str = Field("", description="fingerprint of its public key (`kid`)")
    coze_oauth_private_key_file: Path | None = Field(None, description="PEM file of its private key")
    coze_oauth_private_key: SecretStr | None = Field(
        None, description="the PEM itself; line breaks may be written as \\n"
    )
    coze_session_name: bool = Field(
        True, description="with OAUTH_JWT: put each dialogue's session_name into the token"
    )
    coze_connect_timeout: float = Field(5.0, gt=0, le=60, description="seconds to connect")
    coze_read_timeout: float = Field(
        130.0, gt=0, le=600, description="seconds of silence between bytes; an agent may think for 2 minutes"
    )
    coze_answer_timeout: float = Field(300.0, gt=0, le=3600, description="seconds for a whole answer")


class FallbackSettings(BaseSettings):
    """Fallback while Coze is away"""

    fallback_api_base: str = Field(
        "", description="OpenAI-compatible API, such as https://api.example.com/v1; empty: no fallback"
    )
    fallback_api_key: SecretStr | None = Field(None, description="its key")
    fallback_model: str = Field("", description="model to ask there")
    fallback_prompt: str = Field(
        "你是客服助手，请用中文简短、礼貌地回答；不知道的请直接说不知道。",
        description="system prompt it gets",
    )
    fallback_timeout: float = Field(60.0, gt=0, le=600, description="seconds for a whole answer of it")


class WeChatSettings(BaseSettings):
    """WeChat official accounts"""

    wechat_token: SecretStr | None = Field(
        None, description="callback token; two, comma-separated, while one replaces the other"
    )
    wechat_appid: str = Field("", validation_alias=AliasChoices("WECHAT_APPID", "APPID"), description="AppID")
    wechat_appsecret: SecretStr | None = Field(
        None, validation_alias=AliasChoices("WECHAT_APPSECRET", "APPSECRET"), description="AppSecret"
    )
    wechat_aes_key: SecretStr | None = Field(
        None, description="EncodingAESKey, 43 characters; two, comma-separated, while rotating"
    )
    wechat_mode: Literal["safe", "compatible", "plain"] = Field(
        "safe", description="message mode set in the console; `plain` does not authenticate bodies"
    )
    wechat_account_kind: Literal["verified", "unverified"] = Field("unverified", description="what it may do")
    wechat_strategy: Literal["push", "hold", "placeholder"] | None = Field(
        None, description="how slow answers travel; unset: push if verified, else hold"
    )
    wechat_ai_label: bool = Field(
        True, description="mark the bot's pushed answers 「内容由第三方AI生成」, as the labelling rules ask"
    )
    wechat_ai_line: bool = Field(
        True,
        description="end the bot's passive replies with a line that says so: their XML has no mark for it",
    )
    wechat_markdown: bool = Field(True, description="turn the bot's Markdown into text that WeChat can show")
    wechat_send_images: bool = Field(
        True, description="push pictures in an answer as pictures; if false, or in a reply, they are links"
    )
    wechat_send_news: bool = Field(
        False, description="push an answer that is little more than a link as an article with its picture"
    )
    wechat_transcribe_voice: bool = Field(
        False,
        description="have Coze write down voice messages, which is billed; else customers are asked to type",
    )
    wechat_transfer: bool = Field(
        False,
        description="answer 转人工 by handing over to WeChat's own customer service; silent while it talks",
    )
    wechat_ask_scene: bool = Field(
        False, description="put the scene of a scanned QR code to the bot as a question"
    )
    wechat_erase_on_unsubscribe: bool = Field(
        True, description="forget what a follower said and was told when they leave"
    )
    wechat_original_id: str = Field("", description="gh_… id; if set, messages to others are refused")
    wechat_api_base: str = Field("https://api.weixin.qq.com", description="WeChat's API")
    wechat_token_api: Literal["stable", "classic"] = Field(
        "stable", description="endpoint of the access token; `classic` only beside programs that need it"
    )
    wechat_jsapi_hosts: Words = Field(
        (), description="hosts whose pages may use the JS-SDK; unset: none, in development all"
    )
    wechat_accounts_file: Path | None = Field(None, description="TOML file with several accounts")
    wechat_held_requests: int = Field(
        500, ge=1, description="callbacks a worker may keep waiting; above it the placeholder comes at once"
    )


class YishitingSettings(BaseSettings):
    """易事厅"""

    yishiting_token: SecretStr | None = Field(None, description="shared token its calls must carry")
    yishiting_allowed_ips: Words = Field((), description="addresses or networks it calls from")
    yishiting_callback_hosts: Words = Field(
        (),
        description="hosts late answers may be posted to: `host[:port]`; `private=host` for an inner one",
    )
    yishiting_callback_url: str = Field(
        "", description="where late answers go when a message names no response_url", repr=False
    )
    yishiting_budget: float = Field(55.0, gt=0, le=59, description="seconds for an answer, inside its 60")
    yishiting_msg_types: Words = Field(("text",), description="what is answered: text, image, file")
    yishiting_file_hosts: Words = Field(
        (), description="hosts that files named by address are fetched from; written as callback hosts are"
    )
    yishiting_file_bytes: int = Field(
        2 * 1024 * 1024, ge=1024, le=20 * 1024 * 1024, description="largest file that is taken"
    )
    yishiting_robots_file: Path | None = Field(None, description="TOML file with several robots")
    yishiting_knowledge_url: str = Field(
        "", description="asked for documents when the bot names none: see docs/yishiting.md", repr=False
    )
    yishiting_knowledge_token: SecretStr | None = Field(None, description="sent to it as a bearer token")
    yishiting_knowledge_seconds: float = Field(
        2.0, gt=0, le=10, description="how long its documents are waited for"
    )


class AgentSettings(BaseSettings):
    """Agents' accounts"""

    agent_secret: SecretStr | None = Field(
        None,
        description="signs the sign-ins of agents, needed in production; 32 characters at least; two, "
        "comma-separated, while one replaces the other",
    )


class SandboxSettings(BaseSettings):
    """Sandbox (development only)"""

    sandbox_coze_port: int = Field(8001, ge=1, le=65535, description="port of the local Coze")
    sandbox_wechat_port: int = Field(8002, ge=1, le=65535, description="port of the local WeChat")
