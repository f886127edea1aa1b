"""The API side: tokens, quotas, error codes, faults, and the sandbox's control surface."""

from __future__ import annotations

import io
from typing import Any

import pytest
import requests

from sandbox.serve import Server
from sandbox.wechat import LocalWeChat, create_app
from sandbox.wechat.crypto import Cipher

DAY = 86400


class TestTokens:
    """Two lines of tokens that do not disturb each other."""

    def test_the_stable_token_stays_the_same_until_five_minutes_before_its_end(
        self, api: Any, clock: Any
    ) -> None:
        first = api.stable()
        assert first["expires_in"] == 7200
        clock.time += 6800
        assert api.stable() == {"access_token": first["access_token"], "expires_in": 400}
        clock.time += 101
        second = api.stable()
        assert second["access_token"] != first["access_token"]
        assert api.get("/cgi-bin/getcallbackip", access_token=first["access_token"]).json() == {
            "ip_list": ["127.0.0.1"]
        }
        clock.time += 300
        assert (
            api.get("/cgi-bin/getcallbackip", access_token=first["access_token"]).json()["errcode"] == 42001
        )

    def test_the_classic_token_is_replaced_by_every_call_and_lives_five_minutes_on(
        self, api: Any, clock: Any
    ) -> None:
        def classic() -> str:
            client = {
                "grant_type": "client_credential",
                "appid": api.wechat.appid,
                "secret": api.wechat.appsecret,
            }
            return str(api.get("/cgi-bin/token", **client).json()["access_token"])

        stable, first, second = api.stable()["access_token"], classic(), classic()
        assert first != second
        assert "ip_list" in api.get("/cgi-bin/getcallbackip", access_token=first).json()
        clock.time += 301
        codes = {
            token: api.get("/cgi-bin/getcallbackip", access_token=token).json().get("errcode", 0)
            for token in (stable, first, second)
        }
        assert list(codes.values()) == [0, 42001, 0]

    def test_a_forced_refresh_kills_the_old_token_and_is_limited(self, api: Any, clock: Any) -> None:
        old = api.stable()["access_token"]
        new = api.stable(force_refresh=True)["access_token"]
        assert new != old
        assert api.get("/cgi-bin/getcallbackip", access_token=old).json()["errcode"] == 40001
        assert api.stable(force_refresh=True)["errcode"] == 45011
        for _ in range(19):
            clock.time += 31
            assert "access_token" in api.stable(force_refresh=True)
        clock.time += 31
        assert api.stable(force_refresh=True)["errcode"] == 45009
        clock.time += DAY
        assert "access_token" in api.stable(force_refresh=True)

    @pytest.mark.parametrize(
        ("wrong", "errcode"),
        [({"appid": "wxother"}, 40013), ({"secret": "no"}, 40125), ({"grant_type": "password"}, 40002)],
    )
    def test_a_wrong_client_is_told_which_part_is_wrong(self, api: Any, wrong: Any, errcode: int) -> None:
        answer = api.stable(**wrong)
        assert (answer["errcode"], "rid: " in answer["errmsg"]) == (errcode, True)

    def test_only_listed_addresses_get_a_token(self, api: Any) -> None:
        api.wechat.ip_whitelist = {"203.0.113.9"}
        assert api.stable()["errcode"] == 40164
        api.wechat.ip_whitelist = {"127.0.0.1"}
        assert "access_token" in api.stable()

    def test_a_revoked_or_missing_token_opens_nothing(self, api: Any) -> None:
        token = api.stable()["access_token"]
        api.wechat.tokens.revoke()
        assert api.get("/cgi-bin/getcallbackip", access_token=token).json()["errcode"] == 40001
        assert api.get("/cgi-bin/getcallbackip").json()["errcode"] == 41001

    def test_the_endpoint_can_be_slow_or_answer_a_page(self, api: Any) -> None:
        client = {
            "grant_type": "client_credential",
            "appid": api.wechat.appid,
            "secret": api.wechat.appsecret,
        }
        api.wechat.faults.token_html = True
        page = api.post("/cgi-bin/stable_token", client)
        assert (page.status_code, page.mimetype if hasattr(page, "mimetype") else page.text[:6]) == (
            200,
            "<html>",
        )
        api.wechat.faults.token_html = False
        api.wechat.faults.token_delay = 1
        with pytest.raises(requests.ReadTimeout):
            requests.post(f"{api.url}/cgi-bin/stable_token", json=client, timeout=0.1)


