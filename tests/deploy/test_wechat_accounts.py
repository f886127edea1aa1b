"""The example of an accounts file is one that loads, and each account in it has its own door and state."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from errors import ConfigurationError
from sandbox.wechat import LocalWeChat
from settings import load_settings
from settings.accounts import WeChatAccount
from tests.rig import Rig

EXAMPLE = Path(__file__).parents[2] / "deploy" / "wechat_accounts.example.toml"
OPENID = "oSameInBoth"


def test_the_example_loads_and_shows_both_kinds() -> None:
    shop, campus = load_settings(wechat_accounts_file=EXAMPLE).wechat_accounts
    assert (shop.kind, shop.strategy, shop.jsapi_hosts) == ("verified", "push", ("shop.example.com",))
    assert (campus.kind, campus.strategy, campus.appsecret) == ("unverified", "hold", None)


def test_the_example_names_every_field_that_an_operator_chooses() -> None:
    text = EXAMPLE.read_text("utf-8")
    missing = {name for name in WeChatAccount.model_fields if f"{name} = " not in text}
    assert missing == {"api_base"}


def test_two_accounts_with_one_customer_and_one_message_number_stay_apart(
    open_rig: Callable[..., Rig], tmp_path: Path
) -> None:
    shutil.copy(EXAMPLE, tmp_path / "accounts.toml")
    rig = open_rig(wechat_accounts_file=tmp_path / "accounts.toml")
    accounts = []
    for each in tomllib.loads(EXAMPLE.read_text("utf-8"))["account"]:
        accounts.append(
            LocalWeChat(
                f"{rig.url}/api/wechat/{each['name']}",
                token=each["tokens"][0],
                appid=each["appid"],
                aes_key=each["aes_keys"][0],
                original_id=each.get("original_id", "gh_campus"),
            )
        )
    shop, campus = accounts
    assert len(shop.send_text(OPENID, "给我使用指南", msg_id=7).bubbles) == 1
    assert len(campus.send_text(OPENID, "给我使用指南", msg_id=7).bubbles) == 1
    assert sorted(each["account"] for each in rig.log()) == ["campus", "shop"]
    # what is sealed for one is refused at the other's door, and at one that is not there
    for name, refused in (("campus", 403), ("nobody", 404)):
        shop.callback_url = f"{rig.url}/api/wechat/{name}"
        assert {each.status for each in shop.send_text(OPENID, "在吗").tries} == {refused}
    shop.callback_url = f"{rig.url}/api/wechat"
    assert len(shop.send_text(OPENID, "给我使用指南").bubbles) == 1


@pytest.mark.parametrize("name", ["messages", "jsapi", "template", "subscribe-message"])
def test_an_account_cannot_have_the_name_of_an_endpoint(tmp_path: Path, name: str) -> None:
    file = tmp_path / "accounts.toml"
    file.write_text(EXAMPLE.read_text("utf-8").replace('"campus"', f'"{name}"'), "utf-8")
    with pytest.raises(ConfigurationError, match="another endpoint"):
        load_settings(wechat_accounts_file=file)
