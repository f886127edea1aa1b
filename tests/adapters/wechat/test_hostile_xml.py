"""XML that is hostile although WeChat's signature and encryption around it are genuine.

Whoever holds the key is WeChat, but the words inside are any customer's; and what a parser was not made for
should harm nobody even when a key has leaked.
"""

from __future__ import annotations

import random
import time
from typing import Any
from urllib.parse import parse_qsl

import pytest

from adapters.wechat.envelope import ILLEGAL
from adapters.wechat.messages import IDENTITY
from tests.hostile import Call, assert_discreet, mutated

TIMES = 10_000
NAMES = """ToUserName FromUserName CreateTime MsgType MsgId Content Event EventKey MediaId PicUrl Title Format
Url Recognition MediaId16K Location_X Label Encrypt URL ScanCodeInfo xml""".split()
VALUES = (
    *"text image voice video file location link event hologram oOne gh_0123456789ab".split(),
    *"subscribe unsubscribe CLICK SCAN VIEW LOCATION kf_create_session TEMPLATESENDJOBFINISH".split(),
    *(
        "",
        " ",
        "0",
        "-1",
        "1750000000",
        "9" * 40,
        "继续",
        "转人工",
        "qrscene_1",
        "\x00\x1d\ufffe",
        "a" * 9000,
    ),
    *(
        "]]>",
        "<![CDATA[",
        "&amp;&lt;",
        "&#0;",
        "&#x1F600;",
        "{0}{title}%s",
        "<Content>x</Content>",
        "👩‍👩‍👧‍👦",
    ),
    *(
        "http://169.254.169.254/",
        "weixin://bizmsgmenu",
        "<!DOCTYPE xml>",
        "<!-- x -->",
        "<?php ?>",
        "../../etc",
    ),
)
DECLARATIONS = (
    '<!DOCTYPE xml [<!ENTITY a "b"><!ENTITY c "&a;&a;&a;">]>',
    '<!DOCTYPE xml [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
    '<!DOCTYPE xml SYSTEM "http://127.0.0.1:9/x.dtd">',
    '<?xml version="1.1" encoding="UTF-16"?>',
    "\ufeff",
)


def element(chance: random.Random, depth: int = 0) -> str:
    name, value = chance.choice(NAMES), chance.choice(VALUES)
    if depth < 12 and chance.random() < 0.1:
        value = "".join(
            element(chance, depth + 1) for _ in range(chance.choice((1, 2, 20 if depth == 0 else 2)))
        )
    elif chance.random() < 0.8:
        value = f"<![CDATA[{value}]]>"
    attribute = ' a="b"' if chance.random() < 0.03 else ""
    return f"<{name}{attribute}>{value}</{name}>"


def hostile(chance: random.Random, genuine: list[str]) -> str:
    """A document in the making of which something went wrong, on purpose."""
    if chance.random() < 0.5:
        return mutated(chance.choice(genuine).encode(), chance).decode("utf-8", "ignore")
    head = "<ToUserName>gh_0123456789ab</ToUserName><FromUserName>oOne</FromUserName>" * (
        chance.random() < 0.8
    )
    inside = head + "".join(element(chance) for _ in range(chance.randrange(8)))
    if chance.random() < 0.02:
        inside += "<a>" * chance.choice((9, 600)) + "x"
    declared = chance.choice(DECLARATIONS) if chance.random() < 0.1 else ""
    return f"{declared}<xml>{inside}</xml>"


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["safe", "plain"])
def test_hostile_documents_with_genuine_signatures_harm_nothing(make_account: Any, mode: str) -> None:
    account = make_account(mode, wechat_ask_scene=True, wechat_transcribe_voice=True, wechat_transfer=True)
    chance = random.Random(f"hostile {mode}")
    genuine = [
        account.xml(),
        account.xml("image", MediaId="m", PicUrl="http://mmbiz.qpic.cn/1"),
        account.xml("voice", MediaId="m", Format="amr", Recognition=""),
        account.xml("location", Location_X="1", Location_Y="2", Label="西湖"),
        account.event("CLICK", EventKey="营业时间"),
        account.event("unsubscribe"),
    ]
    begun = time.monotonic()
    statuses = set()
    for _ in range(TIMES // 2):
        address, body = account.request(hostile(chance, genuine))
        path, _, query = address.partition("?")
        status, answer = Call(path, body, query=dict(parse_qsl(query))).run(account.app)
        statuses.add(status)
        assert status < 500, body[:300]
        assert_discreet(answer)
        assert status != 200 or answer.startswith((b"success", b"<xml>")), answer[:100]
    assert statuses <= {200, 400, 403, 413}
    assert 200 in statuses, "some of them must get as far as an answer"
    for asked in account.gateway.asked:
        assert IDENTITY.fullmatch(asked.user)
        assert (asked.text.strip() != "") == (asked.kind != "leave")
        assert not ILLEGAL.search(asked.text)
        assert len(asked.text) < 64 * 1024
    assert account.gateway.asked
    assert time.monotonic() - begun < 50
