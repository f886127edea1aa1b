"""The desk's people, joined: accounts, sign-in, rights, audit and pages, on one database."""

from __future__ import annotations

from collections.abc import Sequence

from handler.listening import Listening
from settings import Settings
from storage.agent_events import AgentEvents
from storage.agent_logins import Logins
from storage.agents import Agents
from storage.audit import Audit
from storage.audit_trail import AuditTrail
from storage.canned_replies import CannedReplies
from storage.db import Database
from storage.sessions import Sessions
from storage.sign_in_attempts import Attempts
from support.accounts_api import AccountsApi
from support.agent_api import AgentApi
from support.audit_page import AuditPage
from support.canned_api import CannedApi
from support.console import Console
from support.passwords import Passwords
from support.routes import DeskRoute
from support.sign_ins import SignIns
from support.signed_in import SignedIn
from support.tokens import AgentTokens


class People:
    """What `parts.py` puts into the gateway. `guard` is who is signed in, for every endpoint of the desk."""

    def __init__(self, settings: Settings, db: Database) -> None:
        self.agents, self.logins, self.attempts = Agents(db), Logins(db), Attempts(db)
        self.passwords = Passwords()
        self.sign_ins = SignIns(self.agents, self.logins, self.attempts, self.passwords)
        self.tokens = AgentTokens(settings.agent_secrets)
        self.guard = SignedIn(
            self.logins,
            self.tokens,
            secure=not settings.development,
            public_url=settings.public_url,
        )
        self.console = Console(self.sign_ins, self.guard)
        self.audit = Audit(db)
        self.audit_page = AuditPage(
            AuditTrail(db), Sessions(db), self.agents, self.console, settings.timezone
        )
        self._audit_days = settings.audit_days
        self.kept_events = AgentEvents(db)
        self.listening = Listening(self.kept_events)

    def routes(self) -> Sequence[DeskRoute]:
        """Every endpoint and page."""
        return (
            *AgentApi(self.sign_ins, self.tokens, self.guard, self.listening).routes(),
            *AccountsApi(self.sign_ins, self.audit, self.guard).routes(),
            *self.console.routes(),
            *CannedApi(CannedReplies(self.agents.db), self.agents, self.console).routes(),
            *self.audit_page.routes(),
        )

    def purge(self) -> int:
        """Deletes what nobody needs any more: old events, sign-ins and attempts."""
        return self.kept_events.purge() + self.logins.purge() + self.attempts.purge()

    def purge_audit(self) -> int:
        """Deletes what of the audit is older than it is kept."""
        return self.audit.purge(self._audit_days)
