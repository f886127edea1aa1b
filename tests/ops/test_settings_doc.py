"""Two files are written from the settings, and never by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from dotenv import dotenv_values
from pydantic import Field
from pydantic_settings import BaseSettings

from ops import settings_doc
from settings import Settings, load_settings

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("path", "command"), [(".env.example", "example"), ("docs/configuration.md", "markdown")]
)
def test_the_file_says_what_the_settings_say(path: str, command: str) -> None:
    result = CliRunner().invoke(settings_doc.settings_commands, [command])
    assert result.exit_code == 0
    assert result.output == (ROOT / path).read_text("utf-8"), "run `make env-example`"


def test_every_setting_is_listed_once_with_its_meaning() -> None:
    variables = [variable for group in settings_doc.groups() for variable in group.variables]
    names = [variable.name for variable in variables]
    assert len(names) == len(set(names))
    assert {"APP_ENV", "COZE_API_BASE", "WECHAT_AES_KEY", "YISHITING_TOKEN", "WEBHOOK_SECRETS"} <= set(names)
    core = [base for base in Settings.__bases__ if issubclass(base, BaseSettings)]
    first = [variable for group in settings_doc.groups()[: len(core)] for variable in group.variables]
    assert len(first) == len(Settings.model_fields)
    assert all(variable.meaning for variable in variables)


def test_the_example_uncommented_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = settings_doc.example().splitlines()
    text = "\n".join(line[1:] for line in lines if line.startswith("#") and not line.startswith("# "))
    assert len(dotenv_values_of(text, tmp_path)) > 40
    before = load_settings()
    (tmp_path / ".env").write_text(text, "utf-8")
    assert load_settings() == before


def test_defaults_are_written_as_they_would_be_typed() -> None:
    class Kept(BaseSettings):
        """Kept"""

        many: tuple[str, ...] = Field(("a", "b"), description="a list")
        maybe: bool = Field(True, description="a switch")
        seconds: float = Field(5.0, description="a time")
        path: Path | None = Field(None, description="a path")

    written = {variable.name: variable.default for variable in settings_doc._group(Kept).variables}
    assert written == {"MANY": "a,b", "MAYBE": "true", "SECONDS": "5", "PATH": ""}


def dotenv_values_of(text: str, folder: Path) -> dict[str, str | None]:
    path = folder / "values"
    path.write_text(text, "utf-8")
    return dict(dotenv_values(path))
