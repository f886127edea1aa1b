"""Settings: what is understood, what is refused, and that no value shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from errors import ConfigurationError
from settings import Settings, load_settings

Make = Callable[..., Settings]
FIT = {
    "app_env": "production",
    "agent_secret": "a-long-enough-secret-of-the-agents",
    "coze_api_token": "pat_a_real_token_of_coze",
    "coze_bot_id": "7300000000000000000",
    "coze_api_base": "https://api.coze.cn",
    "api_keys": "ops:a-long-enough-secret-key:log",
}


def test_without_any_credential_development_means_the_sandbox(make_settings: Make) -> None:
    settings = make_settings()
    assert settings.sandbox_coze
    assert settings.coze_base == "http://127.0.0.1:8001"
    assert settings.wechat_accounts[0].api_base == "http://127.0.0.1:8002"


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("https://api.coze.cn/", "https://api.coze.cn"),
        ("https://api.coze.cn/v3/chat", "https://api.coze.cn"),
        ("https://api.coze.com/open_api/v2", "https://api.coze.com"),
        ("http://localhost:5000/coze/v3/chat", "http://localhost:5000/coze"),
    ],
)
@pytest.mark.parametrize("name", ["COZE_API_BASE", "COZE_API_URL", "COZE_BASE_URL"])
def test_the_base_of_coze_is_found_in_every_spelling(
    monkeypatch: pytest.MonkeyPatch, name: str, given: str, base: str
) -> None:
    monkeypatch.setenv(name, given)
    assert load_settings().coze_base == base


def test_app_mode_local_expects_coze_on_this_machine(make_settings: Make) -> None:
    assert make_settings(app_mode="local").coze_base == "http://localhost:5000/coze"


def test_fit_production_settings_may_start(make_settings: Make) -> None:
    make_settings(**FIT).require_fit()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"coze_api_token": None}, "COZE_API_TOKEN"),
        ({"coze_api_token": "your_token_here"}, "COZE_API_TOKEN"),
        ({"coze_bot_id": ""}, "COZE_BOT_ID"),
        ({"coze_auth_mode": "OAUTH_JWT"}, "COZE_OAUTH_CLIENT_ID"),
        ({"wechat_token": "short", "wechat_appid": "wx1"}, "WECHAT_TOKEN"),
        ({"wechat_token": "a-long-enough-wechat-token", "wechat_appid": "wx1"}, "WECHAT_AES_KEY"),
        ({"agent_secret": None}, "AGENT_SECRET is missing"),
        ({"agent_secret": "short"}, "AGENT_SECRET is weak"),
        ({"agent_secret": f"{'n' * 32},short"}, "AGENT_SECRET is weak"),
        ({"api_keys": "ops:short:log"}, "API_KEYS"),
        ({"api_keys": "nonsense"}, "API_KEYS"),
        ({"yishiting_token": "short"}, "YISHITING_TOKEN"),
    ],
)
def test_production_refuses_a_missing_or_weak_secret_by_name(
    make_settings: Make, change: dict[str, object], named: str
) -> None:
    with pytest.raises(ConfigurationError, match=named) as refusal:
        make_settings(**{**FIT, **change}).require_fit()
    assert not any(
        isinstance(v, str) and len(v) > 4 and v in str(refusal.value)
        for v in change.values()
        if v != "OAUTH_JWT"
    )


def test_a_wrong_value_is_named_and_not_shown() -> None:
    with pytest.raises(ConfigurationError, match="PORT") as refusal:
        load_settings(port="a-secret-typed-in-the-wrong-place")
    assert "wrong-place" not in str(refusal.value)


@pytest.mark.parametrize("key", ["short", "x" * 44, "!" * 43])
def test_an_encoding_key_must_have_43_letters_and_digits(make_settings: Make, key: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        make_settings(wechat_token="a-long-enough-token", wechat_appid="wx1", wechat_aes_key=key)
    assert key not in str(refusal.value)


@pytest.mark.parametrize("missing", ["token", "appid"])
def test_an_account_without_token_or_appid_stops_the_start(make_settings: Make, missing: str) -> None:
    given = {"wechat_token": "a-long-enough-token", "wechat_appid": "wx1", f"wechat_{missing}": " "}
    with pytest.raises(ConfigurationError, match="WeChat account"):
        make_settings(**given)


def test_several_accounts_come_from_a_file(make_settings: Make, tmp_path: Path) -> None:
    file = tmp_path / "accounts.toml"
    file.write_text(
        '[[account]]\nname = "shop"\ntokens = ["t1t1t1t1"]\nappid = "wx1"\nmode = "plain"\n'
        '[[account]]\nname = "club"\ntokens = ["t2t2t2t2", "t3t3t3t3"]\nappid = "wx2"\n'
    )
    accounts = make_settings(wechat_accounts_file=file).wechat_accounts
    assert [account.name for account in accounts] == ["shop", "club"]
    assert len(accounts[1].tokens) == 2
    file.write_text('[[account]]\nname = "a"\ntokens = ["t"]\nappid = "w"\n' * 2)
    with pytest.raises(ConfigurationError, match="same name"):
        make_settings(wechat_accounts_file=file)


def test_two_tokens_are_valid_while_one_replaces_the_other(make_settings: Make) -> None:
    account = make_settings(
        wechat_token="old-token-old-token, new-token-new-token", wechat_appid="wx1"
    ).wechat_accounts[0]
    assert [token.get_secret_value() for token in account.tokens] == [
        "old-token-old-token",
        "new-token-new-token",
    ]


@pytest.mark.parametrize("name", ["messages", "jsapi", "with space", ""])
def test_an_account_may_not_take_the_path_of_another_endpoint(
    make_settings: Make, tmp_path: Path, name: str
) -> None:
    file = tmp_path / "accounts.toml"
    file.write_text(f'[[account]]\nname = "{name}"\ntokens = ["t1t1t1t1"]\nappid = "wx1"\n')
    with pytest.raises(ConfigurationError, match="NAME"):
        make_settings(wechat_accounts_file=file)


def test_production_opens_to_browsers_only_with_a_strong_secret(make_settings: Make) -> None:
    opened = {**FIT, "cors_origins": "https://shop.example"}
    assert any("VISITOR_SECRET is missing" in each for each in make_settings(**opened).problems())
    weak = make_settings(**opened, visitor_secret="short")
    assert any("VISITOR_SECRET is weak" in each for each in weak.problems())
    assert make_settings(**opened, visitor_secret=f"{'a' * 32},{'b' * 32}").problems() == []
    assert make_settings(**FIT).visitor_secrets == ()


def test_visitors_tokens_are_the_same_in_every_development_process(make_settings: Make) -> None:
    assert make_settings().visitor_secrets == make_settings().visitor_secrets
    assert make_settings().visitor_secrets


@pytest.mark.parametrize(
    "origin", ["*", "shop.example", "https://shop.example/", "https://Shop.example", "null"]
)
def test_an_origin_that_no_browser_sends_is_refused(make_settings: Make, origin: str) -> None:
    with pytest.raises(ConfigurationError, match="CORS_ORIGINS"):
        make_settings(cors_origins=origin)
