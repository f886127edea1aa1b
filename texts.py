"""Every sentence a customer reads, in one place.

The defaults are Chinese. `TEXTS_FILE` names a TOML file whose keys replace any of them, so that a
company can speak in its own voice without touching code.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path

from errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Texts:
    """Sentences by what they are for; `{…}` marks what the gateway fills in."""

    welcome: str = "您好，欢迎关注！我是智能客服，有什么可以帮您？"
    welcome_scene: str = ""
    """Greets whoever came by a QR code; `{scene}` is the code's. Empty: as everybody else."""
    apology: str = "抱歉，我这边出了点问题，请稍后再试。"
    gave_up: str = "抱歉，我试了几次都没能回答这个问题。如需人工帮助，请回复“转人工”。"
    busy: str = "现在咨询的人有点多，请稍候再问我一次。"
    maintenance: str = "系统维护中，您的消息已收到，请稍后再来查看。"
    send_again: str = "系统维护中，请稍后再发一次。"
    sensitive: str = "这个问题我不方便回答，换个问题试试吧。"
    no_answer: str = "抱歉，我没有找到合适的回答，您可以换个说法再问一次。"
    interrupted: str = "（回答中断，请重新提问以获取完整内容）"
    card: str = "（这条内容是卡片，暂时无法在这里显示）"
    thinking: str = "正在为您思考，请稍后点击这里：{fetch}"
    thinking_fetch: str = "获取答案"
    still_thinking: str = "还在思考中，请过几秒再回复“继续”。"
    on_its_way: str = "正在为您准备回答，马上发给您。"
    forgotten: str = "好的，之前的对话我已经忘记，我们重新开始吧。"
    reach_a_person: str = "需要人工服务时，请在工作时间拨打我们的客服电话，或留下联系方式，我们会尽快联系您。"
    nothing_to_continue: str = "没有等待中的回答，请直接提问。"
    comes_later: str = "这个问题需要多一点时间，答案会以另一条消息发给您。"
    ask_for_it: str = "这个问题需要多一点时间，请稍后回复“继续”获取答案。"
    truncated: str = "……（内容较长，后面的部分已省略）"
    more: str = "……（未完，回复“继续”查看后面的内容：{fetch}）"
    more_fetch: str = "继续"
    late_answer: str = "关于“{question}”：\n{answer}"
    ai_line: str = "（内容由AI生成）"
    picture: str = "图片"
    voice_unreadable: str = "暂时听不懂语音，请您用文字告诉我。"
    unsupported: str = "暂时看不懂这种消息，请您用文字告诉我。"
    transferred: str = "已转接人工客服，你当前排队序号：{place}"
    transferred_offline: str = "人工客服当前不在线，已为你登记，排队序号：{place}"
    your_place: str = "您正在排队等待人工客服，当前排队序号：{place}，预计等待约{minutes}分钟。"
    queued_message: str = "您的消息已收到，人工客服接入后会看到。当前排队序号：{place}"
    with_person: str = "您的消息已转给人工客服，请稍候。"
    already_with_person: str = "人工客服正在为您服务，请直接留言。"
    not_in_queue: str = "您当前没有在排队，需要人工服务请回复“转人工”。"
    after_hours: str = (
        "人工客服现在不在线，将于{opens}开始服务。您的需求已登记，智能客服可以继续为您解答。"
        "回复您的邮箱，我们会与您联系。"
    )
    after_hours_unknown: str = (
        "人工客服现在不在线。您的需求已登记，智能客服可以继续为您解答。回复您的邮箱，我们会与您联系。"
    )
    email_noted: str = "好的，已记下您的邮箱，人工客服会与您联系。"
    person_came: str = "客服{name}已接入，将为您服务。"
    person_left: str = "人工服务已结束，智能客服继续为您服务。"
    rate_us: str = "人工服务已结束，请回复1到5的数字为本次服务评分，5分为非常满意。"
    rated: str = "感谢您的评价！"
    session_idle: str = "由于您长时间没有回复，本次人工服务已结束。再次发送消息，智能客服会继续为您服务。"
    nobody_came: str = "很抱歉，暂时没有人工客服接入，已为您退出排队。智能客服可以继续为您解答。"
    back_in_queue: str = "客服暂时离开，已为您重新排队，请稍候。"
    handed_on: str = "已由客服{name}继续为您服务。"
    agent_line: str = "客服{name}：{text}"
    agent_picture: str = "[图片]"
    withheld: str = "（机器人的回答，未发给客户）{answer}"
    desk_name: str = "人工客服"
    queue_full: str = "当前排队人数已满，请稍后再试，或继续咨询智能客服。"
    asked_for_person: str = "客户请求人工客服"
    bot_gave_up: str = "智能客服连续未能解答，已请求人工客服"
    web_name: str = "智能客服"
    web_welcome: str = "您好，我是智能客服，有什么可以帮您？"
    describe_image: str = "（用户发来一张图片）"
    describe_voice: str = "（用户发来一段语音）"
    describe_video: str = "（用户发来一段视频）"
    describe_file: str = "（用户发来一个文件：{title}）"
    describe_location: str = "（用户发来位置：{label}，纬度 {latitude}，经度 {longitude}）"
    describe_link: str = "（用户发来链接：{title} {description} {url}）"
    describe_mini_program: str = "（用户发来小程序：{title}）"


def load_texts(path: Path | None) -> Texts:
    """The defaults with the file's sentences laid over them.

    Raises `ConfigurationError` for an unreadable file, an unknown key, or a value that is not text.
    """
    if path is None:
        return Texts()
    try:
        entries = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as problem:
        raise ConfigurationError(f"TEXTS_FILE: cannot be read as TOML ({type(problem).__name__})") from None
    known = {each.name for each in fields(Texts)}
    for key, value in entries.items():
        if key not in known:
            raise ConfigurationError(f"TEXTS_FILE: there is no sentence called {key!r}")
        if not isinstance(value, str):
            raise ConfigurationError(f"TEXTS_FILE: {key} must be a string")
    return replace(Texts(), **entries)