class TestCustomerService:
    """Messages the account sends of its own accord."""

    def test_a_message_reaches_the_inbox_after_the_passive_ones(self, api: Any) -> None:
        api.wechat.send_text("oFollower", "在吗")
        assert api.say("oFollower", "来了🌸", aimsgcontext={"is_ai_msg": 1}) == 0
        bubble = api.wechat.inbox("oFollower")[-1]
        assert (bubble.text, bubble.via, bubble.ai) == ("来了🌸", "push", True)
        assert [(each.openid, each.bubble) for each in api.wechat.pushes] == [("oFollower", bubble)]

    def test_a_wrong_ai_label_is_no_label(self, api: Any) -> None:
        api.wechat.send_text("oFollower", "在吗")
        assert api.say("oFollower", aimsgcontext={"msgid": "1"}) == 0
        assert not api.wechat.inbox("oFollower")[-1].ai

    def test_five_messages_follow_one_of_the_user_and_more_are_refused(self, api: Any) -> None:
        api.wechat.send_text("oFollower", "在吗")
        assert [api.say("oFollower") for _ in range(6)] == [0] * 5 + [45047]
        api.wechat.send_text("oFollower", "还在吗")
        assert api.say("oFollower") == 0
        assert len(api.wechat.pushes) == 6

    def test_the_window_closes_after_48_hours(self, api: Any, clock: Any) -> None:
        api.wechat.send_text("oFollower", "在吗")
        clock.time += 2 * DAY - 1
        assert api.say("oFollower") == 0
        clock.time += 1
        assert api.say("oFollower") == 45015

    @pytest.mark.parametrize(
        ("event", "key"),
        [("CLICK", "menu"), ("subscribe", ""), ("SCAN", "1"), ("scancode_waitmsg", "menu")],
    )
    def test_a_tap_opens_one_minute_for_three_messages(
        self, api: Any, clock: Any, event: str, key: str
    ) -> None:
        api.wechat.send_event("oFollower", event, key)
        assert [api.say("oFollower") for _ in range(4)] == [0, 0, 0, 45047]
        clock.time += 60
        assert api.say("oFollower") == 45015

    def test_a_tapped_menu_link_counts_as_a_click(self, api: Any, clock: Any) -> None:
        api.wechat.send_text("oFollower", "继续", menu_id="1")
        clock.time += 61
        assert api.say("oFollower") == 45015

    def test_a_view_opens_nothing_and_leaving_closes_everything(self, api: Any) -> None:
        api.wechat.send_event("oFollower", "VIEW", "https://example.com")
        assert api.say("oFollower") == 45015
        api.wechat.send_text("oFollower", "在吗")
        api.wechat.send_event("oFollower", "unsubscribe")
        assert api.say("oFollower") == 45015

    @pytest.mark.parametrize("openid", ["oNobody", "", "not an openid", "用户"])
    def test_an_unknown_openid_is_refused(self, api: Any, openid: str) -> None:
        assert api.say(openid) == 40003

    @pytest.mark.parametrize(
        ("body", "errcode"),
        [
            ({"msgtype": "text", "text": {"content": ""}}, 44004),
            ({"msgtype": "text", "text": {"content": "字" * 683}}, 45002),
            ({"msgtype": "text", "text": "字"}, 47001),
            ({"msgtype": "markdown", "markdown": {}}, 40008),
            ({"msgtype": ["text"]}, 40008),
            ({"msgtype": "image", "image": {"media_id": "none"}}, 40007),
            ({"msgtype": "news", "news": {"articles": [{"title": "一"}, {"title": "二"}]}}, 45008),
            ({"msgtype": "news", "news": {"articles": [{"title": "一"}]}}, 0),
            ({"msgtype": "msgmenu", "msgmenu": {"head_content": "选", "list": []}}, 0),
        ],
    )
    def test_the_content_is_checked(self, api: Any, body: Any, errcode: int) -> None:
        api.wechat.send_text("oFollower", "在吗")
        token = api.stable()["access_token"]
        answer = api.post("/cgi-bin/message/custom/send", {"touser": "oFollower", **body}, access_token=token)
        assert answer.json()["errcode"] == errcode
        assert len(api.wechat.pushes) == (errcode == 0)

    @pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"touser=1"])
    def test_what_is_no_json_object_is_refused(self, api: Any, body: bytes) -> None:
        token = api.stable()["access_token"]
        url = f"{api.url}/cgi-bin/message/custom/send?access_token={token}"
        assert requests.post(url, body, timeout=5).json()["errcode"] == 47001

    def test_escaped_json_shows_its_escapes(self, api: Any) -> None:
        api.wechat.send_text("oFollower", "在吗")
        url = f"{api.url}/cgi-bin/message/custom/send?access_token={api.stable()['access_token']}"
        body = rb'{"touser":"oFollower","msgtype":"text","text":{"content":"\u4f60\n\\u597d"}}'
        assert requests.post(url, body, timeout=5).json()["errcode"] == 0
        assert api.wechat.inbox("oFollower")[-1].text == "\\u4f60\n\\u597d"

    def test_an_unverified_account_may_not(self, api: Any) -> None:
        api.wechat.verified = False
        api.wechat.send_text("oFollower", "在吗")
        assert api.say("oFollower") == 48001
        token = api.stable()["access_token"]
        typing = {"touser": "oFollower", "command": "Typing"}
        assert (
            api.post("/cgi-bin/message/custom/typing", typing, access_token=token).json()["errcode"] == 48001
        )

    def test_it_can_deliver_and_not_say_so(self, api: Any) -> None:
        api.wechat.send_text("oFollower", "在吗")
        api.wechat.faults.send_delay = 1
        url = f"{api.url}/cgi-bin/message/custom/send?access_token={api.stable()['access_token']}"
        body = {"touser": "oFollower", "msgtype": "text", "text": {"content": "hi"}}
        with pytest.raises(requests.ReadTimeout):
            requests.post(url, json=body, timeout=0.3)
        assert [each.text for each in api.wechat.inbox("oFollower")] == ["hi"]

    def test_it_can_answer_any_code_a_few_times(self, api: Any) -> None:
        api.wechat.send_text("oFollower", "在吗")
        api.wechat.faults.send_errcodes = [-1, 45011]
        assert [api.say("oFollower") for _ in range(3)] == [-1, 45011, 0]


