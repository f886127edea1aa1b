"""The pages of the desk: cookie, forged forms, languages, escaping, and what each form does."""

from __future__ import annotations

import re
from collections.abc import Callable
from http.cookies import SimpleCookie

import pytest

from support.pages import CONTENT_POLICY, STATIC
from support.words import BY_MESSAGE, EN, ZH
from tests.support.accounts.conftest import BY, HASH, OWN_PAGE, PASSWORD, Desk

NEW = "a new good phrase"
HOSTILE = '<img src=x onerror="alert(1)">'
PRODUCTION = {
    "app_env": "production",
    "coze_api_token": "pat_a_real_token_of_coze",
    "coze_bot_id": "7300000000000000000",
    "agent_secret": "s" * 32,
}


def test_a_browser_signs_in_sees_who_it_is_and_signs_out(desk: Desk) -> None:
    browser = desk.browser("wang")
    page = browser.get("/console")
    assert page.status_code == 200
    assert "小王" in page.text
    assert "账号管理" not in browser.get("/console/account").text
    assert "账号管理" in desk.browser("boss").get("/console/account").text
    out = browser.post("/console/logout", headers=OWN_PAGE)
    assert (out.status_code, out.location) == (303, "/console/login?done=signed_out")
    assert browser.get("/console").location == "/console/login"
    assert "已退出登录" in browser.get("/console/login?done=signed_out").text


@pytest.mark.parametrize(("settings", "secure"), [({}, False), (PRODUCTION, True)])
def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(
    make_desk: Callable[..., Desk], settings: dict[str, object], secure: bool
) -> None:
    desk = make_desk(**settings)
    desk.add("wang")
    form = {"username": "wang", "password": PASSWORD}
    response = desk.client().post("/console/login", data=form, headers=OWN_PAGE)
    cookie = SimpleCookie(response.headers["Set-Cookie"])[desk.people.guard.cookie]
    assert (bool(cookie["httponly"]), cookie["samesite"], bool(cookie["secure"])) == (True, "Strict", secure)
    assert (cookie["path"], cookie["domain"], cookie["max-age"]) == ("/", "", "43200")
    assert cookie.key.startswith("__Host-") is secure


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"}, True),
        ({"Origin": "http://localhost"}, True),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://localhost"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Origin": "https://localhost"}, False),
        ({"Origin": "http://localhost.evil.example"}, False),
        ({"Origin": "http://localhost:81"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": ""}, False),
        ({"Referer": "http://localhost/console"}, False),
        ({}, False),
    ],
)
def test_a_cookie_speaks_only_for_forms_of_our_own_pages(
    desk: Desk, headers: dict[str, str], passes: bool
) -> None:
    browser = desk.browser("wang")
    for call in (
        lambda: browser.put("/api/agent/status", json={"status": "busy"}, headers=headers),
        lambda: browser.post("/console/status", data={"status": "busy"}, headers=headers),
        lambda: desk.client().post(
            "/console/login", data={"username": "wang", "password": PASSWORD}, headers=headers
        ),
    ):
        assert (call().status_code == 403) is not passes
    assert browser.get("/api/agent/status").get_json()["status"] == ("busy" if passes else "offline")


def test_a_page_of_the_public_address_is_our_own_behind_a_proxy_that_hides_the_scheme(
    make_desk: Callable[..., Desk],
) -> None:
    desk = make_desk(public_url="https://bot.example.com/")
    desk.add("wang")
    form = {"username": "wang", "password": PASSWORD}
    for origin, status in (("https://bot.example.com", 303), ("https://bot.example.com.evil", 403)):
        response = desk.client().post("/console/login", data=form, headers={"Origin": origin})
        assert response.status_code == status


def test_a_token_needs_no_page_since_no_browser_sends_it_by_itself(desk: Desk) -> None:
    headers = {**desk.bearer("wang"), "Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    response = desk.client().put("/api/agent/status", json={"status": "busy"}, headers=headers)
    assert response.status_code == 200


def test_a_token_that_is_wrong_is_not_made_good_by_a_cookie(desk: Desk) -> None:
    browser = desk.browser("boss")
    headers = {"Authorization": "Bearer x.y.z"}
    assert browser.get("/api/audit").status_code == 200
    assert browser.get("/api/audit", headers=headers).status_code == 401


def test_a_failed_sign_in_says_so_and_keeps_the_name_but_no_password(desk: Desk) -> None:
    form = {"username": HOSTILE, "password": "secret-typed-here"}
    page = desk.client().post("/console/login", data=form, headers=OWN_PAGE)
    assert page.status_code == 401
    assert "用户名或密码不正确" in page.text
    assert HOSTILE not in page.text
    assert "&lt;img src=x" in page.text
    assert "secret-typed-here" not in page.text
    for _ in range(5):
        desk.client().post("/console/login", data={**form, "username": "wang"}, headers=OWN_PAGE)
    throttled = desk.client().post("/console/login", data={**form, "username": "wang"}, headers=OWN_PAGE)
    assert throttled.status_code == 429
    assert re.search(r"请 \d+ 秒后再试", throttled.text)


def test_every_page_is_strict_about_code_and_escapes_names(desk: Desk) -> None:
    desk.add("eve", "admin", name=HOSTILE)
    desk.add("mallory", name='"><script>1</script>')
    browser = desk.browser("eve")
    for path in ("/console", "/console/account", "/console/password", "/console/accounts", "/console/login"):
        page = (browser if "login" not in path else desk.client()).get(path)
        assert page.status_code == 200
        assert page.headers["Content-Security-Policy"] == CONTENT_POLICY
        assert page.headers["Cache-Control"] == "no-store"
        assert page.headers["Referrer-Policy"] == "same-origin"
        assert HOSTILE not in page.text
        assert "<script>" not in page.text
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page.text.replace("onerror", ""))
    assert "unsafe" not in CONTENT_POLICY


