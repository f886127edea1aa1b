"""What can go wrong with Coze, and what is to be done about each thing.

UpstreamError
└── CozeError                any failure; `name` is the short cause that a Reply carries
    ├── CodeError            coze_4016 …          Coze answered with a code of its own
    ├── HttpError            coze_http_502 …      an HTTP status and nothing else to go by
    ├── AuthError            coze_auth_…          the token endpoint refused our JWT
    ├── ChatFailed           coze_failed …        a chat ended badly and gave no code
    ├── Empty                coze_empty           a chat ended well and said nothing
    ├── Unreachable          coze_unreachable     no connection: nothing was sent
    ├── Disconnected         coze_disconnected    sent, and no byte came back: it may have run
    ├── TimedOut             coze_timeout         silence, or the deadline
    ├── Truncated            coze_truncated       the answer broke off
    ├── Malformed            coze_malformed       not the protocol
    │   └── TooLarge         coze_too_large       more than we are ready to hold
    ├── Resting              coze_resting         not called: it failed too often lately (coze.breaker)
    └── Abandoned            coze_abandoned       the asker does not want the answer any more

Texts from Coze are cut and their tokens masked here, so that no message of an error can hold a secret.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from errors import UpstreamError

TEXT_LIMIT = 200
"""Characters kept of a text from Coze: enough for a log line, too few for a gateway's HTML page."""

MANY = 1_000
"""A number of tries that only the deadline can end."""

SECRETS = re.compile(r"\b(?:(?:pat|sat|czs|czu)_|eyJ)[\w.~+/=-]+", re.ASCII)


class Policy(StrEnum):
    """What to do about an error."""

    RETRY = "retry"
    REFRESH = "refresh"
    RECREATE = "recreate conversation"
    WAIT = "wait"
    CONFIG = "config alert"
    TELL_USER = "tell user"
    NO_RETRY = "no retry"


@dataclass(frozen=True, slots=True)
class Meaning:
    """One code: what it says, what to do, how often another try is worth it, where to look.

    `outage`: it speaks of Coze's own state, so that the next question is likely to fare no better. A rate
    limit does not: others get through, and asking less is what the pauses between tries are for.
    """

    words: str
    policy: Policy
    retries: int = 0
    hint: str = ""
    outage: bool = False


REGION = "is the token of the same region as COZE_API_BASE (api.coze.cn or api.coze.com)?"
RIGHTS = f"has the token the permission and the workspace? {REGION}"
PUBLISHED = f"is the bot or workflow published as API, and the id right? {REGION}"
MONEY = "the account's balance or quota is used up"

MEANINGS: dict[int, Meaning] = {
    4000: Meaning("bad parameters", Policy.CONFIG, hint="check COZE_BOT_ID and COZE_API_BASE"),
    4001: Meaning("unknown chat", Policy.NO_RETRY),
    4002: Meaning("unknown conversation", Policy.RECREATE),
    4003: Meaning("meta_data over the limit", Policy.NO_RETRY),
    4004: Meaning("too many messages", Policy.NO_RETRY),
    4005: Meaning("unknown message", Policy.NO_RETRY),
    4006: Meaning("invalid bot", Policy.CONFIG, hint="check COZE_BOT_ID"),
    4007: Meaning("a chat that is not streamed must be saved", Policy.NO_RETRY),
    4008: Meaning("daily limit of this user", Policy.NO_RETRY),
    4009: Meaning("Coze is busy", Policy.RETRY, 3, outage=True),
    4010: Meaning("prompt too long", Policy.RECREATE),
    4011: Meaning("balance used up", Policy.CONFIG, hint=MONEY),
    4012: Meaning("model withdrawn", Policy.CONFIG, hint="choose another model for the bot"),
    4013: Meaning("model service error", Policy.RETRY, 2, outage=True),
    4014: Meaning("cannot answer this", Policy.TELL_USER),
    4015: Meaning("bot not published", Policy.CONFIG, hint=PUBLISHED),
    4016: Meaning("the conversation has a running chat", Policy.WAIT, MANY),
    4019: Meaning("Volcano account in arrears", Policy.CONFIG, hint=MONEY),
    4020: Meaning("rate limit", Policy.RETRY, 3),
    4021: Meaning("workflow not configured", Policy.CONFIG, hint=PUBLISHED),
    4022: Meaning("model account in arrears", Policy.CONFIG, hint=MONEY),
    4028: Meaning("free quota used up", Policy.CONFIG, hint=MONEY),
    4100: Meaning("token invalid or expired", Policy.REFRESH, hint=REGION),
    4101: Meaning("no permission", Policy.REFRESH, hint=RIGHTS),
    4102: Meaning("risk control", Policy.NO_RETRY, hint="later; report the logid to Coze if it stays"),
    4104: Meaning("the chat has ended", Policy.NO_RETRY),
    4105: Meaning("sensitive content", Policy.TELL_USER),
    4200: Meaning("not found, not published, or not yours", Policy.RECREATE, hint=PUBLISHED),
    4300: Meaning("no file", Policy.NO_RETRY),
    4301: Meaning("more than one file", Policy.NO_RETRY),
    4302: Meaning("file too large", Policy.NO_RETRY),
    4303: Meaning("file type not accepted", Policy.NO_RETRY),
    4304: Meaning("file broken", Policy.NO_RETRY),
    4314: Meaning("run record missing", Policy.NO_RETRY),
    4315: Meaning("the run has ended", Policy.NO_RETRY),
    5000: Meaning(
        "internal error of Coze",
        Policy.RETRY,
        2,
        "a wrong COZE_BOT_ID is answered like this, too",
        outage=True,
    ),
    6003: Meaning("needs a paid plan", Policy.CONFIG),
    6023: Meaning("workflow timed out", Policy.NO_RETRY),
    6031: Meaning("workflow not published", Policy.CONFIG, hint=PUBLISHED),
    6039: Meaning("workflow cannot be interrupted", Policy.CONFIG),
    701231: Meaning("chat failed", Policy.NO_RETRY),
    700012006: Meaning("token invalid", Policy.REFRESH, hint=REGION),
    700012014: Meaning("unusual traffic", Policy.RETRY, 2),
}

