"""The token endpoint believes a JWT once, and only a good one."""

from __future__ import annotations

import time
import uuid
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from sandbox.coze import LocalCoze

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@pytest.fixture
def desk(coze: LocalCoze, api: Any, keys: tuple[str, str]) -> Any:
    coze.register_app("app-1", "kid-1", keys[1])
    return api


def signed(api: Any, key: Any, kid: str = "kid-1", **claims: Any) -> str:
    now = int(time.time())
    host = api.url.removeprefix("http://")
    usual = {"iss": "app-1", "aud": host, "iat": now, "exp": now + 600, "jti": uuid.uuid4().hex}
    return jwt.encode({**usual, **claims}, key, "RS256", {"kid": kid})


def exchange(api: Any, token: str, **body: Any) -> Any:
    return api.call(
        "POST",
        "/api/permission/oauth2/token",
        json={"grant_type": GRANT, **body},
        headers={"Authorization": f"Bearer {token}"},
    )


def test_the_answer_is_flat_and_expires_at_an_absolute_second(desk: Any, keys: tuple[str, str]) -> None:
    told = exchange(desk, signed(desk, keys[0]), duration_seconds=3600).json()
    assert told["access_token"].startswith("czs_")
    assert abs(told["expires_in"] - time.time() - 3600) < 60
    default = exchange(desk, signed(desk, keys[0])).json()
    assert abs(default["expires_in"] - time.time() - 900) < 60
    desk.token = told["access_token"]
    assert desk.ask("你好").names[-1] == "done"


def test_a_token_ends_with_its_time(
    desk: Any, keys: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.token = exchange(desk, signed(desk, keys[0]), duration_seconds=5).json()["access_token"]
    assert desk.ask("你好").status == 200
    late = time.time() + 6
    monkeypatch.setattr("sandbox.coze.oauth.time.time", lambda: late)
    got = desk.ask("你好")
    assert (got.status, got.json["code"]) == (401, 4100)


def test_a_jwt_is_good_for_one_use(desk: Any, keys: tuple[str, str]) -> None:
    token = signed(desk, keys[0])
    assert exchange(desk, token).status_code == 200
    again = exchange(desk, token)
    assert again.status_code == 400
    assert "jti" in again.json()["error_message"]
    assert "access_token" not in again.json()


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"aud": "api.coze.cn"}, "udience"),
        ({"iss": "app-2"}, "ssuer"),
        ({"iat": 1_700_000_000, "exp": 1_700_000_600}, "expired"),
        ({"iat": 4_000_000_000, "exp": 4_000_000_600}, "not yet valid"),
        ({"jti": ""}, "jti"),
        ({"jti": None}, "jti"),
    ],
)
def test_wrong_claims_are_refused(
    desk: Any, keys: tuple[str, str], claims: dict[str, Any], words: str
) -> None:
    told = exchange(desk, signed(desk, keys[0], **claims)).json()
    assert words in told["error_message"]
    assert told["error_code"] in {"invalid_client", "invalid_request"}


def test_another_key_is_refused(desk: Any) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    told = exchange(desk, signed(desk, other))
    assert (told.status_code, told.json()["error_code"]) == (401, "invalid_client")
    unknown = exchange(desk, signed(desk, other, kid="kid-2")).json()
    assert unknown["error_message"] == "invalid jwt: kid not been registered"


def test_a_hash_of_the_public_key_is_no_signature(desk: Any, keys: tuple[str, str]) -> None:
    forged = jwt.encode({"iss": "app-1"}, "x" * 64, "HS256", {"kid": "kid-1"})
    assert exchange(desk, forged).json()["error_code"] == "invalid_client"


@pytest.mark.parametrize("seconds", [0, -1, 86_400, "900", True])
def test_a_duration_out_of_range_is_refused(desk: Any, keys: tuple[str, str], seconds: Any) -> None:
    told = exchange(desk, signed(desk, keys[0]), duration_seconds=seconds)
    assert told.json()["error_code"] == "invalid_request"


def test_other_grants_and_empty_tokens_are_refused(desk: Any) -> None:
    told = desk.call("POST", "/api/permission/oauth2/token", json={"grant_type": "password"})
    assert told.json()["error_code"] == "unsupported_grant_type"
    assert exchange(desk, "").json()["error_message"] == "verify jwt empty error"
    assert exchange(desk, "no.jwt").json()["error_code"] == "invalid_request"


def test_retrieve_by_post_is_for_personal_tokens_only(desk: Any, keys: tuple[str, str]) -> None:
    desk.ask("你好")
    chat = desk.last_chat()
    query = {"conversation_id": chat.conversation_id, "chat_id": chat.id}
    assert desk.call("POST", "/v3/chat/retrieve", params=query).json()["data"]["id"] == chat.id
    desk.token = exchange(desk, signed(desk, keys[0])).json()["access_token"]
    assert desk.call("GET", "/v3/chat/retrieve", params=query).json()["data"]["id"] == chat.id
    refused = desk.call("POST", "/v3/chat/retrieve", params=query)
    assert (refused.status_code, refused.json()["code"]) == (401, 4100)
