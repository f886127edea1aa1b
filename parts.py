"""The parts of the gateway: the only place that knows every one, and joins them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from adapters.base import Adapter, Route
from adapters.discovery import find_adapters
from coze.bot import Bot
from coze.client import make_client
from coze.completions import Completions
from coze.files import Files
from coze.profiles import Profiles
from errors import NotFound
from handler.commands import Forget
from handler.continuation import Continuation
from handler.customers import Leaving, WithPerson
from handler.desk import Desk
from handler.fallback import Fallback
from handler.front import Front
from handler.handler import Handler
from handler.intake import Intake
from handler.listening import Listening
from handler.merging import Merging
from handler.message import BotProfile, InboundMessage, Media, Via
from handler.ownership import CallHuman, Ownership
from handler.queue_life import QueueLife
from handler.resolving import Resolving
from handler.responders import CozeResponder
from handler.run import Follows
from handler.shelf import LibraryResponder, Shelf
from handler.telling import Telling
from handler.turns import Turns
from handler.work import Responder, Work
from jobs.runner import Runner, Task
from jobs.tasks import EverySoOften, LateAnswers, NoticesOut, Stranded
from ops.keys import ApiKeys, keys_from
from settings import Settings
from storage.customers import Customers
from storage.db import Database
from storage.deliveries import Deliveries
from storage.events import Events
from storage.exchanges import Exchanges
from storage.handoffs import TELL
from storage.jobs import Jobs
from storage.leases import Leases
from storage.leftovers import Leftovers
from storage.library import Library
from storage.notices import Notices
from storage.pictures import Pictures
from storage.presence import Presence
from storage.quotas import Quotas
from storage.service_sessions import ServiceSessions
from storage.sessions import Sessions
from storage.spool import Spool
from storage.tokens import Tokens
from storage.transcripts import Transcripts
from support.desk_endpoints import join_people
from support.mail import MailOut
from support.people import People
from texts import Texts, load_texts

RESCUE_SECONDS = 0.9
"""Between two looks for exchanges of dead processes: with the runner's own pace about a second."""
STRANDED_SECONDS = 3.0
"""Between two looks for answers that nobody will fetch: they have waited for `Adapter.listens` already."""
PRESENCE_SECONDS = 15.0
"""Between two removals of events that are kept for ten seconds."""


@dataclass
class Yingda:
    """The joined parts; what adapters know as their `Gateway`. In `app.extensions["yingda"]`."""

    settings: Settings
    texts: Texts
    keys: ApiKeys
    db: Database
    tokens: Tokens
    files: Files
    pictures: Pictures
    shelf: Shelf
    service_sessions: ServiceSessions
    transcripts: Transcripts
    quotas: Quotas
    leftovers: Leftovers
    customers: Customers
    dialogues: Sessions
    events: Listening
    desk: Front
    profiles: Profiles
    handler: Handler
    intake: Intake
    jobs: Jobs
    runner: Runner
    adapters: list[Adapter]
    notices: Notices
    people: People
    routes: list[Route] = field(default_factory=list)

    def answer(self, message: InboundMessage) -> Follows:
        return self.intake.answer(message)

    def follow(self, platform: str, account: str, dedupe_key: str) -> Follows | None:
        return self.handler.follow(platform, account, dedupe_key)

    def picture(self, platform: str, account: str, media: Media) -> bytes:
        """A customer's picture; raises as an adapter's `picture`."""
        adapter = next((each for each in self.adapters if each.name == platform), None)
        if adapter is None:
            raise NotFound("there is no such picture")
        return adapter.picture(account, media)

    def bot_profile(self) -> BotProfile:
        return self.profiles.get()

    def deliver(self, run: Follows, via: Via) -> Via | None:
        return self.handler.deliver(run, via)

    def promise(self, run: Follows, via: Literal["push", "callback"]) -> bool:
        promised = self.handler.promise(run, via)
        self.runner.wake()
        return promised

    def start(self) -> None:
        """Starts the background work, without jobs where RUN_JOBS leaves them to others.

        A command line never calls this.
        """
        self.intake.start()
        if self.settings.run_jobs:
            self.runner.start()

    def hang_up(self) -> None:
        """Ends the streams of pages that listen: they come back by themselves, to another process."""
        self.events.stop()
        self.people.listening.stop()

    def close(self, patience: float = 0.0) -> None:
        """Stops taking jobs, gives running answers `patience` seconds, and hands over the rest."""
        self.intake.stop()
        self.runner.stop()
        self.hang_up()
        self.handler.close(patience)
        self.db.close()


