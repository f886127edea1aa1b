"""The routes of files, speech and the bot's own description."""

from __future__ import annotations

import time
from pathlib import PurePath

from flask import Flask, Response, request
from werkzeug.datastructures import FileStorage

from sandbox.coze.context import current, envelope
from sandbox.coze.errors import Refusal
from sandbox.coze.state import LocalCoze

SUFFIXES = frozenset(
    ".jpg .jpeg .png .gif .webp .heic .heif .bmp .tiff .wav .mp3 .flac .m4a .aac .ogg .wma .midi "
    ".mp4 .mov .avi .3gp .doc .docx .xls .xlsx .ppt .pptx .pdf .csv .txt .md .zip".split()
)
SPEECH = frozenset(".ogg .opus .mp3 .wav .m4a .mp4 .pcm .raw .spx .aac .amr".split())


def add_media(app: Flask, coze: LocalCoze) -> None:
    """Registers the routes."""

    @app.post("/v1/files/upload", endpoint="upload")
    def upload() -> Response:
        given, data = _file(SUFFIXES)
        stored: dict[str, object] = {
            "id": coze.new_id(),
            "bytes": len(data),
            "file_name": given.filename,
            "created_at": int(time.time()),
        }
        coze.files[str(stored["id"])] = stored
        return envelope(stored)

    @app.post("/v1/audio/transcriptions", endpoint="audio")
    def transcribe() -> Response:
        _, data = _file(SPEECH)
        return envelope({"text": f"这是一段{len(data)}字节的语音。"})

    @app.get("/v1/bot/get_online_info", endpoint="bot")
    def bot() -> Response:
        bot_id = request.args.get("bot_id", "")
        if not bot_id:
            raise Refusal(4000, "bot_id is required")
        shown = {
            "bot_id": bot_id,
            "name": "应答沙箱",
            "description": "本地沙箱里的机器人",
            "icon_url": "",
            "create_time": 1_700_000_000,
            "update_time": 1_700_000_000,
            "version": "1700000000",
            "onboarding_info": {
                "prologue": "您好！请问有什么可以帮您？",
                "suggested_questions": ["给我使用指南", "忘记密码怎么办？"],
            },
            "bot_mode": 0,
        }
        return envelope(shown)


def _file(suffixes: frozenset[str]) -> tuple[FileStorage, bytes]:
    """The one file of the form; Refusal 4300 to 4303 when there is none, several, or of another type."""
    current()
    files = request.files.getlist("file")
    if len(files) > 1 or len(request.files) > 1:
        raise Refusal(4301)
    data = files[0].read() if files else b""
    if not data:
        raise Refusal(4300)
    if PurePath(files[0].filename or "").suffix.lower() not in suffixes:
        raise Refusal(4303)
    return files[0], data
