"""Several robots: whose path, whose token, and what one has that the other has not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.yishiting.robots import Robots
from errors import ConfigurationError
from settings import Settings
from tests.adapters.yishiting.conftest import Late
from tests.adapters.yishiting.desk import ask, frames
from tests.rig import Rig

MAIN, HR, IT = "the-token-of-the-desk", "the-token-of-hr-0123456789", "the-token-of-it-0123456789"
FILE = f"""
[[robot]]
name = "hr"
token = "{HR}"

[[robot]]
name = "it"
token = "{IT}"
allowed_ips = ["10.0.0.0/8"]
msg_types = ["text", "image"]
"""
PRODUCTION = {
    "app_env": "production",
    "agent_secret": "a-long-enough-secret-of-the-agents",
    "coze_api_token": "pat_0123456789abcdef",
    "coze_bot_id": "7000000000000000001",
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "robots.toml"
    path.write_text(FILE, "utf-8")
    return path


@pytest.fixture
def desks(open_rig: Callable[..., Rig], file: Path) -> Rig:
    return open_rig(yishiting_token=MAIN, yishiting_robots_file=file)


@pytest.mark.parametrize(
    ("path", "token", "account"),
    [
        ("/chat/sync", MAIN, "default"),
        ("/chat/sync", HR, "hr"),
        ("/robots/hr/chat/sync", HR, "hr"),
        ("/robots/default/chat/sync", MAIN, "default"),
    ],
)
def test_path_or_token_choose_the_robot(desks: Rig, path: str, token: str, account: str) -> None:
    assert ask(desks, path, token).json()["code"] == 0
    assert desks.log()[0]["account"] == account


@pytest.mark.parametrize(
    ("path", "token", "status"),
    [
        ("/robots/hr/chat/sync", MAIN, 403),
        ("/robots/hr/chat/sync", IT, 403),
        ("/robots/hr/chat", "", 401),
        ("/robots/hr/chat/async", "wrong", 403),
        ("/robots/it/chat/sync", IT, 403),
        ("/chat/sync", IT, 403),
        ("/chat/sync", "wrong", 403),
        ("/robots/sales/chat/sync", MAIN, 404),
    ],
)
def test_no_other_token_or_address_opens_a_robot(desks: Rig, path: str, token: str, status: int) -> None:
    response = ask(desks, path, token)
    assert response.status_code == status
    assert set(response.json()) == {"code", "err_msg"}
    assert desks.coze.chats == {}


def test_the_token_may_stand_in_the_address(desks: Rig) -> None:
    assert ask(desks, f"/chat/sync?token={HR}").json()["code"] == 0
    assert desks.log()[0]["account"] == "hr"


def test_one_message_id_at_two_robots_is_two_messages_with_two_memories(desks: Rig) -> None:
    ask(desks, "/robots/hr/chat/sync", HR, content="我叫张三")
    ask(desks, "/robots/default/chat/sync", MAIN, content="我叫什么？", msg_id="2")
    assert "张三" not in desks.log()[0]["answer"]
    ask(desks, "/robots/hr/chat/sync", HR, content="我叫什么？", msg_id="2")
    assert "张三" in desks.log()[0]["answer"]


def test_a_robot_streams_too(desks: Rig) -> None:
    *deltas, last = frames(desks, "/robots/hr/chat", token=HR)
    assert deltas
    assert last["finished"] is True


def test_each_robot_has_its_own_callback_hosts(late: Late, tmp_path: Path) -> None:
    path = tmp_path / "robots.toml"
    path.write_text(f'[[robot]]\nname = "hr"\ntoken = "{HR}"\ncallback_hosts = ["{late.host}"]\n', "utf-8")
    rig = late.rig(yishiting_callback_hosts="elsewhere.example", yishiting_robots_file=path)
    url = {"response_url": late.url}
    ask(rig, "/robots/default/chat/async", raw_msg=url)
    ask(rig, "/robots/hr/chat/async", HR, raw_msg=url, user="of_hr")
    assert late.desk.wait_for(1)
    assert [each.body["user"] for each in late.desk.listed()] == ["of_hr"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("not toml", "cannot be read as TOML"),
        ("", "at least one"),
        ("robot = 5", "at least one"),
        ("robot = [5]", "at least one"),
        ('[[robot]]\nname = "a/b"', "NAME"),
        ('[[robot]]\nname = "default"\ntoken = "0123456789abcdef"', "same name"),
        ('[[robot]]\nname = "a"\n[[robot]]\nname = "a"', "same name"),
        (
            "".join(f'[[robot]]\nname = "{each}"\ntoken = "0123456789abcdef"\n' for each in "ab"),
            "same token",
        ),
        ('[[robot]]\nname = "a"\ntoken = "short"', "weak"),
        ('[[robot]]\nname = "a"\nallowed_ips = ["nowhere"]', "ALLOWED_IPS"),
        ('[[robot]]\nname = "a"\ncallback_hosts = ["https://a/b"]', "CALLBACK_HOSTS"),
        ('[[robot]]\nname = "a"\nmsg_types = ["voice"]', "MSG_TYPES"),
        ('[[robot]]\nname = "a"\nsecret = "x"', "SECRET"),
    ],
)
def test_a_file_that_cannot_work_stops_the_start(
    make_settings: Callable[..., Settings], tmp_path: Path, text: str, named: str
) -> None:
    path = tmp_path / "robots.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigurationError, match=named) as refusal:
        Robots(make_settings(**PRODUCTION, yishiting_robots_file=path))
    assert "0123456789abcdef" not in str(refusal.value)


def test_a_missing_file_stops_the_start(make_settings: Callable[..., Settings], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="YISHITING_ROBOTS_FILE"):
        Robots(make_settings(yishiting_robots_file=tmp_path / "none.toml"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("yishiting_callback_hosts", "https://desk.example"),
        ("yishiting_file_hosts", "a b"),
        ("yishiting_msg_types", "text,voice"),
    ],
)
def test_the_default_robot_s_settings_are_checked_as_well(
    make_settings: Callable[..., Settings], name: str, value: str
) -> None:
    with pytest.raises(ConfigurationError, match=name.upper()):
        Robots(make_settings(**{name: value}))


def test_in_production_a_robot_without_token_and_addresses_is_closed(
    make_gateway: Callable[..., object], tmp_path: Path
) -> None:
    path = tmp_path / "robots.toml"
    path.write_text('[[robot]]\nname = "hr"\n', "utf-8")
    app = make_gateway(**PRODUCTION, yishiting_robots_file=path)
    question = {"user": "u", "msg_type": "text", "content": "x"}
    response = app.test_client().post("/robots/hr/chat", json=question)  # type: ignore[attr-defined]
    assert response.status_code == 403
