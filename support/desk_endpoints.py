"""The endpoints of the desk's sessions, and the desk's knowledge of its people, joined."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from adapters.base import Endpoints
from adapters.gateway import Keys
from handler.desk import Desk
from handler.message import InboundMessage, Media
from handler.run import Follows
from settings import Settings
from storage.pictures import Pictures
from storage.presence import Presence
from storage.sessions import Sessions
from support.guard import Guard
from support.pictures_api import PicturesApi
from support.sessions_api import SessionsApi
from support.supervision_api import SupervisionApi
from support.visits_api import VisitsApi


def desk_endpoints(
    desk: Desk,
    sessions: Sessions,
    guard: Guard,
    settings: Settings,
    keys: Keys,
    answer: Callable[[InboundMessage], Follows],
    picture: Callable[[str, str, Media], bytes],
) -> Sequence[Endpoints]:
    """The parts that serve customers and agents. `picture` fetches one of a platform's account."""
    visits = VisitsApi(desk, sessions, guard, settings, keys, answer)
    kept = Pictures(desk.handoffs.db)
    return (
        SessionsApi(desk, sessions, guard, visits.visited),
        SupervisionApi(desk, sessions, guard),
        PicturesApi(desk, sessions, guard, kept, picture, settings),
        visits,
    )


def join_people(desk: Desk, presence: Presence, *, assigns: bool) -> None:
    """Tells the desk who is there, and with `assigns` who is to take a waiting customer."""
    desk.is_there = presence.is_there
    if assigns:
        desk.assign = lambda waiting: presence.next_for(waiting.row)