class TestTyping:
    """「对方正在输入」."""

    def typing(self, api: Any, command: str = "Typing", openid: str = "oFollower") -> int:
        token = api.stable()["access_token"]
        body = {"touser": openid, "command": command}
        return int(api.post("/cgi-bin/message/custom/typing", body, access_token=token).json()["errcode"])

    def test_it_lasts_fifteen_seconds(self, api: Any, clock: Any) -> None:
        api.wechat.send_text("oFollower", "在吗")
        assert (self.typing(api), self.typing(api)) == (0, 45081)
        clock.time += 15
        assert self.typing(api) == 0
        assert [each.command for each in api.wechat.typing] == ["Typing", "Typing"]

    @pytest.mark.parametrize("how", ["message", "cancel"])
    def test_a_message_or_a_cancel_ends_it(self, api: Any, how: str) -> None:
        api.wechat.send_text("oFollower", "在吗")
        assert self.typing(api) == 0
        assert (api.say("oFollower") if how == "message" else self.typing(api, "CancelTyping")) == 0
        assert self.typing(api) == 0

    def test_it_needs_a_word_from_the_user_within_thirty_seconds(self, api: Any, clock: Any) -> None:
        api.wechat.send_text("oFollower", "在吗")
        clock.time += 31
        assert self.typing(api) == 45080

    def test_other_commands_and_strangers_are_refused(self, api: Any) -> None:
        api.wechat.send_text("oFollower", "在吗")
        assert self.typing(api, "Dancing") == 45072
        assert self.typing(api, openid="oNobody") == 40003


class TestTicketsAndMedia:
    """JS-SDK tickets and temporary files."""

    def test_a_ticket_is_cached_for_two_hours(self, api: Any, clock: Any) -> None:
        token = api.stable()["access_token"]
        first = api.get("/cgi-bin/ticket/getticket", access_token=token, type="jsapi").json()
        assert (first["errcode"], first["expires_in"]) == (0, 7200)
        clock.time += 7200
        token = api.stable()["access_token"]
        again = api.get("/cgi-bin/ticket/getticket", access_token=token, type="jsapi").json()
        assert again["ticket"] != first["ticket"]
        assert api.get("/cgi-bin/ticket/getticket", access_token=token, type="x").json()["errcode"] == 40097

    def test_a_file_is_kept_for_three_days(self, api: Any, clock: Any) -> None:
        media_id = api.wechat.add_media(b"\x89PNG", "image/png")
        token = api.stable()["access_token"]
        got = api.get("/cgi-bin/media/get", access_token=token, media_id=media_id)
        assert (got.content, got.headers["Content-Type"]) == (b"\x89PNG", "image/png")
        clock.time += 3 * DAY + 1
        token = api.stable()["access_token"]
        assert api.get("/cgi-bin/media/get", access_token=token, media_id=media_id).json()["errcode"] == 40007

    def test_a_video_is_given_as_an_address(self, api: Any) -> None:
        media_id = api.wechat.add_media(b"mp4", "video/mp4")
        token = api.stable()["access_token"]
        url = api.get("/cgi-bin/media/get", access_token=token, media_id=media_id).json()["video_url"]
        assert requests.get(url, timeout=5).content == b"mp4"

    def test_an_upload_can_be_sent_to_a_follower(self, api: Any) -> None:
        api.wechat.send_text("oFollower", "在吗")
        token = api.stable()["access_token"]
        files = {"media": ("a.png", io.BytesIO(b"\x89PNG"), "image/png")}
        url = f"{api.url}/cgi-bin/media/upload?access_token={token}"
        media_id = requests.post(f"{url}&type=image", files=files, timeout=5).json()["media_id"]
        body = {"touser": "oFollower", "msgtype": "image", "image": {"media_id": media_id}}
        assert api.post("/cgi-bin/message/custom/send", body, access_token=token).json()["errcode"] == 0
        assert api.wechat.inbox("oFollower")[-1].fields == {"media_id": media_id}

    @pytest.mark.parametrize(
        ("kind", "size", "errcode"),
        [("gif", 1, 40004), ("thumb", (64 << 10) + 1, 40009), ("image", -1, 41005)],
    )
    def test_a_wrong_upload_is_refused(self, api: Any, kind: str, size: int, errcode: int) -> None:
        url = f"{api.url}/cgi-bin/media/upload?access_token={api.stable()['access_token']}&type={kind}"
        files = {"media" if size > 0 else "other": ("a", io.BytesIO(b"x" * abs(size)), "image/png")}
        assert requests.post(url, files=files, timeout=5).json()["errcode"] == errcode


