"""The local desk takes what the documents promise, and nothing else."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

from sandbox.desk import LocalDesk, create_desk

BODY = {
    "code": 0,
    "err_msg": "",
    "is_async_response": True,
    "is_recall_success": 0,
    "recall_docs": [],
    "msg_type": "text",
    "msg_content": "答案",
    "third_party_trace_id": "t1",
    "user": "li.lei",
}


@pytest.fixture
def client() -> FlaskClient:
    app = Flask("desk")
    app.register_blueprint(create_desk(LocalDesk()))
    return app.test_client()


def test_a_callback_is_shown_to_its_user(client: FlaskClient) -> None:
    assert client.post("/_desk/callback", json=BODY, headers={"X-Trace-ID": "t1"}).status_code == 200
    (shown,) = client.get("/_desk/callbacks?user=li.lei").get_json()["callbacks"]
    assert (shown["trace_id"], shown["body"]) == ("t1", BODY)
    assert client.get("/_desk/callbacks?user=somebody").get_json() == {"callbacks": []}


@pytest.mark.parametrize("name", [name for name in BODY if name != "user"])
def test_a_callback_without_a_promised_field_is_refused(client: FlaskClient, name: str) -> None:
    body = {each: value for each, value in BODY.items() if each != name}
    response = client.post("/_desk/callback", json=body)
    assert response.status_code == 400
    assert name in response.get_json()["errmsg"]
    assert client.post("/_desk/callback", data=b"nonsense").status_code == 400
