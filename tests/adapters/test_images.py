"""What counts as a picture: its bytes alone."""

from __future__ import annotations

import pytest

from adapters.images import KEPT_BYTES, picture_type, with_picture
from errors import Unavailable
from handler.message import Kind, Media, Picture
from tests.gateway_double import FakePictures

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)


@pytest.mark.parametrize(
    ("content", "mime"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"BM\0\0", "image/bmp"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b"RIFF\0\0\0\0WAVEfmt ", None),
        (b'<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>', None),
        (b"<html>", None),
        (b"", None),
    ],
)
def test_a_picture_is_known_by_how_it_begins(content: bytes, mime: str | None) -> None:
    found = picture_type(content)
    assert (found.mime if found else None) == mime


@pytest.mark.parametrize(
    ("kind", "content", "kept"),
    [("image", PNG, True), ("image", b"<svg>", False), ("image", PNG + bytes(KEPT_BYTES), False),
     ("file", PNG, False)],
)  # fmt: skip
def test_an_upload_that_is_a_picture_is_kept_for_the_agents(kind: Kind, content: bytes, kept: bool) -> None:
    pictures = FakePictures()
    media = with_picture(pictures, Media(kind, file_id="f"), content)
    assert media.file_id == "f"
    assert pictures.kept == ({media.id: Picture(content, "image/png")} if kept else {})


def test_an_upload_goes_on_while_pictures_cannot_be_kept() -> None:
    class Away(FakePictures):
        def keep(self, picture: Picture) -> str:
            raise Unavailable("the database is away")

    media = Media("image", file_id="f")
    assert with_picture(Away(), media, PNG) == media
