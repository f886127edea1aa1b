"""The support desk's environment variables: who is called when, and how long anybody waits."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings

from settings.groups import Words

CLOCK = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00", re.ASCII)


def _is_clock(value: str) -> str:
    if not CLOCK.fullmatch(value):
        raise ValueError("is written HH:MM, from 00:00 to 24:00")
    return value


def _is_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise ValueError("is no time zone, such as Asia/Shanghai") from None
    return value


def _are_dates(values: tuple[str, ...]) -> tuple[str, ...]:
    for each in values:
        date.fromisoformat(each)  # raises ValueError in words of its own
    return values


Clock = Annotated[str, AfterValidator(_is_clock)]
Dates = Annotated[Words, AfterValidator(_are_dates)]


class DeskSettings(BaseSettings):
    """Support desk"""

    human_shift_start: Clock = Field("00:00", description="when people begin to answer, HH:MM")
    human_shift_end: Clock = Field(
        "24:00", description="when they stop, HH:MM; earlier than the start: after midnight"
    )
    timezone: Annotated[str, AfterValidator(_is_zone)] = Field(
        "Asia/Shanghai", description="time zone of the shift"
    )
    weekends_disabled: bool = Field(False, description="nobody answers on Saturdays and Sundays")
    holidays: Dates = Field((), description="days without service, YYYY-MM-DD, comma-separated")
    working_days: Dates = Field(
        (), description="days with service although they are weekends or holidays, YYYY-MM-DD"
    )
    max_queue_length: int = Field(10, ge=0, le=10_000, description="customers who may wait for a person")
    service_status: Literal["online", "offline"] = Field(
        "online", description="whether people are there, as `/api/transfer_service` tells it"
    )
    regulator_keywords: Words = Field(
        (
            "转人工客服",
            "转人工服务",
            "请转人工",
            "帮我转人工",
            "我要人工",
            "我要找人工",
            "找真人客服",
        ),
        description="phrases in a message that call a person; whole ones: 客服 alone would fire too often",
    )
    regulator_urgent_keywords: Words = Field(
        ("我要投诉", "消费者协会", "要报警", "起诉你们"),
        description="phrases that put a customer before others in the queue",
    )
    regulator_fail_threshold: int = Field(
        3, ge=0, le=20, description="failed answers in a row that call a person; 0: never"
    )
    regulator_fail_phrases: Words = Field(
        (), description="sentences with which the bot says that it does not know"
    )
    regulator_no_recall_fails: bool = Field(
        False, description="an answer for which the bot's knowledge base found nothing counts as failed"
    )
    regulator_vip_auto_escalate: bool = Field(False, description="VIP customers are put through at once")
    regulator_vip_users: Words = Field((), description="their ids on their platform")
    desk_auto_assign: bool = Field(
        False,
        description="keep each waiting customer for the agent online with the fewest sessions for their room",
    )
    desk_assign_seconds: float = Field(
        120.0, gt=0, description="time in which an agent takes a session that was assigned to them"
    )
    desk_silence_seconds: float = Field(
        600.0, gt=0, description="silence of an agent after which their session goes back to the queue"
    )
    desk_idle_seconds: float = Field(
        1800.0, gt=0, description="silence of a customer after which the session is closed"
    )
    desk_rating: bool = Field(True, description="ask for a rating from 1 to 5 when a person has finished")
    audit_days: int = Field(
        730,
        ge=0,
        le=36_500,
        description="days for which the audit is kept, sessions' trails included; 0: for ever",
    )
    smtp_host: str = Field("", description="mail server; unset: no mail is sent")
    smtp_port: int = Field(465, ge=1, le=65535, description="its port")
    smtp_security: Literal["tls", "starttls", "plain"] = Field(
        "tls", description="`plain` only for a server on the same machine"
    )
    smtp_username: str = Field("", description="user there; unset: no sign-in")
    smtp_password: SecretStr | None = Field(None, description="its password")
    smtp_sender: str = Field("", description="From address; unset: the user")
    smtp_recipients: Words = Field((), description="who gets what customers ask for after hours")
    smtp_timeout: float = Field(15.0, gt=0, le=120, description="seconds for each step with the server")
