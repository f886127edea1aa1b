"""`flask desk …`: looking at the desk from the command line."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

import click
from flask import current_app
from flask.cli import AppGroup

from handler.desk import given, rules_of
from handler.dry_run import Hit, Logged, replay
from handler.handoff import Reason
from storage.db import now_ms
from storage.handoff_replay import HandoffReplay
from storage.models import Exchange

DAY_MS = 24 * 3600 * 1000
desk_commands = AppGroup("desk", help="Look at the support desk.")
RULES: dict[Reason, str] = {
    "vip": "VIPs, put through at once",
    "keyword": "phrases of REGULATOR_KEYWORDS",
    "fail_loop": "failed answers in a row",
}


@desk_commands.command("dry-run")
@click.option(
    "--days", type=click.IntRange(1, 365), default=7, show_default=True, help="how far to look back"
)
@click.option(
    "--shown", type=click.IntRange(0), default=20, show_default=True, help="sessions named per rule"
)
def dry_run(days: int, shown: int) -> None:
    """Tell which sessions the rules as they are set now would have escalated. Changes nothing."""
    yingda = current_app.extensions["yingda"]
    reader, rules = HandoffReplay(yingda.db), rules_of(yingda.settings)
    seen: set[int] = set()
    hits = replay(_logged(reader.since(now_ms() - days * DAY_MS), seen), rules, reader.marked())
    click.echo(f"{len(seen)} sessions wrote in the last {days} days.")
    by_rule: defaultdict[Reason, list[Hit]] = defaultdict(list)
    for each in hits:
        by_rule[each.reason].append(each)
    names = reader.names({each.session_id for each in hits})
    zone = ZoneInfo(yingda.settings.timezone)
    for rule, meaning in RULES.items():
        found = by_rule[rule]
        share = f", {len(found) / len(seen):.1%}" if seen else ""
        click.echo(f"\n{rule} ({meaning}): {len(found)} sessions{share}")
        for each in found[:shown]:
            when = datetime.fromtimestamp(each.at_ms / 1000, zone)
            click.echo(f"  {when:%Y-%m-%d %H:%M}  {names.get(each.session_id, '?')}  {each.details}".rstrip())
        if len(found) > shown:
            click.echo(f"  … and {len(found) - shown} more")


def _logged(rows: Iterable[Exchange], seen: set[int]) -> Iterator[Logged]:
    for row in rows:
        if row.source != "agent":
            seen.add(row.session_id)
        yield Logged(
            row.session_id,
            row.user_id,
            row.kind,
            row.question,
            row.source or "",
            given(row),
            row.created_ms,
        )
