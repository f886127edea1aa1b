"""`flask jobs …`: what became of late answers and other background work, and a second try for what failed."""

from __future__ import annotations

import click
from flask import current_app
from flask.cli import AppGroup

from storage.db import now_ms
from storage.jobs import Jobs, Trouble

jobs_commands = AppGroup("jobs", help="Look after late answers and other background work.")

UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


@jobs_commands.command("list")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True)
def list_jobs(limit: int) -> None:
    """Show the jobs that failed or are in doubt, the newest first."""
    found = _jobs().troubled(limit)
    if not found:
        click.echo("No job needs attention.")
        return
    now = now_ms()
    for trouble in found:
        click.echo(_line(trouble, now))
    if len(found) == limit:
        click.echo(f"There may be more than these {limit}: use --limit.")


@jobs_commands.command("resend")
@click.argument("number", metavar="ID", type=int)
@click.option("--yes", is_flag=True, help="do not ask")
def resend(number: int, yes: bool) -> None:
    """Let the job ID, which failed or is in doubt, run once more."""
    jobs = _jobs()
    trouble = jobs.get(number)
    if trouble is None:
        raise click.ClickException(f"there is no job {number}")
    if trouble.job.status not in {"failed", "in_doubt"}:
        raise click.ClickException(f"job {number} is {trouble.job.status}: there is nothing to send again")
    click.echo(_line(trouble, now_ms()))
    if trouble.job.status == "in_doubt":
        click.echo("It may have arrived already. If it did, the customer gets the same message twice.")
    if not yes:
        click.confirm("Send it again?", abort=True)
    if not jobs.resend(number):
        raise click.ClickException(f"somebody else has just decided about job {number}")
    click.echo(f"Job {number} runs again as soon as a runner is free.")


@jobs_commands.command("stats")
def stats() -> None:
    """Count the jobs of each kind and status; done ones are kept for a day."""
    counts = _jobs().stats()
    if not counts:
        click.echo("There are no jobs.")
    for (kind, status), count in counts.items():
        click.echo(f"{kind:<12} {status:<10} {count:>8}")


def _jobs() -> Jobs:
    found: Jobs = current_app.extensions["yingda"].jobs
    return found


def _line(trouble: Trouble, now: int) -> str:
    job = trouble.job
    exchange = "no exchange" if job.exchange_id is None else f"exchange {job.exchange_id}"
    place = f"{exchange} on {trouble.platform}" if trouble.platform else exchange
    trace = f", trace {trouble.trace_id}" if trouble.trace_id else ""
    age = _age(now - (job.finished_ms or job.created_ms))
    return f"{job.id}: {job.kind} {job.status} for {age}, {place}{trace}: {job.error or 'no reason given'}"


def _age(milliseconds: int) -> str:
    seconds = max(0, milliseconds // 1000)
    unit, size = next((each for each in UNITS if seconds >= each[1]), UNITS[-1])
    return f"{seconds // size} {unit}"
