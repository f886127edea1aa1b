"""Made-up exchanges in bulk, to try the log and its console with as many rows as a busy year leaves."""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import insert, select, text

from storage.db import Database, now_ms
from storage.engine import make_engine
from storage.exchange_rows import digest
from storage.models import DialogueSession, Exchange

T = TypeVar("T")

BATCH = 5_000
USERS_AT_ONCE = 500
MESSAGES_PER_USER = 20
DAY_MS = 86_400_000
LETTERS = string.ascii_letters + string.digits + "-_"
PLATFORMS = {"wechat": 80, "yishiting": 12, "web": 8}
VIA = {"wechat": ("passive", "push", "fetch"), "yishiting": ("sync", "callback"), "web": ("stream",)}
SOURCES = {"coze": 78, "library": 14, "command": 4, "agent": 4}
ERRORS = {None: 980, "coze_timeout": 9, "coze_4016": 6, "coze_4013": 3, "coze_unreachable": 2}
SUBJECTS = (
    "居住证",
    "社保卡",
    "公积金贷款",
    "营业执照",
    "不动产登记",
    "老年优待证",
    "Visa 签证",
    "WiFi 报修",
)
ASKS = ("怎么办理?", "需要带哪些材料?", "几个工作日能办好?", "可以网上申请吗?", "can I apply online?")
LINES = (
    "您可以携带本人身份证原件到就近的政务服务中心窗口办理。",
    "网上申请请登录政务服务网,实名认证后选择对应事项提交。",
    "一般在受理之日起 5 个工作日内办结,进度可以随时查询。",
    "如需代办,请同时带上委托书和代办人的身份证。",
    "窗口工作时间为周一至周五 9:00-12:00、13:30-17:00。",
    "Office hours are Monday to Friday, 9:00 to 17:00.",
)


def seed(
    db: Database,
    count: int,
    *,
    days: int = 30,
    rng: random.Random | None = None,
    progress: Callable[[int], None] = lambda _rows: None,
) -> None:
    """Adds `count` exchanges of the last `days` days, oldest first; `progress` hears of each batch's size."""
    rng = rng or random.Random()  # noqa: S311 - nothing here is secret
    end = now_ms()
    sessions = _add_sessions(db, max(1, count // MESSAGES_PER_USER), end, rng)
    moments = (end - days * DAY_MS + number * days * DAY_MS // count for number in range(count))
    for first in range(0, count, BATCH):
        size = min(BATCH, count - first)
        rows = [_exchange(rng.choice(sessions), next(moments), rng) for _ in range(size)]
        with db.write() as session:
            session.connection().execute(insert(Exchange), rows)  # without the ORM: twice as fast
        progress(size)
    refresh_statistics(db)


def refresh_statistics(db: Database) -> None:
    """Tells the planner what is in the table now; PostgreSQL's index-only scans need its VACUUM as well."""
    words = {"sqlite": "ANALYZE", "postgresql": "VACUUM (ANALYZE) exchanges"}
    engine = make_engine(db.engine.url.render_as_string(hide_password=False), patient=True)
    try:
        # in autocommit: VACUUM refuses to run inside a transaction
        with engine.connect() as connection:
            connection.execute(text(words.get(db.dialect, "ANALYZE TABLE exchanges")))
    finally:
        engine.dispose()


def _add_sessions(db: Database, count: int, now: int, rng: random.Random) -> Sequence[Any]:
    found: list[Any] = []
    for first in range(0, count, USERS_AT_ONCE):
        people = list(_people(min(USERS_AT_ONCE, count - first), now, rng))
        with db.write() as session:
            session.execute(insert(DialogueSession), people)
            found += session.execute(
                select(
                    DialogueSession.id,
                    DialogueSession.platform,
                    DialogueSession.account,
                    DialogueSession.user_id,
                    DialogueSession.session_key,
                ).where(DialogueSession.user_id.in_([each["user_id"] for each in people]))
            ).all()
    return found


def _people(count: int, now: int, rng: random.Random) -> Iterator[dict[str, Any]]:
    for _ in range(count):
        user = "o" + "".join(rng.choices(LETTERS, k=27))
        yield {
            "platform": _pick(PLATFORMS, rng),
            "account": "default",
            "user_id": user,
            "session_key": user,
            "created_ms": now,
            "updated_ms": now,
        }


def _exchange(dialogue: Any, created: int, rng: random.Random) -> dict[str, Any]:
    """One finished exchange; one in two hundred found no way to its customer."""
    total = int(rng.lognormvariate(8, 0.7))
    source = _pick(SOURCES, rng)
    error = _pick(ERRORS, rng) if source == "coze" else None
    asked_coze = source == "coze"
    reached = rng.random() > 0.005
    return {
        "trace_id": f"{rng.getrandbits(128):032x}",
        "session_id": dialogue.id,
        "platform": dialogue.platform,
        "account": dialogue.account,
        "user_id": dialogue.user_id,
        "session_key": dialogue.session_key,
        "dedupe_key": digest(f"seed:{rng.getrandbits(128)}"),
        "kind": "text",
        "question": rng.choice(SUBJECTS) + rng.choice(ASKS),
        "raw": {},
        "status": "delivered" if reached else "undelivered",
        "owner": None,
        "lease_ms": created,
        "attempts": 1 + (total > 5_000) + (total > 10_000),
        "coze_calls": int(asked_coze),
        "answer": "\n".join(rng.choices(LINES, k=rng.randint(1, 6))),
        "source": source,
        "error_code": error,
        "truncated": False,
        "docs": [],
        "suggestions": [rng.choice(SUBJECTS) + rng.choice(ASKS)] if asked_coze else [],
        "conversation_id": str(7_400_000_000_000_000_000 + dialogue.id) if asked_coze else None,
        "chat_id": str(7_500_000_000_000_000_000 + rng.getrandbits(48)) if asked_coze else None,
        "logid": f"{created}{rng.getrandbits(64):016X}" if asked_coze else None,
        "input_tokens": rng.randint(300, 4_000) if asked_coze else None,
        "output_tokens": rng.randint(20, 600) if asked_coze else None,
        "first_delta_ms": total // 3,
        "total_ms": total,
        "delivery": rng.choice(VIA[dialogue.platform]) if reached else None,
        "delivery_error": None if reached else "quota",
        "created_ms": created,
        "answered_ms": created + total,
        "delivered_ms": created + total + 40 if reached else None,
    }


def _pick(weights: dict[T, int], rng: random.Random) -> T:
    return rng.choices(list(weights), list(weights.values()))[0]
