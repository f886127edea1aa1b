"""`flask doctor`: looks at everything that must be right before a customer writes, and says how to mend it.

Here are the command and the checks of this machine; probes.py asks Coze, wechat_probes.py asks WeChat and the
running gateway.
No check changes anything, and no line shows a secret.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import click
import orjson

from errors import ConfigurationError
from ops.findings import Finding, fine, worth_a_look, wrong
from ops.probes import check_coze
from ops.wechat_probes import check_callbacks, check_wechat
from settings import Settings, load_settings
from storage import schema
from storage.agents import Agents
from storage.db import Database
from storage.leases import Leases
from texts import load_texts

Check = Callable[[Settings], Iterator[Finding]]
LOOPBACK = {"127.0.0.1", "::1", "localhost"}


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="One JSON array instead of lines.")
def doctor(as_json: bool) -> None:
    """Check settings, database, Coze and WeChat; exit status 1 when something must be mended."""
    found: list[Finding] = []
    for finding in examine():
        found.append(finding)
        if not as_json:
            click.echo(finding.line())
    if as_json:
        click.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
    if any(each.state == "wrong" for each in found):
        raise SystemExit(1)


def examine() -> Iterator[Finding]:
    """Every finding, in the order in which things are best mended."""
    try:
        settings = load_settings()
    except ConfigurationError as problem:
        yield from (wrong("settings", line, "correct this variable") for line in str(problem).splitlines())
        return
    for check in CHECKS:
        yield from check(settings)


def check_settings(settings: Settings) -> Iterator[Finding]:
    """Missing and weak values: fatal in production, worth knowing in development."""
    problems = settings.problems()
    if settings.development:
        yield fine("settings", "development mode: everything unset is a local stand-in")
        # the sandbox's well-known credentials are weak on purpose
        problems = [each for each in problems if not (settings.sandbox_wechat and "WECHAT_" in each)]
        yield from (
            worth_a_look("settings", each, "production refuses to start with this") for each in problems
        )
        if settings.host not in LOOPBACK:
            yield worth_a_look(
                "settings",
                f"HOST={settings.host} opens development mode, with its well-known keys, to the network",
                "set APP_ENV=production, or HOST=127.0.0.1",
            )
        return
    yield from (wrong("settings", each, "production refuses to start with this") for each in problems)
    if not problems:
        yield fine("settings", "production mode, every secret is set and strong")


def check_texts(settings: Settings) -> Iterator[Finding]:
    """The company's own sentences."""
    try:
        load_texts(settings.texts_file)
    except ConfigurationError as problem:
        yield wrong("texts", str(problem), "correct the file that TEXTS_FILE names")
    else:
        yield fine(
            "texts", f"from {settings.texts_file.name}" if settings.texts_file else "the built-in ones"
        )


def check_database(settings: Settings) -> Iterator[Finding]:
    """Reachable, at the right version, and writable."""
    try:
        db = Database(settings.database_url)
    except Exception as problem:
        # a bad URL raises whatever its driver likes, and the words may quote the password
        yield wrong("database", f"DATABASE_URL cannot be used ({type(problem).__name__})", "correct it")
        return
    try:
        found = list(_look_into(db))
        yield from found
        if settings.max_queue_length and all(each.state == "fine" for each in found):
            yield from _desk(db)
    finally:
        db.close()


def _desk(db: Database) -> Iterator[Finding]:
    """Customers can ask for a person: somebody must be able to sign in, and to make the others' accounts."""
    if any(each.role == "admin" for each in Agents(db).all()):
        yield fine("desk", "there is an admin account")
    else:
        yield worth_a_look(
            "desk",
            "no admin account: customers may wait for a person, and nobody can make accounts at /console",
            "make one: flask --app wsgi agents create-admin NAME",
        )


def _look_into(db: Database) -> Iterator[Finding]:
    try:
        db.ping()
        current = schema.current(db)
    except Exception as problem:
        yield wrong(
            "database",
            f"{db.dialect} does not answer ({type(problem).__name__})",
            "is it running, and are host, user and password in DATABASE_URL right?",
        )
        return
    if current != schema.head():
        yield wrong(
            "database", f"the tables are at {current or 'nothing'}", "run: flask --app wsgi db upgrade"
        )
        return
    try:
        # a real statement that changes no row: a read-only replica or a full disk refuses it
        Leases(db).renew("doctor", [0])
    except Exception as problem:
        yield wrong(
            "database",
            f"{db.dialect} cannot be written to ({type(problem).__name__})",
            "check rights, free space, and that this is not a read-only replica",
        )
        return
    yield fine("database", f"{db.dialect}, current and writable")


def check_doors(settings: Settings) -> Iterator[Finding]:
    """Who may call the endpoints that are not WeChat's."""
    if settings.yishiting_token:
        yield fine("易事厅", "calls must carry YISHITING_TOKEN")
    elif settings.yishiting_allowed_ips:
        yield fine("易事厅", "calls must come from YISHITING_ALLOWED_IPS")
    elif settings.development:
        yield worth_a_look("易事厅", "anybody may call /chat in development", "set YISHITING_TOKEN")
    else:
        yield worth_a_look(
            "易事厅", "/chat refuses everybody", "set YISHITING_TOKEN or YISHITING_ALLOWED_IPS"
        )
    if settings.yishiting_allowed_ips and settings.trusted_proxies == 0:
        yield worth_a_look(
            "易事厅",
            "addresses are compared with the direct peer's",
            "behind nginx set TRUSTED_PROXIES=1, or every call seems to come from nginx",
        )
    if settings.api_keys:
        yield fine("API keys", f"{len(settings.api_keys)} set")
    elif settings.development:
        yield fine("API keys", "the development key")
    else:
        yield worth_a_look(
            "API keys",
            "none: nobody can read the message log or use the chat API",
            "set API_KEYS=operator:<16 or more characters>:log+chat",
        )


CHECKS: tuple[Check, ...] = (
    check_settings,
    check_texts,
    check_database,
    check_doors,
    check_coze,
    check_wechat,
    check_callbacks,
)

if __name__ == "__main__":
    # works where `flask doctor` cannot: with settings that no application can be made from
    doctor()
