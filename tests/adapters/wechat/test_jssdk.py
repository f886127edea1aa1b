"""JS-SDK signatures: as WeChat computes them, for allowed pages only, and without the ticket."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest

from adapters.wechat.jssdk import host_of, page_address, signature
from errors import BadRequest
from tests.adapters.wechat.service import SECRET, Service, opened
from tests.rig import Rig

PAGE = "https://shop.example.com/goods?id=1&name=%E6%89%8B%E6%9C%BA"
PATH = "/api/wechat/jsapi"


@pytest.fixture
def service(open_rig: Callable[..., Rig]) -> Iterator[Service]:
    with opened(open_rig, wechat_jsapi_hosts="shop.example.com, https://m.example.com:8443/") as made:
        yield made


def ticket(service: Service) -> str:
    name = f"wechat:{service.wechat.appid}:jsapi_ticket"
    found = service.rig.app.extensions["yingda"].tokens.get(name)
    assert found is not None
    return str(found[0])


def test_the_known_example_of_wechats_documents() -> None:
    made = signature(
        "sM4AOVdWfPE4DxkXGEs8VMCPGGVi4C3VM0P37wVUCFvkVAy_90u5h9nbSlYy3-Sl-HhTdfl2fzFy1AOcHKP7qg",
        "Wm3WZYTPz0wzccnW",
        "1414587457",
        "http://mp.weixin.qq.com?params=value",
    )
    assert made == "0f9de62fce790f9a083d5c99e95740ceb90c27ed"


def test_a_page_gets_its_signature_in_exactly_this_form(service: Service) -> None:
    answer = service.rig.get(PATH, params={"url": f"{PAGE}#top"})
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    told = answer.json()
    assert set(told) == {"appId", "timestamp", "nonceStr", "signature", "url"}
    assert (told["appId"], told["url"]) == (service.wechat.appid, PAGE)
    assert told["timestamp"].isdigit()
    parts = {"jsapi_ticket": ticket(service), "noncestr": told["nonceStr"], "timestamp": told["timestamp"]}
    plain = "&".join(f"{name}={value}" for name, value in {**parts, "url": PAGE}.items())
    assert told["signature"] == hashlib.sha1(plain.encode()).hexdigest()


def test_the_account_may_be_named_in_two_ways(service: Service) -> None:
    for path, query in (("/api/wechat/default/jsapi", {}), (PATH, {"account": "default"})):
        assert service.rig.get(path, params={"url": PAGE, **query}).status_code == 200
    for path, query in (("/api/wechat/nobody/jsapi", {}), (PATH, {"account": "nobody"})):
        answer = service.rig.get(path, params={"url": PAGE, **query})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


def test_one_ticket_serves_everybody(service: Service) -> None:
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: service.rig.get(PATH, params={"url": PAGE}), range(20)))
    assert {each.status_code for each in answers} == {200}
    assert len({each.json()["nonceStr"] for each in answers}) == 20
    assert service.wechat.tokens.fetches == 1
    assert service.wechat.tickets_asked == 1


def test_only_allowed_pages_are_signed_for(service: Service) -> None:
    for url in (
        "https://evil.example.com/",
        "https://shop.example.com.evil.com/",
        "https://shop.example.com:444/",
        "https://m.example.com/",
    ):
        answer = service.rig.get(PATH, params={"url": url})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden"), url
    for url in ("https://SHOP.example.com:443/", "https://m.example.com:8443/x"):
        assert service.rig.get(PATH, params={"url": url}).status_code == 200
    assert service.wechat.tickets_asked == 1


def test_only_allowed_origins_may_read_the_answer(service: Service) -> None:
    origin = {"Origin": "https://shop.example.com"}
    answer = service.rig.get(PATH, params={"url": PAGE}, headers=origin)
    assert answer.headers["Access-Control-Allow-Origin"] == "https://shop.example.com"
    assert answer.headers["Vary"] == "Origin"
    # an error is readable, too, or the page's author never learns it
    wrong = service.rig.get(PATH, params={"url": "x"}, headers=origin)
    assert (wrong.status_code, wrong.headers["Access-Control-Allow-Origin"]) == (400, origin["Origin"])
    for foreign in ("https://evil.example.com", "null"):
        refused = service.rig.get(PATH, params={"url": PAGE}, headers={"Origin": foreign})
        assert refused.status_code == 403
        assert "Access-Control-Allow-Origin" not in refused.headers


def test_an_address_that_was_not_encoded_is_not_signed_half(service: Service) -> None:
    answer = service.rig.get(f"{PATH}?url={PAGE}")
    assert answer.status_code == 400
    assert "encodeURIComponent" in answer.json()["error"]["message"]
    assert service.rig.get(f"{PATH}?url={quote(PAGE, safe='')}").json()["url"] == PAGE


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?url=",
        "?url=a&url=b",
        "?url=/goods",
        "?url=javascript:alert(1)",
        "?url=https://shop.example.com@evil.com/",
        "?url=https://evil.com%5C@shop.example.com/",
        "?url=https://shop.example.com/%0d%0ax",
        "?url=https://[shop.example.com/",
        "?url=https://shop.example.com:x/",
        f"?url=https://shop.example.com/{'x' * 3000}",
    ],
)
def test_what_is_no_page_is_a_400_in_json(service: Service, query: str) -> None:
    answer = service.rig.get(PATH + query)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")
    assert service.wechat.tickets_asked == 0


@pytest.mark.parametrize(
    ("given", "signed"),
    [
        ("https://a.cn", "https://a.cn/"),
        ("https://a.cn#x", "https://a.cn/"),
        ("https://a.cn?x=1", "https://a.cn?x=1"),
        ("https://a.cn/x?y=1#/route?z", "https://a.cn/x?y=1"),
    ],
)
def test_what_is_signed_is_what_the_browser_shows(given: str, signed: str) -> None:
    assert page_address([given]) == signed


def test_half_a_surrogate_is_no_address() -> None:
    with pytest.raises(BadRequest):
        page_address(["https://a.cn/\ud800"])


@pytest.mark.parametrize(
    ("address", "host"),
    [("https://A.cn:443/x", "a.cn"), ("http://a.cn:443", "a.cn:443"), ("null", ""), ("https://[", "")],
)
def test_a_host_has_its_port_unless_it_is_the_usual_one(address: str, host: str) -> None:
    assert host_of(address) == host


def test_a_ticket_near_its_end_is_fetched_anew_and_one_with_time_is_not(service: Service) -> None:
    tokens, name = service.rig.app.extensions["yingda"].tokens, f"wechat:{service.wechat.appid}:jsapi_ticket"
    import time

    now = time.time_ns() // 1_000_000
    tokens.store(name, "old-ticket", now + 120_000)
    service.rig.get(PATH, params={"url": PAGE})
    assert (ticket(service), service.wechat.tickets_asked) == ("old-ticket", 0)
    tokens.store(name, "old-ticket", now + 30_000)
    service.rig.get(PATH, params={"url": PAGE})
    assert ticket(service) != "old-ticket"
    assert service.wechat.tickets_asked == 1


def test_a_refused_access_token_costs_one_renewal_and_the_page_nothing(service: Service) -> None:
    service.wechat.faults.errcodes["/cgi-bin/ticket/getticket"] = [40001]
    assert service.rig.get(PATH, params={"url": PAGE}).status_code == 200
    assert service.wechat.tickets_asked == 1


def test_what_wechat_refuses_is_a_502_and_no_secret_is_told(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("urllib3").setLevel(logging.INFO)
    assert service.rig.get(PATH, params={"url": PAGE}).status_code == 200
    kept = ticket(service)
    tokens = service.rig.app.extensions["yingda"].tokens
    tokens.store(f"wechat:{service.wechat.appid}:jsapi_ticket", "", 0)
    service.wechat.faults.errcodes["/cgi-bin/ticket/getticket"] = [48001]
    answer = service.rig.get(PATH, params={"url": PAGE})
    assert (answer.status_code, answer.json()["error"]["message"]) == (502, "wechat_48001")
    written = caplog.text + "".join(str(each.__dict__) for each in caplog.records) + answer.text
    for secret in (kept, SECRET, service.wechat.tokens.stable()[0]):
        assert secret not in written


def test_in_production_nothing_is_allowed_unless_it_is_set(open_rig: Callable[..., Rig]) -> None:
    production: dict[str, Any] = {
        "app_env": "production",
        "agent_secret": "a-long-enough-secret-of-the-agents",
        "wechat_token": "a-strong-callback-token",
        "api_keys": "shop:0123456789abcdef:wechat",
        "coze_api_token": "pat_production-0123456789",
    }
    with opened(open_rig, **production) as made:
        assert made.rig.get(PATH, params={"url": PAGE}).status_code == 403
    with opened(open_rig) as made:
        assert made.rig.get(PATH, params={"url": PAGE}).status_code == 200


def test_without_an_appsecret_it_says_so(open_rig: Callable[..., Rig]) -> None:
    with opened(open_rig, wechat_appsecret=None) as made:
        answer = made.rig.get(PATH, params={"url": PAGE})
    assert answer.status_code == 503
    assert "no AppSecret" in answer.json()["error"]["message"]
