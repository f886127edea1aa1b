"""The command line: every group that `flask` offers."""

from __future__ import annotations

import click

from ops.db_cli import db_commands
from ops.doctor import doctor
from ops.fixture_cli import fixture_commands
from ops.jobs_cli import jobs_commands
from ops.launch import up
from ops.library_cli import library_commands
from ops.log_cli import log_commands
from ops.settings_doc import settings_commands
from ops.wechat_cli import wechat_commands

commands: tuple[click.Command, ...] = (
    up,
    doctor,
    db_commands,
    log_commands,
    jobs_commands,
    library_commands,
    fixture_commands,
    settings_commands,
    wechat_commands,
)
