"""The doctor's questions to Coze, and how it asks anybody; WeChat's part is in wechat_probes.py.

Each is one cheap request that changes nothing. Answers are put into our own words: what a platform sends back
may quote what it was sent.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import orjson
import requests

from adapters.signing import WINDOW_SECONDS
from coze.auth import make_credentials
from coze.errors import MEANINGS, PUBLISHED, REGION, RIGHTS, CozeError, code_number
from errors import ConfigurationError
from ops.findings import Finding, fine, worth_a_look, wrong
from settings import Settings

TIMEOUT = (5.0, 10.0)
"""Seconds to connect and to wait: a person is watching."""
ANSWER_CAP = 65536
SKEW_SECONDS = 30
"""A clock this far off is not yet refused by anybody, and will be."""
TOKEN_CODES = {4100, 4101, 700012006}
BOT_CODES = {4006, 4015, 4200}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the JSON object, if it is one, and by how much our clock is ahead."""

    status: int
    fields: dict[str, object]
    text: str
    seconds_ahead: float | None


def check_coze(settings: Settings) -> Iterator[Finding]:
    """The token works, the bot is there and published, the clocks agree."""
    if settings.coze_token is None and settings.coze_auth_mode == "PAT":
        yield worth_a_look("Coze", "no token to try", "set COZE_API_TOKEN")
        return
    try:
        token = make_credentials(settings).token(None, deadline=time.monotonic() + sum(TIMEOUT))
    except ConfigurationError as problem:
        yield wrong("Coze", str(problem), "correct this variable")
        return
    except CozeError as problem:
        yield wrong("Coze", f"gives no token: {problem.name}", problem.hint or REGION)
        return
    where = f"{settings.coze_base} (the sandbox)" if settings.sandbox_coze else settings.coze_base
    headers = {"Authorization": f"Bearer {token}"}
    try:
        # a chat that cannot exist: a valid token is told so, and exactly the gateway's own right is needed
        query = {"conversation_id": "1", "chat_id": "1"}
        answer = ask("GET", f"{settings.coze_base}/v3/chat/retrieve", params=query, headers=headers)
    except requests.RequestException as problem:
        remedy = "run `make run`" if settings.sandbox_coze else "check COZE_API_BASE and the network"
        state = worth_a_look if settings.sandbox_coze else wrong
        yield state("Coze", f"{where} cannot be reached ({type(problem).__name__})", remedy)
        return
    code = code_number(answer.fields.get("code"))
    if code in TOKEN_CODES or answer.status in {401, 403}:
        yield wrong(
            "Coze", f"{where} refuses the token ({code or answer.status})", RIGHTS if code == 4101 else REGION
        )
        return
    if "code" not in answer.fields:
        yield wrong(
            "Coze", f"{where} does not answer like Coze (HTTP {answer.status})", "check COZE_API_BASE"
        )
        return
    yield fine("Coze", f"{where} takes the token")
    yield from clock("Coze", answer)
    yield from _bot(settings, headers)


def _bot(settings: Settings, headers: dict[str, str]) -> Iterator[Finding]:
    if settings.coze_workflow_id:
        yield worth_a_look("chatflow", "cannot be checked without running it", "send a message to try it")
        return
    try:
        address = f"{settings.coze_base}/v1/bot/get_online_info"
        answer = ask("GET", address, params={"bot_id": settings.coze_bot}, headers=headers)
    except requests.RequestException as problem:
        yield worth_a_look("bot", f"no answer about it ({type(problem).__name__})", "try again")
        return
    code = code_number(answer.fields.get("code"))
    data = answer.fields.get("data")
    if code in BOT_CODES:
        yield wrong("bot", f"{MEANINGS[code].words} ({code})", PUBLISHED)
    elif "code" in answer.fields and code == 0 and isinstance(data, dict):
        yield fine("bot", f"published as {str(data.get('name', ''))[:40]!r}")
    else:
        yield worth_a_look(
            "bot",
            f"could not be looked up ({code or answer.status})",
            "the token may lack the right to read bots; chatting does not need it: send a message",
        )


def ask(method: str, url: str, **options: object) -> Answer:
    """One request within `TIMEOUT`, not redirected, of which at most `ANSWER_CAP` bytes are read."""
    with requests.Session() as session:
        if url.startswith(("http://127.", "http://[::1]")):
            session.trust_env = False  # a proxy in the environment is for the outside
        with session.request(
            method,
            url,
            timeout=TIMEOUT,
            allow_redirects=False,
            stream=True,
            **options,  # type: ignore[arg-type]
        ) as response:
            now = time.time()
            text = response.raw.read(ANSWER_CAP, decode_content=True).decode("utf-8", "replace")
            return Answer(
                response.status_code, _object(text), text, _ahead(response.headers.get("Date"), now)
            )


def clock(subject: str, answer: Answer) -> Iterator[Finding]:
    """What the other side's clock says about this machine's; nothing when they agree."""
    if answer.seconds_ahead is None or abs(answer.seconds_ahead) <= SKEW_SECONDS:
        return
    words = f"this machine's clock is {abs(answer.seconds_ahead):.0f} s "
    words += "ahead" if answer.seconds_ahead > 0 else "behind"
    remedy = "switch time synchronization on: timedatectl set-ntp true"
    state = wrong if abs(answer.seconds_ahead) > WINDOW_SECONDS else worth_a_look
    yield state(f"{subject} clock", words, remedy)


def _object(text: str) -> dict[str, object]:
    try:
        found = orjson.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _ahead(date: str | None, now: float) -> float | None:
    try:
        return now - parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return None
