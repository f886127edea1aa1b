"""The command line's root: its commands are loaded when somebody asks for one, for a worker never does."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click
from flask.cli import AppGroup


class CommandLine(AppGroup):
    """An application's commands; `find` brings them, and is called once."""

    def __init__(self, find: Callable[[], Iterable[click.Command]]) -> None:
        super().__init__()
        self._find: Callable[[], Iterable[click.Command]] | None = find

    def list_commands(self, ctx: click.Context) -> list[str]:
        self._load()
        return super().list_commands(ctx)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        self._load()
        return super().get_command(ctx, name)

    def _load(self) -> None:
        find, self._find = self._find, None
        for command in find() if find else ():
            self.add_command(command)