STATUSES: dict[int, Meaning] = {
    301: Meaning("redirected", Policy.CONFIG, hint="COZE_API_BASE must be the final address"),
    400: Meaning("bad request", Policy.CONFIG, hint="check COZE_API_BASE"),
    401: Meaning("token refused", Policy.REFRESH, hint=REGION),
    403: Meaning("forbidden", Policy.CONFIG, hint=RIGHTS),
    404: Meaning("no such address", Policy.CONFIG, hint="check COZE_API_BASE: scheme and host only"),
    429: Meaning("rate limit", Policy.RETRY, 3),
    500: Meaning("internal error", Policy.NO_RETRY, outage=True),
    502: Meaning("bad gateway", Policy.RETRY, 2, outage=True),
    503: Meaning("unavailable", Policy.RETRY, 2, outage=True),
    # the gateway gave up waiting, the chat may well be running: asking again would ask twice
    504: Meaning("gateway timeout", Policy.NO_RETRY, outage=True),
}
UNKNOWN = Meaning("", Policy.NO_RETRY)


def _meaning_of(status: int) -> Meaning:
    if 300 <= status < 400:
        return STATUSES[301]
    return STATUSES.get(status) or (STATUSES[500] if status >= 500 else UNKNOWN)


def masked(text: str) -> str:
    """The text in one line of at most `TEXT_LIMIT` characters, with every token replaced."""
    return SECRETS.sub("***", " ".join(text[: 4 * TEXT_LIMIT].split()))[:TEXT_LIMIT]


class CozeError(UpstreamError):
    """A failure of Coze, of its answer, or of the way there."""

    code = "coze_error"
    meaning: Meaning = UNKNOWN

    def __init__(self, message: str = "", *, logid: str = "", retry_after: float | None = None) -> None:
        super().__init__(masked(message))
        self.logid = logid
        """Coze's own id of the request, which its support asks for; may be empty."""
        self.retry_after = retry_after
        """Seconds Coze asked us to stay away."""
        self.retries = self.meaning.retries
        """How many more tries this failure is worth, as far as nothing of an answer has come."""

    @property
    def name(self) -> str:
        """The short machine-readable cause: `coze_4016`, `coze_timeout`, `coze_http_502`, …"""
        return self.code

    @property
    def policy(self) -> Policy:
        return self.meaning.policy

    @property
    def outage(self) -> bool:
        """Whether it speaks of Coze's own state, not of this question or of our settings."""
        return self.meaning.outage

    @property
    def hint(self) -> str:
        """Where an operator should look; may be empty."""
        return self.meaning.hint


class CodeError(CozeError):
    """Coze answered with a code other than 0."""

    def __init__(
        self,
        number: int,
        msg: str,
        *,
        logid: str = "",
        http_status: int = 200,
        retry_after: float | None = None,
    ) -> None:
        self.number = number
        self.http_status = http_status
        self.code = f"coze_{number}"
        self.meaning = MEANINGS.get(number) or _meaning_of(http_status)
        super().__init__(
            f"{number} {self.meaning.words or 'unknown code'}: {msg}", logid=logid, retry_after=retry_after
        )


