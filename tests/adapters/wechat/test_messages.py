"""What each kind of push asks."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from adapters.wechat.messages import Immediate, dedupe_key, understand
from errors import BadRequest
from handler.message import InboundMessage, Media
from settings.accounts import WeChatAccount
from texts import Texts

texts = Texts()
ACCOUNT = WeChatAccount(name="main", tokens=(SecretStr("x"),), appid="wx1")


def fields(msg_type: str = "text", **changes: str) -> dict[str, str]:
    base = {"ToUserName": "gh_1", "FromUserName": "o1", "CreateTime": "1700000000", "MsgType": msg_type}
    return base | ({} if msg_type == "event" else {"MsgId": "7001"}) | changes


def asked(msg_type: str = "text", **changes: str) -> InboundMessage | Immediate:
    return understand(fields(msg_type, **changes), ACCOUNT, texts, reply_by=5.0, request_id="r")


def question(msg_type: str = "text", **changes: str) -> InboundMessage:
    found = asked(msg_type, **changes)
    assert isinstance(found, InboundMessage)
    return found


def test_a_text_is_a_question() -> None:
    message = question(Content="多少钱？")
    assert (message.text, message.kind, message.platform, message.account) == (
        "多少钱？",
        "text",
        "wechat",
        "main",
    )
    assert (message.user, message.dialogue, message.sent_at, message.reply_by) == ("o1", "o1", 1.7e9, 5.0)
    assert message.raw == fields(Content="多少钱？")
    assert message.request_id == "r"


def test_a_tapped_menu_link_is_what_it_says() -> None:
    assert question(Content="继续", bizmsgmenuid="1").text == "继续"


def test_media_are_described_in_words_and_kept() -> None:
    image = question("image", MediaId="m", PicUrl="http://pic/1")
    assert (image.text, image.media) == (texts.describe_image, (Media("image", "m", "http://pic/1"),))
    for kind in ("video", "shortvideo"):
        video = question(kind, MediaId="v", ThumbMediaId="t")
        assert (video.kind, video.text, video.media) == (
            "video",
            texts.describe_video,
            (Media("video", "v"),),
        )
    file = question("file", Title="报价{0}.pdf", Description="", FileKey="k")
    assert (file.kind, file.text) == ("file", "（用户发来一个文件：报价{0}.pdf）")
    assert file.media == (Media("file", "k", name="报价{0}.pdf"),)
    place = question("location", Location_X="30.1", Location_Y="120.2", Scale="16", Label="西湖")
    assert (place.kind, place.text) == ("location", "（用户发来位置：西湖，纬度 30.1，经度 120.2）")
    link = question("link", Title="T", Description="D", Url="https://u")
    assert (link.kind, link.text) == ("link", "（用户发来链接：T D https://u）")
    mini = question("miniprogrampage", Title="商城", AppId="wx2", PagePath="p/1")
    assert (mini.kind, mini.text) == ("link", "（用户发来小程序：商城）")


def test_a_voice_is_its_recognized_words_or_a_polite_line() -> None:
    heard = question("voice", MediaId="m", MediaId16K="m16", Format="amr", Recognition="几点开门")
    assert (heard.kind, heard.text) == ("voice", "几点开门")
    assert heard.media == (), "what is written down already need not be fetched"
    assert asked("voice", MediaId="m", Recognition="") == Immediate(texts.voice_unreadable)
    assert asked("voice", MediaId="m") == Immediate(texts.voice_unreadable)


def test_a_voice_is_taken_along_where_recordings_are_written_down() -> None:
    listening = ACCOUNT.model_copy(update={"transcribe_voice": True})
    message = understand(
        fields("voice", MediaId="m", MediaId16K="m16", Format="speex", Recognition=""),
        listening,
        texts,
        reply_by=5.0,
        request_id="r",
    )
    assert isinstance(message, InboundMessage)
    assert (message.text, message.media) == (texts.describe_voice, (Media("voice", "m16", mime="speex"),))
    without = understand(fields("voice"), listening, texts, reply_by=5.0, request_id="r")
    assert without == Immediate(texts.voice_unreadable)


@pytest.mark.parametrize("content", ["【收到不支持的消息类型，暂无法显示】", ""])
def test_what_wechat_does_not_hand_on_is_no_question(content: str) -> None:
    assert asked(Content=content) == Immediate(texts.unsupported)


@pytest.mark.parametrize("key", ["", "qrscene_42", "last_trade_no_4008042"])
def test_whoever_follows_is_welcomed(key: str) -> None:
    assert asked("event", Event="subscribe", EventKey=key) == Immediate(texts.welcome)


ONLY_ACKNOWLEDGED = """
SCAN LOCATION VIEW view_miniprogram scancode_push pic_weixin location_select
TEMPLATESENDJOBFINISH MASSSENDJOBFINISH PUBLISHJOBFINISH
subscribe_msg_popup_event user_info_modified wxa_media_check debug_demo
card_pass_check tomorrows_event
""".split()


@pytest.mark.parametrize("event", [*ONLY_ACKNOWLEDGED, ""])
def test_other_events_are_only_acknowledged(event: str) -> None:
    assert asked("event", Event=event, EventKey="k") == Immediate()


def of_account(event: str, key: str = "", **rules: object) -> InboundMessage | Immediate:
    account = ACCOUNT.model_copy(update=rules)
    return understand(
        fields("event", Event=event, EventKey=key), account, texts, reply_by=5.0, request_id="r"
    )


def words(found: InboundMessage | Immediate) -> tuple[str, str]:
    assert isinstance(found, InboundMessage)
    return found.kind, found.text


def test_a_menu_click_says_its_key_or_what_the_account_makes_of_it() -> None:
    assert words(of_account("CLICK", "继续")) == ("event", "继续")
    assert words(of_account("click", "营业时间")) == ("event", "营业时间")
    menu = {"V1001": "有什么优惠？", "V1002": " "}
    assert words(of_account("CLICK", "V1001", click=menu)) == ("event", "有什么优惠？")
    assert of_account("CLICK", "V1002", click=menu) == Immediate()
    assert words(of_account("CLICK", "V1003", click=menu)) == ("event", "V1003")
    assert of_account("CLICK", " ") == of_account("CLICK") == Immediate()


def test_the_scene_of_a_code_is_a_question_where_the_account_says_so() -> None:
    assert words(of_account("subscribe", "qrscene_西门店", ask_scene=True)) == ("event", "西门店")
    assert words(of_account("SCAN", "西门店", ask_scene=True)) == ("event", "西门店")
    for plain in ("", "qrscene_", "last_trade_no_4008"):
        assert of_account("subscribe", plain, ask_scene=True) == Immediate(texts.welcome)
    assert of_account("SCAN", "", ask_scene=True) == Immediate()


def test_a_scene_may_have_a_welcome_of_its_own() -> None:
    own = Texts(welcome_scene="欢迎来到{scene}！")
    came = fields("event", Event="subscribe", EventKey='qrscene_<a href="weixin://x">西门店</a>{0}')
    found = understand(came, ACCOUNT, own, reply_by=5.0, request_id="r")
    assert isinstance(found, Immediate)
    assert found.text.startswith("欢迎来到＜a")
    assert found.text.endswith("{0}！")
    assert "weixin:" not in found.text


def test_whoever_leaves_is_forgotten_unless_the_account_says_otherwise() -> None:
    assert words(of_account("unsubscribe")) == ("leave", "")
    assert of_account("unsubscribe", erase_on_unsubscribe=False) == Immediate()


def test_events_of_wechat_s_customer_service_say_who_talks() -> None:
    for event in ("kf_create_session", "kf_switch_session"):
        assert of_account(event) == Immediate(person=True)
    assert of_account("kf_close_session") == Immediate(person=False)


def test_a_template_message_that_did_not_arrive_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    sent = {"Event": "TEMPLATESENDJOBFINISH", "MsgID": "42"}
    assert asked("event", **sent, Status="success") == Immediate()
    assert not [each for each in caplog.records if each.levelname == "WARNING"]
    assert asked("event", **sent, Status="failed:user block") == Immediate()
    (record,) = [each for each in caplog.records if each.levelname == "WARNING"]
    assert (record.__dict__["status"], record.__dict__["id"]) == ("failed:user block", "42")


@pytest.mark.parametrize("msg_type", ["hologram", "TRANSFER", "sticker"])
def test_an_unknown_type_is_acknowledged(msg_type: str) -> None:
    assert asked(msg_type) == Immediate()


@pytest.mark.parametrize("name", ["ToUserName", "FromUserName", "MsgType"])
@pytest.mark.parametrize("value", ["", "a b", "名", "x" * 65])
def test_a_push_from_or_to_nobody_is_malformed(name: str, value: str) -> None:
    with pytest.raises(BadRequest, match=name):
        asked(**{name: value})


@pytest.mark.parametrize("created", ["", "soon", "1700000000000", "-1", "１７００００００００"])
def test_a_create_time_that_is_no_unix_time_is_unknown(created: str) -> None:
    assert question(Content="x", CreateTime=created).sent_at == 0.0


def test_every_delivery_of_a_message_has_the_same_key() -> None:
    assert dedupe_key(fields(Content="a")) == dedupe_key(fields(Content="a"))


def test_different_messages_have_different_keys() -> None:
    different = [
        fields(),
        fields(FromUserName="o2"),
        fields(ToUserName="gh_2"),
        fields(MsgId="7002"),
        fields(CreateTime="1700000001"),
        fields(MsgId="", Content="a"),
        fields(MsgId="", Content="b"),
        fields(MsgId="0", Content="a"),
        fields(MsgId="cloud-id", Content="a"),
        fields(MsgId="cloud-id-2", Content="a"),
        fields("event", Event="CLICK", EventKey="a"),
        fields("event", Event="CLICK", EventKey="b"),
        fields("event", Event="SCAN", EventKey="a"),
        fields("event", Event="user_get_card", EventKey="a", UserCardCode="1"),
        fields("event", Event="user_get_card", EventKey="a", UserCardCode="2"),
        fields("event", Event="wxa_media_check", trace_id="1"),
        fields("event", Event="wxa_media_check", trace_id="2"),
    ]
    assert len({dedupe_key(each) for each in different}) == len(different)


def test_text_cannot_shift_from_one_field_of_the_key_to_the_next() -> None:
    one = fields("event", Event="CLICK", EventKey="ab", Ticket="c")
    other = fields("event", Event="CLICK", EventKey="a", Ticket="bc")
    assert dedupe_key(one) != dedupe_key(other)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["MsgId", "CreateTime", "Content", "Event", "MediaId", "Title"]), st.text()
    )
)
def test_any_fields_lead_to_a_question_or_an_answer(changes: dict[str, str]) -> None:
    begun = time.process_time()
    for msg_type in ("text", "voice", "image", "file", "link", "location", "event", "other"):
        assert isinstance(asked(msg_type, **changes), InboundMessage | Immediate)
    # a pattern that goes wild takes for ever; a slow machine that loads what it needs takes a second
    assert time.process_time() - begun < 10
