"""Visitors' files: what is taken, what is refused, and whose they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.rig import Rig

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 32


def upload(rig: Rig, name: str, content: bytes, user: str = "a") -> requests.Response:
    return rig.post("/api/files", files={"file": (name, content)}, data={"user_id": user})


def ask(rig: Rig, user: str, files: list[str], **fields: Any) -> requests.Response:
    return rig.post("/api/chat", json={"message": "这是什么？", "user_id": user, "files": files, **fields})


def test_a_picture_goes_along_with_a_message(rig: Rig) -> None:
    taken = upload(rig, "../小票.PNG", PNG).json()
    assert (taken["success"], taken["name"], taken["kind"]) == (True, "小票.PNG", "image")
    assert "1个文件" in ask(rig, "a", [taken["file"]]).json()["message"]
    alone = ask(rig, "a", [taken["file"]], message="").json()
    assert alone["success"]
    assert rig.log()[0]["question"] == "（用户发来一张图片）"


def test_a_file_is_its_visitors_only(rig: Rig) -> None:
    token = upload(rig, "a.png", PNG).json()["file"]
    assert ask(rig, "b", [token]).status_code == 403
    assert ask(rig, "a", ["no.such.token"]).status_code == 403
    visitor = rig.post("/api/conversation/new").json()["token"]
    assert ask(rig, "a", [visitor]).status_code == 403
    assert rig.log() == []


@pytest.mark.parametrize(
    ("name", "content", "status"),
    [
        ("a.png", b"<svg onload=alert(1)>", 415),
        ("a.jpg", PNG, 415),
        ("a.exe", b"MZ", 415),
        ("a", PNG, 415),
        ("a.txt", b"\0\1\2", 415),
        ("a.png", b"", 400),
        ("a.png", PNG + b"\0" * (900 * 1024), 200),
        ("a.png", PNG + b"\0" * (1024 * 1024), 413),
        ("a.png", PNG + b"\0" * (3 * 1024 * 1024), 413),
        ("a.txt", "你好".encode("gb18030"), 200),
        ("a.pdf", b"%PDF-1.7", 200),
        ("a.docx", b"PK\x03\x04", 200),
        ("a.webp", b"RIFF\0\0\0\0WEBPVP8 ", 200),
    ],
)
def test_the_content_has_to_be_what_the_name_says(
    open_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, status: int
) -> None:
    monkeypatch.setenv("WEB_MAX_FILE_MB", "1")
    response = upload(open_rig(), name, content)
    assert response.status_code == status, response.text
    assert response.json()["success"] is (status == 200)


def test_a_form_that_is_none_is_refused(rig: Rig) -> None:
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    assert rig.post("/api/files", json={}).status_code == 415
    assert rig.post("/api/files", data=b"noise", headers=form).status_code == 400
    two = [("file", ("a.png", PNG)), ("file", ("b.png", PNG))]
    assert rig.post("/api/files", files=two, data={"user_id": "a"}).status_code == 400
    assert rig.post("/api/files", files={"file": ("a.png", PNG)}).status_code == 400


def test_without_a_secret_there_are_no_files(open_rig: Callable[..., Rig]) -> None:
    rig = open_rig(app_env="production", agent_secret="s" * 32, api_keys="s:a-long-enough-secret-key:chat")
    headers = {"X-Api-Key": "a-long-enough-secret-key"}
    files = {"file": ("a.png", PNG)}
    response = rig.post("/api/files", files=files, data={"user_id": "a"}, headers=headers)
    assert response.status_code == 403
    assert "VISITOR_SECRET" in response.json()["error"]
    assert rig.coze.files == {}
