"""Template and subscription messages: asked for by HTTP, sent once by a job, never twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sandbox.wechat.desk import SAMPLE
from tests.adapters.wechat.service import AES_KEY, KEY, OPENID, SECRET, Service, opened
from tests.rig import Rig

TEMPLATE, SUBSCRIBE, ONCE = (
    "/api/wechat/template",
    "/api/wechat/subscribe-message",
    "/api/wechat/subscribe-message/once",
)
DATA = {"thing1": {"value": "订单已发货"}, "time2": {"value": "2026年8月1日"}}
SEND = "/cgi-bin/message/template/send"


def body(key: str = "order-1", **more: Any) -> dict[str, Any]:
    return {"key": key, "touser": OPENID, "template_id": SAMPLE, "data": DATA, **more}


def once_body(**more: Any) -> dict[str, Any]:
    return {**body(data={"content": {"value": "您的预约在明天"}}), "scene": 7, "title": "预约", **more}


@pytest.fixture
def service(open_rig: Callable[..., Rig]) -> Iterator[Service]:
    with opened(open_rig) as made:
        yield made


def test_a_template_message_goes_out_once_and_its_state_can_be_asked(service: Service) -> None:
    asked = service.ask(TEMPLATE, body(url="https://shop.example.com/order/1"))
    assert asked.status_code == 202
    assert asked.json()["state"] in {"waiting", "sending", "sent"}
    state = service.settled(TEMPLATE, asked.json()["id"])
    (sent,) = service.wechat.desk.sent
    assert (state["state"], state["kind"], state["msgid"]) == ("sent", "template", str(sent.msgid))
    assert (sent.openid, sent.body["data"], sent.body["url"]) == (
        OPENID,
        DATA,
        "https://shop.example.com/order/1",
    )
    assert "key" not in sent.body
    assert OPENID not in str(state)


def test_the_same_key_is_the_same_message(service: Service) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: service.ask(TEMPLATE, body()), range(16)))
    assert {each.status_code for each in answers} == {202}
    (number,) = {each.json()["id"] for each in answers}
    service.settled(TEMPLATE, number)
    again = service.ask(TEMPLATE, body())
    assert (again.json()["id"], again.json()["state"]) == (number, "sent")
    assert len(service.wechat.desk.sent) == 1


def test_the_same_key_for_another_message_is_a_conflict(service: Service) -> None:
    service.ask(TEMPLATE, body())
    other = service.ask(TEMPLATE, body(data={**DATA, "thing1": {"value": "另一条"}}))
    assert (other.status_code, other.json()["error"]["code"]) == (409, "conflict")
    assert service.ask(TEMPLATE, body("order-2")).status_code == 202


def test_a_subscription_message_needs_the_customers_agreement(service: Service) -> None:
    refused = service.ask(SUBSCRIBE, body()).json()
    state = service.settled(SUBSCRIBE, refused["id"])
    assert (state["state"], state["error"]) == ("failed", "wechat_43101")
    assert "agreed" in state["meaning"]
    service.wechat.desk.agreed[OPENID, SAMPLE] = 1
    taken = service.ask(SUBSCRIBE, body("order-2", page="https://shop.example.com/")).json()
    assert service.settled(SUBSCRIBE, taken["id"])["state"] == "sent"
    (sent,) = service.wechat.desk.sent
    assert (sent.kind, sent.body["page"]) == ("subscription", "https://shop.example.com/")
    assert "client_msg_id" not in sent.body


def test_a_one_time_subscription_is_used_up_by_its_message(service: Service) -> None:
    service.wechat.desk.agreed_once.add((OPENID, SAMPLE, 7))
    first = service.settled(ONCE, service.ask(ONCE, once_body()).json()["id"])
    second = service.settled(ONCE, service.ask(ONCE, once_body(key="order-2")).json()["id"])
    assert (first["state"], second["state"], second["error"]) == ("sent", "failed", "wechat_43101")
    assert [each.kind for each in service.wechat.desk.sent] == ["once"]


def test_a_message_of_one_kind_is_not_found_as_another(service: Service) -> None:
    number = service.ask(TEMPLATE, body()).json()["id"]
    for path in (SUBSCRIBE, ONCE):
        assert service.rig.get(f"{path}/{number}", headers=KEY).status_code == 404
    missing = service.rig.get(f"{TEMPLATE}/999999", headers=KEY)
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("path", "changes", "where"),
    [
        (TEMPLATE, {"touser": ""}, "touser"),
        (TEMPLATE, {"touser": "o/../x"}, "touser"),
        (TEMPLATE, {"template_id": "a b"}, "template_id"),
        (TEMPLATE, {"key": ""}, "key"),
        (TEMPLATE, {"key": "x" * 65}, "key"),
        (TEMPLATE, {"key": "a\n"}, "key"),
        (TEMPLATE, {"data": {}}, "data"),
        (TEMPLATE, {"data": {"thing1": "no object"}}, "data.thing1"),
        (TEMPLATE, {"data": {"thing1": {"value": ""}}}, "data.thing1.value"),
        (TEMPLATE, {"data": {"thing1": {"value": "a\x00b"}}}, "data.thing1.value"),
        (TEMPLATE, {"data": {"thing1": {"value": "x", "color": "red"}}}, "data.thing1.color"),
        (TEMPLATE, {"url": "javascript:alert(1)"}, "url"),
        (TEMPLATE, {"miniprogram": {"pagepath": "x"}}, "miniprogram.appid"),
        (TEMPLATE, {"scene": 1}, "scene"),
        (TEMPLATE, {"client_msg_id": "x"}, "client_msg_id"),
        (SUBSCRIBE, {"url": "https://a.cn"}, "url"),
        (ONCE, {"scene": 10001}, "scene"),
        (ONCE, {"title": "一" * 16}, "title"),
        (ONCE, {"data": {"thing1": {"value": "x"}}}, "content"),
        (ONCE, {"data": {"content": {"value": "一" * 201}}}, "200 characters"),
    ],
)
def test_a_malformed_body_is_refused_before_anything_is_written(
    service: Service, path: str, changes: dict[str, Any], where: str
) -> None:
    answer = service.ask(path, {**(once_body() if path == ONCE else body()), **changes})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")
    assert where in answer.json()["error"]["message"]
    assert service.rig.app.extensions["yingda"].jobs.stats() == {}


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'{"key": "\xff"}', b"x" * 100_000])
def test_what_is_no_json_object_is_refused(service: Service, raw: bytes) -> None:
    answer = service.rig.post(TEMPLATE, data=raw, headers=KEY)
    assert answer.status_code == (413 if len(raw) > 64 * 1024 else 400)
    assert answer.json()["error"]["message"]


def test_a_key_with_the_scope_is_needed(open_rig: Callable[..., Rig]) -> None:
    with opened(open_rig, api_keys="shop:0123456789abcdef:wechat,reader:fedcba9876543210:log") as made:
        for headers, status in (
            ({}, 401),
            ({"X-Api-Key": "wrong"}, 401),
            ({"X-Api-Key": "fedcba9876543210"}, 403),
            ({"X-Api-Key": "0123456789abcdef"}, 202),
        ):
            assert made.ask(TEMPLATE, body(), headers).status_code == status
        assert made.rig.get(f"{TEMPLATE}/1").status_code == 401


def test_an_unknown_account_is_not_found(service: Service) -> None:
    assert service.ask(TEMPLATE, body(account="nobody")).status_code == 404
    assert service.ask(TEMPLATE, body(account="default")).status_code == 202


# when it is repeated, and when never


def test_a_busy_wechat_gets_it_later(service: Service) -> None:
    service.wechat.faults.errcodes[SEND] = [-1]
    state = service.settled(TEMPLATE, service.ask(TEMPLATE, body()).json()["id"])
    assert (state["state"], state["tries"]) == ("sent", 2)
    assert len(service.wechat.desk.sent) == 1


def test_a_refused_token_is_renewed_once_and_the_message_sent_once(service: Service) -> None:
    service.wechat.faults.errcodes[SEND] = [40001]
    state = service.settled(TEMPLATE, service.ask(TEMPLATE, body()).json()["id"])
    assert (state["state"], state["tries"], len(service.wechat.desk.sent)) == ("sent", 1, 1)


def test_a_message_whose_fate_is_unknown_stays_in_doubt(service: Service) -> None:
    service.hurry()
    service.wechat.desk.delay = 3.0
    number = service.ask(TEMPLATE, body()).json()["id"]
    state = service.settled(TEMPLATE, number)
    assert (state["state"], state["tries"]) == ("in_doubt", 1)
    assert "in time" in state["error"]
    service.wechat.desk.delay = 0
    # asking again is told so, and sends nothing
    assert service.ask(TEMPLATE, body()).json()["state"] == "in_doubt"
    time.sleep(2.5)
    assert len(service.wechat.desk.sent) == 1


def test_an_operator_who_sends_again_at_once_does_not_send_twice(service: Service) -> None:
    service.hurry()
    service.wechat.desk.delay = 3.0
    number = service.ask(TEMPLATE, body()).json()["id"]
    service.settled(TEMPLATE, number)
    service.wechat.desk.delay = 0
    assert service.rig.app.extensions["yingda"].jobs.resend(number)
    time.sleep(0.1)
    assert service.settled(TEMPLATE, number)["state"] == "sent"
    assert len(service.wechat.desk.sent) == 1


@pytest.mark.parametrize(
    ("changes", "errcode"),
    [
        ({"template_id": "unknown"}, 40037),
        ({"touser": "oNobody"}, 40003),
        ({"data": {"other": {"value": "x"}}}, 47003),
        ({"data": {**DATA, "thing1": {"value": "一" * 21}}}, 47003),
    ],
)
def test_what_wechat_refuses_is_final_and_in_words(
    service: Service, changes: dict[str, Any], errcode: int
) -> None:
    state = service.settled(TEMPLATE, service.ask(TEMPLATE, body(**changes)).json()["id"])
    assert (state["state"], state["error"], state["tries"]) == ("failed", f"wechat_{errcode}", 1)
    assert state["meaning"]


def test_a_customer_who_left_gets_nothing(service: Service) -> None:
    service.wechat.send_event(OPENID, "unsubscribe")
    state = service.settled(TEMPLATE, service.ask(TEMPLATE, body()).json()["id"])
    assert (state["state"], state["error"]) == ("failed", "wechat_43004")


def test_an_account_that_may_not_is_told_so(open_rig: Callable[..., Rig]) -> None:
    with opened(open_rig, service=False) as made:
        state = made.settled(TEMPLATE, made.ask(TEMPLATE, body()).json()["id"])
    assert (state["state"], state["error"]) == ("failed", "wechat_48001")


def test_a_wrong_white_list_shows_in_readyz_with_the_address(service: Service) -> None:
    assert "warnings" not in service.rig.get("/readyz").json()
    service.wechat.ip_whitelist = {"192.0.2.1"}
    service.settled(TEMPLATE, service.ask(TEMPLATE, body()).json()["id"])
    ready = service.rig.get("/readyz")
    assert ready.status_code == 200
    (warning,) = ready.json()["warnings"]
    assert "127.0.0.1" in warning
    assert "IP白名单" in warning
    service.wechat.ip_whitelist = None
    service.settled(TEMPLATE, service.ask(TEMPLATE, body("order-2")).json()["id"])
    assert "warnings" not in service.rig.get("/readyz").json()


def test_nothing_secret_is_written_anywhere(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    service.wechat.faults.errcodes[SEND] = [40001, 47003]
    state = service.settled(TEMPLATE, service.ask(TEMPLATE, body()).json()["id"])
    written = caplog.text + "".join(str(each.__dict__) for each in caplog.records) + str(state)
    assert "WeChat refuses" in written
    for secret in (SECRET, service.wechat.tokens.stable()[0], AES_KEY, OPENID):
        assert secret not in written


def test_the_endpoints_are_documented(service: Service) -> None:
    paths = service.rig.get("/openapi.json").json()["paths"]
    for path in (TEMPLATE, SUBSCRIBE, ONCE):
        assert "requestBody" in paths[path]["post"]
        assert f"{path}/{{number}}" in paths
    assert {each["name"] for each in paths["/api/wechat/jsapi"]["get"]["parameters"]} == {"url", "account"}
