"""Who may do what at the desk: the one place that says so. Endpoints name an action, and never a role.

docs/rights.md is made from this table and from the routes; a test asks every endpoint in every role.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from support.agent import Role

Action = Literal[
    "profile.read",
    "profile.password",
    "profile.sign_out",
    "status.read",
    "status.set",
    "events.follow",
    "accounts.list",
    "accounts.create",
    "accounts.change",
    "accounts.administer",
    "accounts.remove",
    "accounts.reset_password",
    "audit.read",
    "audit.sessions",
    "sessions.read",
    "sessions.take",
    "sessions.say",
    "sessions.release",
    "sessions.transfer",
    "sessions.respond",
    "sessions.note",
    "sessions.mark",
    "sessions.retry",
    "canned.read",
    "canned.keep",
    "sessions.watch",
    "sessions.reassign",
    "sessions.whisper",
]
Scope = Literal["none", "own", "others", "all"]
"""On whose objects: an account is its holder's own, a session that of the agent it is assigned to,
a transfer request its target's."""
ROLES: tuple[Role, ...] = get_args(Role)

RIGHTS: Mapping[Action, tuple[Scope, Scope, Scope, Scope]] = {
    # action: guest, agent, supervisor, admin
    "profile.read": ("own", "own", "own", "own"),
    "profile.password": ("own", "own", "own", "own"),
    "profile.sign_out": ("own", "own", "own", "own"),
    "status.read": ("own", "own", "own", "own"),
    "status.set": ("none", "own", "own", "own"),
    "events.follow": ("own", "own", "own", "own"),
    "accounts.list": ("all", "all", "all", "all"),
    "accounts.create": ("none", "none", "none", "all"),
    "accounts.change": ("none", "own", "own", "all"),
    "accounts.administer": ("none", "none", "none", "all"),
    # to lock oneself out, or to set one's own password without knowing it, is nobody's right
    "accounts.remove": ("none", "none", "none", "others"),
    "accounts.reset_password": ("none", "none", "none", "others"),
    "audit.read": ("none", "none", "none", "all"),
    "audit.sessions": ("none", "none", "all", "all"),
    "sessions.read": ("all", "all", "all", "all"),
    "sessions.take": ("none", "all", "all", "all"),
    # two voices in one dialogue confuse its customer: who wants to speak takes it over first
    "sessions.say": ("none", "own", "own", "own"),
    "sessions.release": ("none", "own", "all", "all"),
    "sessions.transfer": ("none", "own", "all", "all"),
    "sessions.respond": ("none", "own", "own", "own"),
    "sessions.note": ("none", "all", "all", "all"),
    "sessions.mark": ("none", "all", "all", "all"),
    "sessions.retry": ("none", "own", "all", "all"),
    "canned.read": ("none", "all", "all", "all"),
    "canned.keep": ("none", "none", "all", "all"),
    "sessions.watch": ("none", "all", "all", "all"),
    "sessions.reassign": ("none", "none", "all", "all"),
    "sessions.whisper": ("none", "none", "all", "all"),
}
MEANING: Mapping[Action, str] = {
    "profile.read": "see who is signed in",
    "profile.password": "change the password, knowing the old one",
    "profile.sign_out": "sign out, here or everywhere",
    "status.read": "see the own status",
    "status.set": "say whether one is there, and keep saying it",
    "events.follow": "hear at once what happens at the desk",
    "accounts.list": "see the accounts that are on: names, roles and who is there",
    "accounts.create": "make an account",
    "accounts.change": "change an account's name and picture",
    "accounts.administer": "change role, capacity, and whether the account is on; see those that are off",
    "accounts.remove": "switch an account off",
    "accounts.reset_password": "set another's password",
    "audit.read": "read the audit of accounts and sign-ins",
    "audit.sessions": "search what was done to all sessions",
    "sessions.read": "see the queue, every session and its transcript, notes and numbers",
    "sessions.take": "take a session that nobody has",
    "sessions.say": "talk to a session's customer",
    "sessions.release": "end a session, back to the bot",
    "sessions.transfer": "ask another agent to take a session over",
    "sessions.respond": "accept or decline a session that one is asked to take over",
    "sessions.note": "write a note about a session",
    "sessions.mark": "set a session's tags, its customer's e-mail address, and whether they are a VIP",
    "sessions.retry": "send a line once more that has failed",
    "canned.read": "use the canned replies",
    "canned.keep": "write and delete canned replies",
    "sessions.watch": "let others see that one looks at a session, or types in it",
    "sessions.reassign": "give a session that somebody has to another agent",
    "sessions.whisper": "write a note that the agent who has the session sees at once",
}


def scope(role: Role, action: Action) -> Scope:
    """On whose objects this role may do it."""
    return RIGHTS[action][ROLES.index(role)]


def allows(role: Role, action: Action, own: bool | None) -> bool:
    """Whether it may, on an object of its own or of another; None: on any object at all."""
    granted = scope(role, action)
    if own is None:
        return granted != "none"
    return granted == "all" or granted == ("own" if own else "others")


def permissions(role: Role) -> list[str]:
    """The actions that a role may do, for a client that hides the rest."""
    return [action for action in RIGHTS if allows(role, action, None)]
