"""The tables of what still has to go out: rests of long answers, answers that ride along, push windows."""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from storage.columns import ON_MYSQL, Base, BigId, Name, Words


class Rest(Base):
    """What of an answer did not fit into what was shown; 继续 brings it."""

    __tablename__ = "rests"
    __table_args__ = (Index("ix_rests_session", "session_id", "exchange_id"), ON_MYSQL)

    exchange_id: Mapped[int] = mapped_column(ForeignKey("exchanges.id", ondelete="CASCADE"), primary_key=True)
    """The exchange whose reply was cut; may itself be a 继续."""
    session_id: Mapped[int] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    text: Mapped[str] = mapped_column(Words)
    """In the platform's own form: to be cut further, not to be rendered again."""
    taken_by: Mapped[int | None] = mapped_column(BigId)
    """The exchange that shows it; its row has the text from then on."""
    expires_ms: Mapped[int] = mapped_column(BigInteger, index=True)


class Ride(Base):
    """A late answer that was shown together with the answer to a later message."""

    __tablename__ = "rides"
    __table_args__ = (ON_MYSQL,)

    exchange_id: Mapped[int] = mapped_column(ForeignKey("exchanges.id", ondelete="CASCADE"), primary_key=True)
    carrier_id: Mapped[int] = mapped_column(ForeignKey("exchanges.id", ondelete="CASCADE"), index=True)


class PushWindow(Base):
    """How many messages a platform still lets us send to a user, because of the last thing the user did."""

    __tablename__ = "push_windows"
    __table_args__ = (ON_MYSQL,)

    platform: Mapped[str] = mapped_column(Name(32), primary_key=True)
    account: Mapped[str] = mapped_column(Name(64), primary_key=True)
    user_id: Mapped[str] = mapped_column(Name(128), primary_key=True)
    opened_by: Mapped[str] = mapped_column(String(16), primary_key=True)
    """What the user did: message, click, subscribe, scan."""
    opened_ms: Mapped[int] = mapped_column(BigInteger)
    closes_ms: Mapped[int] = mapped_column(BigInteger)
    remaining: Mapped[int] = mapped_column(Integer)
