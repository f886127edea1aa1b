"""What is a picture, judged by its first bytes: names, headers and addresses may say anything."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import NamedTuple

from adapters.gateway import Pictures
from errors import Unavailable
from handler.message import Media, Picture

log = logging.getLogger(__name__)

KEPT_BYTES = 5 * 1024 * 1024
"""Of a picture in the database: a statement of MariaDB's takes 16 MB, and may have every byte escaped."""


class PictureType(NamedTuple):
    """How a picture's kind is written: `.png` and `image/png`."""

    ending: str
    mime: str


BEGINNINGS = {
    b"\xff\xd8\xff": PictureType(".jpg", "image/jpeg"),
    b"\x89PNG\r\n": PictureType(".png", "image/png"),
    b"GIF8": PictureType(".gif", "image/gif"),
    b"BM": PictureType(".bmp", "image/bmp"),
}


def picture_type(content: bytes) -> PictureType | None:
    """The kind of picture these bytes are; None for anything else. SVG is none: it may hold scripts."""
    for beginning, found in BEGINNINGS.items():
        if content.startswith(beginning):
            return found
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return PictureType(".webp", "image/webp")
    return None


def with_picture(pictures: Pictures, media: Media, content: bytes) -> Media:
    """An upload that agents can look at later, if it is a picture of a reasonable size.

    Never fails: the bot has the file, and that is what was asked for.
    """
    kind = picture_type(content) if media.kind == "image" else None
    if kind is None or len(content) > KEPT_BYTES:
        return media
    try:
        return replace(media, id=pictures.keep(Picture(content, kind.mime)))
    except Unavailable:
        log.warning("a picture was not kept for the agents")
        return media
