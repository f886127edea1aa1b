"""The mail that tells the desk of a customer who asked for a person when nobody was there.

One job each. What the server certainly did not take is tried again; what it may have taken is left in doubt.
"""

from __future__ import annotations

import html
import smtplib
import ssl
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import datetime
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from zoneinfo import ZoneInfo

from errors import InDoubt, NotNow, Undeliverable
from settings import Settings
from storage.handoff_tables import Handoff
from storage.handoff_views import HandoffViews, TranscriptLine
from storage.handoffs import Handoffs
from storage.models import DialogueSession, Job
from storage.sessions import Sessions
from support.names import name_of

SPEAKERS = {"user": "客户", "assistant": "机器人", "agent": "客服", "system": "系统"}
PERMANENT = 500
"""SMTP replies from here on are a no for good."""


class MailOut:
    """Does the jobs of the kind `mail`."""

    def __init__(self, handoffs: Handoffs, sessions: Sessions, settings: Settings) -> None:
        self._handoffs = handoffs
        self._views = HandoffViews(handoffs.db)
        self._sessions = sessions
        self._settings = settings

    def __call__(self, job: Job, sending: Callable[[], None]) -> None:
        session_id = int(job.payload["session_id"])
        row = self._handoffs.get(session_id)
        if row is None or not row.mail_to or not self._settings.smtp_host:
            return  # the customer has left, or mail was switched off
        try:
            dialogue = self._sessions.get(session_id)
        except LookupError:
            return
        sender = self._settings.smtp_sender or self._settings.smtp_username
        mail = compose(
            dialogue,
            row,
            self._views.lines(session_id),
            sender=sender,
            zone=self._settings.timezone,
        )
        self._send(mail, sending)
        self._handoffs.mailed(session_id)

    def _send(self, mail: EmailMessage, sending: Callable[[], None]) -> None:
        with ExitStack() as stack:
            try:
                server = stack.enter_context(self._connected())
            except smtplib.SMTPAuthenticationError:
                raise Undeliverable("smtp: the sign-in was refused") from None
            except smtplib.SMTPResponseException as problem:
                raise _refusal(problem.smtp_code) from None
            except (OSError, smtplib.SMTPException) as problem:
                raise NotNow(f"smtp: {type(problem).__name__}") from None
            sending()
            try:
                server.send_message(mail)
            except smtplib.SMTPRecipientsRefused as problem:
                codes = [code for code, _ in problem.recipients.values()]
                raise _refusal(max(codes, default=PERMANENT)) from None
            except smtplib.SMTPResponseException as problem:
                raise _refusal(problem.smtp_code) from None
            except (OSError, smtplib.SMTPException) as problem:
                raise InDoubt(f"smtp: {type(problem).__name__}") from None

    def _connected(self) -> smtplib.SMTP:
        settings = self._settings
        host, port, patience = settings.smtp_host, settings.smtp_port, settings.smtp_timeout
        if settings.smtp_security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                host, port, timeout=patience, context=ssl.create_default_context()
            )
        else:
            server = smtplib.SMTP(host, port, timeout=patience)
        try:
            if settings.smtp_security == "starttls":
                server.starttls(context=ssl.create_default_context())
            if settings.smtp_username and settings.smtp_password is not None:
                server.login(settings.smtp_username, settings.smtp_password.get_secret_value())
        except BaseException:
            server.close()
            raise
        return server


def compose(
    dialogue: DialogueSession, row: Handoff, lines: Sequence[TranscriptLine], *, sender: str, zone: str
) -> EmailMessage:
    """The mail, as text and as HTML, with the end of the transcript in it."""
    name = " ".join(name_of(dialogue).split())
    customer = " ".join(dialogue.user_id.split())[:64]
    facts = {
        "会话": name,
        "平台": dialogue.platform,
        "客户": customer,
        **({"邮箱": row.email} if row.email else {}),
        "原因": f"{row.reason or ''} {row.details}".strip(),
        "时间": _moment(row.trigger_ms or row.updated_ms, zone),
    }
    said = [(_moment(each.said_ms, zone), SPEAKERS.get(each.role, each.role), each.text) for each in lines]
    mail = EmailMessage()
    mail["Subject"] = f"[应答] 客户请求人工客服：{customer}"
    mail["From"] = sender
    mail["To"] = ", ".join(row.mail_to.split(","))
    if row.email:
        mail["Reply-To"] = row.email
    mail["Date"] = formatdate()
    mail["Message-ID"] = make_msgid(domain="yingda.invalid")
    mail["Auto-Submitted"] = "auto-generated"
    text = "\n".join(f"{label}：{value}" for label, value in facts.items())
    mail.set_content(text + "\n\n" + "\n".join(f"{at} {who}：{words}" for at, who, words in said) + "\n")
    mail.add_alternative(_html(facts, said), subtype="html")
    return mail


def _html(facts: dict[str, str], said: Sequence[tuple[str, str, str]]) -> str:
    table = "".join(f"<tr><th>{_safe(each)}</th><td>{_safe(facts[each])}</td></tr>" for each in facts)
    body = "".join(
        f"<p><small>{_safe(at)}</small> <b>{_safe(who)}</b><br>{_safe(words)}</p>" for at, who, words in said
    )
    return f'<html lang="zh"><meta charset="utf-8"><body><table>{table}</table><hr>{body}</body></html>'


def _safe(text: str) -> str:
    return html.escape(text).replace("\n", "<br>")


def _moment(milliseconds: int, zone: str) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M")


def _refusal(code: int) -> NotNow | Undeliverable:
    return Undeliverable(f"smtp_{code}") if code >= PERMANENT else NotNow(f"smtp_{code}")
