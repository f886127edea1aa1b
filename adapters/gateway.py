"""What a platform may ask of the rest of the gateway: narrow views, which `parts.py` joins and hands in."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Literal, Protocol

from flask import Request

from adapters.dialogues import Desk, ServiceSessions, Transcripts
from handler.message import (
    BotProfile,
    Grant,
    InboundMessage,
    Kind,
    LateReply,
    Media,
    Notice,
    Picture,
    Via,
    VisitorEvent,
)
from handler.run import Follows
from settings import Settings
from texts import Texts


class Keys(Protocol):
    """Who may call the endpoints that are not signed by a platform."""

    def require(self, request: Request, scope: str) -> str:
        """The caller's name; raises `Unauthorized` or `Forbidden`."""
        ...


class Tokens(Protocol):
    """Platforms' access tokens, shared by every process. `Unavailable` when the database does not answer."""

    def get(self, name: str) -> tuple[str, int] | None:
        """The newest token and the unix milliseconds at which it ends; None when there never was one."""
        ...

    def may_refresh(self, name: str, owner: str, seconds: float) -> bool:
        """Whether `owner` fetches the next token: one at a time, until `store`, `leave` or the time is up."""
        ...

    def store(self, name: str, value: str, expires_ms: int) -> None:
        """Makes a new token everybody's."""
        ...

    def leave(self, name: str, owner: str) -> None:
        """Gives the right to fetch back: it came to nothing."""
        ...


class Files(Protocol):
    """Customers' files, on their way to the bot. Both calls go over the network: never in a claim."""

    def upload(self, kind: Kind, name: str, content: bytes, mime: str = "") -> Media:
        """The file as a message may carry it. Raises a `YingdaError` whose message says what is wrong."""
        ...

    def transcribe(self, name: str, content: bytes, mime: str = "") -> str:
        """The words of a recording, perhaps none. Raises like `upload`."""
        ...


class Pictures(Protocol):
    """Pictures that no platform keeps for us. `Unavailable` as `Tokens`."""

    def keep(self, picture: Picture) -> str:
        """Keeps what a customer uploaded; returns the name by which agents are shown it."""
        ...

    def get(self, name: str) -> Picture | None:
        """The picture of this name; None when there is none, or no longer."""
        ...


class Quotas(Protocol):
    """How many messages a platform lets us send to a user, counted for all processes."""

    def opened(
        self, platform: str, account: str, user: str, *, by: str, at_ms: int, closes_ms: int, allowed: int
    ) -> bool:
        """The user did something that lets us send `allowed` messages. False when that is known already."""
        ...

    def left(self, platform: str, account: str, user: str) -> int:
        """Messages that may be sent right now."""
        ...

    def take(self, platform: str, account: str, user: str, most: int) -> Grant:
        """Up to `most` messages that nobody else may send now."""
        ...

    def give_back(self, platform: str, account: str, user: str, grant: Grant, number: int) -> None:
        """Returns the last `number` of a grant: they were certainly not sent."""
        ...


class Leftovers(Protocol):
    """What of the answers a customer has not seen."""

    def keep(self, exchange_id: int, text: str) -> bool:
        """Has 继续 bring the rest of this exchange's answer; `text` is in the platform's own form."""
        ...

    def riders(self, carrier_id: int) -> list[LateReply]:
        """Late answers that this exchange's reply shows already, or else those that could go with it."""
        ...

    def carry(self, carrier_id: int, exchange_ids: Collection[int]) -> list[int]:
        """Lets late answers go with this exchange's reply; returns the ones that do."""
        ...


class Notices(Protocol):
    """Messages that answer nothing, each sent once by a job. `Unavailable` as `Tokens`."""

    def put(self, platform: str, account: str, key: str, content: Mapping[str, Any]) -> Notice:
        """Has it sent by `notify`; the same key again is the same notice, with other content a `Conflict`."""
        ...

    def get(self, platform: str, number: int) -> Notice | None:
        """One notice as it is now."""
        ...


class Customers(Protocol):
    """Customers whom the platform itself connects with a person. `Unavailable` when the database is away."""

    def met(self, platform: str, account: str, user: str, *, told_ms: int, until_ms: int) -> None:
        """A person has taken the customer over, at the latest until `until_ms`; 0: they are done.

        Both in unix milliseconds; `told_ms` is when the platform says it happened.
        """
        ...


class Dialogues(Protocol):
    """The dialogues of a platform's users, by names of ours. `Unavailable` when the database is away."""

    def begin(self, platform: str, account: str, user: str) -> str:
        """Makes a dialogue without memory; returns its name, which nobody can guess."""
        ...

    def newest(self, platform: str, account: str, user: str) -> str | None:
        """The name of the user's dialogue that was begun last; None when there is none."""
        ...

    def number(self, platform: str, account: str, user: str, name: str) -> int | None:
        """What `Events` knows the user's dialogue by; None when this user has none of this name."""
        ...


class Events(Protocol):
    """What happens in a dialogue besides answers: an agent's words, a change of status."""

    def follow(
        self, dialogue: int, after: int | None, heartbeat: float
    ) -> Iterator[int | VisitorEvent | None]:
        """First the id from which on it follows (the newest, without `after`), then events as they come.

        Yields None after `heartbeat` seconds without one. Never ends by itself.
        """
        ...


class Gateway(Protocol):
    """What an adapter may ask of the rest of the gateway; `parts.py` hands it in."""

    @property
    def settings(self) -> Settings: ...

    @property
    def texts(self) -> Texts: ...

    @property
    def keys(self) -> Keys: ...

    @property
    def tokens(self) -> Tokens: ...

    @property
    def files(self) -> Files: ...

    @property
    def pictures(self) -> Pictures: ...

    @property
    def service_sessions(self) -> ServiceSessions: ...

    @property
    def transcripts(self) -> Transcripts: ...

    @property
    def quotas(self) -> Quotas: ...

    @property
    def leftovers(self) -> Leftovers: ...

    @property
    def notices(self) -> Notices: ...

    @property
    def customers(self) -> Customers: ...

    @property
    def dialogues(self) -> Dialogues: ...

    @property
    def events(self) -> Events: ...

    @property
    def desk(self) -> Desk: ...

    def bot_profile(self) -> BotProfile:
        """How the bot introduces itself; words of ours while Coze cannot be asked."""
        ...

    def follow(self, platform: str, account: str, dedupe_key: str) -> Follows | None:
        """The run of a message that was taken before, begun nowhere; None when there was none."""
        ...

    def answer(self, message: InboundMessage) -> Follows:
        """Claims the message and starts (or joins) its run. Returns at once."""
        ...

    def deliver(self, run: Follows, via: Via) -> Via | None:
        """Records that the answer goes out this way, unless it has gone, or is promised to, another.

        Returns the way that has it: the same answer may be repeated by the same way, never sent by two.
        """
        ...

    def promise(self, run: Follows, via: Literal["push", "callback"]) -> bool:
        """Has the adapter's `push` bring the answer once there is one. False when it already went out."""
        ...
