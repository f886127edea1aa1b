"""`flask settings`: .env.example and docs/configuration.md, written from the settings themselves.

The groups are the classes that `Settings` is made of, then the settings that an adapter brings along. A
test compares both files with what this makes; `make env-example` writes them anew.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from types import NoneType
from typing import Literal, get_args, get_origin

import click
from pydantic import AliasChoices, BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

import adapters
from settings import Settings


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable."""

    name: str
    aliases: tuple[str, ...]
    default: str
    """As it would be written into `.env`; empty when there is none."""
    choices: tuple[str, ...]
    meaning: str


@dataclass(frozen=True, slots=True)
class Group:
    """Variables that belong together."""

    title: str
    variables: tuple[Variable, ...]


def groups() -> list[Group]:
    """Every variable of the gateway and of the adapters in this tree."""
    mixins = [base for base in Settings.__bases__ if issubclass(base, BaseSettings)]
    return [_group(kind) for kind in (*mixins, *_adapter_settings())]


def example() -> str:
    """The text of .env.example: every variable, commented out, with its default."""
    lines = ["# Settings of Yingda, each with its default. Copy to .env and uncomment what you change."]
    for group in groups():
        lines += ["", f"# {group.title}"]
        for variable in group.variables:
            lines += [
                "",
                *(f"# {line}" for line in _meaning(variable)),
                f"#{variable.name}={variable.default}",
            ]
    return "\n".join(lines) + "\n"


def markdown() -> str:
    """The text of docs/configuration.md."""
    lines = [
        "# Configuration",
        "",
        "Every setting is an environment variable; a file `.env` in the project's folder is read too. The",
        "environment wins over `.env`, and both win over the defaults below. An empty value counts as unset.",
        "`make doctor` checks them and says what to mend.",
        "",
        "In development (`APP_ENV`, the default) everything may stay unset: Coze and WeChat are then local",
        "stand-ins. Production refuses to start when a secret is missing or weak, and names each variable.",
    ]
    for group in groups():
        lines += ["", f"## {group.title}", "", "| variable | default | meaning |", "|---|---|---|"]
        for variable in group.variables:
            default = f"`{variable.default}`" if variable.default else ""
            meaning = "; ".join(_meaning(variable)).replace("|", "\\|")
            lines.append(f"| `{variable.name}` | {default} | {meaning} |")
    return "\n".join([*lines, "", *ACCOUNTS_FILE.splitlines()]) + "\n"


ACCOUNTS_FILE = """## Several WeChat accounts

`WECHAT_ACCOUNTS_FILE` names a TOML file, one `[[account]]` each. The first one is also reached at
`/api/wechat`; each at `/api/wechat/<name>`. One to copy:
[wechat_accounts.example.toml](../deploy/wechat_accounts.example.toml).

```toml
[[account]]
name = "shop"                # letters, digits, - and _
appid = "wx0123456789abcdef"
appsecret = "…"
tokens = ["…"]               # two while one replaces the other
aes_keys = ["…"]             # 43 characters each
mode = "safe"                # safe | compatible | plain
kind = "unverified"          # verified | unverified
strategy = "hold"            # push | hold | placeholder
ai_label = true              # mark pushed answers as made by AI
ai_line = true               # the same for passive replies, as a line of text
markdown = true              # turn the bot's Markdown into text
send_images = true           # push pictures as pictures
send_news = false            # push an answer that is one link as an article
transcribe_voice = false     # have Coze write down voice messages, which is billed
transfer = false             # hand over to WeChat's own customer service, and be silent while it talks
ask_scene = false            # put the scene of a scanned QR code to the bot
erase_on_unsubscribe = true  # forget a follower who leaves
original_id = "gh_…"         # optional: messages to others are refused
jsapi_hosts = ["…"]          # pages that may use the JS-SDK
token_api = "stable"         # stable | classic

[account.click]              # menu key = what its tap says; other keys speak for themselves
V1001_HOURS = "营业时间是几点到几点？"
V1002_PHOTO = ""             # only acknowledged
```

## Your own sentences

`TEXTS_FILE` names a TOML file that replaces any sentence of `texts.py`, by its name there:

```toml
welcome = "欢迎关注！请直接输入您的问题。"
apology = "系统开小差了，请稍后再试。"
```
"""


@click.group("settings")
def settings_commands() -> None:
    """The list of all settings."""


@settings_commands.command("example")
def example_command() -> None:
    """Print .env.example."""
    click.echo(example(), nl=False)


@settings_commands.command("markdown")
def markdown_command() -> None:
    """Print docs/configuration.md."""
    click.echo(markdown(), nl=False)


def _adapter_settings() -> Iterator[type[BaseSettings]]:
    for module in sorted(pkgutil.walk_packages(adapters.__path__, "adapters."), key=lambda each: each.name):
        for each in vars(importlib.import_module(module.name)).values():
            # those made there, and not what the module imported
            if isinstance(each, type) and issubclass(each, BaseSettings) and each.__module__ == module.name:
                yield each


def _group(kind: type[BaseSettings]) -> Group:
    title = (kind.__doc__ or kind.__name__).strip().splitlines()[0].rstrip(".")
    prefix = kind.model_config.get("env_prefix", "")
    # a field of a base class is listed there
    own = [name for name in kind.model_fields if name in kind.__annotations__]
    return Group(title, tuple(_variable(prefix + name, kind.model_fields[name]) for name in own))


def _variable(name: str, field: FieldInfo) -> Variable:
    names = [name.upper()]
    if isinstance(field.validation_alias, AliasChoices):
        names = [str(each) for each in field.validation_alias.choices]
    return Variable(names[0], tuple(names[1:]), _written(field), _choices(field), field.description or "")


def _written(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True)
    if default is None or isinstance(default, (SecretStr, BaseModel)) or field.is_required():
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, (tuple, list)):
        return ",".join(str(each) for each in default)
    return f"{default:g}" if isinstance(default, float) else str(default)


def _choices(field: FieldInfo) -> tuple[str, ...]:
    kinds = [each for each in (field.annotation, *get_args(field.annotation)) if each is not NoneType]
    return tuple(str(value) for kind in kinds if get_origin(kind) is Literal for value in get_args(kind))


def _meaning(variable: Variable) -> list[str]:
    lines = [variable.meaning]
    if variable.choices and not all(choice in variable.meaning for choice in variable.choices):
        lines.append("one of: " + ", ".join(variable.choices))
    if variable.aliases:
        lines.append("also understood: " + ", ".join(variable.aliases))
    return lines
