"""Visitors' files: one out of a multipart body, its content checked against its name."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from io import BytesIO
from pathlib import PurePosixPath
from typing import NamedTuple

from flask import Request
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import HTTPException
from werkzeug.formparser import FormDataParser

from errors import BadRequest, PayloadTooLarge, UnsupportedMedia
from handler.message import Kind

FRAME_BYTES = 16 * 1024
"""What the multipart frame and a user's name may add to the file."""
ZIP, OLD_OFFICE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
BEGINS: dict[str, tuple[bytes, ...]] = {
    ".png": (b"\x89PNG\r\n\x1a\n",),
    ".jpg": (b"\xff\xd8\xff",),
    ".jpeg": (b"\xff\xd8\xff",),
    ".gif": (b"GIF87a", b"GIF89a"),
    ".bmp": (b"BM",),
    ".pdf": (b"%PDF-",),
    ".docx": (ZIP,),
    ".xlsx": (ZIP,),
    ".pptx": (ZIP,),
    ".doc": (OLD_OFFICE,),
    ".xls": (OLD_OFFICE,),
    ".ppt": (OLD_OFFICE,),
}
IMAGES = frozenset({".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp"})
WORDS = frozenset({".txt", ".md", ".csv"})


class Upload(NamedTuple):
    """A file whose content is what its name says."""

    kind: Kind
    name: str
    content: bytes
    mime: str
    user_id: str | None


def read_upload(request: Request, body: bytes, max_bytes: int) -> Upload:
    """The field `file` of the form. Raises `BadRequest`, `PayloadTooLarge` or `UnsupportedMedia`."""
    if request.mimetype != "multipart/form-data":
        raise UnsupportedMedia("send the file as multipart/form-data")
    parser = FormDataParser(max_form_parts=8, silent=False)  # the body is capped already
    try:
        _, form, files = parser.parse(BytesIO(body), request.mimetype, len(body), request.mimetype_params)
    except (ValueError, HTTPException):
        raise BadRequest("the form cannot be read") from None
    given = files.getlist("file")
    with ExitStack() as stack:
        for each in (one for some in files.listvalues() for one in some):
            stack.callback(each.close)
        return _checked(given, len(files), form.get("user_id"), max_bytes)


def _checked(given: Sequence[FileStorage], fields: int, user_id: str | None, max_bytes: int) -> Upload:
    if len(given) != 1 or fields != 1:
        raise BadRequest("file: exactly one is needed")
    content = given[0].stream.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise PayloadTooLarge(f"the file is larger than {max_bytes // 1024 // 1024} MB")
    if not content:
        raise BadRequest("the file is empty")
    name = PurePosixPath((given[0].filename or "").replace("\\", "/")).name[-128:]
    ending = PurePosixPath(name).suffix.lower()
    if not fits(ending, content):
        raise UnsupportedMedia("this type of file is not taken, or its content is of another type")
    if user_id and len(user_id) > 128:
        raise BadRequest("user_id: is too long")
    return Upload("image" if ending in IMAGES else "file", name, content, "", user_id or None)


def fits(ending: str, content: bytes) -> bool:
    """Whether the content is of the type that the ending names; False for types that are not taken."""
    if ending == ".webp":
        return content[:4] == b"RIFF" and content[8:12] == b"WEBP"
    if ending in WORDS:
        return b"\0" not in content and _is_text(content)
    return content.startswith(BEGINS.get(ending, ())) if ending in BEGINS else False


def _is_text(content: bytes) -> bool:
    for encoding in ("utf-8", "gb18030"):
        try:
            content.decode(encoding)
        except UnicodeDecodeError:
            continue
        return True
    return False
