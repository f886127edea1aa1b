"""Recorded requests reach a running gateway as the platform itself would send them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from ops.fixture_cli import FIXTURES, fixture_commands
from tests.rig import Rig

Send = Callable[..., Result]
EVERY = sorted((path.parent.name, path.stem) for path in FIXTURES.glob("*/*"))


@pytest.fixture
def send(rig: Rig) -> Send:
    """Runs `flask fixture send` against a gateway with the sandbox's accounts."""

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(fixture_commands, ["send", *arguments, "--url", rig.url])

    return run


def test_every_fixture_is_listed() -> None:
    result = CliRunner().invoke(fixture_commands, ["list"])
    assert result.output.splitlines() == [" ".join(each) for each in EVERY]
    assert {platform for platform, _ in EVERY} == {"web", "wechat", "yishiting"}


@pytest.mark.parametrize(("platform", "name"), EVERY)
def test_every_fixture_is_taken(platform: str, name: str, send: Send) -> None:
    result = send(platform, name)
    assert result.exit_code == 0, result.output
    assert result.output.startswith("HTTP 200 after ")


def test_a_wechat_answer_is_shown_decrypted(send: Send, rig: Rig) -> None:
    result = send("wechat", "text", "--text", "请问 <b>]]></Content> & 几点开门？", "--user", "oReader")
    assert "<Content><![CDATA[" in result.output
    assert "<Encrypt>" not in result.output
    (logged,) = rig.log(platform="wechat")
    assert logged["question"] == "请问 <b>]]></Content> & 几点开门？"
    assert logged["user_id"] == "oReader"


def test_words_with_quotes_and_dollars_arrive_as_they_are(send: Send, rig: Rig) -> None:
    text = 'say "hi" for $5 and ${text}\nplease \\'
    assert send("yishiting", "sync", "--text", text).exit_code == 0
    assert rig.log(platform="yishiting")[0]["question"] == text


def test_the_same_id_twice_is_one_message(send: Send, rig: Rig) -> None:
    first, second = (send("yishiting", "chat", "--id", "retry-1") for _ in range(2))
    assert first.exit_code == second.exit_code == 0
    assert len(rig.log()) == 1


def test_a_refusal_makes_the_command_fail(
    send: Send, open_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert send("wechat", "text").exit_code == 0
    # the running gateway knows the sandbox's token, and we now sign with another
    monkeypatch.setenv("WECHAT_TOKEN", "0123456789abcdef")
    monkeypatch.setenv("WECHAT_APPID", "wx0123456789abcdef")
    monkeypatch.setenv("WECHAT_AES_KEY", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG")
    result = send("wechat", "text")
    assert result.exit_code == 1
    assert "HTTP 403" in result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("wechat", "fax"), "there is no fixture wechat fax"),
        (("wechat", "text", "--account", "nobody"), "there is no WeChat account nobody"),
    ],
)
def test_what_does_not_exist_is_told(arguments: tuple[str, ...], words: str, send: Send) -> None:
    result = send(*arguments)
    assert result.exit_code == 1
    assert words in result.output


def test_a_gateway_that_is_not_running_is_told() -> None:
    result = CliRunner().invoke(
        fixture_commands, ["send", "web", "chat", "--url", "http://127.0.0.1:9"], catch_exceptions=False
    )
    assert result.exit_code == 1
    assert "http://127.0.0.1:9 does not answer" in result.output
