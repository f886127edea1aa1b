"""Customers' files on their way to Coze: which are taken, how large, and what becomes of a failure."""

from __future__ import annotations

import mimetypes
from pathlib import PurePosixPath

from coze.client import CozeClient
from coze.errors import CozeError
from errors import BadRequest, PayloadTooLarge, UnsupportedMedia, UpstreamError
from handler.message import Kind, Media

IMAGES = frozenset({".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".heic"})
DOCUMENTS = frozenset(
    {".pdf", ".doc", ".docx", ".xls", ".xlsx", ".ppt", ".pptx", ".txt", ".md", ".csv", ".json"}
)
VOICES = frozenset({".amr", ".mp3", ".wav", ".m4a", ".aac", ".ogg", ".opus", ".spx"})
VIDEOS = frozenset({".mp4", ".mov", ".avi", ".mkv", ".webm"})
BY_KIND: dict[Kind, frozenset[str]] = {"image": IMAGES, "file": DOCUMENTS, "voice": VOICES, "video": VIDEOS}
MAX_BYTES = 20 * 1024 * 1024
MAX_VOICE_BYTES = 10 * 1024 * 1024
"""Coze transcribes no more than this."""


class Files:
    """Uploads to the bot's account. Safe to share between threads."""

    def __init__(self, client: CozeClient) -> None:
        self.client = client

    def upload(self, kind: Kind, name: str, content: bytes, mime: str = "") -> Media:
        """The file as a chat may refer to it, with `file_id`.

        Raises `BadRequest` for an empty one, `PayloadTooLarge`, `UnsupportedMedia` for an ending that Coze
        does not take, and `UpstreamError` when Coze did not accept it.
        """
        name = checked_name(kind, name, content, mime)
        mime = mime or mimetypes.guess_type(name)[0] or "application/octet-stream"
        try:
            uploaded = self.client.upload_file(name, content, mime)
        except CozeError as problem:
            raise UpstreamError("the file could not be handed to the bot") from problem
        return Media(kind, name=name, mime=mime, file_id=uploaded.id)

    def transcribe(self, name: str, content: bytes, mime: str = "") -> str:
        """The words of a recording; empty when none were understood. Raises as `upload`."""
        name = checked_name("voice", name, content, mime)
        if len(content) > MAX_VOICE_BYTES:
            raise PayloadTooLarge("the recording is too large")
        try:
            return self.client.transcribe(name, content, mime or "application/octet-stream")
        except CozeError as problem:
            raise UpstreamError("the recording could not be understood") from problem


def checked_name(kind: Kind, name: str, content: bytes, mime: str = "") -> str:
    """A plain file name with an ending that fits the kind: Coze judges a file by it."""
    if not content:
        raise BadRequest("the file is empty")
    if len(content) > MAX_BYTES:
        raise PayloadTooLarge(f"the file is larger than {MAX_BYTES // 1024 // 1024} MB")
    plain = PurePosixPath(name.replace("\\", "/")).name.strip() or kind
    ending = PurePosixPath(plain).suffix.lower()
    if not ending and (guessed := mimetypes.guess_extension(mime.partition(";")[0].strip())):
        plain, ending = plain + guessed, guessed
    if ending not in BY_KIND.get(kind, frozenset()):
        raise UnsupportedMedia("this type of file is not taken")
    return plain
