"""The doctor names what is wrong and how to mend it, and shows no secret."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask, Response, jsonify, request

from adapters.wechat.crypto import signature
from ops.doctor import doctor
from sandbox.serve import Server
from storage import schema
from storage.agents import Agents
from storage.audit import By
from storage.db import Database

TOKEN = "pat_canary0123456789abcdef"
SECRET = "appsecret-canary-0123456789"
CALLBACK = "callback-canary-0123456789"
AES_KEY = "canaryCanaryCanaryCanaryCanaryCanaryCanaryA"
Examine = Callable[..., tuple[int, dict[str, dict[str, str]]]]
"""Exit status, and the findings by subject."""
UNUSED = "9"  # nobody listens on this port of the loopback


class Platforms:
    """Coze and WeChat as far as the doctor asks them, on one port."""

    def __init__(self) -> None:
        self.chat: dict[str, object] = {"code": 4200, "msg": "not found"}
        self.bot: dict[str, object] = {"code": 0, "data": {"name": "Shop bot"}}
        self.token: dict[str, object] = {"access_token": "wx-token", "expires_in": 7200}
        self.app = Flask("platforms")
        self.app.add_url_rule("/v3/chat/retrieve", "chat", lambda: self.say(self.chat))
        self.app.add_url_rule("/v1/bot/get_online_info", "bot", lambda: self.say(self.bot))
        self.app.add_url_rule("/cgi-bin/stable_token", "token", self.stable_token, methods=["POST"])

    def say(self, answer: dict[str, object]) -> Response:
        if request.path.startswith("/v") and request.headers["Authorization"] != f"Bearer {TOKEN}":
            answer = {"code": 4100, "msg": "authentication is invalid"}
        return jsonify(answer)

    def stable_token(self) -> Response:
        asked = request.get_json()
        assert asked["grant_type"] == "client_credential"
        assert "force_refresh" not in asked
        if asked["secret"] != SECRET:
            return self.say({"errcode": 40125, "errmsg": f"invalid appsecret {asked['secret']}"})
        return self.say(self.token)


@contextmanager
def served(app: Flask) -> Iterator[str]:
    with Server(app) as server:
        yield server.url


@pytest.fixture
def platforms() -> Platforms:
    return Platforms()


@pytest.fixture
def examine(platforms: Platforms, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Examine]:
    """Runs `flask doctor --json` in a production whose variables may be overridden."""
    url = f"sqlite:///{tmp_path}/doctor.db"
    schema.upgrade(url)
    with served(platforms.app) as base:

        def run(**variables: str | None) -> tuple[int, dict[str, dict[str, str]]]:
            values: dict[str, str | None] = {
                "APP_ENV": "production",
                "AGENT_SECRET": "a-long-enough-secret-of-the-agents",
                "PORT": UNUSED,
                "DATABASE_URL": url,
                "COZE_API_BASE": base,
                "COZE_API_TOKEN": TOKEN,
                "COZE_BOT_ID": "7000000000000000001",
                "WECHAT_TOKEN": CALLBACK,
                "WECHAT_APPID": "wx0123456789abcdef",
                "WECHAT_APPSECRET": SECRET,
                "WECHAT_AES_KEY": AES_KEY,
                "WECHAT_API_BASE": base,
                "YISHITING_TOKEN": "yishiting-canary-0123456789",
                "API_KEYS": "operator:operator-canary-0123456789:log",
                **variables,
            }
            for name, value in values.items():
                if value is None:
                    monkeypatch.delenv(name, raising=False)
                else:
                    monkeypatch.setenv(name, value)
            result = CliRunner().invoke(doctor, ["--json"])
            assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
            assert "canary" not in result.output.lower()
            return result.exit_code, {each["subject"]: each for each in json.loads(result.output)}

        yield run


def test_a_healthy_production_passes(examine: Examine) -> None:
    status, found = examine()
    assert status == 0
    assert {subject for subject, each in found.items() if each["state"] == "fine"} == {
        "settings",
        "texts",
        "database",
        "易事厅",
        "API keys",
        "Coze",
        "bot",
        "WeChat default",
    }
    assert "Shop bot" in found["bot"]["words"]
    assert found["callback default"]["state"] == "look"


def test_a_desk_without_an_admin_is_told_how_to_make_one(examine: Examine, tmp_path: Path) -> None:
    db = Database(f"sqlite:///{tmp_path}/doctor.db")
    known: dict[str, Any] = {"name": "小王", "password_hash": "-", "max_sessions": 5}
    agents = Agents(db)
    agents.add(By("test"), username="wang", role="supervisor", **known)
    status, found = examine()
    assert (status, found["desk"]["state"]) == (0, "look")
    assert "flask --app wsgi agents create-admin" in found["desk"]["remedy"]
    assert "desk" not in examine(MAX_QUEUE_LENGTH="0")[1]
    agents.add(By("test"), username="boss", role="admin", **known)
    assert examine(MAX_QUEUE_LENGTH=None)[1]["desk"]["state"] == "fine"
    db.close()


@pytest.mark.parametrize(
    ("variables", "subject", "words"),
    [
        ({"COZE_API_TOKEN": "pat_another"}, "Coze", "refuses the token (4100)"),
        ({"COZE_API_BASE": f"http://127.0.0.1:{UNUSED}"}, "Coze", "cannot be reached"),
        ({"WECHAT_APPSECRET": "wrong-canary"}, "WeChat default", "the AppSecret is wrong (40125)"),
        ({"WECHAT_API_BASE": f"http://127.0.0.1:{UNUSED}"}, "WeChat default", "cannot be reached"),
        ({"WECHAT_TOKEN": "short"}, "settings", "WECHAT_TOKEN of account default is weak"),
        ({"WECHAT_AES_KEY": "short-canary"}, "settings", "WeChat account default: AES_KEYS"),
        ({"APP_ENV": "produktion"}, "settings", "APP_ENV"),
        ({"TEXTS_FILE": "nowhere.toml"}, "texts", "TEXTS_FILE: cannot be read"),
        ({"DATABASE_URL": "sqlite:///empty.db"}, "database", "the tables are at nothing"),
        ({"DATABASE_URL": "postgres:/canary"}, "database", "DATABASE_URL cannot be used"),
        (
            {"DATABASE_URL": f"postgresql+psycopg://me:canary@127.0.0.1:{UNUSED}/x"},
            "database",
            "does not answer",
        ),
    ],
)
def test_what_is_wrong_is_named_with_a_remedy_and_fails(
    variables: dict[str, str],
    subject: str,
    words: str,
    examine: Examine,
) -> None:
    assert examine()[0] == 0
    status, found = examine(**variables)
    assert status == 1
    assert found[subject]["state"] == "wrong"
    assert words in found[subject]["words"]
    assert found[subject]["remedy"]


@pytest.mark.parametrize(
    ("code", "state", "words"),
    [
        (4200, "wrong", "not found, not published"),
        (4015, "wrong", "not published"),
        (4101, "look", "could not be looked up (4101)"),
        (5000, "look", "could not be looked up (5000)"),
    ],
)
def test_the_bot_is_judged_by_what_coze_says(
    code: int,
    state: str,
    words: str,
    platforms: Platforms,
    examine: Examine,
) -> None:
    platforms.bot = {"code": code, "msg": f"{TOKEN} is not welcome"}
    _, found = examine()
    assert (found["bot"]["state"], words in found["bot"]["words"]) == (state, True)


def test_a_region_mix_up_is_said_in_words(platforms: Platforms, examine: Examine) -> None:
    platforms.chat = {"code": 4101, "msg": "The token you entered is incorrect"}
    _, found = examine()
    assert "api.coze.cn or api.coze.com" in found["Coze"]["remedy"]


def test_an_address_that_wechat_does_not_know_is_to_be_added(platforms: Platforms, examine: Examine) -> None:
    platforms.token = {
        "errcode": 40164,
        "errmsg": "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist",
    }
    status, found = examine()
    assert status == 1
    assert found["WeChat default"]["remedy"].startswith("add 203.0.113.7 ")


@pytest.mark.parametrize(("off", "state"), [(60, "look"), (-400, "wrong")])
def test_a_clock_that_is_off_is_noticed(
    off: int,
    state: str,
    monkeypatch: pytest.MonkeyPatch,
    examine: Examine,
) -> None:
    assert "Coze clock" not in examine()[1]
    ours = SimpleNamespace(time=lambda: time.time() + off, monotonic=time.monotonic)
    monkeypatch.setattr("ops.probes.time", ours)
    _, found = examine()
    assert found["Coze clock"]["state"] == found["WeChat default clock"]["state"] == state
    assert ("ahead" if off > 0 else "behind") in found["Coze clock"]["words"]


@pytest.mark.parametrize(
    ("token", "state"), [(CALLBACK, "fine"), ("another-canary-0123456789", "wrong"), ("", "wrong")]
)
def test_the_running_gateway_is_asked_for_wechats_handshake(token: str, state: str, examine: Examine) -> None:
    gateway = Flask("gateway")

    def handshake() -> tuple[str, int]:
        given = request.args
        if not token:
            return "<html>another program", 200
        fits = signature(token, given["timestamp"], given["nonce"]) == given["signature"]
        return (given["echostr"], 200) if fits else ("forbidden", 403)

    gateway.add_url_rule("/api/wechat/default", "wechat", handshake)
    with served(gateway) as base:
        _, found = examine(PORT=base.rpartition(":")[2])
    assert found["callback default"]["state"] == state


def test_development_without_anything_set_has_nothing_to_mend_but_the_tables(
    examine: Examine,
) -> None:
    nothing = dict.fromkeys(
        (
            "COZE_API_BASE",
            "COZE_API_TOKEN",
            "WECHAT_TOKEN",
            "WECHAT_APPID",
            "WECHAT_APPSECRET",
            "WECHAT_AES_KEY",
        )
    )
    ports = {"SANDBOX_COZE_PORT": UNUSED, "SANDBOX_WECHAT_PORT": UNUSED}
    status, found = examine(APP_ENV="development", **ports, **nothing)
    assert status == 0
    assert {each["state"] for each in found.values()} == {"fine", "look"}
    assert "make run" in found["Coze"]["remedy"]


def test_development_open_to_the_network_is_pointed_out(
    examine: Examine,
) -> None:
    _, found = examine(APP_ENV="development", HOST="0.0.0.0")
    assert "HOST=0.0.0.0" in found["settings"]["words"]


def test_lines_for_people_carry_a_mark_and_a_remedy(
    examine: Examine,
) -> None:
    examine(DATABASE_URL="sqlite:///empty.db")
    result = CliRunner().invoke(doctor, [])
    assert result.exit_code == 1
    assert "✓ texts: the built-in ones" in result.output
    assert "✗ database: the tables are at nothing\n    → run: flask --app wsgi db upgrade" in result.output
    assert "canary" not in result.output.lower()
