"""Logs: one JSON object per line, the request's id in each, and no secret in any.

Redaction sits in the formatter, after everything has become text: it therefore covers other libraries'
messages and tracebacks too.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterable
from contextvars import ContextVar

from pydantic import SecretStr
from pythonjsonlogger.json import JsonFormatter
from sqlalchemy import make_url

from settings import Settings

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""Set for each request; a background answer inherits it through its copied context."""

MASK = "***"
PATTERNS = (
    # credentials wherever they stand: in a URL that an exception quotes, in a header, in JSON;
    # access_token and appsecret, too, end like names that are here
    (
        re.compile(r"=(?:(?<=token=)|(?<=secret=)|(?<=signature=)|(?<=echostr=)|(?<=password=))[^&\s\"'\\]+"),
        "=" + MASK,
    ),
    (re.compile(r"([Bb](?i:earer)\s+)(?i:[a-z0-9._~+/=-]{8,})"), r"\1" + MASK),
    (re.compile(r"_(?<=\b(?:pat|sat|czs|czu)_)[A-Za-z0-9_-]{8,}"), "_" + MASK),
    # people: mobile phone and identity card numbers, the latter from the year of birth on
    (re.compile(r"(1(?<!\d1)[3-9]\d)\d{4}(\d{4})(?!\d)"), r"\1****\2"),
    (
        re.compile(r"(?:19|20)(?<=(?<!\d)\d{6}..)\d{2}(?:0\d|1[0-2])(?:[0-2]\d|3[01])\d{3}[\dXx](?!\d)"),
        MASK,
    ),
)
"""Each begins with a character that lines seldom hold: the search skips from one to the next, and only there
looks back at what has to stand before it. That is several times as fast as to try at every character."""


class RedactingFormatter(JsonFormatter):
    """Writes a record as JSON and masks what must not be read."""

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__(
            "%(asctime)s %(levelname)s %(name)s %(message)s",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
            json_ensure_ascii=False,
        )
        # as they stand in a line, which is JSON: a quote or a backslash is written otherwise there
        written = {json.dumps(each, ensure_ascii=False)[1:-1] for each in secrets if len(each) >= 8}
        # longest first: a short secret inside a longer one must not leave half of it readable
        self._secrets = sorted(written, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        if current := request_id.get():
            record.request_id = current
        line = super().format(record)
        for secret in self._secrets:
            line = line.replace(secret, MASK)
        for pattern, mask in PATTERNS:
            line = pattern.sub(mask, line)
        return line


def secrets_of(settings: Settings) -> set[str]:
    """Every secret value that the settings hold."""
    found = {
        value.get_secret_value()
        for name in type(settings).model_fields
        if isinstance(value := getattr(settings, name), SecretStr)
    }
    for account in settings.wechat_accounts:
        for secret in (*account.tokens, *account.aes_keys, account.appsecret):
            if secret is not None:
                found.add(secret.get_secret_value())
    found |= {part for value in list(found) for part in value.split(",")}
    found |= {entry.split(":")[1] for entry in settings.api_keys if entry.count(":") >= 1}
    password = make_url(settings.database_url).password
    return found | ({str(password)} if password else set())


def set_up_logging(settings: Settings) -> None:
    """One handler on the root logger, to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RedactingFormatter(secrets_of(settings)))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    # one line per pooled connection says nothing that an exchange's own line does not
    logging.getLogger("urllib3").setLevel(max(logging.INFO, root.level))
    # readiness asks for the schema's revision at every probe, and Alembic tells of it each time
    logging.getLogger("alembic").setLevel(max(logging.WARNING, root.level))
