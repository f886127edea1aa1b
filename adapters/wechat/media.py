"""Pictures and recordings of customers, on their way from WeChat to the bot.

WeChat hands out a number and keeps the file for three days. A picture is uploaded beside the words that
describe it; when that fails, the words go alone. A recording becomes its words, or a polite line.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from urllib.parse import urlsplit

from adapters.gateway import Files
from adapters.images import picture_type
from adapters.wechat.client import OfficialApi, Patience, download
from errors import Undeliverable, UnsupportedMedia, UpstreamError, YingdaError
from handler.message import InboundMessage, Media, Reply
from settings.accounts import WeChatAccount
from texts import Texts

log = logging.getLogger(__name__)

PICTURE_HOSTS = frozenset({"mmbiz.qpic.cn", "mmbiz.qlogo.cn", "mmsns.qpic.cn"})
"""Where PicUrl leads in genuine pushes. Any other host might be one inside our own network."""
SPEEX = "speex"


class Incoming:
    """Resolves the media of one account's messages; `api` is None where no AppSecret is set."""

    def __init__(self, account: WeChatAccount, api: OfficialApi | None, files: Files, texts: Texts) -> None:
        self.account = account
        self.api = api
        self.files = files
        self.texts = texts
        self.patience = api.patience if api is not None else Patience()

    def resolve(self, message: InboundMessage) -> InboundMessage | Reply:
        """The message with its file uploaded or its recording written down. Never raises for a failure."""
        media = message.media[0] if message.media else None
        if media is None or media.file_id:
            return message
        if message.kind == "image":
            return self._with_picture(message, media)
        return self._written_down(message, media) if message.kind == "voice" else message

    def _with_picture(self, message: InboundMessage, media: Media) -> InboundMessage:
        try:
            content = self.picture(media)
            kind = picture_type(content)
            if kind is None:
                raise UnsupportedMedia("what WeChat sent is no picture")
            uploaded = self.files.upload("image", f"image{kind.ending}", content, kind.mime)
            # its number and address stay: agents look at it at WeChat
            return replace(message, media=(replace(uploaded, id=media.id, url=media.url),))
        except YingdaError as problem:
            self._tell("a picture reaches the bot as words only", problem)
            passes = isinstance(problem, UpstreamError) and not isinstance(problem, Undeliverable)
            # by its number an agent may still see it; its address might be another host's than WeChat's
            seen = passes and self.api is not None and media.id
            return replace(message, media=(Media(media.kind, media.id),) if seen else ())

    def picture(self, media: Media) -> bytes:
        """What WeChat keeps as a picture, whatever it is. Raises `UnsupportedMedia` or an `UpstreamError`."""
        address = picture_address(media.url, self.account.api_base)
        if self.api is not None and media.id:
            try:
                return self.api.media(media.id)
            except UpstreamError as problem:
                if address is None:
                    raise
                self._tell("a picture is fetched from its public address", problem)
        if address is None:
            raise UnsupportedMedia("the picture has no address at WeChat")
        return download(address, self.patience)

    def _written_down(self, message: InboundMessage, media: Media) -> InboundMessage | Reply:
        try:
            if self.api is None:
                raise UnsupportedMedia("recordings cannot be fetched without an AppSecret")
            content = self.api.media(media.id)
            ending = "spx" if media.mime.lower() == SPEEX and not content.startswith(b"#!AMR") else "amr"
            if words := self.files.transcribe(f"voice.{ending}", content, f"audio/{ending}").strip():
                return replace(message, text=words, media=())
        except YingdaError as problem:
            self._tell("a recording was not understood", problem)
        return Reply(self.texts.voice_unreadable, "system", error="voice_unreadable")

    def _tell(self, what: str, problem: YingdaError) -> None:
        log.warning(what, extra={"account": self.account.name, "why": problem.message})


def picture_address(url: str, api_base: str) -> str | None:
    """Where to fetch a picture: at WeChat's own hosts, by HTTPS, or below the configured API. Else None."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or "@" in parts.netloc:
        return None
    if (parts.hostname or "") in PICTURE_HOSTS and port in {None, 80, 443}:
        return parts._replace(scheme="https", netloc=parts.hostname or "").geturl()
    base = urlsplit(api_base)
    return url if (parts.scheme, parts.netloc) == (base.scheme, base.netloc) else None
