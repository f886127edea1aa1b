"""What the documents say is so: links lead somewhere, commands, endpoints and variables exist."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from flask import Flask

from ops.settings_doc import groups

ROOT = Path(__file__).parent.parent
DOCS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
READMES = [ROOT / "README.md", ROOT / "README.zh-CN.md"]
VARIABLES = {
    name for group in groups() for variable in group.variables for name in (variable.name, *variable.aliases)
}
NOT_OURS = {"POSTGRES_PASSWORD", "YINGDA_TEST_POSTGRES_URL", "YINGDA_TEST_MARIADB_URL"}
PLACEHOLDERS = {"COZE_…", "COZE_OAUTH_…", "WECHAT_…", "YISHITING_…"}


def anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_every_link_leads_to_a_file_and_its_heading(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text("utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]*(?:#[^)\s]*)?)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        file, _, heading = target.partition("#")
        found = (path.parent / file) if file else path
        assert found.exists(), f"{path.name}: {target}"
        if heading:
            headings = re.findall(r"^#+ (.*)$", found.read_text("utf-8"), re.MULTILINE)
            assert heading in map(anchor, headings), f"{path.name}: {target}"


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_every_variable_that_is_named_exists(path: Path) -> None:
    quoted = re.findall(r"`([^`\n]+)`", path.read_text("utf-8"))
    named = {
        name
        for words in quoted
        for name in re.findall(
            r"\b(?:APP|COZE|WECHAT|YISHITING|WEBHOOK|SANDBOX|API|DATABASE|REDIS)_[A-Z_]+…?", words
        )
    }
    assert named - PLACEHOLDERS <= VARIABLES | NOT_OURS


@pytest.mark.parametrize("path", READMES, ids=lambda path: path.name)
def test_every_endpoint_in_the_readme_exists(path: Path, make_gateway: Callable[..., Flask]) -> None:
    app = make_gateway(yishiting_token="0123456789abcdef")
    rules = {re.sub(r"<[^>]+>", "<>", rule.rule).rstrip("/") for rule in app.url_map.iter_rules()}
    table = re.search(r"\n## (?:Endpoints|接口)\n(.*?)\n## ", path.read_text("utf-8"), re.DOTALL)
    assert table is not None
    named = {
        re.sub(r"<[^>]+>", "<>", found).rstrip("/")
        for cell in re.findall(r"^\| ([^|]+) \|", table[1], re.MULTILINE)
        for found in re.findall(r"(/[\w./<>-]+)(?=`)", re.sub(r"GET/POST", "", cell))
    }
    assert len(named) >= 10
    # switched on by a variable of its own, which the table says
    assert named - {"/api/webhook"} <= rules


@pytest.mark.parametrize("path", READMES, ids=lambda path: path.name)
def test_every_command_in_the_readme_exists(path: Path, make_gateway: Callable[..., Flask]) -> None:
    app = make_gateway()
    section = re.search(r"\n## (?:Command line|命令行)\n(.*?)\n## ", path.read_text("utf-8"), re.DOTALL)
    assert section is not None
    named = {words.split()[0] for words in re.findall(r"^\| `([^`]+)`", section[1], re.MULTILINE)}
    assert named == set(app.cli.list_commands(click.Context(app.cli)))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", path.read_text("utf-8"), re.MULTILINE)) <= targets


def test_both_readmes_tell_the_same() -> None:
    english, chinese = (path.read_text("utf-8") for path in READMES)
    for pattern in (r"^## ", r"^\| `", r"^```bash\n"):
        assert len(re.findall(pattern, english, re.MULTILINE)) == len(
            re.findall(pattern, chinese, re.MULTILINE)
        )
    curls = re.findall(r"^curl .*$", english, re.MULTILINE)
    assert len(curls) == 3
    assert curls == re.findall(r"^curl .*$", chinese, re.MULTILINE)


def test_the_architecture_gives_a_reason_for_each_direct_dependency() -> None:
    wanted = {
        line.strip().partition("[")[0]
        for name in ("requirements.in", "requirements-dev.in", "requirements-bench.in")
        for line in (ROOT / name).read_text().splitlines()
        if line.strip() and not line.startswith(("#", "-r"))
    }
    text = (ROOT / "docs/architecture.md").read_text("utf-8")
    tables = text.split("## Direct dependencies")[1].split("\n## ")[0]
    cells = re.findall(r"^\| ([\w\[\], -]+) \| [\w`]", tables, re.MULTILINE)
    named = {each.partition("[")[0] for cell in cells for each in cell.split(", ")} - {"package"}
    assert named == wanted


def test_the_changelog_knows_this_version() -> None:
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    assert f"## [{version[1]}]" in (ROOT / "CHANGELOG.md").read_text()