class HttpError(CozeError):
    """An HTTP status that is no success, and a body without a code."""

    def __init__(
        self, status: int, text: str = "", *, logid: str = "", retry_after: float | None = None
    ) -> None:
        self.http_status = status
        self.code = f"coze_http_{status}"
        self.meaning = _meaning_of(status)
        super().__init__(f"HTTP {status} {self.meaning.words}: {text}", logid=logid, retry_after=retry_after)


class AuthError(CozeError):
    """The token endpoint refused; `reason` is its `error_code` (`invalid_client`, …)."""

    def __init__(self, reason: str, text: str = "", *, logid: str = "") -> None:
        self.reason = re.sub(r"\W+", "_", reason, flags=re.ASCII)[:40] or "refused"
        self.code = f"coze_auth_{self.reason}"
        retry = self.reason == "internal_error"
        self.meaning = Meaning(
            "token endpoint",
            Policy.RETRY if retry else Policy.CONFIG,
            int(retry),
            f"key id, client id; {REGION}",
            outage=retry or self.reason.startswith("http_5"),
        )
        super().__init__(f"token endpoint: {self.reason}: {text}", logid=logid)


class ChatFailed(CozeError):
    """A chat ended as failed, canceled, expired, deleted, or waiting for tools that nobody serves."""

    def __init__(self, status: str, *, logid: str = "") -> None:
        self.code = f"coze_{status}"
        super().__init__(f"the chat ended as {status}", logid=logid)


class Empty(CozeError):
    """A chat was completed without a word for the customer."""

    code = "coze_empty"


class Unreachable(CozeError):
    """No connection: name not resolved, refused, TLS failed. Nothing was sent."""

    code = "coze_unreachable"
    meaning = Meaning("no connection", Policy.RETRY, 2, "check COZE_API_BASE and the network", outage=True)


class Disconnected(CozeError):
    """The request went out and the connection ended before a byte came back; it may have run."""

    code = "coze_disconnected"
    meaning = Meaning("connection lost", Policy.RETRY, outage=True)


class TimedOut(CozeError):
    """Coze stayed silent too long, or the deadline came."""

    code = "coze_timeout"
    meaning = Meaning("silence", Policy.NO_RETRY, outage=True)


class Truncated(CozeError):
    """The stream ended before anything said that it was over."""

    code = "coze_truncated"
    meaning = Meaning("broken off", Policy.NO_RETRY, outage=True)


class Malformed(CozeError):
    """The answer is not what the protocol says."""

    code = "coze_malformed"
    meaning = Meaning("not the protocol", Policy.NO_RETRY, hint="is COZE_API_BASE really Coze?")


class TooLarge(Malformed):
    """A line or a body over our cap."""

    code = "coze_too_large"


class Resting(CozeError):
    """Coze was not called at all: it failed too often in a row, and somebody else is looking after it."""

    code = "coze_resting"


class Abandoned(CozeError):
    """Nobody waits for this answer any more, or this process may not go on with it."""

    code = "coze_abandoned"


def error_from(
    code: object,
    msg: object,
    logid: str = "",
    http_status: int = 200,
    *,
    retry_after: float | None = None,
) -> CozeError:
    """The error for an answer: by its code when it has one (number or digits), else by its HTTP status."""
    text = msg if isinstance(msg, str) else "" if msg is None else str(msg)
    number = code_number(code)
    if number:
        return CodeError(number, text, logid=logid, http_status=http_status, retry_after=retry_after)
    if http_status // 100 != 2:
        return HttpError(http_status, text, logid=logid, retry_after=retry_after)
    return CozeError(text or "failed without a code", logid=logid)


def code_number(code: object) -> int:
    """Coze's code as a number; 0 for success and for what is no code at all."""
    if isinstance(code, bool):
        return 0
    if isinstance(code, int):
        return code
    if isinstance(code, str) and len(code) <= 12 and code.removeprefix("-").isdecimal() and code.isascii():
        return int(code)
    return 0


AWAY = {"coze_unreachable", "coze_disconnected", "coze_timeout", "coze_truncated", "coze_resting"}


def is_outage(name: str) -> bool:
    """Whether a reply with this cause failed because Coze was away, not because of what was asked."""
    kind, _, number = name.rpartition("_")
    if kind == "coze_http" and number.isdecimal():
        return _meaning_of(int(number)).outage
    if kind == "coze" and number.isdecimal():
        return int(number) in MEANINGS and MEANINGS[int(number)].outage
    return name in AWAY