class TestControls:
    """What the page and the terminal use."""

    def test_a_message_sent_by_http_returns_its_whole_story(self, listen: Any) -> None:
        wechat, callback = listen(lambda arrived: callback.envelope(arrived.xml(Content="收到")), mode="safe")
        with Server(create_app(wechat)) as server:
            body = {"openid": "oFollower", "type": "text", "text": "在吗"}
            story = requests.post(f"{server.url}/_sandbox/send", json=body, timeout=5).json()
            inbox = requests.get(f"{server.url}/_sandbox/inbox?openid=oFollower", timeout=5).json()
        assert [each["text"] for each in story["bubbles"]] == ["收到"]
        assert (story["notice"], story["problem"]) == ("", "")
        only = story["tries"][0]
        assert "<Content><![CDATA[在吗]]>" in only["request"]["plaintext"]
        assert "<Encrypt>" in only["request"]["body"]
        assert "收到" in only["response"]["plaintext"]
        assert "MsgSignature" in only["response"]["body"]
        assert only["response"]["status"] == 200
        assert inbox["bubbles"] == story["bubbles"]

    def test_events_and_other_types_can_be_sent(self, api: Any) -> None:
        event = {"openid": "oFollower", "type": "event", "event": "CLICK", "key": "help"}
        assert (
            "<![CDATA[help]]>" in api.post("/_sandbox/send", event).json()["tries"][0]["request"]["plaintext"]
        )
        image = {"openid": "oFollower", "type": "image", "fields": {"MediaId": "m", "PicUrl": "http://x"}}
        assert "MediaId" in api.post("/_sandbox/send", image).json()["tries"][0]["request"]["plaintext"]

    @pytest.mark.parametrize(
        "body", [None, [], {}, {"openid": 5}, {"openid": "o", "fields": []}, {"openid": ""}]
    )
    def test_a_malformed_order_is_refused(self, api: Any, body: Any) -> None:
        fields_list = isinstance(body, dict) and body.get("fields") == []
        assert api.post("/_sandbox/send", body).status_code == (200 if fields_list else 400)

    def test_a_form_of_a_foreign_page_is_refused(self, api: Any) -> None:
        answer = requests.post(f"{api.url}/_sandbox/send", '{"openid":"o"}', timeout=5)
        assert answer.status_code == 400
        assert api.wechat.outcomes == []

    def test_the_handshake_can_be_played(self, api: Any) -> None:
        assert api.post("/_sandbox/verify").json() == {"status": 200, "body": "success", "ok": False}


def test_two_accounts_may_have_the_same_follower(listen: Any) -> None:
    first, _ = listen(lambda arrived: arrived.xml(Content="甲"))
    second, _ = listen(lambda arrived: arrived.xml(Content="乙"), original_id="gh_second", appid="wxsecond")
    first.send_text("oFollower", "在吗", msg_id=1)
    second.send_text("oFollower", "在吗", msg_id=1)
    assert [each.text for each in first.inbox("oFollower") + second.inbox("oFollower")] == ["甲", "乙"]


def test_the_defaults_are_those_of_the_sandbox_settings() -> None:
    wechat = LocalWeChat("http://127.0.0.1:8000/api/wechat")
    assert (wechat.mode, wechat.patience, wechat.tries, wechat.verified) == ("safe", 5.0, 3, False)
    assert isinstance(wechat.cipher, Cipher)