def join(settings: Settings) -> Yingda:
    """Builds every part and hands each what it needs."""
    texts = load_texts(settings.texts_file)
    db = Database(settings.database_url)
    client = make_client(settings)
    exchanges, sessions, deliveries, jobs = Exchanges(db), Sessions(db), Deliveries(db), Jobs(db)
    quotas, leftovers = Quotas(db), Leftovers(db)
    merging, shelf = Merging(exchanges, settings.merge_seconds), Shelf(Library(db))
    bot = Bot(client, sessions, settings, texts)
    customers = Customers(db)
    adapters: list[Adapter] = []
    turns = Turns(exchanges, texts, lambda: bot.breaker.resting)
    desk = Desk(
        db,
        settings,
        texts,
        ways=lambda name: way_of(adapters, name),
        wake=lambda: runner.wake(),
    )
    spared = own_people(settings)
    bots = (
        Forget(sessions, turns, texts, settings.command_forget),
        Resolving(adapters),
        merging,
        LibraryResponder(shelf, merging.question),
        with_fallback(
            CozeResponder(bot, exchanges, sessions, turns, texts, merging.question),
            settings,
            sessions,
            texts,
            merging.question,
        ),
    )
    responders = (
        Leaving(customers),
        WithPerson(),
        Continuation(exchanges, deliveries, leftovers, texts, settings.command_continue),
        CallHuman(desk, settings.command_human, spared),
        Ownership(
            desk,
            bots,
            settings.command_queue,
            silent=lambda name: any(each.name == name and each.is_silent for each in adapters),
            spared=spared,
        ),
    )
    handler = Handler(exchanges, Leases(db), deliveries, responders, texts)
    intake = Intake(handler, Spool(settings.spool_dir.absolute(), settings.spool_max_bytes), texts)
    late, notices = LateAnswers(deliveries, adapters, desk), Notices(db)
    tasks: dict[str, Task] = {
        "push": late,
        "callback": late,
        "notice": NoticesOut(notices, adapters),
        TELL: Telling(client, desk.handoffs, sessions, settings),
        "mail": MailOut(desk.handoffs, sessions, settings),
    }
    opened, events, pictures = ServiceSessions(db), Events(db), Pictures(db)
    people = People(settings, db)
    join_people(desk, Presence(db), assigns=settings.desk_auto_assign)
    chores = (
        EverySoOften(handler.rescue, RESCUE_SECONDS),
        EverySoOften(Stranded(deliveries, adapters), STRANDED_SECONDS),
        EverySoOften(opened.clean_up, 60),
        EverySoOften(events.purge, 3600),
        EverySoOften(pictures.purge, 3600),
        EverySoOften(people.purge, 3600),
        EverySoOften(people.kept_events.purge_presence, PRESENCE_SECONDS),
        EverySoOften(people.purge_audit, 24 * 3600),
        EverySoOften(QueueLife(desk, settings), 5),
    )
    runner = Runner(jobs, tasks, chores, handler.owner)
    keys, tokens = keys_from(settings), Tokens(db)
    yingda = Yingda(
        settings=settings,
        texts=texts,
        keys=keys,
        db=db,
        tokens=tokens,
        files=Files(client),
        pictures=pictures,
        customers=customers,
        quotas=quotas,
        leftovers=leftovers,
        shelf=shelf,
        service_sessions=opened,
        transcripts=Transcripts(db),
        dialogues=sessions,
        events=Listening(events),
        desk=Front(desk, sessions),
        profiles=Profiles(client, settings, texts),
        handler=handler,
        intake=intake,
        jobs=jobs,
        runner=runner,
        adapters=adapters,
        notices=notices,
        people=people,
    )
    for kind in find_adapters(settings.adapters):
        if (adapter := kind.build(yingda)) is not None:
            adapters.append(adapter)
    return yingda


def way_of(adapters: Sequence[Adapter], name: str) -> Literal["push", "callback"] | None:
    """The kind of job that brings a person's words to this platform's customers; None: they come for them."""
    return next((each.brings for each in adapters if each.name == name and each.speaks_up), None)


def own_people(settings: Settings) -> Callable[[Work], bool]:
    """Whether a message's platform connects its customer with people by itself: WeChat's customer service."""
    accounts = {each.name for each in settings.wechat_accounts if each.transfer}
    return lambda work: work.message.platform == "wechat" and work.message.account in accounts


def with_fallback(
    coze: CozeResponder,
    settings: Settings,
    sessions: Sessions,
    texts: Texts,
    question: Callable[[Work], str],
) -> Responder:
    """The responder that asks Coze; with another model behind it where one is configured."""
    if not settings.fallback_api_base:
        return coze
    key = settings.fallback_api_key
    model = Completions(
        settings.fallback_api_base, key.get_secret_value() if key else "", settings.fallback_model
    )
    prompt, seconds = settings.fallback_prompt, settings.fallback_timeout
    return Fallback(coze, model, sessions, texts, question, prompt, seconds)