def test_chinese_comes_first_and_english_is_remembered(desk: Desk) -> None:
    client = desk.client()
    assert '<html lang="zh-CN">' in client.get("/console/login").text
    assert '<html lang="en">' in client.get("/console/login?lang=en").text
    assert "Sign in to the support desk" in client.get("/console/login").text
    assert "客服人员登录" in client.get("/console/login?lang=zh").text
    assert '<html lang="zh-CN">' in desk.client().get("/console/login?lang=%3Cx%3E").text


def test_both_languages_say_everything(desk: Desk) -> None:
    assert set(ZH) == set(EN)
    assert all(words.strip() for words in (*ZH.values(), *EN.values()))
    assert set(BY_MESSAGE.values()) <= set(ZH)


def test_a_changed_password_signs_the_browser_out(desk: Desk) -> None:
    browser = desk.browser("wang")

    def change(old: str, new: str, again: str) -> tuple[int, str]:
        form = {"old": old, "new": new, "again": again}
        response = browser.post("/console/password", data=form, headers=OWN_PAGE)
        return response.status_code, response.text

    assert change(PASSWORD, NEW, NEW + "x")[0] == 400
    assert "两次输入的新密码不一致" in change(PASSWORD, NEW, NEW + "x")[1]
    assert "当前密码不正确" in change("wrong", NEW, NEW)[1]
    assert "10 到 128" in change(PASSWORD, "short", "short")[1]
    assert change(PASSWORD, NEW, NEW)[0] == 303
    assert browser.get("/console").status_code == 303
    assert desk.browser("wang", NEW).get("/console").status_code == 200


def test_an_admin_keeps_the_accounts_with_forms(desk: Desk) -> None:
    browser = desk.browser("boss")

    def send(path: str, **form: str) -> tuple[int, str]:
        response = browser.post(f"/console/accounts{path}", data=form, headers=OWN_PAGE)
        return response.status_code, response.text

    assert send("", username="Zhao", name="小赵", role="supervisor", password=NEW)[0] == 303
    account = desk.people.agents.get("zhao")
    assert account is not None
    assert (account.name, account.role) == ("小赵", "supervisor")
    status, page = send("", username="zhao", name="再来", role="agent", password=NEW)
    assert status == 409
    assert "这个用户名已被使用" in page
    assert 'value="再来"' in page
    assert NEW not in page
    assert send("", username="a b", password=NEW)[0] == 400
    assert send("/zhao/change", name="赵", role="agent", max_sessions="8")[0] == 303
    assert send("/zhao/change", max_sessions="many")[0] == 400
    assert send("/zhao/change", max_sessions="99999999999999999999")[0] == 400
    assert send("/zhao/password", password="another good phrase")[0] == 303
    assert desk.sign_in("zhao", "another good phrase").status_code == 200
    assert send("/zhao/off")[0] == 303
    assert desk.sign_in("zhao", "another good phrase").status_code == 401
    assert send("/zhao/on")[0] == 303
    assert desk.sign_in("zhao", "another good phrase").status_code == 200
    assert send("/boss/off")[0] == 403
    status, page = send("/boss/change", role="agent")
    assert status == 409
    assert "最后一个管理员" in page
    assert send("/nobody/off")[0] == 404


def test_a_role_that_may_not_sees_a_page_that_says_so(desk: Desk) -> None:
    page = desk.browser("wang").get("/console/accounts")
    assert page.status_code == 403
    assert "没有权限" in page.text
    assert "小李" not in page.text


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"username=wang", "text/plain"),
        (b"&".join(b"a=1" for _ in range(50)), "application/x-www-form-urlencoded"),
        (b'{"username":"wang"}', "application/json"),
    ],
)
def test_what_is_no_form_is_a_400(desk: Desk, body: bytes, kind: str) -> None:
    response = desk.client().post("/console/login", data=body, content_type=kind, headers=OWN_PAGE)
    assert response.status_code == 400


def test_an_ended_sign_in_leads_back_to_the_door(desk: Desk) -> None:
    browser = desk.browser("wang")
    desk.people.agents.set_password(BY, "wang", HASH, action="password.reset")
    response = browser.get("/console")
    assert response.location == "/console/login?done=ended"
    assert browser.get("/console").location == "/console/login", "the cookie is gone"


def test_files_of_the_pages_are_those_and_no_others(desk: Desk) -> None:
    for name, kind in STATIC.items():
        response = desk.client().get(f"/console/static/{name}")
        assert (response.status_code, response.mimetype) == (200, kind)
    for name in ("words.py", "..%2fpages.py", "../pages.py", "%2e%2e%2fguard.py"):
        assert desk.client().get(f"/console/static/{name}").status_code == 404
