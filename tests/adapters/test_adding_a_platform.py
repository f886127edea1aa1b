"""The guide to adding a platform is true: its quotes, its paths, its example, and its main claim."""

from __future__ import annotations

import importlib
import io
import re
import sys
import textwrap
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from adapters.discovery import find_adapters
from adapters.webhook import WebhookAdapter
from sandbox.serve import Server
from settings import Settings
from tests.adapters import test_webhook as example
from tests.contract import PROMISES, make_app

ROOT = Path(__file__).parent.parent.parent
GUIDES = [ROOT / "docs" / name for name in ("adding_a_platform.md", "adding_a_platform.zh-CN.md")]
SOURCES = [ROOT / "adapters" / "webhook.py", ROOT / "tests" / "adapters" / "test_webhook.py"]
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
QUOTED_PATH = re.compile(r"`((?:adapters|tests|docs)/[\w./]+)`")


def python_blocks(guide: Path) -> list[str]:
    return PYTHON.findall(guide.read_text("utf-8"))


def is_script(block: str) -> bool:
    return block.startswith("# ask.py\n")


@pytest.mark.parametrize("guide", GUIDES, ids=lambda each: each.name)
def test_every_quoted_block_stands_in_the_code_word_for_word(guide: Path) -> None:
    quotes = [block for block in python_blocks(guide) if not is_script(block)]
    assert len(quotes) >= 8
    code = [source.read_text("utf-8") for source in SOURCES]
    for quote in quotes:
        assert any(quote in each for each in code), quote


@pytest.mark.parametrize("guide", GUIDES, ids=lambda each: each.name)
def test_every_path_in_the_guide_exists(guide: Path) -> None:
    paths = set(QUOTED_PATH.findall(guide.read_text("utf-8")))
    assert {"adapters/webhook.py", "adapters/signing.py", "tests/contract.py"} <= paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("guide", GUIDES, ids=lambda each: each.name)
def test_every_promise_is_explained(guide: Path) -> None:
    assert re.findall(r"^\| `(\w+)` \|", guide.read_text("utf-8"), re.MULTILINE) == list(PROMISES)


def test_both_languages_show_the_same_code() -> None:
    english, chinese = map(python_blocks, GUIDES)
    assert english == chinese


def test_the_example_script_gets_an_answer(
    monkeypatch: pytest.MonkeyPatch, make_settings: Callable[..., Settings]
) -> None:
    monkeypatch.setenv("WEBHOOK_SECRETS", example.NEW)
    (script,) = filter(is_script, python_blocks(GUIDES[0]))
    printed = io.StringIO()
    with Server(make_app(WebhookAdapter, make_settings())) as server, redirect_stdout(printed):
        exec(compile(script.replace("http://127.0.0.1:8000", server.url), "ask.py", "exec"), {})
    assert printed.getvalue().startswith("200 {'trace_id': 'trace-1', 'reply': 'answer to 你好'")


def test_a_copy_of_the_webhook_is_a_platform_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_settings: Callable[..., Settings]
) -> None:
    renamed = SOURCES[0].read_text("utf-8")
    for case in (str.lower, str.title, str.upper):
        renamed = renamed.replace(case("webhook"), case("hello"))
    package = tmp_path / "copied"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "hello.py").write_text(textwrap.dedent(renamed), "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("HELLO_SECRETS", example.NEW)
    try:
        (kind,) = find_adapters(package=importlib.import_module("copied"))
    finally:
        for name in ("copied", "copied.hello"):
            sys.modules.pop(name, None)
    webhook = example.TestWebhook()
    call = webhook.signed("hi", now=1_750_000_000)
    headers = {name.replace("webhook", "hello"): value for name, value in call.headers.items()}
    monkeypatch.setattr("time.time", lambda: 1_750_000_000.0)
    app = make_app(kind, make_settings())
    response = app.test_client().post("/api/hello", data=call.body, headers=headers)
    assert webhook.reply_text(response) == "answer to hi"
    assert app.extensions["gateway"].exchanges[0].message.platform == "hello"
