"""Pictures and recordings: fetched from WeChat, handed to the bot, or described."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from adapters.wechat import client
from adapters.wechat.client import OfficialApi, Patience
from adapters.wechat.media import Incoming, picture_address
from errors import UpstreamError
from handler.message import InboundMessage, Kind, Media, Reply
from sandbox.serve import Server
from sandbox.wechat import LocalWeChat, create_app
from settings.accounts import WeChatAccount
from tests.coze.wire import Wire
from tests.gateway_double import FakeFiles, FakeTokens
from texts import Texts

texts = Texts()
SECRET = "an-app-secret-of-these-tests"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(200)
AMR = b"#!AMR\n" + bytes(200)


def account(url: str) -> WeChatAccount:
    values = {"name": "shop", "tokens": ("x",), "appid": "wx1", "appsecret": SECRET, "api_base": url}
    return WeChatAccount(**values)  # type: ignore[arg-type]


def message(kind: Kind, media: Media, text: str = "（描述）") -> InboundMessage:
    return InboundMessage("wechat", "shop", "oOne", "1", text, kind=kind, media=(media,))


@pytest.fixture
def wechat() -> LocalWeChat:
    return LocalWeChat("http://127.0.0.1:9/", appid="wx1", appsecret=SECRET)


@pytest.fixture
def url(wechat: LocalWeChat) -> Iterator[str]:
    with Server(create_app(wechat)) as server:
        yield server.url


@pytest.fixture
def files() -> FakeFiles:
    return FakeFiles()


@pytest.fixture
def incoming(url: str, files: FakeFiles) -> Incoming:
    return Incoming(account(url), OfficialApi(account(url), FakeTokens()), files, texts)


def test_a_picture_is_uploaded_beside_its_words(
    incoming: Incoming, wechat: LocalWeChat, files: FakeFiles
) -> None:
    found = incoming.resolve(message("image", Media("image", wechat.add_media(PNG, "image/png"))))
    assert isinstance(found, InboundMessage)
    assert (found.text, found.media[0].file_id) == ("（描述）", "file-1")
    assert files.taken == [("image", "image.png", PNG, "image/png")]
    assert incoming.resolve(found) is found, "what the bot has is not fetched again"


def test_a_refused_token_is_renewed_once(incoming: Incoming, wechat: LocalWeChat, files: FakeFiles) -> None:
    media = Media("image", wechat.add_media(PNG, "image/png"))
    incoming.resolve(message("image", media))
    wechat.tokens.revoke()
    incoming.resolve(message("image", media))
    assert (len(files.taken), wechat.tokens.fetches) == (2, 2)


def test_an_expired_picture_is_fetched_from_its_address(
    incoming: Incoming, wechat: LocalWeChat, url: str, files: FakeFiles
) -> None:
    address = f"{url}/_sandbox/media/{wechat.add_media(PNG, 'image/png')}"
    found = incoming.resolve(message("image", Media("image", "gone", address)))
    assert isinstance(found, InboundMessage)
    assert (found.media[0].file_id, files.taken[0][2]) == ("file-1", PNG)


def test_a_picture_that_the_bot_did_not_take_can_still_be_fetched_by_its_number(
    incoming: Incoming, wechat: LocalWeChat, files: FakeFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_file: object) -> Media:
        raise UpstreamError("the file could not be handed to the bot")

    media = Media("image", wechat.add_media(PNG, "image/png"), "http://10.0.0.1/metadata")
    found = incoming.resolve(message("image", media))
    assert isinstance(found, InboundMessage)
    assert incoming.picture(found.media[0]) == PNG
    monkeypatch.setattr(files, "upload", away)
    failed = incoming.resolve(message("image", media))
    assert isinstance(failed, InboundMessage)
    assert failed.media == (Media("image", media.id),), "an address of unknown hosts is not passed on"
    assert incoming.picture(failed.media[0]) == PNG


@pytest.mark.parametrize(
    "content", [b"<html>an error page</html>", b'{"errcode":40007,"errmsg":"x"}', b"{not json", b""]
)
def test_what_is_no_picture_is_described(
    incoming: Incoming, wechat: LocalWeChat, files: FakeFiles, content: bytes
) -> None:
    media = Media("image", wechat.add_media(content, "image/png"), "http://10.0.0.1/metadata")
    found = incoming.resolve(message("image", media))
    assert isinstance(found, InboundMessage)
    assert (found.text, found.media, files.taken) == ("（描述）", (), [])


def test_without_an_app_secret_only_the_public_address_is_left(url: str, files: FakeFiles) -> None:
    alone = Incoming(account(url), None, files, texts)
    found = alone.resolve(message("image", Media("image", "id", "http://evil.example/x.png")))
    assert isinstance(found, InboundMessage)
    assert found.media == ()
    assert isinstance(alone.resolve(message("voice", Media("voice", "id"))), Reply)


@pytest.mark.parametrize(
    ("given", "fetched"),
    [
        ("http://mmbiz.qpic.cn/mmbiz_jpg/a/0?wx_fmt=jpeg", "https://mmbiz.qpic.cn/mmbiz_jpg/a/0?wx_fmt=jpeg"),
        ("https://MMBIZ.qpic.cn/a", "https://mmbiz.qpic.cn/a"),
        ("https://api.weixin.qq.com/x", "https://api.weixin.qq.com/x"),
        ("http://api.weixin.qq.com/x", None),
        ("http://mmbiz.qpic.cn:8080/a", None),
        ("http://mmbiz.qpic.cn@10.0.0.1/a", None),
        ("http://mmbiz.qpic.cn.evil.example/a", None),
        ("http://169.254.169.254/latest", None),
        ("file:///etc/passwd", None),
        ("//mmbiz.qpic.cn/a", None),
        ("http://[", None),
        ("http://mmbiz.qpic.cn:x/", None),
        ("", None),
    ],
)
def test_only_wechat_s_own_hosts_are_asked_for_a_picture(given: str, fetched: str | None) -> None:
    assert picture_address(given, "https://api.weixin.qq.com") == fetched


def test_a_recording_becomes_its_words(incoming: Incoming, wechat: LocalWeChat, files: FakeFiles) -> None:
    files.words = " 几点开门 "
    found = incoming.resolve(message("voice", Media("voice", wechat.add_media(AMR, "audio/amr"), mime="amr")))
    assert isinstance(found, InboundMessage)
    assert (found.text, found.media) == ("几点开门", ())
    assert files.taken == [("voice", "voice.amr", AMR, "audio/amr")]


@pytest.mark.parametrize("known", [True, False])
def test_a_recording_without_words_gets_a_polite_line(
    incoming: Incoming, wechat: LocalWeChat, known: bool
) -> None:
    media_id = wechat.add_media(AMR, "audio/amr") if known else "gone"
    found = incoming.resolve(message("voice", Media("voice", media_id)))
    assert found == Reply(texts.voice_unreadable, "system", error="voice_unreadable")


def test_what_cannot_be_fetched_is_left_as_it_is(incoming: Incoming) -> None:
    video = message("video", Media("video", "id"))
    assert incoming.resolve(video) is video


# a server that misbehaves


@pytest.fixture
def scripted() -> Iterator[Callable[[bytes], str]]:
    wires: list[Wire] = []

    def start(answer: bytes) -> str:
        wire = Wire([[answer]])
        wire.__enter__()
        wires.append(wire)
        return str(wire.url)

    yield start
    for wire in wires:
        wire.__exit__(None, None, None)


def test_a_redirect_is_not_followed(scripted: Any) -> None:
    url = scripted(b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n")
    with pytest.raises(UpstreamError, match="wechat_http_302"):
        client.download(url, Patience(1, 1, 1, 1))


def test_a_file_has_an_end(scripted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FILE_CAP", 1000)
    url = scripted(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n" + bytes(1001))
    with pytest.raises(UpstreamError, match="too large"):
        client.download(url, Patience(1, 1, 1, 1))


def test_a_file_that_breaks_off_is_no_file(scripted: Any) -> None:
    url = scripted(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n" + PNG)
    begun = time.monotonic()
    with pytest.raises(UpstreamError):
        client.download(url, Patience(1, 1, 1, 1))
    assert time.monotonic() - begun < 20
