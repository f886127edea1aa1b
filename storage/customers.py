"""Customers as persons: who is talking with one of ours in the platform's own tool, and who has left."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    String,
    UniqueConstraint,
    and_,
    delete,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from storage.columns import ON_MYSQL, Base, BigId, Name
from storage.db import Database, now_ms
from storage.exchange_rows import ERASED, UNFINISHED
from storage.handoff_rows import forget_handoffs
from storage.models import DialogueSession, Exchange, Job, Message
from storage.pictures_tables import KeptPicture

CANCELLABLE = ("waiting", "running", "failed", "in_doubt")
"""Jobs that can still be kept from sending, or would be sent by a person later."""


class Customer(Base):
    """A customer who was connected with a person by the platform itself; nobody else has a row."""

    __tablename__ = "customers"
    __table_args__ = (
        UniqueConstraint("platform", "account", "user_id", name="uq_customers_who"),
        ON_MYSQL,
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    platform: Mapped[str] = mapped_column(String(32))
    account: Mapped[str] = mapped_column(Name(64))
    user_id: Mapped[str] = mapped_column(Name(128))
    met_until_ms: Mapped[int] = mapped_column(BigInteger)
    """Until when the person is believed to be there; 0 when they said goodbye."""
    told_ms: Mapped[int] = mapped_column(BigInteger)
    """The platform's time of what we were told last: an older event, delivered late, changes nothing."""


class Customers:
    """The customers' table, and what it means to forget one of them."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def met(self, platform: str, account: str, user: str, *, told_ms: int, until_ms: int) -> None:
        """A person has taken the customer over, at the latest until `until_ms`; 0: they are done.

        `told_ms` is when that happened by the platform's clock. Events may come late, twice, or out of order.
        """
        who = {"platform": platform, "account": account, "user_id": user}
        values = {"met_until_ms": until_ms, "told_ms": told_ms}

        def note(session: Session) -> None:
            known = select(Customer.id).filter_by(**who)
            if session.scalar(known) is None:
                session.add(Customer(**who, **values))
                return
            later = update(Customer).filter_by(**who).where(Customer.told_ms <= told_ms)
            session.execute(later.values(**values))

        try:
            self.db.transact(note)
        except IntegrityError:
            # another delivery of the event has just made the row
            self.db.transact(note)

    def erase(self, leaving: Exchange) -> None:
        """Forgets what this exchange's customer said and was told before it, and cancels what was to come.

        The rows of the message log stay, without words. To do it again does no harm: what comes after
        `leaving`, from a customer who returned, is left alone.
        """
        whose = and_(
            DialogueSession.platform == leaving.platform,
            DialogueSession.account == leaving.account,
            DialogueSession.user_id == leaving.user_id,
        )

        def forget(session: Session) -> None:
            dialogues = session.scalars(select(DialogueSession.id).where(whose)).all()
            before = and_(Exchange.session_id.in_(dialogues), Exchange.id < leaving.id)
            session.execute(
                update(Job)
                .where(Job.exchange_id.in_(select(Exchange.id).where(before)), Job.status.in_(CANCELLABLE))
                .values(status="done", owner=None, payload={}, error=ERASED, finished_ms=now_ms())
            )
            unsaid = Exchange.status.in_((*UNFINISHED, "answered", "undelivered"))
            # whoever is making an answer loses the exchange, as if another process had taken it over
            session.execute(
                update(Exchange)
                .where(before, unsaid)
                .values(
                    status="undelivered",
                    delivery_error=ERASED,
                    owner=None,
                    source=func.coalesce(Exchange.source, "system"),
                    answered_ms=func.coalesce(Exchange.answered_ms, now_ms()),
                )
            )
            session.execute(
                update(Exchange)
                .where(before)
                .values(
                    question="",
                    answer="",
                    raw={},
                    media=[],
                    docs=[],
                    suggestions=[],
                    conversation_id=None,
                    chat_id=None,
                )
            )
            old = or_(Message.exchange_id < leaving.id, Message.created_ms < leaving.created_ms)
            session.execute(delete(Message).where(Message.session_id.in_(dialogues), old))
            session.execute(delete(KeptPicture).where(KeptPicture.session_id.in_(dialogues)))
            session.execute(
                update(DialogueSession)
                .where(whose)
                .values(conversation_id=None, conversation_owner=None, updated_ms=now_ms())
            )
            session.execute(
                delete(Customer).filter_by(
                    platform=leaving.platform, account=leaving.account, user_id=leaving.user_id
                )
            )
            # last: what it tells agents holds a lock until the commit
            forget_handoffs(session, dialogues)

        self.db.transact(forget)
