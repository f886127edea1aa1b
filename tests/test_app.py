"""The joined application: ids, error shapes, probes and its own description."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable

import click
import pytest
import requests
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings

from errors import ConfigurationError
from settings import DEVELOPMENT_KEY, Settings
from tests.rig import Rig


def test_production_without_secrets_does_not_start(make_settings: Callable[..., Settings]) -> None:
    from app import create_app

    with pytest.raises(ConfigurationError, match="COZE_API_TOKEN"):
        create_app(make_settings(app_env="production"))


def test_production_has_no_sandbox(open_rig: Callable[..., Rig]) -> None:
    rig = open_rig(app_env="production", agent_secret="s" * 32, api_keys="ops:a-long-enough-secret-key:log")
    assert rig.get("/sandbox/").status_code == 404
    assert rig.get("/sandbox").status_code == 404


def test_a_request_id_reaches_the_answer_the_row_and_coze(rig: Rig) -> None:
    response = rig.post(
        "/api/chat", json={"message": "你好"}, headers={"X-Request-Id": "trace-of-the-caller"}
    )
    assert response.headers["X-Request-Id"] == "trace-of-the-caller"
    assert rig.log()[0]["trace_id"] == "trace-of-the-caller"
    sent = [request for request in rig.coze.requests if request.path == "/v3/chat"]
    assert sent[0].json["meta_data"]["request_id"] == "trace-of-the-caller"


@pytest.mark.parametrize("given", ["", "short", "x" * 65, "with space", "line\tbreak", "中文中文中文"])
def test_an_unfit_request_id_is_replaced(rig: Rig, given: str) -> None:
    headers = {"X-Request-Id": given.encode("utf-8")}
    answered = rig.get("/healthz", headers=headers).headers["X-Request-Id"]
    assert answered != given
    assert len(answered) == 32


@pytest.mark.parametrize(
    ("path", "status"), [("/nowhere", 404), ("/api/messages/nowhere", 404), ("/readyz", 405)]
)
def test_errors_of_the_framework_have_one_shape(rig: Rig, path: str, status: int) -> None:
    response = rig.post(path) if status == 405 else rig.get(path)
    assert response.status_code == status
    assert set(response.json()) == {"error"}
    assert set(response.json()["error"]) == {"code", "message"}


def test_readiness_names_its_causes(open_rig: Callable[..., Rig]) -> None:
    ready = open_rig().get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")
    without = open_rig(coze_bot_id="").get("/readyz")
    assert without.status_code == 503
    assert "COZE_BOT_ID" in without.json()["checks"]["coze"]
    assert without.json()["checks"]["database"] == "ok"


def test_readiness_fails_when_the_schema_is_behind_or_the_database_away(open_rig: Callable[..., Rig]) -> None:
    rig = open_rig(database_url="sqlite:///empty.db")
    assert "flask db upgrade" in rig.get("/readyz").json()["checks"]["database"]
    assert rig.get("/healthz").status_code == 200


def test_the_openapi_document_names_every_endpoint(rig: Rig) -> None:
    document = rig.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    expected = {"/chat", "/chat/sync", "/health", "/api/chat", "/api/chat/stream", "/api/messages"}
    expected |= {"/api/wechat", "/api/wechat/{account}", "/api/wechat/messages", "/healthz", "/readyz"}
    assert expected <= set(document["paths"])
    names = [op["operationId"] for path in document["paths"].values() for op in path.values()]
    assert len(names) == len(set(names))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_generated_request_makes_a_server_error(rig: Rig) -> None:
    schema = schemathesis.openapi.from_wsgi("/openapi.json", rig.app)
    for operation in schema.get_all_operations():
        for case in _examples(operation.ok()):
            # 503 is the one's way to say no, and the other never ends by itself
            if case.path in {"/readyz", "/api/events"}:
                continue
            response = case.call(headers={"X-Api-Key": "yingda-development-key"})
            assert response.status_code < 500, (case.method, case.path, case.body, response.text)


def _examples(operation: schemathesis.schemas.APIOperation) -> list[schemathesis.Case]:  # type: ignore[type-arg]
    cases: list[schemathesis.Case] = []

    @given(operation.as_strategy())
    @settings(
        max_examples=25,
        phases=[Phase.generate],
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def collect(case: schemathesis.Case) -> None:
        cases.append(case)

    collect()
    return cases


@pytest.mark.parametrize("number", [2**63, 10**30])
def test_a_number_that_no_row_can_have_is_nobodys(rig: Rig, number: int) -> None:
    rules = [each for each in rig.app.url_map.iter_rules() if "<int:" in str(each)]
    assert rules
    for rule in rules:
        path = re.sub("<int:[^>]*>", str(number), str(rule))
        for method in (rule.methods or set()) - {"OPTIONS"}:
            url = rig.url + re.sub("<[^>]*>", "x", path)
            key = {"X-Api-Key": DEVELOPMENT_KEY}
            answer = requests.request(method, url, json={}, headers=key, timeout=5, allow_redirects=False)
            # pages send a stranger to the sign-in
            assert 300 <= answer.status_code < 500, (method, path)


def test_no_secret_is_in_any_log_line_of_an_exchange(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        rig.coze.faults.queue("http_status", status=401)
        rig.post("/api/chat", json={"message": "你好"})
    lines = "\n".join(
        record.getMessage() + json.dumps(record.__dict__, default=str) for record in caplog.records
    )
    assert "pat_yingda-sandbox" not in lines


def test_every_command_is_registered(make_gateway: Callable[..., Flask]) -> None:
    app = make_gateway()
    offered = app.cli.list_commands(click.Context(app.cli))
    assert {"up", "doctor", "db", "log", "fixture", "settings", "agents", "desk"} <= set(offered)
