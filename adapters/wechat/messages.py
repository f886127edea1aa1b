"""Fields of a push → what it asks: a message for the handler, or an answer that needs no exchange."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import cast

from adapters.wechat.envelope import Fields
from adapters.wechat.reply import tamed
from errors import BadRequest
from handler.message import InboundMessage, Kind, Media
from settings.accounts import WeChatAccount
from texts import Texts

log = logging.getLogger(__name__)

IDENTITY = re.compile(r"[!-~]{1,64}", re.ASCII)
"""An openid or a gh_ id."""
UNSHOWABLE = "【收到不支持的消息类型，暂无法显示】"
"""What WeChat sends as text in place of a sticker or another type it does not hand on."""
SCENE = "qrscene_"
PERSON_CAME = frozenset({"kf_create_session", "kf_switch_session"})
PERSON_LEFT = "kf_close_session"
EVENT_IDENTITY = ("EventKey", "Ticket", "UserCardCode", "MsgID", "MsgId", "trace_id")
"""What tells apart two events of one user in the same second."""
SEPARATOR = "\x1f"
"""Cannot occur in a field: the envelope drops control characters."""


@dataclass(frozen=True, slots=True)
class Immediate:
    """The answer to a push that asks nothing of the bot. Empty text is a bare acknowledgement."""

    text: str = ""
    person: bool | None = None
    """Whether one of ours talks with the customer from now on; None when the push says nothing of it."""


def understand(
    fields: Fields, account: WeChatAccount, texts: Texts, *, reply_by: float, request_id: str
) -> InboundMessage | Immediate:
    """What this push asks. Raises `BadRequest` when it does not say from whom, to whom or of what type."""
    for name in ("ToUserName", "FromUserName", "MsgType"):
        if not IDENTITY.fullmatch(fields.get(name, "")):
            raise BadRequest(f"{name} is missing or malformed")
    read = _event if fields["MsgType"] == "event" else _message
    found = read(fields, account, texts)
    if isinstance(found, Immediate):
        return found
    kind, text, media = found
    return InboundMessage(
        platform="wechat",
        account=account.name,
        user=fields["FromUserName"],
        session=fields["FromUserName"],
        dedupe_key=dedupe_key(fields),
        text=text,
        kind=kind,
        media=media,
        sent_at=sent_at(fields),
        reply_by=reply_by,
        raw=dict(fields),
        request_id=request_id,
    )


def sent_at(fields: Fields) -> float:
    """CreateTime in unix seconds; 0 when it is not that."""
    created = fields.get("CreateTime", "")
    return float(created) if re.fullmatch(r"[0-9]{10}", created) else 0.0


def dedupe_key(fields: Fields) -> str:
    """Equal for the three deliveries of one push, different for everything else.

    MsgId alone is not enough: it has been seen twice with different users, and it is missing from events.
    """
    parts = [fields.get(name, "") for name in ("ToUserName", "FromUserName", "CreateTime", "MsgType")]
    if fields["MsgType"] == "event":
        parts += [fields.get("Event", "").lower(), *(fields.get(name, "") for name in EVENT_IDENTITY)]
    elif re.fullmatch(r"0*[1-9][0-9]*", fields.get("MsgId", "")):
        parts.append(fields["MsgId"])
    else:
        everything = SEPARATOR.join(f"{name}={text}" for name, text in sorted(fields.items()))
        parts.append(hashlib.sha256(everything.encode()).hexdigest())
    return SEPARATOR.join(parts)


Found = tuple[Kind, str, tuple[Media, ...]]


def _event(fields: Fields, account: WeChatAccount, texts: Texts) -> Found | Immediate:
    event, key = fields.get("Event", "").lower(), fields.get("EventKey", "")
    match event:
        case "subscribe" | "scan":
            scanned = event == "scan" or key.startswith(SCENE)
            scene = key.removeprefix(SCENE) if scanned else ""
            if scene and account.ask_scene:
                return "event", scene, ()
            if event == "scan":
                return Immediate()
            return Immediate(
                (scene and texts.welcome_scene.replace("{scene}", tamed(scene))) or texts.welcome
            )
        case "unsubscribe":
            return ("leave", "", ()) if account.erase_on_unsubscribe else Immediate()
        case "click":
            # an operator who sets nothing gets a menu whose keys are questions
            words = account.click.get(key, key).strip()
            return ("event", words, ()) if words else Immediate()
        case "templatesendjobfinish":
            if (status := fields.get("Status", "")) != "success":
                about = {"account": account.name, "status": status[:64], "id": fields.get("MsgID", "")[:64]}
                log.warning("a template message did not arrive", extra=about)
            return Immediate()
    if event in PERSON_CAME or event == PERSON_LEFT:
        return Immediate(person=event in PERSON_CAME)
    if event not in _known_events():
        log.info("an unknown event was acknowledged", extra={"event": event[:64]})
    return Immediate()


def _message(fields: Fields, account: WeChatAccount, texts: Texts) -> Found | Immediate:
    msg_type = fields["MsgType"].lower()
    media_id = fields.get("MediaId", "")
    match msg_type:
        case "text":
            text = fields.get("Content", "")
            return Immediate(texts.unsupported) if text in {"", UNSHOWABLE} else ("text", text, ())
        case "voice":
            # WeChat stopped recognizing speech in 2023, yet some pushes still carry the text
            if heard := fields.get("Recognition", ""):
                return "voice", heard, ()
            media = Media("voice", id=fields.get("MediaId16K") or media_id, mime=fields.get("Format", ""))
            if not (account.transcribe_voice and media.id):
                return Immediate(texts.voice_unreadable)
            return "voice", texts.describe_voice, (media,)
        case "image":
            return "image", texts.describe_image, (Media("image", id=media_id, url=fields.get("PicUrl", "")),)
        case "video" | "shortvideo":
            return "video", texts.describe_video, (Media("video", id=media_id),)
        case "file":
            title = fields.get("Title", "")
            media = Media("file", id=fields.get("FileKey", ""), name=title)
            return "file", texts.describe_file.format(title=title), (media,)
        case "location":
            words = texts.describe_location.format(
                label=fields.get("Label", ""),
                latitude=fields.get("Location_X", ""),
                longitude=fields.get("Location_Y", ""),
            )
            return "location", words, ()
        case "link":
            title, url = fields.get("Title", ""), fields.get("Url", "")
            description = fields.get("Description", "")
            words = texts.describe_link.format(title=title, description=description, url=url)
            return "link", words, (Media("link", url=url, name=title),)
        case "miniprogrampage":
            title = fields.get("Title", "")
            media = Media("link", id=fields.get("AppId", ""), url=fields.get("PagePath", ""), name=title)
            return "link", texts.describe_mini_program.format(title=title), (media,)
    log.info(
        "a message type was acknowledged unread",
        extra={"msg_type": msg_type, "known_to_wechatpy": msg_type in _known_types()},
    )
    return Immediate()


def _known_events() -> Collection[str]:
    # without encryption nothing else needs wechatpy, and such pushes are rare
    from wechatpy.events import EVENT_TYPES

    return cast("Collection[str]", EVENT_TYPES)


def _known_types() -> Collection[str]:
    from wechatpy.messages import MESSAGE_TYPES  # as above

    return cast("Collection[str]", MESSAGE_TYPES)
