"""Customers' files on their way to Coze."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from coze.client import make_client
from coze.files import MAX_BYTES, MAX_VOICE_BYTES, Files, checked_name
from coze.records import said_with
from errors import BadRequest, PayloadTooLarge, UnsupportedMedia, UpstreamError
from handler.message import Kind
from settings import Settings
from tests.rig import Rig


@pytest.mark.parametrize(
    ("kind", "given", "mime", "plain"),
    [
        ("image", "photo.JPG", "", "photo.JPG"),
        ("image", "", "image/png", "image.png"),
        ("image", "../../etc/a.png", "", "a.png"),
        ("file", "C:\\tmp\\合同.pdf", "", "合同.pdf"),
        ("voice", "x.amr", "", "x.amr"),
    ],
)
def test_a_name_is_plain_and_has_an_ending_that_coze_knows(
    kind: Kind, given: str, mime: str, plain: str
) -> None:
    assert checked_name(kind, given, b"x", mime) == plain


@pytest.mark.parametrize(
    ("kind", "name", "content", "error"),
    [
        ("image", "a.png", b"", BadRequest),
        ("image", "a.exe", b"x", UnsupportedMedia),
        ("image", "a", b"x", UnsupportedMedia),
        ("image", "a.pdf", b"x", UnsupportedMedia),
        ("link", "a.png", b"x", UnsupportedMedia),
        ("file", "a.pdf", b"x" * (MAX_BYTES + 1), PayloadTooLarge),
    ],
)
def test_what_coze_would_refuse_is_refused_before(
    kind: Kind, name: str, content: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error):
        checked_name(kind, name, content)


def test_a_file_is_uploaded_and_goes_with_the_words(rig: Rig) -> None:
    files: Files = rig.app.extensions["yingda"].files
    media = files.upload("image", "photo.png", b"\x89PNG....")
    assert media.file_id
    assert f'"file_id":"{media.file_id}"' in said_with("请看", [media]).content


def test_a_recording_s_length_is_limited_before_it_is_sent(rig: Rig) -> None:
    with pytest.raises(PayloadTooLarge):
        rig.app.extensions["yingda"].files.transcribe("a.amr", b"x" * (MAX_VOICE_BYTES + 1))


def test_a_coze_that_is_away_is_an_error_without_its_words(make_settings: Callable[..., Settings]) -> None:
    nowhere = make_settings(coze_api_base="http://127.0.0.1:9", coze_api_token="pat_x", coze_bot_id="1")
    with pytest.raises(UpstreamError):
        Files(make_client(nowhere)).upload("image", "a.png", b"x")
