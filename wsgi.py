"""What gunicorn imports. Greenlets are gunicorn's matter: its gevent worker patches before this loads."""

from __future__ import annotations

import click

from app import create_app
from errors import ConfigurationError

try:
    app = create_app()
except ConfigurationError as problem:
    # one line per variable says more than a traceback does
    raise SystemExit(f"Yingda cannot start:\n{problem}") from None
command = click.get_current_context(silent=True)
# but for `flask run`, a command must not send what is due, perhaps before the tables are there
if command is None or command.info_name == "run":
    app.extensions["yingda"].start()
